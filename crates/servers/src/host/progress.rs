//! Facts that a host tells about an order before its end.

use agis_base::Reason;
use tokio::sync::watch;

/// Maximum length of a text about the progress of an order, in characters.
pub const PROGRESS_MAX: usize = 200;
/// Maximum length of the reference of an image, in characters.
pub const IMAGE_MAX: usize = 500;

/// Facts that a host told about an order so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// How the order goes on, for people: "pulling image: 120 of 480 MB".
    pub progress: Option<Reason>,
    /// Image that the order runs, with its digest.
    pub image: Option<Reason>,
}

/// Listener to whom a host says how an order goes on. Saying costs nothing, and never waits: the listener hears the
/// latest, as often as it likes. Nobody hears the default.
#[derive(Debug, Clone, Default)]
pub struct Progress(watch::Sender<Told>);

impl Progress {
    /// Says how the order goes on, in place of all that was said before.
    pub fn say(&self, text: impl AsRef<str>) {
        self.tell(|told| &mut told.progress, text.as_ref(), PROGRESS_MAX);
    }

    /// Says which image the order runs, by its digest.
    pub fn image(&self, reference: impl AsRef<str>) {
        self.tell(|told| &mut told.image, reference.as_ref(), IMAGE_MAX);
    }

    /// Returns the facts, now and from now on.
    pub fn heard(&self) -> watch::Receiver<Told> {
        self.0.subscribe()
    }

    fn tell(&self, field: impl Fn(&mut Told) -> &mut Option<Reason>, text: &str, max: usize) {
        // An engine and a registry say whatever they like.
        let is_line = |character: char| if character.is_control() { ' ' } else { character };
        let fact = Some(Reason::new(text.chars().take(max).map(is_line).collect::<String>()));
        self.0.send_if_modified(|told| {
            let is_news = *field(told) != fact;
            *field(told) = fact;
            is_news
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_hears_the_latest_of_each_fact() {
        let progress = Progress::default();
        progress.say("nobody listens");
        let mut heard = progress.heard();
        progress.image("docker.io/x/y@sha256:7");
        progress.say("pulling\u{1b}[1m\0");
        progress.say("é".repeat(PROGRESS_MAX + 1));
        let told = heard.borrow_and_update().clone();
        assert_eq!(told.image.as_deref(), Some("docker.io/x/y@sha256:7"));
        assert_eq!(told.progress.as_deref(), Some("é".repeat(PROGRESS_MAX).as_str()));
        progress.image("docker.io/x/y@sha256:7");
        assert!(!heard.has_changed().expect("a speaker"));
        progress.say("a\nb\0");
        assert_eq!(heard.borrow().progress.as_deref(), Some("a b "));
    }
}

//! Warnings ahead of a stop or a restart.

use agis_base::Span;
use serde::{Deserialize, Serialize};

use super::{WAIT_RULE, is_wait};
use crate::schedule::Action;

/// Maximum number of announcements ahead of one action.
const WARNINGS_MAX: usize = 10;
/// Placeholder for the time that is left, in words: `15 minutes`.
const TIME: &str = "{time}";
/// Placeholder for the minutes that are left, rounded up.
const MINUTES: &str = "{minutes}";

/// Announcements ahead of a stop or a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Times ahead of the action at which players are told, longest first; 1 to 10.
    pub ahead: Vec<Span>,
    /// Text with `{minutes}` or `{time}`; `None` is a text of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Warning {
    /// Creates a warning in our own words.
    pub fn ahead(ahead: Vec<Span>) -> Self {
        Self { ahead, text: None }
    }

    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if !(1..=WARNINGS_MAX).contains(&self.ahead.len()) {
            return Err(("warn", format!("has 1 to {WARNINGS_MAX} times, such as [\"15m\", \"5m\", \"1m\"]")));
        }
        if !self.ahead.iter().all(|time| is_wait(*time)) {
            return Err(("warn", format!("has times each of which {WAIT_RULE}")));
        }
        if !self.ahead.windows(2).all(|pair| pair[0] > pair[1]) {
            return Err(("warn", "names the longest time first, and each time once".to_owned()));
        }
        Ok(())
    }

    /// Returns the announcements: the time that is left at each, and the time until the next or the action.
    pub(super) fn moments(&self) -> impl Iterator<Item = (Span, Span)> {
        let next = self.ahead.iter().skip(1).copied().chain([Span::ZERO]);
        self.ahead.iter().copied().zip(next).map(|(left, next)| (left, left - next))
    }
}

/// Returns the text that tells players of a postponement.
pub fn postponed(action: Action, by: Span) -> String {
    format!("The {action} of the server is put off by {}.", words(by))
}

/// Returns the text that tells players that an announced action does not follow.
pub fn called_off(action: Action) -> String {
    format!("The {action} of the server is called off.")
}

/// Returns the text that tells of this action while so much time is left.
pub fn said_in(warning: &Option<Warning>, action: Action, left: Span) -> String {
    let ours = match action {
        Action::Stop => "The server stops in {time}.",
        Action::Start | Action::Restart => "The server restarts in {time}.",
    };
    let text = warning.as_ref().and_then(|warning| warning.text.as_deref()).unwrap_or(ours);
    let minutes = left.duration().as_secs().div_ceil(60);
    text.replace(TIME, &words(left)).replace(MINUTES, &minutes.to_string())
}

/// Returns a time in whole units: `90 seconds`, `15 minutes`, `2 hours`.
fn words(time: Span) -> String {
    let seconds = time.duration().as_secs();
    let (number, unit) = match seconds {
        _ if seconds.is_multiple_of(3600) => (seconds / 3600, "hour"),
        _ if seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

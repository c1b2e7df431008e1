//! Freshness of knowledge about the cluster, and the trouble that keeps it from being fresher.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use agis_servers::host::HostError;

/// Freshness of something that is looked at again and again.
pub(crate) struct Sight {
    /// Name of the source, for people.
    what: &'static str,
    /// Time for which a look is good.
    good_for: Duration,
    state: Mutex<SightState>,
}

#[derive(Default)]
struct SightState {
    /// Time of the last good look; `None` before the first.
    known: Option<Instant>,
    /// Whether the last look failed, so the knowledge may be wrong by now.
    is_blind: bool,
    /// Trouble of the source, even if another source has made up for it.
    trouble: Option<String>,
}

impl Sight {
    pub(crate) fn new(what: &'static str, good_for: Duration) -> Self {
        Self { what, good_for, state: Mutex::default() }
    }

    /// Records that another source has reported everything as of `at`.
    pub(crate) fn made_up_for(&self, at: Instant) {
        let mut state = self.state();
        (state.known, state.is_blind) = (Some(at), false);
    }

    /// Records a sign of life of the source.
    pub(crate) fn well(&self) {
        *self.state() = SightState { known: Some(Instant::now()), ..SightState::default() };
    }

    /// Records trouble of the source. Present knowledge stays good for as long as before.
    pub(crate) fn broken(&self, why: &str) {
        self.state().trouble = Some(why.to_owned());
    }

    /// Records that the source shows nothing.
    pub(crate) fn blind(&self, why: &str) {
        let mut state = self.state();
        (state.is_blind, state.trouble) = (true, Some(why.to_owned()));
    }

    /// Returns the trouble, for people.
    pub(crate) fn trouble(&self) -> Option<String> {
        let (what, state) = (self.what, self.state());
        let silence = state.known.map(|at| at.elapsed()).filter(|age| *age > self.good_for);
        match (&state.trouble, silence) {
            (Some(why), _) => Some(format!("{what} is in trouble: {why}")),
            (None, Some(age)) => Some(format!("{what} has told nothing for {} s", age.as_secs())),
            (None, None) => None,
        }
    }

    /// Fails if the knowledge is not fresh.
    pub(crate) fn is_fresh(&self) -> Result<(), HostError> {
        let state = self.state();
        if !state.is_blind && state.known.is_some_and(|at| at.elapsed() <= self.good_for) {
            return Ok(());
        }
        drop(state);
        let unseen = || format!("{} has told nothing yet", self.what);
        Err(HostError::Unavailable(self.trouble().unwrap_or_else(unseen)))
    }

    fn state(&self) -> MutexGuard<'_, SightState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn list_is_fresh_though_the_watch_is_broken() {
        let sight = Sight::new("the watch of pods", LONG);
        assert!(sight.is_fresh().is_err() && sight.trouble().is_none(), "nothing is known, and nothing is wrong");
        sight.broken("forbidden");
        sight.made_up_for(Instant::now());
        assert_eq!(sight.is_fresh(), Ok(()));
        assert_eq!(sight.trouble().as_deref(), Some("the watch of pods is in trouble: forbidden"));
        sight.blind("no answer");
        assert!(matches!(sight.is_fresh(), Err(HostError::Unavailable(why)) if why.ends_with("no answer")));
        sight.well();
        assert!(sight.is_fresh() == Ok(()) && sight.trouble().is_none());
    }

    #[test]
    fn unheard_watch_is_not_fresh() {
        let sight = Sight::new("the watch of pods", Duration::ZERO);
        sight.well();
        std::thread::sleep(Duration::from_millis(1));
        let tells = |why: &str| why.starts_with("the watch of pods has told nothing for ");
        assert!(sight.trouble().is_some_and(|why| tells(&why)));
        assert!(matches!(sight.is_fresh(), Err(HostError::Unavailable(why)) if tells(&why)));
    }
}

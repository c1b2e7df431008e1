//! Pace of work on many servers.

use std::time::Duration;

use crate::Span;

/// Maximum number of servers of one piece of work.
pub const MANY_MAX: u32 = 100;
/// Longest time between two servers.
const STAGGER_MAX: Duration = Duration::from_secs(3600);
/// Time until the next look at work that waits for the end of its own.
const LOOK: Duration = Duration::from_secs(1);

/// Pace of work on many servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// Maximum number of servers on which it goes on at a time, from 1 to [`MANY_MAX`]; `None` for all.
    pub at_most: Option<u32>,
    /// Time between the beginnings of two servers, up to an hour.
    pub stagger: Option<Span>,
}

impl Pace {
    /// Checks the limits.
    ///
    /// # Errors
    /// Fails with the name of the wrong field, and its rule in words that follow the name.
    pub fn check(self) -> Result<(), (&'static str, String)> {
        if self.at_most.is_some_and(|at_most| !(1..=MANY_MAX).contains(&at_most)) {
            return Err(("at_most", format!("is a number from 1 to {MANY_MAX}")));
        }
        let staggers = |stagger: Span| stagger != Span::ZERO && stagger.duration() <= STAGGER_MAX;
        if !self.stagger.is_none_or(staggers) {
            return Err(("stagger", "is from 1s to 1h; leave it out to begin all at once".to_owned()));
        }
        Ok(())
    }

    /// Returns the time from the turn of the first of so many servers to that of the last, if no work has to be waited for.
    pub fn whole(self, servers: u32) -> Duration {
        self.stagger.map_or(Duration::ZERO, |stagger| stagger.duration() * servers.saturating_sub(1))
    }

    /// Returns the number of servers whose turn it is while work goes on on `open` others.
    pub fn turns(self, open: u32) -> u32 {
        let room = self.at_most.unwrap_or(MANY_MAX).saturating_sub(open);
        if self.stagger.is_some() { room.min(1) } else { room }
    }

    /// Returns the time from a look that began work on `begun` servers to the next one.
    pub fn until_next(self, begun: usize) -> Duration {
        self.stagger.filter(|_| begun > 0).map_or(LOOK, |stagger| stagger.duration().max(LOOK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_leave_room_and_time_between_them() {
        let pace = |at_most, stagger: Option<u32>| Pace { at_most, stagger: stagger.map(Span::of_seconds) };
        assert_eq!([0, 2, 3, 4].map(|open| pace(Some(3), None).turns(open)), [3, 1, 0, 0]);
        assert_eq!([0, 2, 3].map(|open| pace(Some(3), Some(120)).turns(open)), [1, 1, 0]);
        assert_eq!(pace(None, None).turns(7), 93);
        let seconds = |pace: Pace, begun| pace.until_next(begun).as_secs();
        assert_eq!(seconds(pace(None, Some(120)), 1), 120);
        assert_eq!(seconds(pace(Some(1), Some(120)), 0), 1, "its turn comes when another ends");
        assert_eq!(seconds(pace(Some(1), None), 1), 1);
    }
}

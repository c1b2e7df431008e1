//! Holds: they keep everything that acts by itself away from a server. Pure.
//!
//! People go on to start and stop a held server. An operator's stops come through as well: nobody gets hours for free by a
//! hold.

use agis_base::{Timestamp, UserId};
use chrono::TimeDelta;

use crate::{
    operation::{Origin, Refusal},
    server::Server,
};

/// Maximum length of a reason, in characters.
pub const REASON_MAX: usize = 200;

/// Longest hold that ends by itself.
pub const LONGEST: TimeDelta = TimeDelta::days(366);

/// Hold of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Time at which it began.
    pub since: Timestamp,
    /// Time at which it ends; `None` if only a release ends it.
    pub until: Option<Timestamp>,
    /// Reason, for people.
    pub reason: Option<String>,
    /// User who set it.
    pub by: UserId,
}

/// Hold that does not exist yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewHold {
    /// Time at which it ends, later than now and within [`LONGEST`]; `None` if only a release ends it.
    pub until: Option<Timestamp>,
    /// Reason of at most [`REASON_MAX`] characters.
    pub reason: Option<String>,
}

impl Server {
    /// Returns the hold of the server at this time; `None` if it is not held, or not any more.
    pub fn held(&self, at: Timestamp) -> Option<&Hold> {
        self.hold.as_ref().filter(|hold| hold.until.is_none_or(|until| at < until))
    }
}

/// The gate of everything that acts by itself: refuses requests of this origin while the server is held. Acceptance of
/// operations asks it, and so does whoever does something else to a server without being asked.
///
/// # Errors
/// Fails with [`Refusal::Held`].
pub fn check(server: &Server, origin: Origin, at: Timestamp) -> Result<(), Refusal> {
    let acts_by_itself = match origin {
        Origin::Schedule | Origin::Supervisor | Origin::Idle | Origin::Join => true,
        Origin::Rest | Origin::Discord | Origin::Operator => false,
    };
    if acts_by_itself && server.held(at).is_some() { Err(Refusal::Held) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        power::tests::server,
        server::{Desired, Status},
    };

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_timestamp(hour * 3600, 0).expect("a time")
    }

    fn held(until: Option<Timestamp>) -> Server {
        let hold = Hold { since: at(1), until, reason: None, by: UserId::from_stored("1") };
        Server { hold: Some(hold), ..server(Desired::Running, Status::Running) }
    }

    #[test]
    fn hold_ends_at_its_time_or_by_release() {
        assert!(held(Some(at(2))).held(at(1)).is_some());
        assert!(held(Some(at(2))).held(at(2)).is_none());
        assert!(held(None).held(at(1_000_000)).is_some());
        assert!(server(Desired::Running, Status::Running).held(at(1)).is_none());
    }

    #[test]
    fn hold_stops_only_what_acts_by_itself() {
        for origin in Origin::ALL {
            let refused = matches!(origin, Origin::Schedule | Origin::Supervisor | Origin::Idle | Origin::Join);
            let expected = if refused { Err(Refusal::Held) } else { Ok(()) };
            assert_eq!(check(&held(None), *origin, at(2)), expected, "{origin}");
            assert_eq!(check(&held(Some(at(2))), *origin, at(2)), Ok(()), "{origin} after its end");
        }
    }
}

use agis_base::{ServerId, StoreError, UserId};
use async_trait::async_trait;

use super::{billing::Billing, operations::Accepted};
use crate::{host::Endpoint, idle::WakeOnJoin};

/// Stops of servers on which nobody plays, as rows.
#[async_trait]
pub trait IdleStore: Send + Sync {
    /// Takes the next step with the servers behind `after` on which nobody plays, `limit` at most, each as
    /// [`crate::idle::next`] decides with its row locked, all in one transaction. A stop is accepted by
    /// [`crate::power::accept`], and its owner is told. A server that is locked by somebody else is left for the next time.
    async fn stop_idle(&self, after: Option<ServerId>, limit: u32, billing: Billing) -> Result<IdleRound, StoreError>;

    /// Returns the servers of this host that sleep, are not held and wake for players who join, the last to fall asleep
    /// first, `limit` at most.
    async fn asleep(&self, host: &str, limit: u32) -> Result<Sleepers, StoreError>;
}

/// Server that sleeps, and wakes for players who join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sleeper {
    /// The server.
    pub server: ServerId,
    /// Its owner.
    pub owner: UserId,
    /// Its name.
    pub name: String,
    /// Key of its game in the catalogue.
    pub game_type: String,
    /// Address that players connect to.
    pub endpoint: Endpoint,
    /// Players who wake it.
    pub wake: WakeOnJoin,
}

/// Servers of a host that sleep, and wake for players who join.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sleepers {
    /// The last to fall asleep, up to the limit.
    pub latest: Vec<Sleeper>,
    /// Number of all of them.
    pub all: u64,
}

/// Result of a round over servers on which nobody plays.
#[derive(Debug, Clone, Default)]
pub struct IdleRound {
    /// Answers to the stops.
    pub accepted: Accepted,
    /// Announcements that this call has to make: nobody else does.
    pub announced: Vec<Announced>,
    /// Last server that was looked at; `None` if there are no more.
    pub last: Option<ServerId>,
}

/// Announcement of a stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The server.
    pub server: ServerId,
    /// Its owner.
    pub owner: UserId,
    /// Minutes until the stop.
    pub minutes: i64,
}

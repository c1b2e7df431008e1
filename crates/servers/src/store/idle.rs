use agis_base::{ServerId, StoreError, UserId};
use async_trait::async_trait;

use super::{billing::Billing, operations::Accepted};

/// Stops of servers on which nobody plays, as rows.
#[async_trait]
pub trait IdleStore: Send + Sync {
    /// Takes the next step with the servers behind `after` on which nobody plays, `limit` at most, each as
    /// [`crate::idle::next`] decides with its row locked, all in one transaction. A stop is accepted by
    /// [`crate::power::accept`], and its owner is told. A server that is locked by somebody else is left for the next time.
    async fn stop_idle(&self, after: Option<ServerId>, limit: u32, billing: Billing) -> Result<IdleRound, StoreError>;
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

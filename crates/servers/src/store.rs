//! Promises of a database. Every method is one whole decision; no transaction crosses these traits.
//!
//! - `servers`, `shares`, `operations`, `games`: for requests
//! - `leases`: for workers, which carry out operations
//! - `observations`: for watchers, which compare a host with its rows
//! - `counts`: for dashboards
//! - `retention`: ends and forgets what is old

mod counts;
mod games;
mod leases;
mod observations;
mod operations;
mod retention;
mod servers;
mod shares;

pub use self::{
    counts::CountStore,
    games::{GameStore, UNAVAILABLE_FOR},
    leases::{Claim, Due, Held, LeaseStore, Outcome},
    observations::{ObservationStore, Published},
    operations::{Accepted, OperationFilter, OperationStore},
    retention::RetentionStore,
    servers::{ServerFilter, ServerStore, Terms, WriteError},
    shares::{ShareError, ShareLimits, ShareStore},
};

/// Piece of a list: at most `limit` items after the one that `after` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<Id> {
    /// Last item of the previous piece; `None` for the first piece.
    pub after: Option<Id>,
    /// Maximum number of items.
    pub limit: u32,
}

/// Whether servers that cost something have to be paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Billing {
    /// Nobody pays.
    Off,
    /// Owners pay every hour.
    On,
}

use std::sync::Arc;

use agis_base::StoreError;
use agis_servers::{
    game::Catalogue,
    store::{Billing, LeaseStore},
};
use tokio::sync::Semaphore;

use super::leases::Leases;

/// Told how it went whenever the store was asked for work.
pub(super) type Beat = Box<dyn Fn(Result<(), &StoreError>) + Send + Sync>;

/// Parts that all attempts of a process share.
pub(super) struct Shared {
    pub(super) store: Arc<dyn LeaseStore>,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) leases: Leases,
    pub(super) billing: Billing,
    pub(super) writes: Semaphore,
    /// Turn to write about the progress of an order. There is one, so that talkative hosts keep no connections from others.
    pub(super) tells: Semaphore,
    pub(super) beat: Beat,
}

use std::time::Duration;

use agis_base::{BatchId, Once, Reach, ServerId, StoreError, UserId};
use async_trait::async_trait;
use thiserror::Error;

use super::billing::Billing;
use crate::{
    batch::{Batch, BatchSummary, NewBatch},
    game::Catalogue,
    operation::{Action, State},
};

/// Operations that have ended by being accepted, or superseded.
pub type Ended = Vec<(Action, State)>;

/// Selects one page of a user's batches, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchesQuery {
    /// User who asked for them.
    pub user: UserId,
    /// Only batches with servers within this reach, and only those servers of them.
    pub reach: Reach,
    /// Only batches that are over (`true`) or go on (`false`).
    pub finished: Option<bool>,
    /// Last batch of the previous page; `None` for the first page.
    pub before: Option<BatchId>,
    /// Maximum number of batches in the page.
    pub limit: u32,
}

/// Batches as rows.
#[async_trait]
pub trait BatchStore: Send + Sync {
    /// Begins a batch over these servers, with their names, and advances it for the first time. A request that has begun its
    /// batch already is answered with it.
    async fn begin_batch(
        &self,
        new: &NewBatch,
        servers: &[(ServerId, String)],
        terms: (Billing, &Catalogue),
        once: Option<&Once>,
    ) -> Result<(Batch, Ended), BatchError>;

    /// Returns the batch that the request has begun already, if any.
    async fn begun_batch(&self, once: &Once) -> Result<Option<Batch>, StoreError>;

    /// Returns a page of a user's batches.
    async fn batches(&self, query: &BatchesQuery) -> Result<Vec<BatchSummary>, StoreError>;

    /// Returns a batch.
    async fn batch(&self, id: BatchId) -> Result<Option<Batch>, StoreError>;

    /// Returns up to `limit` batches with a server whose turn may have come, the longest due first.
    async fn due_batches(&self, limit: u32) -> Result<Vec<BatchId>, StoreError>;

    /// Returns the time until the turn of the next server of any batch; `None` if none waits.
    async fn until_next_batch(&self) -> Result<Option<Duration>, StoreError>;

    /// Asks for the operations whose time has come, as many as the pace allows, each by [`crate::power::accept`]. Does nothing
    /// while another process does it. Servers that still wait at [`crate::batch::AGE_MAX`] are left alone.
    async fn advance_batch(&self, id: BatchId, terms: (Billing, &Catalogue)) -> Result<Ended, StoreError>;

    /// Looks at a batch again after this time: one that this program cannot read must not stand before the others.
    async fn put_off_batch(&self, id: BatchId, after: Duration) -> Result<(), StoreError>;

    /// Leaves the servers alone that still wait.
    async fn cancel_batch(&self, id: BatchId) -> Result<(), StoreError>;

    /// Forgets up to `limit` batches that began longer than `age` ago.
    async fn forget_batches(&self, age: Duration, limit: u32) -> Result<(), StoreError>;
}

/// Reason why no batch began.
#[derive(Debug, Error)]
pub enum BatchError {
    /// The user has as many open batches as allowed.
    #[error("too many batches")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

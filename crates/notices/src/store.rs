//! Promises of a database. Every method is one whole decision; leases and waits follow its clock.

use std::time::Duration;

use agis_base::{Reason, StoreError};
use async_trait::async_trait;

use crate::notice::Notice;

/// Stores notices. The events that they report write them.
#[async_trait]
pub trait NoticeStore: Send + Sync {
    /// Leases up to `limit` notices whose time has come, oldest first, and those whose lease ran out. Gives up notices
    /// that were tried too often or are too old, by [`crate::retry`].
    async fn claim(&self, limit: u32, lease: Duration) -> Result<Claimed, StoreError>;

    /// Records a delivery; `false` if the notice had ended, or another attempt has it.
    async fn sent(&self, notice: &Notice) -> Result<bool, StoreError>;

    /// Records a failed delivery: the notice waits by [`crate::retry::after`], or is given up, at once if the failure
    /// is `permanent`. `None` if the notice had ended, or another attempt has it.
    async fn failed(&self, notice: &Notice, why: &Reason, permanent: bool) -> Result<Option<Failure>, StoreError>;

    /// Returns the words of waiting rows that a newer program wrote and this one does not know, with the number of
    /// rows. Claims skip such rows.
    async fn not_understood(&self) -> Result<Vec<(String, i64)>, StoreError>;

    /// Forgets up to `limit` notices that ended longer than `age` ago.
    async fn forget(&self, age: Duration, limit: u32) -> Result<(), StoreError>;
}

/// Result of a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    /// Notices to send.
    pub notices: Vec<Notice>,
    /// Number of notices that were given up.
    pub given_up: u64,
}

/// State of a notice after a failed delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The notice is tried again later.
    Retried,
    /// The notice is not tried again.
    GivenUp,
}

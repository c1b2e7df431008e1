//! What a database promises. Every method is one whole decision; leases and waits are by its clock.

use std::time::Duration;

use agis_base::{Reason, StoreError};
use async_trait::async_trait;

use crate::notice::Notice;

/// Notices as rows. They are written with what they tell of.
#[async_trait]
pub trait NoticeStore: Send + Sync {
    /// Leases up to `limit` notices whose time has come, the oldest first, and those whose lease ran out. Gives up what
    /// was tried too often, or is too old, by [`crate::retry`].
    async fn claim(&self, limit: u32, lease: Duration) -> Result<Claimed, StoreError>;

    /// A notice has reached its recipient; false where that is no news: it had ended, or another attempt has it.
    async fn sent(&self, notice: &Notice) -> Result<bool, StoreError>;

    /// A notice has not reached its recipient: it waits by [`crate::retry::after`], or is given up, at once where it is
    /// `permanent`. None where it had ended, or another attempt has it.
    async fn failed(&self, notice: &Notice, why: &Reason, permanent: bool) -> Result<Option<Failure>, StoreError>;

    /// What waits here and holds a word that this program does not know, since a newer one has written it: the words, and how
    /// many rows have them. Whoever claims passes such a row over.
    async fn not_understood(&self) -> Result<Vec<(String, i64)>, StoreError>;

    /// Forgets up to `limit` notices that ended longer than `age` ago.
    async fn forget(&self, age: Duration, limit: u32) -> Result<(), StoreError>;
}

/// What a claim has brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    /// The notices to send.
    pub notices: Vec<Notice>,
    /// How many were given up.
    pub given_up: u64,
}

/// What became of a notice that was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It is tried again later.
    Retried,
    /// It is not tried again.
    GivenUp,
}

use agis_base::{Reason, ServerId, StoreError, Timestamp};
use async_trait::async_trait;

use crate::host::Generation;

/// Published servers, for those who compare them with their hosts.
#[async_trait]
pub trait ObservationStore: Send + Sync {
    /// The servers of these hosts that are published as running.
    async fn published(&self, hosts: &[String]) -> Result<Vec<Published>, StoreError>;

    /// Records that these were found running at their generation, after they were read. What is not any more what was read
    /// is left alone.
    async fn confirm(&self, running: &[Published]) -> Result<(), StoreError>;

    /// Records that a running server has ended by itself at this generation; false where that is no news.
    async fn crashed(&self, server: ServerId, generation: Generation, how: &Reason) -> Result<bool, StoreError>;

    /// Records that a running server has come to a good end by itself at this generation: it is stopped, and stays so
    /// unless something was asked of it since. False where that is no news.
    async fn ended_well(&self, server: ServerId, generation: Generation) -> Result<bool, StoreError>;

    /// The servers of these hosts that should be running.
    async fn wanted(&self, hosts: &[String]) -> Result<Vec<ServerId>, StoreError>;
}

/// A server that is published as running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Which one.
    pub server: ServerId,
    /// The generation at which it was published.
    pub generation: Generation,
    /// On which host.
    pub host: String,
    /// When this was read, by the database's clock.
    pub at: Timestamp,
}

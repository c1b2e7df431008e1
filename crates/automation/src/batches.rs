//! Batches go on, server by server.

use std::{sync::Arc, time::Duration};

use agis_base::{BatchId, StoreError};
use agis_servers::{Servers, store::BatchStore};

/// Longest pause between two rounds: the safety net under lost notifications.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Shortest pause.
pub const PAUSE: Duration = Duration::from_secs(1);
/// Pause before another look at one that could not be carried on.
const RETRY: Duration = Duration::from_secs(10);
/// Maximum number of batches that are looked at in one round.
const BATCH: u32 = 50;

/// Advances batches, round by round.
pub struct Batches {
    store: Arc<dyn BatchStore>,
    servers: Servers,
}

impl Batches {
    /// Creates the loop over these batches, and the servers that they act on.
    pub fn new(store: Arc<dyn BatchStore>, servers: Servers) -> Self {
        Self { store, servers }
    }

    /// Advances every batch that is due. Returns the time until the next one is.
    ///
    /// # Errors
    /// Fails if the store does; the next round goes on.
    pub async fn round(&self) -> Result<Option<Duration>, StoreError> {
        for id in self.store.due_batches(BATCH).await? {
            self.advance(id).await;
        }
        self.store.until_next_batch().await
    }

    /// Advances a batch. One that fails holds up no other.
    async fn advance(&self, id: BatchId) {
        let Err(error) = self.servers.advance_batch(id).await else { return };
        if !matches!(error, StoreError::Refused(_)) {
            tracing::warn!(batch_id = id.0, %error, "batch could not be advanced");
            // If this fails too, the database is away.
            let _ = self.store.put_off_batch(id, RETRY).await;
            return;
        }
        tracing::error!(batch_id = id.0, %error, "batch was refused by the database");
        if let Err(error) = self.store.cancel_batch(id).await {
            tracing::warn!(batch_id = id.0, %error, "batch could not be advanced");
        }
    }
}

use std::time::Duration;

use agis_base::StoreError;
use async_trait::async_trait;

use crate::operation::Operation;

/// Ends and forgets what is old.
#[async_trait]
pub trait RetentionStore: Send + Sync {
    /// Ends operations that have been queued for longer than `age`. A server on which no worker had begun goes on as it is
    /// published: its stop is not wanted any more, say. A server on which a worker had begun is failed, and is stopped as
    /// soon as its host can: the worker may have started something. Requests of an operator do not expire.
    async fn expire(&self, age: Duration) -> Result<Vec<Operation>, StoreError>;

    /// Forgets up to `limit` idempotency keys older than `age`.
    async fn forget_keys(&self, age: Duration, limit: u32) -> Result<(), StoreError>;

    /// Forgets up to `limit` operations that ended longer than `age` ago.
    async fn forget_operations(&self, age: Duration, limit: u32) -> Result<(), StoreError>;

    /// Forgets up to `limit` servers that were deleted longer than `age` ago, with everything of them but their payments.
    async fn forget_servers(&self, age: Duration, limit: u32) -> Result<(), StoreError>;
}

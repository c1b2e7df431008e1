use std::time::Duration;

use agis_base::StoreError;
use async_trait::async_trait;

use crate::operation::Operation;

/// Ends and forgets what is old.
#[async_trait]
pub trait RetentionStore: Send + Sync {
    /// Ends what has been queued for longer than `age`. A server with which nobody had begun goes on as it is published: its
    /// stop is not wanted any more, say. One with which somebody had begun is failed, and is to be stopped as soon as its host
    /// can: whoever had begun may have started something. What an operator asks for does not expire.
    async fn expire(&self, age: Duration) -> Result<Vec<Operation>, StoreError>;

    /// Forgets up to `limit` idempotency keys older than `age`.
    async fn forget_keys(&self, age: Duration, limit: u32) -> Result<(), StoreError>;

    /// Forgets up to `limit` operations that ended longer than `age` ago.
    async fn forget_operations(&self, age: Duration, limit: u32) -> Result<(), StoreError>;

    /// Forgets up to `limit` servers that were deleted longer than `age` ago, and everything of them but what was paid.
    async fn forget_servers(&self, age: Duration, limit: u32) -> Result<(), StoreError>;
}

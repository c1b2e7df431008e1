use agis_base::StoreError;
use async_trait::async_trait;

use crate::server::Status;

/// Numbers for dashboards.
#[async_trait]
pub trait CountStore: Send + Sync {
    /// Returns the number of running servers by game.
    async fn running_by_game(&self) -> Result<Vec<(String, i64)>, StoreError>;

    /// Returns the number of servers by host and status; hosts without servers are left out.
    async fn by_host_and_status(&self) -> Result<Vec<(String, Status, i64)>, StoreError>;

    /// Returns words of a newer version in rows that wait, with the number of rows. Claims pass such rows over.
    async fn not_understood(&self) -> Result<Vec<(String, i64)>, StoreError>;
}

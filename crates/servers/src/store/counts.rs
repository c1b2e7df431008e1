use agis_base::StoreError;
use async_trait::async_trait;

use crate::server::Status;

/// Numbers for dashboards.
#[async_trait]
pub trait CountStore: Send + Sync {
    /// How many servers of each game are running.
    async fn running_by_game(&self) -> Result<Vec<(String, i64)>, StoreError>;

    /// How many servers each host has of each status; nothing of a host that has none.
    async fn by_host_and_status(&self) -> Result<Vec<(String, Status, i64)>, StoreError>;

    /// What waits here and holds a word that this program does not know, since a newer one has written it: the words, and how
    /// many rows have them. Whoever claims passes such a row over.
    async fn not_understood(&self) -> Result<Vec<(String, i64)>, StoreError>;
}

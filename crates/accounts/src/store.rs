//! What a database promises.

use agis_base::{StoreError, UserId};
use async_trait::async_trait;

use crate::{stats::Stats, user::User};

/// Users as rows.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// A user.
    async fn find(&self, id: &UserId) -> Result<Option<User>, StoreError>;

    /// What a user has done here.
    async fn stats(&self, id: &UserId) -> Result<Option<Stats>, StoreError>;

    /// Adds a user with these credits, which count as earned, where there is none yet.
    async fn ensure(&self, id: &UserId, credits: i32) -> Result<(), StoreError>;
}

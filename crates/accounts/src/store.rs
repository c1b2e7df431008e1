//! Promises of a database.

use agis_base::{StoreError, UserId};
use async_trait::async_trait;

use crate::{stats::Stats, user::User};

/// Stores users.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// Returns a user.
    async fn find(&self, id: &UserId) -> Result<Option<User>, StoreError>;

    /// Returns a user's totals.
    async fn stats(&self, id: &UserId) -> Result<Option<Stats>, StoreError>;

    /// Adds a user with these credits, which count as earned, unless the user exists.
    async fn ensure(&self, id: &UserId, credits: i32) -> Result<(), StoreError>;
}

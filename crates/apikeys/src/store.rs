//! What a database promises.

use agis_base::{KeyId, StoreError, Timestamp, UserId};
use async_trait::async_trait;
use thiserror::Error;

use crate::{key::Digest, scope::Scopes};

/// A key as it is known after its creation: everything but the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Whose it is, and in whose name it acts.
    pub owner: UserId,
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Requests per hour.
    pub rate_limit: u32,
    /// When it was last used, to within the flush interval.
    pub last_used: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it ends; none where it does not.
    pub expires_at: Option<Timestamp>,
}

/// A key to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Whose it is.
    pub owner: UserId,
    /// What its owner calls it.
    pub name: String,
    /// The digest of the key.
    pub digest: Digest,
    /// What it may do.
    pub scopes: Scopes,
    /// Requests per hour.
    pub rate_limit: u32,
    /// Days from the database's now; none where it does not end by itself.
    pub ttl_days: Option<u32>,
    /// It ends no later than this.
    pub not_after: Option<Timestamp>,
}

/// Keys as rows.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Adds a key, its owner having fewer than `limit` that have not expired.
    async fn create(&self, row: &KeyRow, limit: u32) -> Result<ApiKey, WriteError>;

    /// The key of that digest, also when it has expired. One unique-index read.
    async fn find_by_digest(&self, digest: Digest) -> Result<Option<ApiKey>, StoreError>;

    /// A key of this user.
    async fn find(&self, owner: &UserId, id: KeyId) -> Result<Option<ApiKey>, StoreError>;

    /// A user's keys, by id: at most `limit` behind `after`.
    async fn list(&self, owner: &UserId, after: Option<KeyId>, limit: u32) -> Result<Vec<ApiKey>, StoreError>;

    /// Removes a key; false where the user has no such key.
    async fn delete(&self, owner: &UserId, id: KeyId) -> Result<bool, StoreError>;

    /// Notes when keys were last used. Never moves a time back.
    async fn touch(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError>;
}

/// Why a key was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The owner has as many keys as allowed.
    #[error("too many keys")]
    TooMany,
    /// There is no such user.
    #[error("no such user")]
    NoUser,
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

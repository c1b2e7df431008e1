//! What a database promises.

use std::time::Duration;

use agis_base::{KeyId, Once, StoreError, Timestamp, UserId};
use async_trait::async_trait;
use thiserror::Error;

use crate::{address::Blocks, key::Digest, scope::Scopes, service::KeyChange};

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
    /// From where it may be used.
    pub allowed_ips: Blocks,
    /// Whose tokens it takes: its own id, or where it came from by rotation, that of the first.
    pub bucket: i32,
    /// The key that took its place by rotation.
    pub replaced_by: Option<KeyId>,
    /// When it was last used, to within the flush interval.
    pub last_used: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it ends; none where it does not.
    pub expires_at: Option<Timestamp>,
}

/// Whether a key can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It can.
    Active,
    /// It has ended.
    Expired,
}

impl KeyState {
    /// Every state.
    pub const ALL: [Self; 2] = [Self::Active, Self::Expired];

    /// The word that REST uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
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
    /// From where it may be used.
    pub allowed_ips: Blocks,
    /// Days from the database's now; none where it does not end by itself.
    pub ttl_days: Option<u32>,
    /// It ends no later than this.
    pub not_after: Option<Timestamp>,
}

/// A key that takes another's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// The digest of the key.
    pub digest: Digest,
    /// How long the one before lives on.
    pub overlap: Duration,
    /// It ends no later than this.
    pub not_after: Option<Timestamp>,
}

/// Keys as rows.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Adds a key, its owner having fewer than `limit` that have neither expired nor been replaced.
    async fn create(&self, row: &KeyRow, limit: u32, once: Option<&Once>) -> Result<ApiKey, WriteError>;

    /// The key that this request has made already, before a process died or when it was shown.
    async fn made(&self, once: &Once) -> Result<Option<KeyId>, StoreError>;

    /// The key of that digest, also when it has expired. One unique-index read.
    async fn find_by_digest(&self, digest: Digest) -> Result<Option<ApiKey>, StoreError>;

    /// A key of this user.
    async fn find(&self, owner: &UserId, id: KeyId) -> Result<Option<ApiKey>, StoreError>;

    /// A user's keys, by id: at most `limit` behind `after`.
    async fn list(
        &self,
        owner: &UserId,
        state: Option<KeyState>,
        after: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError>;

    /// Changes a key; none where the user has no such key.
    async fn change(&self, owner: &UserId, id: KeyId, change: &KeyChange) -> Result<Option<ApiKey>, StoreError>;

    /// Puts a key in the place of `seen`, which ends after `overlap` at the latest, and which must still be as it was
    /// seen. What `seen` itself had replaced ends now, so that never more than two of them live. Answers with the new
    /// one.
    async fn rotate(&self, seen: &ApiKey, new: &Successor, once: Option<&Once>) -> Result<ApiKey, WriteError>;

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

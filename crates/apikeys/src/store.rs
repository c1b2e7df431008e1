//! Interface of the store of keys.

use std::time::Duration;

use agis_base::{KeyId, Once, StoreError, Timestamp, UserId};
use async_trait::async_trait;
use thiserror::Error;

use crate::{
    api_key::{ApiKey, KeyState},
    grant::{Beyond, KeyChange, Wanted},
    key::Digest,
};

/// Key to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// User who owns the key.
    pub owner: UserId,
    /// Key that asks; `None` if a person does.
    pub by: Option<KeyId>,
    /// Name that the owner gave it.
    pub name: String,
    /// Digest of the key.
    pub digest: Digest,
    /// Rights that the key should get.
    pub wanted: Wanted,
}

/// Key that replaces another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// Digest of the key.
    pub digest: Digest,
    /// Time for which the replaced key stays valid.
    pub overlap: Duration,
}

/// Number of ended keys of a user that stay when the user makes or rotates another one.
pub const ENDED_MAX: u32 = 100;

/// Store of keys.
///
/// If a key makes another one or raises its limit, the other one also draws on the limit of the first
/// ([`crate::family`]). The row of the other one lists this, so it still holds after the first is gone. A change of a
/// limit changes the lists too.
///
/// Making or rotating a key deletes the ended keys of its owner beyond the last [`ENDED_MAX`].
///
/// [`crate::grant`] decides each request of a key while the rows of that key and of its target are locked, so neither
/// can change meanwhile.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Adds a key if its owner has fewer than `limit` that have neither expired nor been replaced.
    async fn create(&self, row: &KeyRow, limit: u32, once: Option<&Once>) -> Result<ApiKey, WriteError>;

    /// Returns the key that this request has made already, before a process died or the key was shown.
    async fn made(&self, once: &Once) -> Result<Option<KeyId>, StoreError>;

    /// Returns the key of that digest, even if it has expired. One read of a unique index.
    async fn find_by_digest(&self, digest: Digest) -> Result<Option<ApiKey>, StoreError>;

    /// Returns a key of this user.
    async fn find(&self, owner: &UserId, id: KeyId) -> Result<Option<ApiKey>, StoreError>;

    /// Returns a user's keys by id: at most `limit` after `after`.
    async fn list(
        &self,
        owner: &UserId,
        state: Option<KeyState>,
        after: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError>;

    /// Changes a key of this user for the key `by`.
    async fn change(
        &self,
        owner: &UserId,
        by: Option<KeyId>,
        id: KeyId,
        change: &KeyChange,
    ) -> Result<ApiKey, WriteError>;

    /// Replaces a key of this user for the key `by`, and returns the new one. The replaced key ends after `overlap` at
    /// the latest. A key that it had itself replaced ends now, so at most two of them are valid.
    async fn rotate(
        &self,
        owner: &UserId,
        by: Option<KeyId>,
        id: KeyId,
        new: &Successor,
        once: Option<&Once>,
    ) -> Result<ApiKey, WriteError>;

    /// Deletes a key; `false` if the user has no such key.
    async fn delete(&self, owner: &UserId, id: KeyId) -> Result<bool, StoreError>;

    /// Deletes at most `limit` keys that ended this long ago, the oldest first.
    async fn forget_ended(&self, age: Duration, limit: u32) -> Result<(), StoreError>;

    /// Records the last use of keys, and never moves a time back.
    async fn touch(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError>;
}

/// Reason why a key was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The user has no such key.
    #[error("no such key")]
    NotFound,
    /// The key that asks is gone, or has ended.
    #[error("the key that asks has ended")]
    AskerEnded,
    /// The key that asks has fewer rights.
    #[error(transparent)]
    Beyond(#[from] Beyond),
    /// This key has already replaced the key.
    #[error("replaced by key {0}")]
    Replaced(KeyId),
    /// The key has ended.
    #[error("the key has ended")]
    Ended,
    /// The owner has as many keys as allowed.
    #[error("too many keys")]
    TooMany,
    /// There is no such user.
    #[error("no such user")]
    NoUser,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

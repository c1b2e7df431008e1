//! What a database promises.

use std::time::Duration;

use agis_base::{KeyId, Once, StoreError, Timestamp, UserId};
use async_trait::async_trait;
use thiserror::Error;

use crate::{
    api_key::{ApiKey, KeyState},
    grant::{Beyond, KeyChange, Wanted},
    key::Digest,
};

/// A key to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Whose it is.
    pub owner: UserId,
    /// The key that asks; none where a person does.
    pub by: Option<KeyId>,
    /// What its owner calls it.
    pub name: String,
    /// The digest of the key.
    pub digest: Digest,
    /// What it may do.
    pub wanted: Wanted,
}

/// A key that takes another's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// The digest of the key.
    pub digest: Digest,
    /// How long the one before lives on.
    pub overlap: Duration,
}

/// How many of a user's ended keys are kept when another is made or rotated.
pub const ENDED_MAX: u32 = 100;

/// Keys as rows.
///
/// A key that another makes, or whose limit another raises, draws on that one's limit as well ([`crate::family`]), by its
/// own row: so that holds when the other is gone. Where a limit changes, so does what others list of it.
///
/// To make or rotate a key forgets the ended ones of its owner beyond the last [`ENDED_MAX`].
///
/// Whatever a key asks is decided by [`crate::grant`] while the rows of that key and of the one that it asks about are
/// locked, so that neither has changed meanwhile.
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

    /// Changes a key of this user, as the key `by` asks.
    async fn change(
        &self,
        owner: &UserId,
        by: Option<KeyId>,
        id: KeyId,
        change: &KeyChange,
    ) -> Result<ApiKey, WriteError>;

    /// Puts a key in the place of one of this user's, which ends after `overlap` at the latest, as the key `by` asks.
    /// What that one itself had replaced ends now, so that never more than two of them live. Answers with the new one.
    async fn rotate(
        &self,
        owner: &UserId,
        by: Option<KeyId>,
        id: KeyId,
        new: &Successor,
        once: Option<&Once>,
    ) -> Result<ApiKey, WriteError>;

    /// Removes a key; false where the user has no such key.
    async fn delete(&self, owner: &UserId, id: KeyId) -> Result<bool, StoreError>;

    /// Deletes keys that ended so long ago: at most `limit`, the oldest first.
    async fn forget_ended(&self, age: Duration, limit: u32) -> Result<(), StoreError>;

    /// Notes when keys were last used. Never moves a time back.
    async fn touch(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError>;
}

/// Why a key was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The user has no such key.
    #[error("no such key")]
    NotFound,
    /// The key that asks is gone, or has ended.
    #[error("the key that asks has ended")]
    AskerEnded,
    /// The key that asks has less.
    #[error(transparent)]
    Beyond(#[from] Beyond),
    /// The key has been replaced already.
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
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

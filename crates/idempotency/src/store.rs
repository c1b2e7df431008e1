//! Promises of a database. Leases follow its clock.

use std::time::Duration;

use agis_base::{Once, StoreError};
use async_trait::async_trait;

use crate::reply::{Asked, Reply};

/// Stores requests and their answers.
#[async_trait]
pub trait Replies: Send + Sync {
    /// Begins a request, takes over one whose lease ran out, or says why not. Of concurrent calls for one key, one
    /// begins the request. A new key is refused if its user has `limit` keys.
    async fn begin(&self, asked: &Asked, lease: Duration, limit: u32) -> Result<Begun, StoreError>;

    /// Notes that this attempt begins something about `subject` that leaves no trace elsewhere. Returns `false` if an
    /// earlier attempt has begun it.
    async fn venture(&self, once: &Once, subject: i32) -> Result<bool, StoreError>;

    /// Removes the note, if this attempt still has the request.
    async fn withdraw(&self, once: &Once) -> Result<(), StoreError>;

    /// Stores the answer, if this attempt still has the request and there is none.
    async fn finish(&self, once: &Once, reply: &Reply) -> Result<(), StoreError>;

    /// Gives a request up, if this attempt still has it: it can begin again at once. Notes of created things stay.
    async fn abandon(&self, once: &Once) -> Result<(), StoreError>;

    /// Forgets up to `limit` requests that began longer than `age` ago.
    async fn forget(&self, age: Duration, limit: u32) -> Result<(), StoreError>;
}

/// Result of an attempt to begin a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// The caller does the request, then finishes or abandons it.
    Now(Once),
    /// The request was done; this is its answer.
    Before(Reply),
    /// Another attempt has the request.
    InFlight {
        /// Time until its lease ends, unless it is renewed.
        left: Duration,
    },
    /// The key stands for another request.
    Other,
    /// The user has the maximum number of keys.
    TooMany,
}

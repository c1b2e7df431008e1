//! What a database promises. Leases are by its clock.

use std::time::Duration;

use agis_base::{Once, StoreError};
use async_trait::async_trait;

use crate::reply::{Asked, Reply};

/// Requests and their answers as rows.
#[async_trait]
pub trait Replies: Send + Sync {
    /// Begins a request, takes over one whose lease ran out, or says why not. Of any number of calls at once for one
    /// key, one begins it. A user has fewer than `limit` keys before a new one is taken.
    async fn begin(&self, asked: &Asked, lease: Duration, limit: u32) -> Result<Begun, StoreError>;

    /// Notes that this attempt begins something about `subject` that leaves no trace elsewhere; false where an earlier
    /// attempt has begun it.
    async fn venture(&self, once: &Once, subject: i32) -> Result<bool, StoreError>;

    /// Takes the note back, if this attempt still has the request.
    async fn withdraw(&self, once: &Once) -> Result<(), StoreError>;

    /// Keeps the answer, if this attempt still has the request and nothing was answered.
    async fn finish(&self, once: &Once, reply: &Reply) -> Result<(), StoreError>;

    /// Gives a request up, if this attempt still has it: it can be begun again at once. What it has made stays noted.
    async fn abandon(&self, once: &Once) -> Result<(), StoreError>;

    /// Forgets up to `limit` requests that were begun longer than `age` ago.
    async fn forget(&self, age: Duration, limit: u32) -> Result<(), StoreError>;
}

/// What became of an attempt to begin a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is to be done, and then finished or abandoned.
    Now(Once),
    /// It was done; this was the answer.
    Before(Reply),
    /// Another attempt has it.
    InFlight {
        /// For how long at the most, if it is not heard of again.
        left: Duration,
    },
    /// The key stands for another request.
    Other,
    /// The user has as many keys as allowed.
    TooMany,
}

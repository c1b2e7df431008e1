//! For how long, and how many.

use std::{sync::Arc, time::Duration};

use agis_base::{Once, StoreError};

use crate::{
    reply::{Asked, Reply},
    store::{Begun, Replies},
};

/// How long an attempt has a request. Longer than the calls to the database that one request makes may take together;
/// where they take longer, the attempt is fenced.
const LEASE: Duration = Duration::from_secs(60);
/// How much is forgotten at once.
const BATCH: u32 = 10_000;

/// The rules about requests that are done once.
#[derive(Clone)]
pub struct Idempotency {
    store: Arc<dyn Replies>,
}

impl Idempotency {
    /// How many keys of one user are remembered at a time. Without a bound, rate limits alone would allow a user
    /// millions of rows.
    pub const PER_USER: u32 = 10_000;
    /// How long a key is remembered, at least.
    pub const AGE: Duration = Duration::from_secs(24 * 3600);

    /// The rules over this store.
    pub fn new(store: Arc<dyn Replies>) -> Self {
        Self { store }
    }

    /// Begins a request, or says what became of it.
    ///
    /// # Errors
    /// The store's; then nothing may be done.
    pub async fn begin(&self, asked: &Asked) -> Result<Begun, StoreError> {
        self.store.begin(asked, LEASE, Self::PER_USER).await
    }

    /// Notes that an attempt begins something which leaves no trace to find it by: a line that is typed, say. False where
    /// an earlier attempt has begun it: then it must not be done again.
    ///
    /// # Errors
    /// The store's; then nothing may be done.
    pub async fn venture(&self, once: &Once, subject: i32) -> Result<bool, StoreError> {
        self.store.venture(once, subject).await
    }

    /// Takes the note back, where it is certain that nothing was done.
    ///
    /// # Errors
    /// The store's; the note stays.
    pub async fn withdraw(&self, once: &Once) -> Result<(), StoreError> {
        self.store.withdraw(once).await
    }

    /// Keeps the answer of a request.
    ///
    /// # Errors
    /// The store's; the request is then taken over when its lease has run out.
    pub async fn finish(&self, once: &Once, reply: &Reply) -> Result<(), StoreError> {
        self.store.finish(once, reply).await
    }

    /// Gives a request up, so that it can be made again at once.
    ///
    /// # Errors
    /// The store's; the request is then taken over when its lease has run out.
    pub async fn abandon(&self, once: &Once) -> Result<(), StoreError> {
        self.store.abandon(once).await
    }

    /// Forgets old requests, some at a time.
    ///
    /// # Errors
    /// The store's.
    pub async fn forget(&self) -> Result<(), StoreError> {
        self.store.forget(Self::AGE, BATCH).await
    }
}

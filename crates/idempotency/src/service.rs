//! Times and bounds of idempotent requests.

use std::{sync::Arc, time::Duration};

use agis_base::{Once, StoreError};

use crate::{
    reply::{Asked, Reply},
    store::{Begun, Replies},
};

/// Time that an attempt has a request: longer than the database calls of one request may take together. An attempt that
/// takes longer is fenced.
const LEASE: Duration = Duration::from_secs(60);
/// Number of requests to forget at once.
const BATCH: u32 = 10_000;

/// Applies the rules about requests that are done once.
#[derive(Clone)]
pub struct Idempotency {
    store: Arc<dyn Replies>,
}

impl Idempotency {
    /// Maximum number of keys of one user that are remembered at a time. Rate limits alone would allow a user millions
    /// of rows.
    pub const PER_USER: u32 = 10_000;
    /// Minimum time that a key is remembered.
    pub const AGE: Duration = Duration::from_secs(24 * 3600);

    /// Creates the service over this store.
    pub fn new(store: Arc<dyn Replies>) -> Self {
        Self { store }
    }

    /// Begins a request, or returns why not.
    ///
    /// # Errors
    /// Fails if the store does. Then the caller must do nothing.
    pub async fn begin(&self, asked: &Asked) -> Result<Begun, StoreError> {
        self.store.begin(asked, LEASE, Self::PER_USER).await
    }

    /// Notes that an attempt begins something without a trace, such as a typed console line. Returns `false` if an
    /// earlier attempt has begun it: then it must not be done again.
    ///
    /// # Errors
    /// Fails if the store does. Then the caller must do nothing.
    pub async fn venture(&self, once: &Once, subject: i32) -> Result<bool, StoreError> {
        self.store.venture(once, subject).await
    }

    /// Removes the note, if certainly nothing was done.
    ///
    /// # Errors
    /// Fails if the store does. The note stays.
    pub async fn withdraw(&self, once: &Once) -> Result<(), StoreError> {
        self.store.withdraw(once).await
    }

    /// Stores the answer of a request.
    ///
    /// # Errors
    /// Fails if the store does. Another attempt takes the request over when its lease ends.
    pub async fn finish(&self, once: &Once, reply: &Reply) -> Result<(), StoreError> {
        self.store.finish(once, reply).await
    }

    /// Gives a request up, so that it can begin again at once.
    ///
    /// # Errors
    /// Fails if the store does. Another attempt takes the request over when its lease ends.
    pub async fn abandon(&self, once: &Once) -> Result<(), StoreError> {
        self.store.abandon(once).await
    }

    /// Forgets old requests, some at a time.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn forget(&self) -> Result<(), StoreError> {
        self.store.forget(Self::AGE, BATCH).await
    }
}

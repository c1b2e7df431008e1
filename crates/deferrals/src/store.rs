//! The promises of a database. Every method is one whole decision; leases and ages are by its clock.

use std::{sync::Arc, time::Duration};

use agis_base::StoreError;
use async_trait::async_trait;
use uuid::Uuid;

use crate::deferral::Deferral;

/// Promises of answers as rows.
#[async_trait]
pub trait DeferralStore: Send + Sync {
    /// Notes these promises as the holder's, or what is new about them, with a lease from now on. A promise of another
    /// holder stays as it is.
    async fn keep(&self, holder: &Holder, lease: Duration, deferrals: &[Deferral]) -> Result<(), StoreError>;

    /// Forgets those of these promises that are the holder's.
    async fn forget(&self, holder: &Holder, keys: &[Arc<str>]) -> Result<(), StoreError>;

    /// Makes up to `limit` promises of the holder's seal its own whose lease ran out, and forgets every promise that is older
    /// than `life`. The operation of a promise is the one that was noted, or else the one that has its key.
    async fn claim(
        &self,
        holder: &Holder,
        lease: Duration,
        life: Duration,
        limit: u32,
    ) -> Result<Vec<Claimed>, StoreError>;
}

/// A process that owes answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process that holds the promise.
    pub process: Uuid,
    /// By which seal it keeps tokens: [`crate::Seal::id`].
    pub seal: Vec<u8>,
}

/// A promise whose holder could not renew its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The promise.
    pub deferral: Deferral,
    /// How long ago it was made.
    pub age: Duration,
}

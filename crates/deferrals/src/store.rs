//! Promises of a database. Every method is one whole decision; leases and ages follow its clock.

use std::{sync::Arc, time::Duration};

use agis_base::StoreError;
use async_trait::async_trait;
use uuid::Uuid;

use crate::deferral::Deferral;

/// Stores promises of answers.
#[async_trait]
pub trait DeferralStore: Send + Sync {
    /// Writes these promises of the holder, or their changes, with a lease from now on. A promise of another holder
    /// stays as it is.
    async fn keep(&self, holder: &Holder, lease: Duration, deferrals: &[Deferral]) -> Result<(), StoreError>;

    /// Forgets the holder's promises among these.
    async fn forget(&self, holder: &Holder, keys: &[Arc<str>]) -> Result<(), StoreError>;

    /// Takes over up to `limit` promises of the holder's seal whose lease ran out, and forgets every promise older than
    /// `life`. The operation of a promise is the noted one, or else the one with its key.
    async fn claim(
        &self,
        holder: &Holder,
        lease: Duration,
        life: Duration,
        limit: u32,
    ) -> Result<Vec<Claimed>, StoreError>;
}

/// Process that owes answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Id of the process that holds the promise.
    pub process: Uuid,
    /// Id of the seal that it keeps tokens by: [`crate::Seal::id`].
    pub seal: Vec<u8>,
}

/// Promise whose holder could not renew its lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The promise.
    pub deferral: Deferral,
    /// Age of the promise.
    pub age: Duration,
}

//! Keeps the leases of all attempts of a process, many with one statement: thousands may wait for their servers.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use agis_base::{OperationId, StoreError};
use agis_servers::{
    State, operation,
    store::{Claim, Held, LeaseStore},
};
use tokio::{
    sync::{Notify, watch},
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;

/// Pause after a failure of the store.
pub(super) const RETRY: Duration = Duration::from_millis(500);
/// Shortest time between two looks for operations that were interrupted.
const LOOK: Duration = Duration::from_millis(200);
/// A look that took long is followed by a longer pause.
const PAUSE: u32 = 4;
/// Why an operation waits that was handed back.
const HANDED_OVER: &str = "handed over by a process that was stopped";
/// How many leases one statement prolongs.
const BATCH: usize = 500;

/// The leases.
pub(super) struct Leases {
    store: Arc<dyn LeaseStore>,
    term: Duration,
    held: Mutex<HashMap<Held, Lease>>,
    returned: Mutex<Vec<Held>>,
    has_returned: Notify,
}

#[derive(Clone)]
struct Lease {
    /// No sign of life of ours reached the store since it was this long.
    good_until: Instant,
    lost: CancellationToken,
}

impl Leases {
    pub(super) fn new(store: Arc<dyn LeaseStore>, term: Duration) -> Self {
        Self { store, term, held: Mutex::default(), returned: Mutex::default(), has_returned: Notify::new() }
    }

    /// For how long an operation is ours without a sign of life.
    pub(super) fn term(&self) -> Duration {
        self.term
    }

    /// Keeps the lease of a claim that was asked for then, for as long as the answer lives.
    pub(super) fn hold(&self, claim: &Claim, asked: Instant) -> Hold<'_> {
        let (held, lost) = (claim.held(), CancellationToken::new());
        self.held().insert(held, Lease { good_until: asked + self.term, lost: lost.clone() });
        Hold { leases: self, held, lost }
    }

    /// Runs until `ended`, when nobody holds a lease any more.
    pub(super) async fn keep(&self, mut bell: watch::Receiver<()>, ended: &CancellationToken) {
        let mut renew_at = Instant::now() + self.term / 3;
        let (mut look_from, mut look_at) = (Instant::now(), None);
        while !ended.is_cancelled() {
            tokio::select! {
                () = ended.cancelled() => {}
                () = self.has_returned.notified() => {}
                () = sleep_until(renew_at.into()) => renew_at = self.renew_all().await,
                // Operations are accepted and end in swarms.
                Ok(()) = bell.changed(), if look_at.is_none() => {
                    look_at = Some(look_from.max(Instant::now() + LOOK));
                }
                () = sleep_until(look_at.unwrap_or(renew_at).into()), if look_at.is_some() => {
                    look_from = self.look().await;
                    look_at = None;
                }
            }
            self.hand_back().await;
        }
        // More may have come back meanwhile.
        self.hand_back().await;
    }

    /// Answers when it is to be done next.
    async fn renew_all(&self) -> Instant {
        let began = Instant::now();
        let held: Vec<_> = self.held().keys().copied().collect();
        let mut next = began + self.term / 3;
        for batch in held.chunks(BATCH) {
            if let Err(error) = self.renew(batch).await {
                tracing::warn!(%error, leases = batch.len(), "leases could not be renewed");
                next = Instant::now() + RETRY;
            }
        }
        let now = Instant::now();
        self.held().values().filter(|lease| lease.good_until <= now).for_each(|lease| lease.lost.cancel());
        next
    }

    async fn renew(&self, batch: &[Held]) -> Result<(), StoreError> {
        let asked = Instant::now();
        let renewed: HashSet<OperationId> = self.store.renew(batch, self.term).await?.into_iter().collect();
        let mut missing = vec![];
        {
            let mut all = self.held();
            for held in batch {
                match all.get_mut(held) {
                    Some(lease) if renewed.contains(&held.operation) => lease.good_until = asked + self.term,
                    Some(_) => missing.push(*held),
                    None => {}
                }
            }
        }
        if missing.is_empty() { Ok(()) } else { self.give_up_lost(&missing).await }
    }

    /// Answers from when on it may be looked again.
    async fn look(&self) -> Instant {
        let began = Instant::now();
        let held: Vec<_> = self.held().keys().copied().collect();
        for batch in held.chunks(BATCH) {
            // If this fails, the next renewal finds the same.
            let _ = self.give_up_lost(batch).await;
        }
        Instant::now() + LOOK.max(began.elapsed() * PAUSE)
    }

    async fn give_up_lost(&self, batch: &[Held]) -> Result<(), StoreError> {
        let lost: HashSet<_> = self.store.lost(batch).await?.into_iter().collect();
        let all = self.held();
        let lost = batch.iter().filter(|held| lost.contains(&held.operation)).filter_map(|held| all.get(held));
        lost.for_each(|lease| lease.lost.cancel());
        Ok(())
    }

    async fn hand_back(&self) {
        let returned = std::mem::take(&mut *self.returned.lock().unwrap_or_else(PoisonError::into_inner));
        for batch in returned.chunks(BATCH) {
            match self.store.hand_back(batch, &HANDED_OVER.into()).await {
                Ok(superseded) => {
                    superseded.into_iter().for_each(|action| operation::count(action, State::Superseded));
                }
                Err(error) => {
                    tracing::warn!(%error, operations = batch.len(), "operations wait until their leases end");
                }
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Held, Lease>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lease that is kept until this is dropped.
pub(super) struct Hold<'a> {
    leases: &'a Leases,
    held: Held,
    lost: CancellationToken,
}

impl Hold<'_> {
    /// Resolves when the lease is lost: another has the operation, it was interrupted, or no sign of life reached the
    /// store in time.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Another worker is to go on with the operation at once.
    pub(super) fn give_back(self) {
        self.leases.returned.lock().unwrap_or_else(PoisonError::into_inner).push(self.held);
        self.leases.has_returned.notify_one();
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.leases.held().remove(&self.held);
    }
}

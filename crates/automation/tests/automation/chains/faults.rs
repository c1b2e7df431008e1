//! A store and servers whose calls fail, or hang, before or after they have an effect.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use agis_automation::Acts;
use agis_base::StoreError;
use agis_scheduler::{
    Action, FiringId, Kind, RunState,
    chain::{EndedBy, Progress, StepRun},
    store::{CalledOff, Chain, ChainStore, End, Entry, Mark},
};
use async_trait::async_trait;
use tokio::sync::Notify;

/// Fate of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    FailsBefore,
    FailsAfter,
    HangsBefore,
    HangsAfter,
}

impl Fault {
    pub(super) const ALL: &[Self] =
        &[Self::None, Self::None, Self::None, Self::FailsBefore, Self::FailsAfter, Self::HangsBefore, Self::HangsAfter];
}

/// Fates of the next calls of a process; after them all is well.
#[derive(Default)]
pub(super) struct Faults {
    next: Mutex<VecDeque<Fault>>,
    resumed: Notify,
    busy: AtomicUsize,
}

impl Faults {
    pub(super) fn befall(&self, faults: &[Fault]) {
        *self.next.lock().expect("faults") = faults.iter().copied().collect();
    }

    /// Lets the calls go on that hang.
    pub(super) fn resume(&self) {
        self.resumed.notify_waiters();
    }

    /// Returns whether a call is under way that does not hang.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst) > 0
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let fault = self.next.lock().expect("faults").pop_front().unwrap_or(Fault::None);
        let fails = || Err(StoreError::Unavailable("as the test wants".into()));
        if fault == Fault::HangsBefore {
            self.resumed.notified().await;
        }
        if fault == Fault::FailsBefore {
            return fails();
        }
        let done = {
            let _busy = Busy::new(&self.busy);
            call.await
        };
        if fault == Fault::HangsAfter {
            self.resumed.notified().await;
        }
        if fault == Fault::FailsAfter { fails() } else { done }
    }
}

struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Way of one process to the store and to the servers.
pub(super) struct Faulty<T> {
    pub(super) inner: Arc<T>,
    pub(super) faults: Arc<Faults>,
}

#[async_trait]
impl<T: ChainStore> ChainStore for Faulty<T> {
    async fn until_next_look(&self) -> Result<Option<Duration>, StoreError> {
        self.inner.until_next_look().await
    }

    async fn take_chains(&self, limit: u32, lease: Duration) -> Result<Vec<Chain>, StoreError> {
        self.faults.call(self.inner.take_chains(limit, lease)).await
    }

    async fn chains(&self, ids: &[FiringId]) -> Result<Vec<Chain>, StoreError> {
        self.faults.call(self.inner.chains(ids)).await
    }

    async fn pass_gate(&self, decided: &[(&Chain, Entry)]) -> Result<Vec<(Kind, RunState)>, StoreError> {
        self.faults.call(self.inner.pass_gate(decided)).await
    }

    async fn mark_step(&self, id: FiringId, mark: &Mark<'_>) -> Result<bool, StoreError> {
        self.faults.call(self.inner.mark_step(id, mark)).await
    }

    async fn look_again(&self, ids: &[FiringId], after: Duration) -> Result<(), StoreError> {
        self.faults.call(self.inner.look_again(ids, after)).await
    }

    async fn interrupt(&self, id: FiringId, by: EndedBy) -> Result<bool, StoreError> {
        self.faults.call(self.inner.interrupt(id, by)).await
    }

    async fn end_chain(
        &self,
        id: FiringId,
        end: &End,
        called_off: Option<CalledOff<'_>>,
    ) -> Result<Option<(Kind, RunState)>, StoreError> {
        self.faults.call(self.inner.end_chain(id, end, called_off)).await
    }
}

#[async_trait]
impl<T: Acts> Acts for Faulty<T> {
    async fn refusals(&self, chains: &[Chain]) -> Result<Vec<Option<&'static str>>, StoreError> {
        self.faults.call(self.inner.refusals(chains)).await
    }

    async fn power(&self, chain: &Chain, step: &StepRun, action: Action) -> Result<Progress, StoreError> {
        self.faults.call(self.inner.power(chain, step, action)).await
    }

    async fn send(&self, chain: &Chain, step: &StepRun) -> Result<Progress, StoreError> {
        self.faults.call(self.inner.send(chain, step)).await
    }

    async fn call_off(&self, chain: &Chain, action: Action) {
        self.inner.call_off(chain, action).await;
    }
}

//! Takes what waits on one host, as places are free.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use agis_base::OperationId;
use agis_servers::{
    Action,
    host::{Host, Slot},
    store::Due,
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    attempt::Attempt,
    leases::RETRY,
    shared::Shared,
    slots::{Permit, Slots},
};

/// The longest sleep: the safety net under lost notices, and the grain of postponed operations.
const POLL: Duration = Duration::from_secs(1);
/// How much of a backlog is looked at in one go.
const BACKLOG: u32 = 1000;
/// A look at a long backlog is followed by a longer pause, so that most of the database's time is left to the work.
const PAUSE: u32 = 4;
/// How many operations a lane has under way, those included that only wait: a bound on memory.
const UNDER_WAY: usize = 5000;

/// The operations of one host that ask for one of some actions.
pub(super) struct Lane {
    shared: Arc<Shared>,
    host: Arc<dyn Host>,
    actions: &'static [Action],
    slots: Arc<Slots>,
    attempts: JoinSet<()>,
    backlog: Backlog,
}

/// Operations that waited at the last look, in the order of their turns.
struct Backlog {
    due: VecDeque<Due>,
    /// Whether these were all.
    is_whole: bool,
    /// Time of the next look.
    next: Instant,
    /// Earliest time of the next look, if something has changed.
    earliest: Instant,
}

impl Lane {
    pub(super) fn new(
        shared: Arc<Shared>,
        host: Arc<dyn Host>,
        actions: &'static [Action],
        concurrency: usize,
    ) -> Self {
        let now = Instant::now();
        let backlog = Backlog { due: VecDeque::new(), is_whole: true, next: now, earliest: now };
        Self { shared, host, actions, slots: Slots::new(concurrency), attempts: JoinSet::new(), backlog }
    }

    pub(super) async fn run(mut self, mut bell: watch::Receiver<()>, stop: CancellationToken) {
        let slots = self.slots.clone();
        while !stop.is_cancelled() {
            self.fill(&stop).await;
            let next = if self.has_room() {
                self.backlog.next
            } else {
                (self.shared.beat)(Ok(()));
                Instant::now() + POLL
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = slots.freed() => {}
                () = tokio::time::sleep_until(next.into()) => {}
                Ok(()) = bell.changed() => self.backlog.next = self.backlog.earliest,
            }
            while self.attempts.try_join_next().is_some() {}
        }
        while self.attempts.join_next().await.is_some() {}
    }

    /// Takes what there is a place for.
    async fn fill(&mut self, stop: &CancellationToken) {
        while !stop.is_cancelled() && self.has_room() {
            if Instant::now() >= self.backlog.next {
                self.look().await;
            }
            let chosen = self.choose();
            if chosen.is_empty() {
                return;
            }
            self.take(chosen, stop).await;
        }
    }

    fn has_room(&self) -> bool {
        self.slots.free() > 0 && self.attempts.len() < UNDER_WAY
    }

    async fn look(&mut self) {
        let began = Instant::now();
        let due = self.shared.store.due(self.host.name(), self.actions, BACKLOG).await;
        let ended = Instant::now();
        self.backlog.earliest = ended + (ended - began) * PAUSE;
        self.backlog.next = ended + POLL;
        (self.shared.beat)(due.as_ref().map(drop));
        match due {
            Ok(due) => {
                self.backlog.is_whole = due.len() < BACKLOG as usize;
                self.backlog.due = due.into();
            }
            Err(error) => {
                tracing::warn!(host = self.host.name(), %error, "due operations could not be read");
                self.backlog.next = ended + RETRY;
            }
        }
    }

    /// Whose turn it is, with their places. Those whose owner has as many as one may stay in the backlog.
    fn choose(&mut self) -> HashMap<OperationId, Permit> {
        let (mut chosen, mut left) = (HashMap::new(), VecDeque::new());
        while let Some(due) = self.backlog.due.pop_front() {
            if self.slots.free() == 0 {
                left.push_back(due);
                break;
            }
            match self.slots.take(&due.owner) {
                Some(permit) => drop(chosen.insert(due.operation, permit)),
                None => left.push_back(due),
            }
        }
        left.append(&mut self.backlog.due);
        if left.is_empty() && !self.backlog.is_whole {
            self.backlog.next = self.backlog.earliest;
        }
        self.backlog.due = left;
        chosen
    }

    async fn take(&mut self, mut chosen: HashMap<OperationId, Permit>, stop: &CancellationToken) {
        // A lease counts from before it was asked for: the store may have counted from any moment of the call.
        let asked = Instant::now();
        let ids: Vec<_> = chosen.keys().copied().collect();
        let claims = self.shared.store.claim(&ids, self.shared.leases.term()).await.unwrap_or_else(|error| {
            tracing::warn!(host = self.host.name(), %error, "operations could not be claimed");
            self.backlog.due.clear();
            self.backlog.next = Instant::now() + RETRY;
            vec![]
        });
        for claim in claims {
            let Some(permit) = chosen.remove(&claim.operation.id) else { continue };
            let (slots, owner) = (self.slots.clone(), claim.server.owner.clone());
            let slot = Slot::held(permit, move || slots.clone().take_again(owner.clone()));
            let attempt = Attempt::new(self.shared.clone(), self.host.clone(), claim, asked, slot);
            let span = attempt.span();
            self.attempts.spawn(attempt.run(stop.clone()).instrument(span));
        }
    }
}

//! Operations are carried out on hosts.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use agis_base::StoreError;
use agis_servers::{
    Action, State, Status,
    game::Catalogue,
    host::{Host, HostError, Launch, Order, Reached, Target},
    operation,
    store::{Claim, Outcome, WorkStore},
};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

/// The longest sleep: the safety net under lost notices, and the grain of postponed operations.
const POLL: Duration = Duration::from_secs(1);
/// After a failure of the store.
const RETRY: Duration = Duration::from_millis(500);
/// The longest wait before an operation that its host could not take is tried again.
const POSTPONE_MAX: Duration = Duration::from_secs(30);
/// How long an operation waits for which its host is making room, the first time and later.
const SOON: Duration = Duration::from_secs(1);
const SOON_MAX: Duration = Duration::from_secs(3);
/// A running operation looks no more often than this whether it was interrupted.
const LOOK: Duration = Duration::from_millis(200);

/// The loop that carries out operations.
pub struct Workers {
    /// Operations.
    pub store: Arc<dyn WorkStore>,
    /// The hosts that this process serves.
    pub hosts: Vec<Arc<dyn Host>>,
    /// What can be started.
    pub catalogue: Arc<Catalogue>,
    /// How many operations run at once.
    pub concurrency: usize,
    /// For how long one is ours without a sign of life.
    pub lease: Duration,
    /// Rings when an operation may wait or was interrupted.
    pub bell: watch::Receiver<()>,
}

impl Workers {
    /// Runs until `stop`. What runs then is handed back: its next worker goes on with it. `beat` is called whenever the
    /// store was asked for work, or every place is taken.
    pub async fn run(mut self, stop: CancellationToken, beat: impl Fn(Result<(), &StoreError>)) {
        let hosts: Vec<_> = self.hosts.iter().map(|host| host.name().to_owned()).collect();
        let mut attempts = JoinSet::new();
        while !stop.is_cancelled() {
            // A lease counts from before it was asked for: the store may have counted from any moment of the call.
            let mut asked = Instant::now();
            let free = self.concurrency.saturating_sub(attempts.len());
            let claims = if free == 0 {
                beat(Ok(()));
                vec![]
            } else {
                let limit = u32::try_from(free).unwrap_or(u32::MAX);
                asked = Instant::now();
                let claims = self.store.claim(&hosts, limit, self.lease).await;
                beat(claims.as_ref().map(drop));
                claims.unwrap_or_else(|error| {
                    tracing::warn!(%error, "no operations could be claimed");
                    vec![]
                })
            };
            let full = !claims.is_empty() && claims.len() == free;
            for claim in claims {
                if let Some(attempt) = self.attempt(claim, asked) {
                    let stop = stop.clone();
                    let span = attempt.span();
                    attempts.spawn(attempt.run(stop).instrument(span));
                }
            }
            if full && attempts.len() < self.concurrency {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(_) = attempts.join_next() => {}
                () = tokio::time::sleep(POLL) => {}
                Ok(()) = self.bell.changed(), if attempts.len() < self.concurrency => {}
            }
            // Take what else has ended, so that the next claim fills every place.
            while attempts.try_join_next().is_some() {}
        }
        while attempts.join_next().await.is_some() {}
    }

    fn attempt(&self, claim: Claim, began: Instant) -> Option<Attempt> {
        let host = claim.server.host.as_ref()?;
        let host = self.hosts.iter().find(|known| known.name() == host)?.clone();
        Some(Attempt {
            store: self.store.clone(),
            host,
            catalogue: self.catalogue.clone(),
            began,
            claim,
            lease: self.lease,
            bell: self.bell.clone(),
        })
    }
}

/// One try at one operation.
struct Attempt {
    store: Arc<dyn WorkStore>,
    host: Arc<dyn Host>,
    catalogue: Arc<Catalogue>,
    claim: Claim,
    began: Instant,
    lease: Duration,
    bell: watch::Receiver<()>,
}

enum End {
    Applied(Result<Outcome, HostError>),
    /// Interrupted, or taken over.
    Lost,
    Stopped,
}

impl Attempt {
    /// What each line has that is logged meanwhile, here and by the host.
    fn span(&self) -> Span {
        let Claim { operation, server, .. } = &self.claim;
        tracing::error_span!(
            "operation",
            operation_id = %operation.id,
            server_id = server.id.0,
            request_id = operation.trace.request_id,
            trace_id = operation.trace.trace_id.map(tracing::field::display),
        )
    }

    async fn run(mut self, stop: CancellationToken) {
        tracing::info!(attempt = self.claim.attempt, "Operation {} begins", self.claim.operation.action);
        let (host, order) = (self.host.clone(), self.order());
        let apply = async {
            match order {
                Ok(order) => host.apply(&order).await.map(outcome),
                Err(why) => Ok(Outcome::Failed(why)),
            }
        };
        let end = tokio::select! {
            applied = apply => End::Applied(applied),
            () = self.until_lost() => End::Lost,
            () = stop.cancelled() => End::Stopped,
        };
        match end {
            End::Applied(Ok(Outcome::Ended(how))) if self.had_run() => self.revive(&how, true).await,
            End::Applied(Ok(outcome)) => self.finish(outcome).await,
            End::Applied(Err(HostError::Failed(how))) if self.had_run() => self.revive(&how, false).await,
            End::Applied(Err(HostError::Failed(why))) => self.finish(Outcome::Failed(why)).await,
            End::Applied(Err(HostError::Stale { seen })) => self.finish(Outcome::Stale(seen)).await,
            End::Applied(Err(HostError::Unavailable(why))) => self.postpone(self.backoff(), &why).await,
            End::Applied(Err(HostError::Full(why))) => self.postpone(soon(self.claim.attempt), &why).await,
            End::Stopped => self.postpone(Duration::ZERO, "handed over by a process that was stopped").await,
            End::Lost => tracing::info!("Operation given up: it is another's"),
        }
    }

    fn order(&self) -> Result<Order, String> {
        let Claim { operation, server, .. } = &self.claim;
        let target = match operation.action {
            Action::Start | Action::Restart => {
                let game = self.catalogue.get(&server.game_type).ok_or_else(|| {
                    format!("the game '{}' is not in the catalogue of this installation", server.game_type)
                })?;
                Target::Running(Launch {
                    game: game.clone(),
                    server_name: server.name.clone(),
                    owner: server.owner.clone(),
                })
            }
            Action::Stop => Target::Stopped,
            Action::Delete => Target::Deleted,
        };
        Ok(Order { server: server.id, operation: operation.id, generation: operation.generation, target })
    }

    /// Keeps the lease, and resolves when it is lost: another has it, the operation was interrupted, or no sign of life
    /// reached the store in time.
    async fn until_lost(&mut self) {
        let mut good_until = self.began + self.lease;
        let mut renew_at = self.began + self.lease / 3;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(renew_at.into()) => {}
                Ok(()) = self.bell.changed() => tokio::time::sleep(LOOK).await,
            }
            let asked = Instant::now();
            match self.store.renew(&self.claim, self.lease).await {
                Ok(true) => {
                    good_until = asked + self.lease;
                    renew_at = asked + self.lease / 3;
                }
                Ok(false) => return,
                Err(_) if Instant::now() >= good_until => return,
                Err(_) => renew_at = Instant::now() + RETRY,
            }
        }
    }

    /// Writes the end, for as long as it is ours to write; after that whoever takes over finds the same end.
    async fn finish(&self, outcome: Outcome) {
        let until = Instant::now() + self.lease;
        loop {
            match self.store.finish(&self.claim, &outcome).await {
                Ok(Some(state)) => return self.ended(&outcome, state),
                Ok(None) => return,
                Err(error) if Instant::now() >= until => {
                    tracing::warn!(%error, "the end could not be written");
                    return;
                }
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    fn ended(&self, outcome: &Outcome, state: State) {
        let operation = &self.claim.operation;
        operation::count(operation.action, state);
        match outcome {
            Outcome::Failed(why) => tracing::warn!(why, "Operation {} failed", operation.action),
            _ => tracing::info!(
                took_ms = self.began.elapsed().as_millis() as u64,
                "Operation {} {}",
                operation.action,
                state,
            ),
        }
    }

    async fn postpone(&self, delay: Duration, why: &str) {
        tracing::info!(delay_s = delay.as_secs(), why, "Operation put off");
        match self.store.postpone(&self.claim, delay, why).await {
            Ok(Some(state)) if state.is_final() => operation::count(self.claim.operation.action, state),
            Ok(_) => {}
            // Its lease runs out, and it is claimed again.
            Err(error) => {
                tracing::warn!(%error, "an operation could not be given back");
            }
        }
    }

    /// A start keeps its generation where the server runs or is about to. If the host says that this generation has
    /// ended, it ended after the start was accepted, or before anybody had looked: after a power cut, say.
    fn had_run(&self) -> bool {
        let Claim { operation, published, .. } = &self.claim;
        operation.action == Action::Start && operation.generation == *published
    }

    async fn revive(&self, how: &str, good: bool) {
        tracing::info!(how, good, "The server has ended meanwhile; its start begins anew");
        let is_news = self.claim.server.status == Status::Running;
        match self.store.revive(&self.claim, how, good).await {
            Ok(true) if is_news && !good => metrics::counter!("agis_bot_server_crashes_total").increment(1),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "a start waits for its lease")
            }
        }
    }

    fn backoff(&self) -> Duration {
        let doublings = self.claim.attempt.clamp(1, 6).unsigned_abs() - 1;
        Duration::from_secs(1 << doublings).min(POSTPONE_MAX)
    }
}

/// When to ask again for room that is being made. Those that wait for the same room do not come at once: each waits for half of
/// its time at least, and for one and a half at most.
fn soon(attempt: i32) -> Duration {
    let even = Duration::from_secs(u64::from(attempt.unsigned_abs())).clamp(SOON, SOON_MAX);
    let random = RandomState::new().hash_one(attempt) % 1001;
    even / 2 + even.mul_f64(random as f64 / 1000.0)
}

fn outcome(reached: Reached) -> Outcome {
    match reached {
        Reached::Running(endpoint) => Outcome::Running(endpoint),
        Reached::Ended(how) => Outcome::Ended(how),
        Reached::Stopped => Outcome::Stopped,
        Reached::Deleted => Outcome::Deleted,
    }
}

/// Counts operations that ended without a worker.
pub(crate) fn count_ended(operations: &[agis_servers::Operation], state: State) {
    for ended in operations {
        operation::count(ended.action, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_asked_for_soon_and_never_by_all_at_once() {
        for attempt in [1, 2, 3, 1000] {
            let waits: Vec<_> = (0..200).map(|_| soon(attempt)).collect();
            let (first, last) = (waits.iter().min().copied(), waits.iter().max().copied());
            let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
            assert!(first >= SOON / 2 && last <= SOON_MAX * 3 / 2, "{attempt}: {first:?} to {last:?}");
            assert!(last - first > SOON / 4, "{attempt}: {first:?} to {last:?}");
        }
    }
}

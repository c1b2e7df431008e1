//! Due schedules become firings, firings become operations.

use std::{sync::Arc, time::Duration};

use agis_base::StoreError;
use agis_scheduler::{
    Firing, Kind, RunState,
    store::{Claimed, End, FiringStore},
};
use agis_servers::{
    Origin, Request, Servers,
    operation::{Identity, Refusal},
};

use crate::{chains::Gate, parts::Parts};

/// How many schedules are claimed in one transaction.
const BATCH: u32 = 500;
/// Longest pause between two rounds: the safety net under lost notifications.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Pause after a failed round.
pub const RETRY: Duration = Duration::from_secs(1);
/// A firing without an operation for so long has lost who claimed it.
const ORPHANED: Duration = Duration::from_secs(5);
/// A firing without an operation for so long is over; an operation would have expired as well.
const EXPIRED: Duration = Duration::from_secs(3600);
/// How many firings of a swarm a lane claims before it submits them: what is due is claimed first, as nothing is late or
/// missed from then on.
const WAVE: usize = 20 * BATCH as usize;

/// Fires schedules, round by round.
pub struct Scheduler {
    firings: Arc<dyn FiringStore>,
    gate: Gate,
    servers: Servers,
}

/// Result of a round.
pub struct Round {
    /// Time until the next schedule is due; `None` if there is none.
    pub until_next: Option<Duration>,
    /// Lateness of the latest firing that was claimed.
    pub lag: Duration,
}

impl Scheduler {
    /// Creates the scheduler over these firings, the gate of those with steps, and the servers that the others act on.
    pub fn new(firings: Arc<dyn FiringStore>, gate: Gate, servers: Servers) -> Self {
        count_from_zero();
        Self { firings, gate, servers }
    }

    /// Fires what is due and picks up what other processes have left.
    ///
    /// # Errors
    /// Fails if the store does; the next round goes on.
    pub async fn round(&self) -> Result<Round, StoreError> {
        let mut lag = Duration::ZERO;
        let mut until_next = self.firings.until_next().await?;
        while until_next.is_some_and(|wait| wait.is_zero()) {
            let first = self.claim().await?;
            if first.schedules == 0 {
                // Due, but held by another process, which fires it.
                return Ok(Round { until_next: Some(RETRY), lag });
            }
            lag = lag.max(if first.is_full() {
                // A swarm uses two connections.
                let (one, other) = tokio::join!(self.lane(first), self.lane(Batch::default()));
                one?.max(other?)
            } else {
                self.submit_apart(&first.firings).await;
                first.lag
            });
            // If this fails, so would the submission: the last batch is found again as orphans.
            until_next = self.firings.until_next().await?;
        }
        let replanned = Batch::of(self.firings.plan_again(BATCH).await?);
        if replanned.schedules > 0 {
            tracing::debug!(schedules = replanned.schedules, "schedules were planned again by newer time zone data");
            until_next = Some(Duration::ZERO);
        }
        self.submit_apart(&replanned.firings).await;
        for (kind, state) in self.firings.expire_unassigned(EXPIRED).await? {
            count(kind, state, 1);
        }
        let orphans = self.firings.unassigned(ORPHANED, BATCH).await?;
        self.submit_apart(&orphans).await;
        Ok(Round { until_next, lag })
    }

    async fn claim(&self) -> Result<Batch, StoreError> {
        Ok(Batch::of(self.firings.claim_due(BATCH).await?))
    }

    /// Claims batches behind this one until nothing is due, or a wave has come together, and submits them. Returns the
    /// longest lateness.
    async fn lane(&self, first: Batch) -> Result<Duration, StoreError> {
        let mut batches = vec![first];
        while batches.len() * (BATCH as usize) < WAVE {
            let batch = self.claim().await?;
            let is_last = !batch.is_full();
            batches.push(batch);
            if is_last {
                break;
            }
        }
        for batch in &batches {
            self.submit_apart(&batch.firings).await;
        }
        Ok(batches.iter().map(|batch| batch.lag).max().unwrap_or_default())
    }

    /// Submits firings together, and, where that fails, in parts: somebody may hold the row of one's server. What is left is
    /// an orphan, and is tried again.
    async fn submit_apart(&self, firings: &[Firing]) {
        let with_steps: Vec<_> =
            firings.iter().filter(|firing| firing.kind == Kind::Steps).map(|firing| firing.id).collect();
        if !with_steps.is_empty() {
            self.gate.open(&with_steps).await;
        }
        let mut parts = Parts::of(firings);
        while let Some(part) = parts.next() {
            let Err(error) = self.submit(part).await else { continue };
            match (part, error) {
                ([firing], StoreError::Refused(why)) => self.give_up(firing, &why).await,
                (_, error) if !parts.split(part) => {
                    tracing::warn!(%error, firings = part.len(), "firings wait for their operations");
                }
                _ => {}
            }
        }
    }

    /// Ends a firing that the database will take no operation of, however often.
    async fn give_up(&self, firing: &Firing, why: &str) {
        tracing::error!(schedule_id = firing.id.schedule.0, why, "firing was refused by the database");
        let reason = Some("its operation cannot be stored".to_owned());
        match self.firings.finish(&[(firing.id, End { state: RunState::Failed, reason })]).await {
            Ok(ended) => ended.into_iter().for_each(|(kind, state)| count(kind, state, 1)),
            // The firing is an orphan then, and found again.
            Err(error) => tracing::warn!(%error, "firing could not be ended"),
        }
    }

    /// Turns firings into operations. A second try finds the first one's.
    async fn submit(&self, firings: &[Firing]) -> Result<(), StoreError> {
        // The gate, or the loop of runs on many servers, has the others.
        let (firings, requests): (Vec<_>, Vec<_>) =
            firings.iter().filter_map(|firing| Some((firing, request(firing)?))).unzip();
        if requests.is_empty() {
            return Ok(());
        }
        let answers = self.servers.request_all(&requests).await?;
        let ended = |(firing, answer): (&&Firing, Result<_, _>)| Some((firing.id, skipped(answer.err()?)));
        let refused: Vec<_> = firings.iter().zip(answers).filter_map(ended).collect();
        if !refused.is_empty() {
            for (kind, state) in self.firings.finish(&refused).await? {
                count(kind, state, 1);
            }
        }
        Ok(())
    }
}

/// Firings that were claimed in one transaction.
#[derive(Default)]
struct Batch {
    schedules: usize,
    firings: Vec<Firing>,
    lag: Duration,
}

impl Batch {
    /// Counts and logs what was claimed.
    fn of(claimed: Claimed) -> Self {
        tell(&claimed);
        let lag = claimed.firings.iter().map(|(_, lateness)| *lateness).max().unwrap_or_default();
        let firings = claimed.firings.into_iter().map(|(firing, _)| firing).collect();
        Self { schedules: claimed.schedules, firings, lag }
    }

    /// Returns whether more may be due.
    fn is_full(&self) -> bool {
        self.schedules >= BATCH as usize
    }
}

fn tell(claimed: &Claimed) {
    let missed = claimed.ended.iter().filter(|(_, state, _)| *state == RunState::Missed);
    let missed: i64 = missed.map(|(.., slots)| slots).sum();
    if missed > 0 {
        tracing::warn!(slots = missed, "scheduled runs were missed");
    }
    for (kind, state, slots) in &claimed.ended {
        count(*kind, *state, slots.unsigned_abs());
    }
    for (firing, lateness) in &claimed.firings {
        metrics::histogram!("agis_bot_scheduler_lateness_seconds").record(*lateness);
        announce(firing, *lateness);
    }
}

fn announce(firing: &Firing, lateness: Duration) {
    tracing::info!(
        schedule_id = firing.id.schedule.0,
        server_id = firing.server.map(|server| server.0),
        request_id = %firing.operation,
        slot = %firing.id.slot.format("%Y-%m-%dT%H:%M:%SZ"),
        lateness_ms = lateness.as_millis() as u64,
        action = firing.kind.as_str(),
        "executing schedule"
    );
}

/// Returns the request of a run that is one operation.
fn request(firing: &Firing) -> Option<Request> {
    let request = Request {
        server: firing.server?,
        action: firing.kind.action()?.into(),
        origin: Origin::Schedule,
        actor: firing.owner.clone(),
        channel: None,
        identity: Identity::Firing { operation: firing.operation, slot: firing.id.slot },
        trace: None,
    };
    Some(request)
}

fn skipped(refusal: Refusal) -> End {
    End { state: RunState::Skipped, reason: Some(reason(refusal).to_owned()) }
}

/// Returns the reason of a run, or of a step, whose operation was refused.
pub(crate) fn reason(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NotFound | Refusal::NotAllowed => "not_allowed",
        Refusal::Deleting => "server_deleted",
        Refusal::NoHost => "no_host",
        Refusal::Overtaken => "overtaken",
        Refusal::Held => "held",
        Refusal::ShouldNotRun => "server_stopped",
        Refusal::CannotPay { .. } => "insufficient_credits",
        Refusal::Unfit(_) => "unfit_settings",
    }
}

/// A counter that begins with its first event hides that event from rates and alerts.
fn count_from_zero() {
    drop(metrics::histogram!("agis_bot_scheduler_lateness_seconds"));
    for kind in Kind::ALL {
        for state in RunState::ALL.iter().filter(|state| **state != RunState::Pending) {
            count(*kind, *state, 0);
        }
    }
}

/// Counts runs that have ended, in `agis_bot_scheduler_executions_total`.
pub(crate) fn count(kind: Kind, state: RunState, runs: u64) {
    metrics::counter!(
        "agis_bot_scheduler_executions_total",
        "action" => kind.as_str(),
        "status" => state.metric(),
    )
    .increment(runs);
}

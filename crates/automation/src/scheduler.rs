//! Due schedules become firings, firings become operations.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agis_base::StoreError;
use agis_scheduler::{
    Firing, Kind, RunState,
    store::{Claimed, End, FiringStore},
};
use agis_servers::{
    Origin, Request, Servers,
    operation::{Identity, Refusal},
};

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
/// How long is spent on finding out which firing of a batch cannot be accepted.
const PATIENCE: Duration = Duration::from_secs(12);

/// Fires schedules, round by round.
pub struct Scheduler {
    firings: Arc<dyn FiringStore>,
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
    /// Creates the scheduler over these firings, and the servers that they act on.
    pub fn new(firings: Arc<dyn FiringStore>, servers: Servers) -> Self {
        count_from_zero();
        Self { firings, servers }
    }

    /// Fires what is due and picks up what other processes have left.
    ///
    /// # Errors
    /// Fails if the store does; the next round goes on.
    pub async fn round(&self) -> Result<Round, StoreError> {
        let mut lag = Duration::ZERO;
        let mut until_next = self.firings.until_next().await?;
        let mut firings = vec![];
        while until_next.is_some_and(|wait| wait.is_zero()) {
            // While one batch is claimed the one before becomes operations: a swarm uses two connections.
            let (claimed, ()) = tokio::join!(self.firings.claim_due(BATCH), self.submit_apart(&firings));
            let claimed = claimed?;
            tell(&claimed);
            lag = claimed.firings.iter().map(|(_, lateness)| *lateness).fold(lag, Duration::max);
            firings = claimed.firings.into_iter().map(|(firing, _)| firing).collect();
            if claimed.schedules == 0 {
                // Due, but held by another process, which fires it.
                return Ok(Round { until_next: Some(RETRY), lag });
            }
            // If this fails, so would the submission: the last batch is found again as orphans.
            until_next = self.firings.until_next().await?;
        }
        self.submit_apart(&firings).await;
        let replanned = self.firings.plan_again(BATCH).await?;
        tell(&replanned);
        if replanned.schedules > 0 {
            tracing::debug!(schedules = replanned.schedules, "schedules were planned again by newer time zone data");
            until_next = Some(Duration::ZERO);
        }
        let firings: Vec<_> = replanned.firings.into_iter().map(|(firing, _)| firing).collect();
        self.submit_apart(&firings).await;
        for (kind, state) in self.firings.expire_unassigned(EXPIRED).await? {
            count(kind, state, 1);
        }
        let orphans = self.firings.unassigned(ORPHANED, BATCH).await?;
        self.submit_apart(&orphans).await;
        Ok(Round { until_next, lag })
    }

    /// Submits firings together, and, where that fails, in ever smaller parts: one that cannot be accepted now (somebody
    /// holds its server's row) must not hold up the others. What is left is an orphan, and is tried again.
    async fn submit_apart(&self, firings: &[Firing]) {
        let until = Instant::now() + PATIENCE;
        let mut parts = vec![firings];
        while let Some(part) = parts.pop() {
            let Err(error) = self.submit(part).await else { continue };
            if let ([firing], StoreError::Refused(why)) = (part, &error) {
                self.give_up(firing, why).await;
                continue;
            }
            if part.len() <= 1 || Instant::now() > until {
                tracing::warn!(%error, firings = part.len(), "firings wait for their operations");
                if Instant::now() > until {
                    return;
                }
                continue;
            }
            let (left, right) = part.split_at(part.len() / 2);
            parts.extend([right, left]);
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
        if firings.is_empty() {
            return Ok(());
        }
        // The loop of chains carries out the others.
        let (firings, requests): (Vec<_>, Vec<_>) =
            firings.iter().filter_map(|firing| Some((firing, request(firing)?))).unzip();
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

/// Counts and logs what was claimed.
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

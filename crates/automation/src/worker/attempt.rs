//! An attempt at an operation.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use agis_base::{Reason, StoreError};
use agis_servers::{
    Action, RestartOn, RestartPolicy, State, Status,
    host::{Host, HostError, Launch, Observed, Order, Progress, Reached, Slot, Target},
    operation,
    restart::Plan,
    store::{Claim, Facts, Finished, Launched, Outcome},
};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::{leases::RETRY, progress, shared::Shared};
use crate::supervisor;

/// The longest wait before an operation that its host could not take is tried again.
const POSTPONE_MAX: Duration = Duration::from_secs(30);
/// How long an operation waits for which its host is making room, the first time and later.
const SOON: Duration = Duration::from_secs(1);
const SOON_MAX: Duration = Duration::from_secs(3);

pub(super) struct Attempt {
    shared: Arc<Shared>,
    host: Arc<dyn Host>,
    claim: Claim,
    /// From before it was claimed.
    began: Instant,
    slot: Slot,
    progress: Progress,
}

enum End {
    Applied(Result<Reached, HostError>),
    /// No run can begin, for this reason, and the earlier one goes on.
    Refused(String),
    /// Interrupted, or taken over.
    Lost,
    Stopped,
}

impl Attempt {
    pub(super) fn new(shared: Arc<Shared>, host: Arc<dyn Host>, claim: Claim, began: Instant, slot: Slot) -> Self {
        Self { shared, host, claim, began, slot, progress: Progress::default() }
    }

    /// Returns the fields of each line that is logged meanwhile, here and by the host.
    pub(super) fn span(&self) -> Span {
        let Claim { operation, server, .. } = &self.claim;
        tracing::error_span!(
            "operation",
            operation_id = %operation.id,
            server_id = server.id.0,
            request_id = operation.trace.request_id,
            trace_id = operation.trace.trace_id.map(tracing::field::display),
        )
    }

    pub(super) async fn run(self, stop: CancellationToken) {
        tracing::info!(attempt = self.claim.attempt, action = %self.claim.operation.action, "operation begins");
        let hold = self.shared.leases.hold(&self.claim, self.began);
        let apply = async {
            let target = self.target();
            match self.why_no_run(&target).await {
                Some(why) if self.earlier_run_goes_on().await => End::Refused(why),
                _ => End::Applied(self.apply(target).await),
            }
        };
        let told = progress::keep(&self.shared, self.claim.held(), self.progress.heard());
        let end = tokio::select! {
            never = told => match never {},
            end = apply => end,
            () = hold.lost() => End::Lost,
            () = stop.cancelled() => End::Stopped,
        };
        self.slot.leave();
        match end {
            End::Applied(applied) => self.conclude(applied).await,
            End::Refused(why) => {
                self.finish(Outcome::Refused(format!("not restarted, and the game goes on: {why}").into())).await;
            }
            End::Stopped => {
                tracing::info!("operation handed back at shutdown");
                hold.give_back();
            }
            End::Lost => tracing::info!("operation was taken over by another worker"),
        }
    }

    async fn conclude(&self, applied: Result<Reached, HostError>) {
        match applied {
            Ok(Reached::Ended(how)) if self.had_run() => self.revive(&how.into(), true).await,
            // Its policy wants it to run on, so this is no success.
            Ok(Reached::Ended(how)) if self.policy().on == RestartOn::Always => {
                self.finish(Outcome::Failed(how.into())).await
            }
            Ok(reached) => self.finish(outcome(reached)).await,
            Err(HostError::Failed(how) | HostError::Crashed(how)) if self.had_run() => {
                self.revive(&how.into(), false).await
            }
            Err(HostError::Failed(why)) => self.finish(Outcome::Failed(why.into())).await,
            Err(HostError::Crashed(how)) => self.finish(Outcome::Crashed(how.into())).await,
            Err(HostError::Stale { seen }) => self.finish(Outcome::Stale(seen)).await,
            Err(HostError::Unavailable(why)) => self.postpone(backoff(self.claim.attempt), &why.into()).await,
            Err(HostError::Full(why)) => self.postpone(soon(self.claim.attempt), &why.into()).await,
        }
    }

    fn target(&self) -> Result<Target, String> {
        let Claim { operation, server, settings, rcon_password, .. } = &self.claim;
        Ok(match operation.action {
            Action::Start | Action::Restart => {
                let game = self.shared.catalogue.get(&server.game_type).ok_or_else(|| {
                    format!("the game '{}' is not in the catalogue of this installation", server.game_type)
                })?;
                let (Launched::All(settings) | Launched::Chosen(settings)) = settings;
                let settings = game.setting_values(settings)?;
                Target::Running(Launch {
                    settings,
                    rcon_password: rcon_password.clone(),
                    game: game.clone(),
                    server_name: server.name.clone(),
                    owner: server.owner.clone(),
                })
            }
            Action::Stop => Target::Stopped,
            Action::Delete => Target::Deleted,
        })
    }

    /// Returns the reason why no run can begin; `None` if there is none, or the operation asks for no run.
    async fn why_no_run(&self, target: &Result<Target, String>) -> Option<String> {
        let launch = match target {
            Ok(Target::Running(launch)) => launch,
            Ok(_) => return None,
            Err(why) => return Some(why.clone()),
        };
        let game = &launch.game;
        if !game.runs_on(self.host.kind()) {
            return Some(format!("the game '{}' is made for another kind of host than its server has", game.key));
        }
        match game.why_unfit(&launch.server_name, &launch.settings) {
            Some(why) => Some(why),
            None => match self.host.unfit(game).await {
                Some(unfit) => Some(unfit.reason),
                None => self.host.why_no_room().await,
            },
        }
    }

    /// Checks whether the run that was published last goes on, and the host has seen no newer generation: this is the first
    /// operation since, and its first attempt. Then the server can be left as it is.
    async fn earlier_run_goes_on(&self) -> bool {
        let Claim { operation, server, published, attempt, .. } = &self.claim;
        if *attempt != 1 || operation.generation != published + 1 {
            return false;
        }
        let observed = self.host.observe(server.id).await;
        matches!(observed, Ok(Observed::Running { generation, .. }) if generation == *published)
    }

    async fn apply(&self, target: Result<Target, String>) -> Result<Reached, HostError> {
        match target {
            Ok(target) => {
                self.note_settings(&target).await?;
                self.host.apply(&self.order(target)).await
            }
            Err(why) => self.without_launch(why).await,
        }
    }

    /// Notes the values that the game gets, unless an earlier attempt has begun it with those that it noted. A server that runs
    /// already has those of its start.
    async fn note_settings(&self, target: &Target) -> Result<(), HostError> {
        let (Target::Running(launch), Launched::Chosen(_), false) = (target, &self.claim.settings, self.had_run())
        else {
            return Ok(());
        };
        let noted = self.shared.store.note_settings(&self.claim, &launch.settings).await;
        noted.map_err(|error| HostError::Unavailable(error.to_string()))
    }

    fn policy(&self) -> RestartPolicy {
        let server = &self.claim.server;
        self.shared.catalogue.restart_policy(&server.game_type, server.restart_choice)
    }

    fn order(&self, target: Target) -> Order {
        let Claim { operation, server, .. } = &self.claim;
        Order {
            server: server.id,
            operation: operation.id,
            generation: operation.generation,
            target,
            slot: self.slot.clone(),
            progress: self.progress.clone(),
        }
    }

    /// The server's game has left the catalogue, or a setting does not fit it, so nothing can be started. A server that runs as asked runs on. Of any other an
    /// earlier run may still be there: shown as failed it would go on unseen and unpaid, so it is stopped first.
    async fn without_launch(&self, why: String) -> Result<Reached, HostError> {
        let server = &self.claim.server;
        if let (true, Status::Running, Some(endpoint)) = (self.had_run(), server.status, &server.endpoint) {
            return Ok(Reached::Running(endpoint.clone()));
        }
        self.host.apply(&self.order(Target::Stopped)).await?;
        Err(HostError::Failed(why))
    }

    /// Writes the end, for as long as it is ours to write; after that whoever takes over finds the same end.
    async fn finish(&self, mut outcome: Outcome) {
        let until = Instant::now() + self.shared.leases.term();
        let mut refused = false;
        let killed = self.host.had_to_kill(self.claim.server.id, self.claim.operation.id).await;
        let image = self.progress.heard().borrow().image.clone();
        let facts = Facts { killed, image, restart: self.policy() };
        loop {
            match self.write(&outcome, &facts).await {
                Ok(Some(Finished { state, plan })) => {
                    self.ended(&outcome, state, killed == Some(true));
                    if plan == Plan::GiveUp {
                        supervisor::gave_up(self.claim.server.id, &facts.restart);
                    }
                    return;
                }
                Ok(None) => return,
                // The same again would be refused again.
                Err(StoreError::Refused(why) | StoreError::Internal(why)) if !refused => {
                    refused = true;
                    outcome = unstorable(&why);
                }
                Err(error) if Instant::now() >= until => {
                    tracing::warn!(%error, "end of an operation could not be written");
                    return;
                }
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    async fn write(&self, outcome: &Outcome, facts: &Facts) -> Result<Option<Finished>, StoreError> {
        // Never closed.
        let _turn = self.shared.writes.acquire().await;
        self.shared.store.finish(&self.claim, outcome, facts, self.shared.billing).await
    }

    fn ended(&self, outcome: &Outcome, state: State, killed_after_grace: bool) {
        let operation = &self.claim.operation;
        if !state.is_final() {
            tracing::warn!(action = %operation.action, "operation begins anew above its host's generation");
            return;
        }
        operation::count(operation.action, state);
        if killed_after_grace {
            tracing::warn!(
                killed_after_grace,
                game = self.claim.server.game_type,
                "game outlasted its grace and was killed"
            );
        }
        match outcome {
            Outcome::Failed(why) | Outcome::Crashed(why) | Outcome::Refused(why) => {
                tracing::warn!(action = %operation.action, %why, "operation failed");
            }
            _ => tracing::info!(
                action = %operation.action,
                %state,
                took_ms = self.began.elapsed().as_millis() as u64,
                "operation ended"
            ),
        }
    }

    async fn postpone(&self, delay: Duration, why: &Reason) {
        tracing::info!(delay_s = delay.as_secs(), %why, "operation put off");
        match self.shared.store.postpone(&self.claim, delay, why).await {
            Ok(Some(state)) if state.is_final() => operation::count(self.claim.operation.action, state),
            Ok(_) => {}
            Err(StoreError::Refused(why)) => self.finish(unstorable(&why)).await,
            // Its lease runs out, and it is claimed again.
            Err(error) => tracing::warn!(%error, "operation could not be given back"),
        }
    }

    /// A start keeps its generation where the server runs or is about to. If the host says that this generation has
    /// ended, it ended after the start was accepted, or before anybody had looked: after a power cut, say.
    fn had_run(&self) -> bool {
        let Claim { operation, published, .. } = &self.claim;
        operation.action == Action::Start && operation.generation == *published
    }

    async fn revive(&self, how: &Reason, good: bool) {
        tracing::info!(%how, good, "server ended meanwhile and starts anew");
        let is_news = self.claim.server.status == Status::Running;
        match self.shared.store.revive(&self.claim, how, good).await {
            Ok(true) if is_news && !good => metrics::counter!("agis_bot_server_crashes_total").increment(1),
            Ok(_) => {}
            Err(StoreError::Refused(why)) => self.finish(unstorable(&why)).await,
            Err(error) => tracing::warn!(%error, "start waits until its lease ends"),
        }
    }
}

/// How long an operation waits that its host could not take, after so many attempts.
fn backoff(attempt: i32) -> Duration {
    let doublings = attempt.clamp(1, 6).unsigned_abs() - 1;
    Duration::from_secs(1 << doublings).min(POSTPONE_MAX)
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
        Reached::Ended(how) => Outcome::Ended(how.into()),
        Reached::Stopped => Outcome::Stopped,
        Reached::Deleted => Outcome::Deleted,
    }
}

/// Returns the outcome for one that the database refuses. The text does not repeat it: that might be refused as well.
fn unstorable(why: &str) -> Outcome {
    tracing::error!(why, "end of an operation was refused by the database");
    Outcome::Failed("what became of it cannot be stored; an operator finds the reason in the log".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_for_room_are_soon_and_spread() {
        for attempt in [1, 2, 3, 1000] {
            let waits: Vec<_> = (0..200).map(|_| soon(attempt)).collect();
            let (first, last) = (waits.iter().min().copied(), waits.iter().max().copied());
            let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
            assert!(first >= SOON / 2 && last <= SOON_MAX * 3 / 2, "{attempt}: {first:?} to {last:?}");
            assert!(last - first > SOON / 4, "{attempt}: {first:?} to {last:?}");
        }
    }
}

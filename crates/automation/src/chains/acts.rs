//! Acts of steps on servers, each of which is done once, however often it is asked for.

use std::time::Duration;

use agis_base::{CommandId, StoreError, Timestamp};
use agis_scheduler::{
    Action,
    chain::{AWAY, LOOK, Progress, StepRun, StepState},
    store::Chain,
    work::{Deed, ServerIs, called_off},
};
use agis_servers::{
    Operation, Origin, Permission, Request, Server, Servers, ServersError, State,
    console::{Command, CommandError, CommandOutcome, ConsoleError, WantsAnswer},
    hold,
    operation::{Identity, Refusal},
};
use async_trait::async_trait;

use super::RETRY;
use crate::scheduler::reason;

/// Reason of a step whose process died while it sent a command.
const UNKNOWN: &str = "it may have been sent before a process died, and is not sent again";
/// Longest time for which a process that lives sends a command.
const SENDS: Duration = Duration::from_secs(20);

/// Servers, as runs with steps act on them.
#[async_trait]
pub trait Acts: Send + Sync {
    /// Returns the reason why each of these runs may not begin for its owner, in their order; `None` if it may.
    async fn refusals(&self, chains: &[Chain]) -> Result<Vec<Option<&'static str>>, StoreError>;

    /// Asks for the operation of a step that has begun, or returns how it goes. It is asked for once.
    async fn power(&self, chain: &Chain, step: &StepRun, action: Action) -> Result<Progress, StoreError>;

    /// Sends what a step that has begun says or types, once.
    async fn send(&self, chain: &Chain, step: &StepRun) -> Result<Progress, StoreError>;

    /// Tells the players that an announced action does not follow: a courtesy, on which nothing depends.
    async fn call_off(&self, chain: &Chain, action: Action);
}

#[async_trait]
impl Acts for Servers {
    async fn refusals(&self, chains: &[Chain]) -> Result<Vec<Option<&'static str>>, StoreError> {
        let of: Vec<_> = chains.iter().map(|chain| (chain.owner.clone(), chain.server)).collect();
        let allowed = self.allowed_each(&of, Permission::Schedule).await?;
        let refusal = |(chain, server): (&Chain, Result<Server, Refusal>)| match server {
            Ok(server) if hold::check(&server, Origin::Schedule, chain.now).is_err() => Some("held"),
            Ok(_) => None,
            Err(_) => Some("not_allowed"),
        };
        Ok(chains.iter().zip(allowed).map(refusal).collect())
    }

    async fn power(&self, chain: &Chain, step: &StepRun, action: Action) -> Result<Progress, StoreError> {
        // Every step has chosen one.
        let id = step.operation.unwrap_or_default();
        if let Some(operation) = self.operations(&[id]).await?.first() {
            return Ok(progress_of(operation));
        }
        let request = Request {
            server: chain.server,
            action: action.into(),
            origin: Origin::Schedule,
            actor: chain.owner.clone(),
            channel: None,
            identity: Identity::Step {
                operation: id,
                at: step.started_at.unwrap_or(chain.now),
                spares_stopped: spares_stopped(chain, action),
            },
            trace: None,
        };
        match self.request_all(&[request]).await?.pop() {
            Some(Ok(operation)) => Ok(progress_of(&operation)),
            Some(Err(Refusal::ShouldNotRun)) => Ok(Progress::Spares),
            Some(Err(refusal)) => Ok(failed(reason(refusal))),
            None => Ok(Progress::Goes(RETRY)),
        }
    }

    async fn send(&self, chain: &Chain, step: &StepRun) -> Result<Progress, StoreError> {
        let (owner, server) = (&chain.owner, chain.server);
        let prepared = match &step.step.deed {
            Deed::Say(text) => self.say(owner, server, Permission::Schedule, Origin::Schedule, text).await,
            Deed::Command(line) => self.command(owner, server, Origin::Schedule, line, WantsAnswer::No).await,
            Deed::Wait(_) | Deed::WaitUntil { .. } | Deed::Power { .. } => return Ok(Progress::Goes(LOOK)),
        };
        let id = CommandId(step.operation.unwrap_or_default().0);
        match prepared {
            Ok(command) => sent(self, chain, step, command.with_id(id)).await,
            Err(ServersError::Store(error)) => Err(error),
            Err(error) => Ok(failed(error.to_string())),
        }
    }

    async fn call_off(&self, chain: &Chain, action: Action) {
        self.take_back(&chain.owner, chain.server, &called_off(action)).await;
    }
}

/// Returns whether a step leaves a server alone that something has stopped since the run began, other than the run itself.
fn spares_stopped(chain: &Chain, action: Action) -> bool {
    let has_acted =
        chain.steps.iter().any(|run| matches!(run.step.deed, Deed::Power { .. }) && run.state == StepState::Succeeded);
    chain.work.when().server == ServerIs::Running && action != Action::Start && !has_acted
}

async fn sent(servers: &Servers, chain: &Chain, step: &StepRun, command: Command) -> Result<Progress, StoreError> {
    let id = command.id();
    match command.send().await {
        Ok(_) => Ok(Progress::Ended(StepState::Succeeded, None)),
        Err(CommandError::Store(StoreError::Conflict(_))) => sent_before(servers, chain, id).await,
        Err(CommandError::Store(error)) => Err(error),
        // Nothing was sent; the process that serves the host is away, or begins anew.
        Err(CommandError::Console(ConsoleError::Unserved))
            if step.started_at.is_none_or(|began| age(chain, began) < AWAY) =>
        {
            Ok(Progress::Goes(LOOK))
        }
        Err(error) => Ok(failed(error.to_string())),
    }
}

/// Returns the progress of a step whose command another process has noted, or this one before it lost the answer.
async fn sent_before(servers: &Servers, chain: &Chain, id: CommandId) -> Result<Progress, StoreError> {
    let Some(record) = servers.sent_command(id).await? else { return Ok(failed(UNKNOWN)) };
    Ok(match record.outcome {
        CommandOutcome::Typed | CommandOutcome::Answered => Progress::Ended(StepState::Succeeded, None),
        CommandOutcome::Sent if age(chain, record.created_at) < SENDS => Progress::Goes(LOOK),
        // The game did not get it, so the next look sends it.
        CommandOutcome::Refused => Progress::Goes(LOOK),
        CommandOutcome::Sent | CommandOutcome::Unanswered => failed(UNKNOWN),
    })
}

fn age(chain: &Chain, since: Timestamp) -> Duration {
    (chain.now - since).to_std().unwrap_or_default()
}

fn failed(why: impl Into<String>) -> Progress {
    Progress::Ended(StepState::Failed, Some(why.into()))
}

fn progress_of(operation: &Operation) -> Progress {
    let why = |otherwise: &str| operation.error.clone().unwrap_or_else(|| otherwise.to_owned());
    match operation.state {
        State::Queued | State::Running => Progress::Goes(LOOK),
        State::Succeeded => Progress::Ended(StepState::Succeeded, None),
        State::Failed => failed(why("failed")),
        State::Expired => failed(why("expired")),
        State::Superseded => failed(why("superseded")),
    }
}

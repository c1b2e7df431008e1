//! Steps of a run: which one begins, and what its end means for the run. Pure; the loop of chains asks it.

use std::time::Duration;

use agis_base::{OperationId, Timestamp, words};
use chrono::TimeDelta;

use crate::{
    firing::RunState,
    store::End,
    work::{Awaited, Deed, OnError, PlannedStep, PlayersAre, ServerIs, When},
};

/// Time between two looks at a state that a step, or a run, waits for.
pub const LOOK: Duration = Duration::from_secs(5);

/// Reason of a run that did not begin: an earlier one of its schedule had not ended.
pub const OVERLAP: &str = "overlap";

words! {
    /// State of a step of a run.
    StepState {
        /// Not begun.
        Waiting = "waiting",
        /// Begun, and not ended.
        Running = "running",
        /// Done.
        Succeeded = "succeeded",
        /// Not done; its reason says why.
        Failed = "failed",
        /// Never begun, or left when the run ended.
        Skipped = "skipped",
    }
}

words! {
    /// Cause that ends a run before its steps have ended.
    EndedBy {
        /// A person stopped the server.
        Stop = "stop",
        /// A person deleted the server.
        Delete = "delete",
        /// A person holds the server.
        Hold = "hold",
        /// A person cancelled the run.
        Cancel = "cancel",
        /// The next run of its schedule took its place.
        Replaced = "replaced",
    }
}

impl EndedBy {
    /// Returns the reason of a run that this ended.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Stop => "ended_by_stop",
            Self::Delete => "ended_by_delete",
            Self::Hold => "ended_by_hold",
            Self::Cancel => "cancelled",
            Self::Replaced => "replaced",
        }
    }
}

/// Step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRun {
    /// The step.
    pub step: PlannedStep,
    /// State of the step.
    pub state: StepState,
    /// Reason of its end, unless it succeeded.
    pub reason: Option<String>,
    /// Id of its operation, or of its command, which was chosen before it began. `None` if it acts on nothing.
    pub operation: Option<OperationId>,
    /// Time at which it began.
    pub started_at: Option<Timestamp>,
    /// Time at which it ended.
    pub ended_at: Option<Timestamp>,
}

/// Server as a run sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Whether it should be running.
    pub should_run: bool,
    /// Whether it is ready for players.
    pub is_ready: bool,
    /// Whether nothing of it runs.
    pub is_stopped: bool,
    /// Measured number of players; `None` if it is unknown.
    pub players: Option<u32>,
}

impl Facts {
    /// Returns whether a measurement found nobody. A server without a run has no players.
    pub fn is_empty(self) -> bool {
        self.is_stopped || self.players == Some(0)
    }

    fn are(self, state: Awaited) -> bool {
        match state {
            Awaited::Empty => self.is_empty(),
            Awaited::Stopped => self.is_stopped,
            Awaited::Ready => self.is_ready,
        }
    }
}

/// Decision about a run that has not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// The run begins.
    Open,
    /// The question is asked again later.
    Later,
    /// The run is skipped, for this reason.
    Shut(&'static str),
}

/// Decides whether a run begins that was due at `slot`.
pub fn gate(when: When, facts: Facts, slot: Timestamp, now: Timestamp) -> Gate {
    let is_wrong = match when.server {
        ServerIs::Running => (!facts.should_run).then_some("server_stopped"),
        ServerIs::Stopped => facts.should_run.then_some("server_running"),
        ServerIs::Any => None,
    };
    if let Some(reason) = is_wrong {
        return Gate::Shut(reason);
    }
    if when.players == PlayersAre::Any || facts.is_empty() {
        return Gate::Open;
    }
    let until = when.defer.map(|defer| slot + delta(defer.duration()));
    match until {
        Some(until) if now < until => Gate::Later,
        _ if facts.players.is_none() => Gate::Shut("players_unknown"),
        _ => Gate::Shut("players_online"),
    }
}

/// Next deed of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The step at this place begins.
    Begin(usize),
    /// The step at this place has begun, and is looked at.
    Watch(usize),
    /// The run ends.
    End(End),
}

/// Decides what a run does next.
pub fn next(steps: &[StepRun], ended_by: Option<EndedBy>) -> Next {
    if let Some(cause) = ended_by {
        return Next::End(End { state: RunState::Skipped, reason: Some(cause.reason().to_owned()) });
    }
    if let Some(place) = steps.iter().position(|step| step.state == StepState::Running) {
        return Next::Watch(place);
    }
    let fatal = |finally: bool| {
        steps.iter().position(|run| {
            run.step.finally == finally && run.state == StepState::Failed && run.step.on_error == OnError::Fail
        })
    };
    let waits =
        |finally: bool| steps.iter().position(|run| run.step.finally == finally && run.state == StepState::Waiting);
    let open = |finally: bool| if fatal(finally).is_none() { waits(finally) } else { None };
    if let Some(place) = open(false).or_else(|| open(true)) {
        return Next::Begin(place);
    }
    match fatal(false).or_else(|| fatal(true)) {
        None => Next::End(End { state: RunState::Succeeded, reason: None }),
        Some(place) => {
            let StepRun { step, reason, .. } = &steps[place];
            let why = reason.as_deref().unwrap_or("failed");
            let reason = format!("step {} ({}): {why}", place + 1, step.deed.name());
            Next::End(End { state: RunState::Failed, reason: Some(reason) })
        }
    }
}

/// Progress of a step that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The step goes on, and is looked at again after this time.
    Goes(Duration),
    /// The step ended.
    Ended(StepState, Option<String>),
}

/// Looks at a step that waits, for a time or a state; `None` if the step does something.
pub fn wait(step: &StepRun, facts: Facts, now: Timestamp) -> Option<Progress> {
    let since = step.started_at.unwrap_or(now);
    let left =
        |time: agis_base::Span| (since + delta(time.duration()) - now).to_std().ok().filter(|left| !left.is_zero());
    match step.step.deed {
        Deed::Wait(time) => Some(match left(time) {
            Some(left) => Progress::Goes(left),
            None => Progress::Ended(StepState::Succeeded, None),
        }),
        Deed::WaitUntil { state, .. } if facts.are(state) => Some(Progress::Ended(StepState::Succeeded, None)),
        Deed::WaitUntil { state, at_most } => Some(match left(at_most) {
            Some(left) => Progress::Goes(left.min(LOOK)),
            None => {
                let unknown = state == Awaited::Empty && facts.players.is_none();
                let why = if unknown { "; nobody knows how many play" } else { "" };
                Progress::Ended(StepState::Failed, Some(format!("the server was not {state} within {at_most}{why}")))
            }
        }),
        Deed::Say(_) | Deed::Command(_) | Deed::Power { .. } => None,
    }
}

fn delta(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests;

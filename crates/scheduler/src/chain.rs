//! Steps of a run: which one begins, and what its end means for the run. Pure; the loop of chains asks it.

use std::{ops::Range, time::Duration};

use agis_base::{OperationId, Span, Timestamp, words};
use chrono::TimeDelta;

use crate::{
    firing::{LATE, RunState, SCHEDULE_CHANGED, SCHEDULER_UNAVAILABLE},
    schedule::Action,
    store::{Chain, End},
    work::{Awaited, Deed, OnError, Overlap, PlannedStep, PlayersAre, ServerIs, WAIT_MAX, When},
};

/// Time between two looks at a state that a step, or a run, waits for.
pub const LOOK: Duration = Duration::from_secs(5);

/// Time between two looks at a run whose server, or whose earlier run, has just changed.
pub const SOON: Duration = Duration::from_millis(200);

/// Time for which a run that was claimed is left to the process that claimed it.
pub const CLAIMED: Duration = Duration::from_secs(10);

/// Time for which a step waits until a process serves the host of its game.
pub const AWAY: Duration = Duration::from_secs(600);

/// Reason of a run that did not begin: an earlier one of its schedule had not ended.
pub const OVERLAP: &str = "overlap";

/// Reason of a run that did not begin: its server should not run.
pub const SERVER_STOPPED: &str = "server_stopped";

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
        /// A person restarted the server, which the run was about to do.
        Restart = "restart",
        /// A person cancelled the run.
        Cancel = "cancel",
        /// The next run of its schedule took its place.
        Replaced = "replaced",
        /// Nobody was there to carry it out in time.
        Missed = "missed",
        /// The schedule was disabled, or got other times or work, before the run did anything.
        Changed = "changed",
    }
}

impl EndedBy {
    /// Returns the reason of a run that this ended.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Stop => "ended_by_stop",
            Self::Delete => "ended_by_delete",
            Self::Hold => "ended_by_hold",
            Self::Restart => "ended_by_restart",
            Self::Cancel => "cancelled",
            Self::Replaced => "replaced",
            Self::Missed => SCHEDULER_UNAVAILABLE,
            Self::Changed => SCHEDULE_CHANGED,
        }
    }

    /// Returns the end of a run that this ended.
    pub fn end(self) -> End {
        let state = if self == Self::Missed { RunState::Missed } else { RunState::Skipped };
        End { state, reason: Some(self.reason().to_owned()) }
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
    /// Time by which people have lengthened it, if it is a wait.
    pub postponed: Span,
}

impl StepRun {
    /// Creates a step that has not begun, with the id of what it will do.
    pub fn planned(step: PlannedStep) -> Self {
        Self {
            step,
            state: StepState::Waiting,
            reason: None,
            operation: Some(OperationId::new()),
            started_at: None,
            ended_at: None,
            postponed: Span::ZERO,
        }
    }

    /// Returns whether it has not ended.
    fn is_open(&self) -> bool {
        matches!(self.state, StepState::Waiting | StepState::Running)
    }
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

/// Returns whether a run is not carried on any more: no process did so when its next step was due, as with a slot that is
/// [`LATE`]. A run that has acted on its server goes on, however late: a server that it stopped has to come up again.
pub fn is_missed(chain: &Chain) -> bool {
    due(chain).is_some_and(|due| chain.now - due > LATE)
}

/// Returns the time at which a run that has not acted on its server was due to go on; `None` if it has, or if nobody can tell.
fn due(chain: &Chain) -> Option<Timestamp> {
    if chain.steps.is_empty() {
        let defer = chain.work.when().defer.unwrap_or(Span::ZERO);
        // A run in a queue may have waited for the run before it.
        return (chain.work.overlap != Overlap::QueueOne).then(|| chain.since + delta(defer.duration()));
    }
    let acts = |run: &StepRun| matches!(run.step.deed, Deed::Power { .. } | Deed::Command(_));
    if chain.steps.iter().any(|run| acts(run) && run.started_at.is_some()) {
        return None;
    }
    let Some(run) = chain.steps.iter().find(|run| run.state == StepState::Running) else {
        return chain.steps.iter().filter_map(|run| run.ended_at).max();
    };
    let longest = match run.step.deed {
        Deed::Wait(time) => (time + run.postponed).duration(),
        Deed::WaitUntil { at_most, .. } => at_most.duration(),
        Deed::Say(_) | Deed::Command(_) | Deed::Power { .. } => AWAY,
    };
    Some(run.started_at? + delta(longest))
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

/// Decides whether a run begins that was claimed at `since`.
pub fn gate(when: When, facts: Facts, since: Timestamp, now: Timestamp) -> Gate {
    let is_wrong = match when.server {
        ServerIs::Running => (!facts.should_run).then_some(SERVER_STOPPED),
        ServerIs::Stopped => facts.should_run.then_some("server_running"),
        ServerIs::Any => None,
    };
    if let Some(reason) = is_wrong {
        return Gate::Shut(reason);
    }
    if when.players == PlayersAre::Any || facts.is_empty() {
        return Gate::Open;
    }
    let until = when.defer.map(|defer| since + delta(defer.duration()));
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
        return Next::End(cause.end());
    }
    if let Some(place) = steps.iter().position(|step| step.state == StepState::Running) {
        return Next::Watch(place);
    }
    let fatal = |finally| fatal(steps, finally);
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
            let list = if step.finally { "finally " } else { "" };
            let number = if step.number == 0 { place + 1 } else { step.number.into() };
            let reason = format!("{list}step {number} ({}): {why}", step.deed.name());
            Next::End(End { state: RunState::Failed, reason: Some(reason) })
        }
    }
}

/// Returns the place of the step, among the last ones or the others, whose failure ends these.
fn fatal(steps: &[StepRun], finally: bool) -> Option<usize> {
    steps.iter().position(|run| {
        run.step.finally == finally && run.state == StepState::Failed && run.step.on_error == OnError::Fail
    })
}

/// Returns the steps that are open and that the run comes to, with their places: not those behind a failure.
fn to_come(steps: &[StepRun]) -> impl Iterator<Item = (usize, &StepRun)> {
    let failed = [false, true].map(|finally| fatal(steps, finally).is_some());
    let comes = move |run: &StepRun| run.is_open() && !failed[usize::from(run.step.finally)];
    steps.iter().enumerate().filter(move |(_, run)| comes(run))
}

/// Progress of a step that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The step goes on, and is looked at again after this time.
    Goes(Duration),
    /// The step ended.
    Ended(StepState, Option<String>),
    /// The run ends, since its server should not run: a restart would start it.
    Spares,
}

/// Looks at a step that waits, for a time or a state; `None` if the step does something.
pub fn wait(step: &StepRun, facts: Facts, now: Timestamp) -> Option<Progress> {
    let since = step.started_at.unwrap_or(now);
    let left = |time: Span| (since + delta(time.duration()) - now).to_std().ok().filter(|left| !left.is_zero());
    match step.step.deed {
        Deed::Wait(time) => Some(match left(time + step.postponed) {
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

/// Action that is ahead of a run, and the time at which it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// The action.
    pub action: Action,
    /// Time at which it follows.
    pub at: Timestamp,
    /// Place of the wait that ends next, or now; `None` if the action follows at once.
    pub wait: Option<usize>,
}

/// Returns the action that only waits of a known length separate from now.
pub fn ahead(steps: &[StepRun], now: Timestamp) -> Option<Ahead> {
    let (mut at, mut wait) = (now, None);
    for (place, run) in to_come(steps) {
        match run.step.deed {
            Deed::Power { action, .. } => {
                return (run.state == StepState::Waiting).then_some(Ahead { action, at, wait });
            }
            Deed::Wait(time) => {
                // The first open step alone may have begun.
                at = run.started_at.unwrap_or(at) + delta((time + run.postponed).duration());
                wait = wait.or(Some(place));
            }
            Deed::WaitUntil { .. } => return None,
            Deed::Say(_) | Deed::Command(_) => {}
        }
    }
    None
}

/// Run whose action is put off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOff {
    /// The action, with its new time.
    pub ahead: Ahead,
    /// Time by which people have lengthened the wait before it.
    pub postponed: Span,
    /// Places of the steps that begin anew, so that players are warned again. The first is that wait; there is none if the
    /// wait goes on.
    pub anew: Range<usize>,
}

/// Wish to put an action off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Postponement {
    /// Time by which it comes later.
    pub by: Span,
    /// Time at which it is due in the eyes of the caller, where that is shown: two presses of one button are one.
    pub seen: Option<Timestamp>,
    /// Whether the channels of the servers hear of it.
    pub tell: bool,
}

/// Reason why the action of a run is not put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotPutOff {
    /// No wait of a known length is ahead of an action.
    NothingAhead,
    /// The wait would be longer than [`WAIT_MAX`].
    TooLong,
    /// Somebody has put it off since the caller saw when it is due.
    Already,
}

/// Returns how a run goes on if its action is put off.
///
/// # Errors
/// Fails if no wait is ahead of an action, if it would be too long, or if somebody has put it off already.
pub fn postponed(steps: &[StepRun], wish: &Postponement, now: Timestamp) -> Result<PutOff, NotPutOff> {
    let ahead = ahead(steps, now).ok_or(NotPutOff::NothingAhead)?;
    let by = wish.by;
    // Games that are slow to say something move it a little, too.
    if wish.seen.is_some_and(|seen| ahead.at - seen >= delta(by.duration() / 2)) {
        return Err(NotPutOff::Already);
    }
    let wait = ahead.wait.ok_or(NotPutOff::NothingAhead)?;
    let run = &steps[wait];
    let Deed::Wait(time) = run.step.deed else { return Err(NotPutOff::NothingAhead) };
    let whole = run.postponed + by;
    if (time + whole).duration() > WAIT_MAX {
        return Err(NotPutOff::TooLong);
    }
    let ahead = Ahead { at: ahead.at + delta(by.duration()), ..ahead };
    let action = to_come(steps).find(|(_, run)| matches!(run.step.deed, Deed::Power { .. }));
    let (action, _) = action.ok_or(NotPutOff::NothingAhead)?;
    let left = (ahead.at - now).to_std().unwrap_or_default().as_secs();
    let left = Span::of_seconds(u32::try_from(left).unwrap_or(u32::MAX));
    Ok(match warned_again(&steps[..=action], left).filter(|(place, _)| *place < wait) {
        Some((place, postponed)) => PutOff { ahead, postponed, anew: place..action },
        None => PutOff { ahead, postponed: whole, anew: wait..wait },
    })
}

/// Returns the first wait between the warnings of the last step for which there is time, and the time that is left over.
fn warned_again(steps: &[StepRun], left: Span) -> Option<(usize, Span)> {
    let (action, before) = steps.split_last()?;
    let (mut sum, mut first) = (Span::ZERO, None);
    for (place, run) in before.iter().enumerate().rev().take_while(|(_, run)| run.step.number == action.step.number) {
        if let Deed::Wait(time) = run.step.deed {
            sum = sum + time;
            if sum > left {
                break;
            }
            first = Some((place, left - sum));
        }
    }
    first
}

/// Returns whether nothing but a restart, and waits and words before and behind it, is ahead of a run. It is done once a
/// person restarts the server.
pub fn only_restarts(steps: &[StepRun]) -> bool {
    let acts = to_come(steps)
        .filter(|(_, run)| !matches!(run.step.deed, Deed::Say(_) | Deed::Wait(_) | Deed::WaitUntil { .. }));
    let acts: Vec<_> = acts.map(|(_, run)| (&run.step.deed, run.state)).collect();
    matches!(acts[..], [(Deed::Power { action: Action::Restart, .. }, StepState::Waiting)])
}

/// Returns whether a run has stopped its server, and starts it again.
pub fn brings_up(steps: &[StepRun]) -> bool {
    let power = |run: &StepRun| match run.step.deed {
        Deed::Power { action, .. } => Some(action),
        _ => None,
    };
    let has_acted = |run: &StepRun| matches!(run.state, StepState::Running | StepState::Succeeded);
    let stopped = steps.iter().any(|run| power(run) == Some(Action::Stop) && has_acted(run));
    let starts = |(_, run): (usize, &StepRun)| {
        run.state == StepState::Waiting && matches!(power(run), Some(Action::Start | Action::Restart))
    };
    stopped && to_come(steps).any(starts)
}

/// Returns the action of a run that was announced to the players and has not begun.
pub fn announced(steps: &[StepRun]) -> Option<Action> {
    let (next, _) = to_come(steps).find(|(_, run)| matches!(run.step.deed, Deed::Power { .. }))?;
    said_of(steps, next).filter(|_| steps[next].state == StepState::Waiting)
}

/// Returns the action of a run that was announced to the players, and begun last, and has not succeeded.
pub fn announced_in_vain(steps: &[StepRun]) -> Option<Action> {
    let has_begun = |run: &StepRun| !matches!(run.state, StepState::Waiting | StepState::Skipped);
    let last = steps.iter().rposition(|run| matches!(run.step.deed, Deed::Power { .. }) && has_begun(run))?;
    said_of(steps, last).filter(|_| steps[last].state != StepState::Succeeded)
}

/// Returns the action of the step at this place, if a step since the action before it has told the players.
fn said_of(steps: &[StepRun], place: usize) -> Option<Action> {
    let Deed::Power { action, .. } = steps[place].step.deed else { return None };
    let since = steps[..place].iter().rposition(|run| matches!(run.step.deed, Deed::Power { .. }));
    let was_said = |run: &StepRun| match run.step.deed {
        Deed::Say(_) if run.step.announces => !matches!(run.state, StepState::Waiting | StepState::Skipped),
        Deed::Say(_) => run.state == StepState::Succeeded,
        _ => false,
    };
    steps[since.map_or(0, |place| place + 1)..place].iter().any(was_said).then_some(action)
}

fn delta(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests;

//! Model of what runs may do.

use std::collections::BTreeMap;

use agis_base::{OperationId, Timestamp};
use agis_scheduler::{
    RunState, Work,
    chain::{EndedBy, StepRun, StepState},
    work::{Deed, OnError},
};

use super::Event;

/// Run as somebody outside of the processes sees it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) slot: Timestamp,
    pub(super) state: RunState,
    pub(super) reason: Option<String>,
    pub(super) has_begun: bool,
    pub(super) ended_by: Option<EndedBy>,
    pub(super) steps: Vec<StepRun>,
    /// Number of times that each act was done.
    pub(super) acts: BTreeMap<OperationId, usize>,
}

/// All runs as they were last seen.
#[derive(Debug)]
pub(super) struct Model {
    work: Work,
    runs: Vec<Seen>,
}

impl Model {
    pub(super) fn new(work: &Work) -> Self {
        Self { work: work.clone(), runs: vec![] }
    }

    /// Checks that the runs have gone from what they were to what they are in an allowed way.
    pub(super) fn look(&mut self, runs: Vec<Seen>, event: &Event) {
        assert!(runs.len() >= self.runs.len(), "a run is gone after {event:?}");
        for run in &runs {
            let before = self.runs.iter().find(|before| before.slot == run.slot);
            if let Err(why) = self.check(run).and_then(|()| before.map_or(Ok(()), |before| follows(before, run))) {
                panic!("{why}, after {event:?}\nbefore: {before:#?}\nnow: {run:#?}");
            }
        }
        let going = runs.iter().filter(|run| run.has_begun && run.state == RunState::Pending && run.ended_by.is_none());
        assert!(going.count() <= 1, "two runs go on at once after {event:?}: {runs:#?}");
        self.runs = runs;
    }

    fn check(&self, run: &Seen) -> Result<(), &'static str> {
        let is = |state| move |step: &&StepRun| step.state == state;
        if !run.steps.is_empty() && run.steps.len() != self.work.planned().len() {
            return Err("a step is lost");
        }
        let open = run.steps.iter().any(|step| matches!(step.state, StepState::Waiting | StepState::Running));
        match run.state {
            RunState::Pending => {}
            _ if open => return Err("a step of an ended run is open"),
            RunState::Succeeded if run.reason.is_some() => return Err("a success has a reason"),
            RunState::Succeeded => {}
            _ if run.reason.as_deref().unwrap_or_default().is_empty() => return Err("an end has no reason"),
            _ => {}
        }
        if run.steps.iter().filter(is(StepState::Running)).count() > 1 {
            return Err("two steps go on at once");
        }
        for (place, step) in run.steps.iter().enumerate() {
            let acts = step.operation.map_or(0, |id| run.acts.get(&id).copied().unwrap_or_default());
            if acts > 1 {
                return Err("a step was done twice");
            }
            if acts > 0 && step.started_at.is_none() {
                return Err("a step acted before it began");
            }
            if step.state == StepState::Succeeded && acts == 0 && acts_on_server(step) {
                return Err("a step has succeeded without an act");
            }
            if step.started_at.is_some() {
                may_begin(&run.steps[..place], step)?;
            }
        }
        Ok(())
    }

    pub(super) fn has_ended(&self) -> bool {
        self.runs.iter().all(|run| run.state != RunState::Pending)
    }

    /// Checks runs that have ended.
    pub(super) fn check_ends(&self) {
        for run in &self.runs {
            let failed = run.steps.iter().any(is_fatal);
            let done = |step: &StepRun| matches!(step.state, StepState::Succeeded | StepState::Failed);
            let fine = match run.state {
                RunState::Succeeded => !failed && run.steps.iter().all(done),
                RunState::Failed => {
                    let fatal_last = run.steps.iter().any(|step| step.step.finally && is_fatal(step));
                    failed && (fatal_last || run.steps.iter().filter(|step| step.step.finally).all(done))
                }
                RunState::Missed => !run.steps.iter().any(|step| acts_of_choice(step) && step.started_at.is_some()),
                RunState::Skipped => {
                    // Several causes may meet before a run begins.
                    run.ended_by.is_none_or(|cause| !run.has_begun || run.reason.as_deref() == Some(cause.reason()))
                        // Nothing but its own condition, or a person, skips one that has begun.
                        && (run.ended_by.is_some() || !run.has_begun || run.reason.as_deref() == Some("server_stopped"))
                }
                RunState::Pending => false,
            };
            assert!(fine, "a run ended as it may not: {run:#?}");
        }
    }
}

fn acts_on_server(step: &StepRun) -> bool {
    matches!(step.step.deed, Deed::Power { .. } | Deed::Command(_) | Deed::Say(_))
}

fn acts_of_choice(step: &StepRun) -> bool {
    matches!(step.step.deed, Deed::Power { .. } | Deed::Command(_))
}

fn is_fatal(step: &StepRun) -> bool {
    step.state == StepState::Failed && step.step.on_error == OnError::Fail
}

/// Checks that a step began behind those before it.
fn may_begin(before: &[StepRun], step: &StepRun) -> Result<(), &'static str> {
    let of_list = |finally: bool| before.iter().filter(move |step| step.step.finally == finally);
    let failed = of_list(false).any(is_fatal);
    if of_list(step.step.finally).any(is_fatal) {
        return Err("a step began behind one that failed");
    }
    let has_ended = |other: &StepRun| other.ended_at.is_some_and(|ended| step.started_at >= Some(ended));
    // After a failure the last steps follow at once.
    let must = before.iter().filter(|other| !(failed && !other.step.finally && other.started_at.is_none()));
    if must.into_iter().all(has_ended) { Ok(()) } else { Err("a step began before the one ahead of it had ended") }
}

fn follows(before: &Seen, now: &Seen) -> Result<(), &'static str> {
    if before.state != RunState::Pending && (before.state, &before.reason) != (now.state, &now.reason) {
        return Err("an ended run has another end");
    }
    if before.ended_by.is_some() && before.ended_by != now.ended_by {
        return Err("a run has another cause of its end");
    }
    let is_over = before.state != RunState::Pending || before.ended_by.is_some();
    if is_over && before.acts != now.acts {
        return Err("a run acted that was over");
    }
    for (before, now) in before.steps.iter().zip(&now.steps) {
        let went = (before.state, now.state);
        let may = match went {
            (from, to) if from == to => true,
            (StepState::Waiting, _) => !is_over || now.state == StepState::Skipped,
            (StepState::Running, to) => to != StepState::Waiting,
            _ => false,
        };
        if !may || before.operation != now.operation || before.step != now.step {
            return Err("a step changed as it may not");
        }
        if before.started_at.is_some() && before.started_at.is_some() != now.started_at.is_some() {
            return Err("a step began again");
        }
    }
    Ok(())
}

//! Run of a schedule for a label: a run of its own on each server that carries the label, at a pace. Pure; the store asks it
//! with the run's row locked.

use agis_base::{MANY_MAX, Pace};

use crate::{
    chain::{EndedBy, OVERLAP},
    firing::{FiringId, RunState},
    store::End,
    work::Overlap,
};

/// Run on many servers, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManyRun {
    /// Pace of its schedule.
    pub pace: Pace,
    /// Fate of a run that is due while an earlier one has not ended.
    pub overlap: Overlap,
    /// Cause that ends it.
    pub ended_by: Option<EndedBy>,
    /// Whether nobody looked at it for [`crate::firing::LATE`] after its time.
    pub is_late: bool,
    /// Earlier runs of its schedule that have not ended, oldest first.
    pub earlier: Vec<FiringId>,
    /// Its runs on the servers, in their order; `None` before they are chosen.
    pub parts: Option<Vec<Part>>,
}

impl ManyRun {
    /// Returns the number of servers whose turn is to come.
    pub fn waiting(&self) -> usize {
        self.parts.iter().flatten().filter(|part| **part == Part::Waiting).count()
    }
}

/// Run on one of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The turn of the run is to come.
    Waiting,
    /// The run goes on.
    Open,
    /// The run has ended.
    Ended(RunState),
}

/// Next deed of a run on many servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The earlier runs are ended.
    Replace,
    /// The next look comes later.
    Wait,
    /// The servers are chosen.
    Choose,
    /// So many of those that wait get their turn; none while others have to end first.
    Turns(usize),
    /// The runs on the servers are ended.
    Interrupt(EndedBy),
    /// The runs whose turn is to come are missed: what was due in the night restarts no server in the evening.
    Miss,
    /// The whole ends.
    End(End),
}

/// Decides what a run on many servers does next.
pub fn next(run: &ManyRun) -> Next {
    let Some(parts) = &run.parts else { return before(run) };
    let waiting = run.waiting();
    let open = parts.iter().filter(|part| **part == Part::Open).count();
    match run.ended_by {
        Some(cause) if waiting + open > 0 => Next::Interrupt(cause),
        Some(cause) => Next::End(cause.end()),
        None if run.is_late && waiting > 0 => Next::Miss,
        None if waiting + open > 0 => {
            let turns = run.pace.turns(u32::try_from(open).unwrap_or(u32::MAX)) as usize;
            Next::Turns(turns.min(waiting))
        }
        None => Next::End(end(parts)),
    }
}

fn before(run: &ManyRun) -> Next {
    if let Some(cause) = run.ended_by.or(run.is_late.then_some(EndedBy::Missed)) {
        return Next::End(cause.end());
    }
    match (run.overlap, run.earlier.as_slice()) {
        (_, []) => Next::Choose,
        (Overlap::QueueOne, [_]) => Next::Wait,
        (Overlap::Skip | Overlap::QueueOne, _) => skipped(OVERLAP),
        (Overlap::Replace, _) => Next::Replace,
    }
}

/// Reason of a run that found no server with the label.
pub const NO_SERVERS: &str = "no_servers";

/// Reason of a run that found more servers than it acts on.
pub const TOO_MANY_SERVERS: &str = "too_many_servers";

/// Returns the reason why no run acts on so many servers.
pub fn why_unfit(servers: usize) -> Option<&'static str> {
    match servers {
        0 => Some(NO_SERVERS),
        some if some > MANY_MAX as usize => Some(TOO_MANY_SERVERS),
        _ => None,
    }
}

/// Returns the end of a run that found no server, or more than are acted on at a time.
pub fn unfit(servers: usize) -> Option<End> {
    let reason = why_unfit(servers)?;
    let state = if reason == NO_SERVERS { RunState::Skipped } else { RunState::Failed };
    Some(End { state, reason: Some(reason.to_owned()) })
}

fn end(parts: &[Part]) -> End {
    let count = |state| parts.iter().filter(|part| **part == Part::Ended(state)).count();
    let (all, failed, done) = (parts.len(), count(RunState::Failed), count(RunState::Succeeded));
    let missed = count(RunState::Missed);
    let (state, reason) = match (failed, done) {
        (0, _) if missed > 0 => (RunState::Missed, Some(format!("missed on {missed} of {all} servers"))),
        (0, 0) => (RunState::Skipped, Some(format!("skipped on all servers ({all})"))),
        (0, done) if done == all => (RunState::Succeeded, None),
        (0, done) => (RunState::Succeeded, Some(format!("skipped on {} of {all} servers", all - done))),
        (failed, _) => (RunState::Failed, Some(format!("failed on {failed} of {all} servers"))),
    };
    End { state, reason }
}

fn skipped(reason: &str) -> Next {
    Next::End(End { state: RunState::Skipped, reason: Some(reason.to_owned()) })
}

#[cfg(test)]
mod tests {
    use agis_base::{ScheduleId, Span};

    use super::*;
    use crate::firing::SCHEDULER_UNAVAILABLE;

    fn run(parts: Option<Vec<Part>>) -> ManyRun {
        ManyRun {
            pace: Pace::default(),
            overlap: Overlap::Skip,
            ended_by: None,
            is_late: false,
            earlier: vec![],
            parts,
        }
    }

    fn ended(next: Next) -> (RunState, Option<String>) {
        match next {
            Next::End(End { state, reason }) => (state, reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_pace_says_whose_turn_it_is() {
        let pace = Pace { at_most: Some(2), stagger: None };
        let turns = |parts: &[Part]| next(&ManyRun { pace, ..run(Some(parts.to_vec())) });
        assert_eq!(turns(&[Part::Waiting; 3]), Next::Turns(2));
        assert_eq!(turns(&[Part::Open, Part::Waiting, Part::Waiting]), Next::Turns(1));
        assert_eq!(turns(&[Part::Open, Part::Open, Part::Waiting]), Next::Turns(0));
        assert_eq!(turns(&[Part::Ended(RunState::Failed), Part::Open]), Next::Turns(0));
        let staggered = Pace { at_most: None, stagger: Some(Span::of_minutes(2)) };
        assert_eq!(next(&ManyRun { pace: staggered, ..run(Some(vec![Part::Waiting; 3])) }), Next::Turns(1));
    }

    #[test]
    fn its_end_tells_of_all_servers() {
        let of = |states: &[RunState]| ended(next(&run(Some(states.iter().copied().map(Part::Ended).collect()))));
        let (done, failed, skipped) = (RunState::Succeeded, RunState::Failed, RunState::Skipped);
        assert_eq!(of(&[done, done]), (done, None));
        assert_eq!(of(&[done, skipped]), (done, Some("skipped on 1 of 2 servers".to_owned())));
        assert_eq!(of(&[failed, skipped, done]), (failed, Some("failed on 1 of 3 servers".to_owned())));
        let missed = RunState::Missed;
        assert_eq!(of(&[done, missed, skipped]), (missed, Some("missed on 1 of 3 servers".to_owned())));
        assert_eq!(of(&[failed, missed]), (failed, Some("failed on 1 of 2 servers".to_owned())));
        assert_eq!(of(&[skipped]), (skipped, Some("skipped on all servers (1)".to_owned())));
    }

    #[test]
    fn a_cancelled_run_ends_after_its_parts() {
        let cancelled = |parts| ManyRun { ended_by: Some(EndedBy::Cancel), ..run(parts) };
        let open = cancelled(Some(vec![Part::Waiting, Part::Ended(RunState::Succeeded)]));
        assert_eq!(next(&open), Next::Interrupt(EndedBy::Cancel));
        for parts in [None, Some(vec![Part::Ended(RunState::Succeeded)])] {
            assert_eq!(ended(next(&cancelled(parts))), (RunState::Skipped, Some("cancelled".to_owned())));
        }
    }

    #[test]
    fn late_run_gives_no_further_turns() {
        let late = |parts| ManyRun { is_late: true, ..run(parts) };
        assert_eq!(ended(next(&late(None))), (RunState::Missed, Some(SCHEDULER_UNAVAILABLE.to_owned())));
        assert_eq!(next(&late(Some(vec![Part::Open, Part::Waiting]))), Next::Miss);
        assert_eq!(next(&late(Some(vec![Part::Open]))), Next::Turns(0));
    }

    #[test]
    fn overlap_is_decided_before_servers_are_chosen() {
        let slot = "2026-12-01T04:00:00Z".parse().expect("a time");
        let earlier = FiringId { schedule: ScheduleId(1), slot };
        let of = |overlap, earlier| next(&ManyRun { overlap, earlier, ..run(None) });
        assert_eq!(of(Overlap::Skip, vec![]), Next::Choose);
        assert_eq!(ended(of(Overlap::Skip, vec![earlier])).1.as_deref(), Some(OVERLAP));
        assert_eq!(of(Overlap::QueueOne, vec![earlier]), Next::Wait);
        assert_eq!(ended(of(Overlap::QueueOne, vec![earlier, earlier])).1.as_deref(), Some(OVERLAP));
        assert_eq!(of(Overlap::Replace, vec![earlier]), Next::Replace);
    }
}

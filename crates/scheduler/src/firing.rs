//! What becomes of the slots of a schedule that is due. Pure; the store calls it with the schedule's row locked.

use std::collections::VecDeque;

use agis_base::{OperationId, ScheduleId, ServerId, Timestamp, UserId};
use chrono::{NaiveDateTime, TimeDelta};

use crate::{
    occurrence::Slot,
    schedule::{Action, MissedRunPolicy, Timing},
};

/// How late a slot may be claimed, its successor not yet due, and still run whatever the policy says.
pub const LATE: TimeDelta = TimeDelta::minutes(5);

/// How many rows the missed slots of one claim get; the oldest of them share one.
pub const MISSED_ROWS: usize = 1440;

/// Why a slot is missed.
pub const SCHEDULER_UNAVAILABLE: &str = "scheduler_unavailable";

/// A firing: one slot of one schedule. There is never a second one of the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FiringId {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The slot.
    pub slot: Timestamp,
}

/// A firing that is to become an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// Which.
    pub id: FiringId,
    /// The operation that it becomes. It is chosen with the firing, so that however often somebody tries, one comes of it.
    pub operation: OperationId,
    /// On which server.
    pub server: ServerId,
    /// In whose name.
    pub owner: UserId,
    /// To do what.
    pub action: Action,
}

/// How far a firing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// It has fired; its operation has not ended.
    Pending,
    /// Its operation succeeded.
    Succeeded,
    /// Its operation failed.
    Failed,
    /// It fired, and nothing was to be done.
    Skipped,
    /// No scheduler ran when it was due.
    Missed,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Succeeded, Self::Failed, Self::Skipped, Self::Missed];

    /// The word that the database and REST use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
        }
    }

    /// The state of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// The `status` label of `agis_bot_scheduler_executions_total`.
    pub fn metric(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "success",
            Self::Failed => "failure",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
        }
    }
}

/// A line of a schedule's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The slot.
    pub slot: Timestamp,
    /// The local times that met in it, where they are more than one.
    pub local_slots: Vec<NaiveDateTime>,
    /// How far it has come.
    pub state: RunState,
    /// Why it ended so.
    pub reason: Option<String>,
    /// How long after the slot it was claimed.
    pub lateness: TimeDelta,
    /// How many slots this line stands for: 1, or more where old missed ones were folded.
    pub slots: i64,
    /// The operation it became.
    pub operation: Option<OperationId>,
}

/// What to write for a schedule that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The slots, in order; at most the last one is [`RunState::Pending`].
    pub runs: Vec<PlannedRun>,
    /// The slot that fires next; none where there is none in sight.
    pub next_run: Option<Timestamp>,
}

/// A slot to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRun {
    /// The slot.
    pub slot: Slot,
    /// [`RunState::Pending`] or [`RunState::Missed`].
    pub state: RunState,
    /// How many slots it stands for.
    pub slots: i64,
}

impl PlannedRun {
    /// How long after the slot it is claimed.
    pub fn lateness(&self, now: Timestamp) -> TimeDelta {
        now - self.slot.at
    }
}

/// Plans the slots from `due`, the stored next run, to `now`.
///
/// A `due` that is no slot of the timing (a row of an older program) is not run: the walk starts there.
pub fn plan(timing: &Timing, policy: MissedRunPolicy, due: Timestamp, now: Timestamp) -> Plan {
    let mut passed = VecDeque::new();
    let mut folded: Option<PlannedRun> = None;
    let mut next_run = None;
    for slot in timing.cron.after(&timing.zone, due - TimeDelta::microseconds(1)) {
        if slot.at > now {
            next_run = Some(slot.at);
            break;
        }
        passed.push_back(slot);
        // The folded row is one of those allowed; the latest slot may be missed too.
        if passed.len() >= MISSED_ROWS {
            let slots = folded.map_or(0, |run| run.slots) + 1;
            folded = passed.pop_front().map(|slot| PlannedRun { slot, state: RunState::Missed, slots });
        }
    }

    let latest = passed.pop_back().map(|slot| {
        let runs = now - slot.at <= LATE || policy == MissedRunPolicy::RunOnce;
        PlannedRun { slot, state: if runs { RunState::Pending } else { RunState::Missed }, slots: 1 }
    });
    let missed = passed.into_iter().map(|slot| PlannedRun { slot, state: RunState::Missed, slots: 1 });
    Plan { runs: folded.into_iter().chain(missed).chain(latest).collect(), next_run }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap() + TimeDelta::minutes(minute)
    }

    fn planned(cron: &str, policy: MissedRunPolicy, due: i64, now: Timestamp) -> Plan {
        plan(&Timing::parse(cron, "UTC").expect("a timing"), policy, at(due), now)
    }

    fn states(plan: &Plan) -> Vec<(Timestamp, RunState)> {
        plan.runs.iter().map(|run| (run.slot.at, run.state)).collect()
    }

    #[test]
    fn a_slot_runs_and_the_next_one_is_known() {
        let plan = planned("* * * * *", MissedRunPolicy::Skip, 0, at(0) + TimeDelta::milliseconds(3));
        assert_eq!(states(&plan), [(at(0), RunState::Pending)]);
        assert_eq!(plan.next_run, Some(at(1)));
    }

    #[test]
    fn within_five_minutes_and_before_its_successor_a_slot_is_late_not_missed() {
        for policy in [MissedRunPolicy::Skip, MissedRunPolicy::RunOnce] {
            assert_eq!(states(&planned("0 * * * *", policy, 0, at(5))), [(at(0), RunState::Pending)]);
            assert_eq!(
                states(&planned("*/2 * * * *", policy, 0, at(3))),
                [(at(0), RunState::Missed), (at(2), RunState::Pending)]
            );
        }
    }

    #[test]
    fn after_five_minutes_the_policy_decides() {
        let now = at(5) + TimeDelta::seconds(1);
        assert_eq!(states(&planned("0 * * * *", MissedRunPolicy::Skip, 0, now)), [(at(0), RunState::Missed)]);
        assert_eq!(states(&planned("0 * * * *", MissedRunPolicy::RunOnce, 0, now)), [(at(0), RunState::Pending)]);
    }

    #[test]
    fn missed_slots_beyond_a_day_of_minutes_are_folded_and_counted() {
        let now = at(2000) + TimeDelta::seconds(1);
        let plan = planned("* * * * *", MissedRunPolicy::RunOnce, 0, now);
        assert_eq!(plan.runs.iter().map(|run| run.slots).sum::<i64>(), 2001);
        assert_eq!(plan.runs.len(), MISSED_ROWS);
        assert_eq!(plan.runs[0].slots, 2001 - (MISSED_ROWS as i64 - 1));
        assert_eq!(plan.runs[0].slot.at, at(2001 - MISSED_ROWS as i64));
        assert_eq!(plan.runs.iter().filter(|run| run.state == RunState::Pending).count(), 1);
    }

    #[test]
    fn a_stored_time_that_is_no_slot_does_not_fire() {
        let plan = planned("0 * * * *", MissedRunPolicy::RunOnce, 7, at(10));
        assert_eq!(plan, Plan { runs: vec![], next_run: Some(at(60)) });
    }
}

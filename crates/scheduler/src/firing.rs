//! Decides the fate of slots of a due schedule. Pure; the store calls it with the schedule's row locked.

use std::collections::VecDeque;

use agis_base::{OperationId, ScheduleId, ServerId, Span, Timestamp, UserId, words};
use chrono::{NaiveDateTime, TimeDelta};

use crate::{
    chain::{StepRun, StepState},
    occurrence::Slot,
    schedule::{Action, MissedRunPolicy, Timing, Trigger},
    work::{Kind, PlannedStep},
};

/// Maximum lateness at which a slot runs whatever the policy says, if its successor is not due yet.
pub const LATE: TimeDelta = TimeDelta::minutes(5);

/// Maximum number of rows for the missed slots of one claim; the oldest slots share one row.
pub const MISSED_ROWS: usize = 1440;

/// Time that runs are remembered after their end.
pub const KEPT_FOR: TimeDelta = TimeDelta::days(90);

/// Approximate number of runs that are remembered per schedule. A schedule has more within [`KEPT_FOR`] only if it runs
/// more often than once an hour.
pub const RUNS_KEPT: i32 = 2000;

/// Reason of a missed slot.
pub const SCHEDULER_UNAVAILABLE: &str = "scheduler_unavailable";

/// Reason of a skipped slot: it was planned, and today's time zone data no longer has it.
pub const TIME_ZONE_CHANGED: &str = "time_zone_changed";

/// Reason of a skipped slot: the schedule's timing changed, or it was disabled, after the slot was due and before it
/// was claimed.
pub const SCHEDULE_CHANGED: &str = "schedule_changed";

/// Slot of a schedule that fires. A second firing of the same slot never exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FiringId {
    /// Schedule that fired.
    pub schedule: ScheduleId,
    /// Slot of the schedule.
    pub slot: Timestamp,
}

/// Firing that is to become an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// The firing.
    pub id: FiringId,
    /// Id of its future operation. The claim chooses the id, so repeated attempts create one operation.
    pub operation: OperationId,
    /// Server to act on, if it is one.
    pub server: Option<ServerId>,
    /// User in whose name it acts.
    pub owner: UserId,
    /// Kind of its run. [`Kind::Steps`] and [`Kind::Servers`] become no operation of their own.
    pub kind: Kind,
}

words! {
    /// State of a firing.
    RunState {
        /// The firing's operation has not ended.
        Pending = "pending",
        /// The firing's operation succeeded.
        Succeeded = "succeeded",
        /// The firing's operation failed.
        Failed = "failed",
        /// There was nothing to do.
        Skipped = "skipped",
        /// No scheduler ran when the slot was due.
        Missed = "missed",
    }
}

impl RunState {
    /// Returns the `status` label of `agis_bot_scheduler_executions_total`.
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

/// Line of a schedule's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Slot of the run.
    pub slot: Timestamp,
    /// Local times that met in the slot, if there are several.
    pub local_slots: Vec<NaiveDateTime>,
    /// State of the run.
    pub state: RunState,
    /// Reason of its end.
    pub reason: Option<String>,
    /// Time between the slot and its claim.
    pub lateness: TimeDelta,
    /// Number of slots in this line: 1, or more if old missed slots were folded.
    pub slots: i64,
    /// Kind of the run.
    pub kind: Kind,
    /// Server of a run that is part of one on many servers.
    pub server: Option<ServerId>,
    /// Operation of the run; a run with steps has one for each of them that acts.
    pub operation: Option<OperationId>,
    /// Time of its end.
    pub ended_at: Option<Timestamp>,
}

impl Run {
    /// Returns the only step of a run that is one operation.
    pub(crate) fn step(&self, action: Action) -> StepRun {
        let state = match (self.state, self.operation) {
            (RunState::Pending, None) => StepState::Waiting,
            (RunState::Pending, Some(_)) => StepState::Running,
            (RunState::Succeeded, _) => StepState::Succeeded,
            (RunState::Failed, _) => StepState::Failed,
            (RunState::Skipped | RunState::Missed, _) => StepState::Skipped,
        };
        StepRun {
            step: PlannedStep::power(action),
            state,
            reason: self.reason.clone(),
            operation: self.operation,
            started_at: self.operation.map(|_| self.slot + self.lateness),
            ended_at: self.ended_at,
            postponed: Span::ZERO,
        }
    }
}

/// Run with its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunWithSteps {
    /// The run.
    pub run: Run,
    /// Its steps in order; none before it has begun.
    pub steps: Vec<StepRun>,
    /// Its runs on each server in their order, if it is one on many; none before they are chosen.
    pub parts: Vec<PartRun>,
}

/// Run on one of many servers, which is a run with steps by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRun {
    /// Its slot, which follows that of the whole by microseconds.
    pub slot: Timestamp,
    /// The server.
    pub server: ServerId,
    /// Name of the server today; empty if it is gone.
    pub name: String,
    /// State of the run.
    pub state: RunState,
    /// Reason of its end.
    pub reason: Option<String>,
    /// Time of its turn; `None` while that is to come.
    pub begun_at: Option<Timestamp>,
    /// Time of its end.
    pub ended_at: Option<Timestamp>,
}

/// Rows to write for a due schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Slots in order. At most the last one is [`RunState::Pending`].
    pub runs: Vec<PlannedRun>,
    /// Next slot to fire; `None` if there is none in sight.
    pub next_run: Option<Timestamp>,
    /// Older runs may be forgotten; set if the schedule runs so often that its runs would become too many.
    pub forget_before: Option<Timestamp>,
}

/// Earlier plan of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Next slot to fire.
    pub due: Timestamp,
    /// Time of the plan: every slot up to then is handled. `None` in rows of older programs.
    pub since: Option<Timestamp>,
    /// Version of the time zone data of the plan; empty if unknown.
    pub zone_version: String,
}

/// Slot to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRun {
    /// The slot.
    pub slot: Slot,
    /// [`RunState::Pending`], [`RunState::Missed`] or [`RunState::Skipped`].
    pub state: RunState,
    /// Reason, unless the slot runs.
    pub reason: Option<&'static str>,
    /// Number of slots that it stands for.
    pub slots: i64,
}

impl PlannedRun {
    /// Returns the time between the slot and its claim.
    pub fn lateness(&self, now: Timestamp) -> TimeDelta {
        now - self.slot.at
    }
}

impl PlannedRun {
    /// Plans a slot that has no successor yet.
    fn due(slot: Slot, policy: MissedRunPolicy, now: Timestamp) -> Self {
        let runs = now - slot.at <= LATE || policy == MissedRunPolicy::RunOnce;
        Self::new(slot, if runs { RunState::Pending } else { RunState::Missed })
    }

    /// Plans a slot that a person, for this reason, lets pass.
    pub fn skipped(at: Timestamp, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..Self::new(Slot { at, local: vec![] }, RunState::Skipped) }
    }

    fn new(slot: Slot, state: RunState) -> Self {
        let reason = (state == RunState::Missed).then_some(SCHEDULER_UNAVAILABLE);
        Self { slot, state, reason, slots: 1 }
    }
}

/// Plans the slots that have passed and the next one.
///
/// If the plan was made by older time zone data, today's data decides again about the slots since then. A planned slot
/// that has passed and that today's data lacks is skipped, with a row. A slot planned by newer data (of another
/// process) runs.
///
/// A due moment that is no whole second was never planned: it only says where to begin (take-over of the Go version).
///
/// A schedule that fires once has its instant as the only slot, and no next run once that has passed.
pub fn plan(trigger: &Trigger, policy: MissedRunPolicy, standing: &Standing, now: Timestamp) -> Plan {
    match trigger {
        Trigger::Cron(timing) => plan_slots(timing, policy, standing, now),
        Trigger::At(at) if *at > now => Plan { runs: vec![], next_run: Some(*at), forget_before: None },
        Trigger::At(at) => {
            let run = PlannedRun::due(Slot { at: *at, local: vec![] }, policy, now);
            Plan { runs: vec![run], next_run: None, forget_before: None }
        }
    }
}

fn plan_slots(timing: &Timing, policy: MissedRunPolicy, standing: &Standing, now: Timestamp) -> Plan {
    let Standing { due, since, zone_version } = standing;
    let (due, ours) = (*due, timing.zone.version());
    let (same, older) = (zone_version == ours.as_str(), ours.replaces(zone_version));
    let before = due - TimeDelta::microseconds(1);
    let from = since.filter(|_| older).map_or(before, |since| since.min(before));
    let is_slot = timing.cron.after(&timing.zone, before).next().is_some_and(|slot| slot.at == due);
    let is_lost = due <= now && !is_slot && due.timestamp_subsec_nanos() == 0;
    let lost = is_lost.then(|| Slot { at: due, local: vec![timing.zone.local(due).naive_local()] });

    let mut passed = VecDeque::new();
    let mut folded: Option<PlannedRun> = None;
    let mut next_run = None;
    let stands = lost.clone().filter(|_| !same && !older);
    for slot in stands.into_iter().chain(timing.cron.after(&timing.zone, from)) {
        if slot.at > now {
            next_run = Some(slot.at);
            break;
        }
        passed.push_back(slot);
        // The folded row counts towards the maximum; the latest slot may be missed too.
        if passed.len() >= MISSED_ROWS {
            let slots = folded.map_or(0, |run| run.slots) + 1;
            folded = passed.pop_front().map(|slot| PlannedRun { slots, ..PlannedRun::new(slot, RunState::Missed) });
        }
    }

    let latest = passed.pop_back().map(|slot| PlannedRun::due(slot, policy, now));
    let often = next_run.zip(latest.as_ref()).map(|(next, run)| (next - run.slot.at) * RUNS_KEPT);
    let forget_before = often.filter(|kept| *kept < KEPT_FOR).map(|kept| now - kept);
    let missed = passed.into_iter().map(|slot| PlannedRun::new(slot, RunState::Missed));
    let skipped = lost
        .filter(|_| same || older)
        .map(|slot| PlannedRun { reason: Some(TIME_ZONE_CHANGED), ..PlannedRun::new(slot, RunState::Skipped) });
    let runs = folded.into_iter().chain(missed).chain(skipped).chain(latest).collect();
    Plan { runs, next_run, forget_before }
}

/// Gives up the due slots of a schedule whose trigger changes or that is disabled: none of them runs, and each gets a
/// row.
pub fn give_up(trigger: &Trigger, standing: &Standing, now: Timestamp) -> Vec<PlannedRun> {
    let mut runs = plan(trigger, MissedRunPolicy::Skip, standing, now).runs;
    for run in runs.iter_mut().filter(|run| run.state != RunState::Skipped) {
        (run.state, run.reason) = (RunState::Skipped, Some(SCHEDULE_CHANGED));
    }
    runs
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap() + TimeDelta::minutes(minute)
    }

    fn planned(cron: &str, policy: MissedRunPolicy, due: i64, now: Timestamp) -> Plan {
        let timing = Timing::parse(cron, "UTC").expect("a timing");
        let zone_version = timing.zone.version().to_string();
        plan(&Trigger::Cron(timing), policy, &Standing { due: at(due), since: None, zone_version }, now)
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
    fn slot_within_five_minutes_is_late_not_missed() {
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
    fn excess_missed_slots_are_folded() {
        let now = at(2000) + TimeDelta::seconds(1);
        let plan = planned("* * * * *", MissedRunPolicy::RunOnce, 0, now);
        assert_eq!(plan.runs.iter().map(|run| run.slots).sum::<i64>(), 2001);
        assert_eq!(plan.runs.len(), MISSED_ROWS);
        assert_eq!(plan.runs[0].slots, 2001 - (MISSED_ROWS as i64 - 1));
        assert_eq!(plan.runs[0].slot.at, at(2001 - MISSED_ROWS as i64));
        assert_eq!(plan.runs.iter().filter(|run| run.state == RunState::Pending).count(), 1);
    }

    #[test]
    fn stored_time_that_is_no_slot_has_a_row() {
        let plan = planned("0 * * * *", MissedRunPolicy::RunOnce, 7, at(10));
        assert_eq!(states(&plan), [(at(7), RunState::Skipped)]);
        assert_eq!((plan.runs[0].reason, plan.next_run), (Some(TIME_ZONE_CHANGED), Some(at(60))));
    }

    #[test]
    fn starting_moment_has_no_row() {
        let timing = Timing::parse("0 * * * *", "UTC").expect("a timing");
        let due = at(7) + TimeDelta::microseconds(1234);
        let standing = Standing { due, since: None, zone_version: String::new() };
        let plan = plan(&Trigger::Cron(timing), MissedRunPolicy::RunOnce, &standing, at(10));
        assert_eq!((plan.runs.len(), plan.next_run), (0, Some(at(60))));
    }

    #[test]
    fn one_instant_fires_once() {
        let due = |policy, now| {
            let standing = Standing { due: at(0), since: None, zone_version: String::new() };
            plan(&Trigger::At(at(0)), policy, &standing, now)
        };
        let ahead = due(MissedRunPolicy::Skip, at(-1));
        assert_eq!((states(&ahead), ahead.next_run), (vec![], Some(at(0))));
        for (policy, now, state) in [
            (MissedRunPolicy::Skip, at(5), RunState::Pending),
            (MissedRunPolicy::Skip, at(6), RunState::Missed),
            (MissedRunPolicy::RunOnce, at(600), RunState::Pending),
        ] {
            let plan = due(policy, now);
            assert_eq!((states(&plan), plan.next_run), (vec![(at(0), state)], None));
        }
    }

    #[test]
    fn only_frequent_runs_are_forgotten_early() {
        let kept =
            |cron: &str| planned(cron, MissedRunPolicy::Skip, 0, at(0)).forget_before.map(|before| at(0) - before);
        assert_eq!(kept("* * * * *"), Some(TimeDelta::minutes(2000)));
        assert_eq!(kept("0 * * * *"), Some(TimeDelta::hours(2000)));
        assert_eq!(kept("0 */2 * * *"), None);
        assert_eq!(kept("0 12 * * *"), None);
    }

    /// Vancouver stays on summer time from November 2026 on: 04:00 is 11:00 UTC and not 12:00, as data before 2026 says.
    mod when_time_zone_data_changes {
        use super::*;
        use crate::zone::ZoneData;

        fn utc(text: &str) -> Timestamp {
            text.parse().expect("a time")
        }

        fn vancouver() -> Trigger {
            let zone = ZoneData::built_in().zone("America/Vancouver").expect("a zone");
            Trigger::Cron(Timing { cron: "0 4 * * *".parse().expect("an expression"), zone })
        }

        /// The plan of old data at the claim of the previous day's run.
        fn plan_of(due: &str, since: &str, version: &str, policy: MissedRunPolicy, now: &str) -> Plan {
            let standing = Standing { due: utc(due), since: Some(utc(since)), zone_version: version.to_owned() };
            plan(&vancouver(), policy, &standing, utc(now))
        }

        const DUE: &str = "2026-12-02T12:00:00Z";
        const SINCE: &str = "2026-12-01T12:00:00.02Z";

        #[test]
        fn a_run_that_is_to_come_is_moved() {
            let plan = plan_of(DUE, SINCE, "2025b", MissedRunPolicy::RunOnce, "2026-12-02T09:00:00Z");
            assert_eq!((plan.runs.len(), plan.next_run), (0, Some(utc("2026-12-02T11:00:00Z"))));
        }

        #[test]
        fn run_passed_by_new_data_is_not_lost() {
            for now in ["2026-12-02T11:30:00Z", "2026-12-02T12:00:00.02Z"] {
                for (policy, state) in
                    [(MissedRunPolicy::RunOnce, RunState::Pending), (MissedRunPolicy::Skip, RunState::Missed)]
                {
                    let plan = plan_of(DUE, SINCE, "2025b", policy, now);
                    let run = plan.runs.iter().find(|run| run.slot.at == utc("2026-12-02T11:00:00Z"));
                    assert_eq!(run.map(|run| run.state), Some(state), "{now} {policy:?}");
                    assert_eq!(plan.next_run, Some(utc("2026-12-03T11:00:00Z")));
                }
            }
        }

        #[test]
        fn planned_run_that_is_gone_has_a_row() {
            let plan = plan_of(DUE, SINCE, "2025b", MissedRunPolicy::RunOnce, "2026-12-02T12:00:00.02Z");
            let skipped = plan.runs.iter().find(|run| run.slot.at == utc(DUE)).expect("a row");
            assert_eq!((skipped.state, skipped.reason), (RunState::Skipped, Some(TIME_ZONE_CHANGED)));
        }

        #[test]
        fn a_plan_by_newer_data_stands() {
            let plan = plan_of(DUE, SINCE, "9999z", MissedRunPolicy::RunOnce, "2026-12-02T12:00:00.02Z");
            assert_eq!(states(&plan), [(utc(DUE), RunState::Pending)]);
            assert_eq!(plan.next_run, Some(utc("2026-12-03T11:00:00Z")));
        }

        #[test]
        fn due_run_of_a_changed_schedule_has_a_row() {
            let standing = Standing { due: utc(DUE), since: Some(utc(SINCE)), zone_version: "2025b".into() };
            let runs = give_up(&vancouver(), &standing, utc("2026-12-03T11:30:00Z"));
            let told: Vec<_> = runs.iter().map(|run| (run.slot.at, run.state, run.reason)).collect();
            assert_eq!(
                told,
                [
                    (utc("2026-12-02T11:00:00Z"), RunState::Skipped, Some(SCHEDULE_CHANGED)),
                    (utc(DUE), RunState::Skipped, Some(TIME_ZONE_CHANGED)),
                    (utc("2026-12-03T11:00:00Z"), RunState::Skipped, Some(SCHEDULE_CHANGED)),
                ]
            );
        }
    }
}

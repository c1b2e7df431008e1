//! The bodies and queries of `/schedules`.

use std::ops::Range;

use agis_base::{OperationId, Pace, ScheduleId, ServerId, Timestamp, UserId};
use agis_scheduler::{Run, Schedule, Target, Timing, Work, Zone};
use chrono::{Datelike, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::steps::{self, StepDto, WhenDto};
use crate::{
    body::{Number, nullable},
    page::list_query,
    problem::Problem,
    words,
};

const NEXT_RUNS: usize = 5;
const PREVIEW_MAX: usize = 100;
/// The zone of a schedule that names none.
pub(super) const UTC: &str = "UTC";
/// Outside these years PostgreSQL and chrono disagree.
pub(super) const YEARS: Range<i32> = 1970..10_000;

/// A schedule to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSchedule, examples(json!({
    "server_id": 7, "action": "start", "cron_expression": "30 18 * * 5", "timezone": "Europe/Berlin"
}), json!({
    "server_id": 7, "cron_expression": "0 4 * * *", "timezone": "Europe/Berlin",
    "steps": [{ "do": "command", "command": "save-all", "on_error": "continue" }, { "do": "restart", "warn": ["15m", "5m", "1m"] }],
    "when": { "server": "running", "players": "empty", "defer": "2h" }
}), json!({
    "label": "friday", "at_most": 3, "stagger": "2m", "action": "restart", "cron_expression": "0 5 * * 1"
})))]
pub(crate) struct CreateSchedule {
    /// A server that is yours, or that its owner lets you schedule.
    #[schema(value_type = Option<i32>, minimum = 1)]
    pub(super) server_id: Option<Number<i32>>,
    /// In place of `server_id`: every server of yours, or shared with you, that carries this label when a run is due. Each
    /// gets a run of its own. A key for some servers cannot make such a schedule.
    #[schema(min_length = 1, max_length = 32)]
    pub(super) label: Option<String>,
    /// Beside `label`: the most servers on which a run goes on at a time. Absent: all of them.
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 100)]
    pub(super) at_most: Option<Number<i64>>,
    /// Beside `label`: the time between the beginnings of two servers, such as `2m`, up to `1h`. Absent: none.
    #[schema(max_length = 40)]
    pub(super) stagger: Option<String>,
    /// The short form of one step.
    #[schema(value_type = Option<words::ScheduleAction>)]
    pub(super) action: Option<String>,
    /// The steps of each run, in place of `action`. A step begins when the one before it has ended. Together with
    /// `finally` there are at most ten.
    #[schema(min_items = 1, max_items = 10)]
    pub(super) steps: Option<Vec<StepDto>>,
    /// Steps that follow however the others ended, unless a person ended the run.
    #[schema(max_items = 10)]
    pub(super) finally: Option<Vec<StepDto>>,
    /// Absent: a run that first stops or restarts the server begins only if the server should be running.
    pub(super) when: Option<WhenDto>,
    /// The fate of a run that is due while an earlier one of the schedule has not ended. Absent: `skip`.
    #[schema(value_type = Option<words::Overlap>)]
    pub(super) overlap: Option<String>,
    /// Five fields as in crontab(5), or a nickname such as `@daily`.
    #[schema(min_length = 6, max_length = 100, examples("30 18 * * 5", "*/15 8-22 * * mon-fri", "@daily"))]
    pub(super) cron_expression: Option<String>,
    /// The instant of a schedule that runs once, in place of `cron_expression`.
    #[schema(value_type = Option<String>, format = DateTime, examples("2026-12-24T20:00:00+01:00"))]
    pub(super) at: Option<String>,
    /// The IANA name of a time zone, for `cron_expression`; `at` carries its own offset.
    #[schema(default = "UTC", max_length = 50, examples("Europe/Berlin", "America/New_York", "UTC"))]
    pub(super) timezone: Option<String>,
    /// Whether the schedule fires.
    #[schema(default = true)]
    pub(super) enabled: Option<bool>,
    /// Absent: `run_once`.
    #[schema(value_type = Option<words::MissedRunPolicy>)]
    pub(super) missed_run_policy: Option<String>,
}

/// The fields to change; absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ScheduleChange, examples(json!({ "cron_expression": "0 19 * * 5" }), json!({ "enabled": false })))]
pub(crate) struct ChangeSchedule {
    /// The short form of one step.
    #[schema(value_type = Option<words::ScheduleAction>)]
    pub(super) action: Option<String>,
    /// The steps of each run, in place of `action`.
    #[schema(min_items = 1, max_items = 10)]
    pub(super) steps: Option<Vec<StepDto>>,
    /// Steps that follow however the others ended, unless a person ended the run.
    #[schema(max_items = 10)]
    pub(super) finally: Option<Vec<StepDto>>,
    /// The condition under which a run begins. Null goes back to that of a schedule that names none.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<WhenDto>)]
    pub(super) when: Option<Option<WhenDto>>,
    /// The fate of a run that is due while an earlier one of the schedule has not ended.
    #[schema(value_type = Option<words::Overlap>)]
    pub(super) overlap: Option<String>,
    /// Five fields as in crontab(5), or a nickname such as `@daily`.
    #[schema(min_length = 6, max_length = 100, examples("0 19 * * 5"))]
    pub(super) cron_expression: Option<String>,
    /// The instant of a schedule that runs once, in place of `cron_expression`.
    #[schema(value_type = Option<String>, format = DateTime, examples("2026-12-24T20:00:00+01:00"))]
    pub(super) at: Option<String>,
    /// The IANA name of a time zone.
    #[schema(max_length = 50, examples("Europe/Berlin"))]
    pub(super) timezone: Option<String>,
    /// Whether the schedule fires.
    pub(super) enabled: Option<bool>,
    #[schema(value_type = Option<words::MissedRunPolicy>)]
    pub(super) missed_run_policy: Option<String>,
}

/// A timing to preview.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PreviewRequest, examples(json!({
    "cron_expression": "30 2 * * *", "timezone": "America/New_York", "count": 3
})))]
pub(crate) struct PreviewSchedule {
    /// Five fields as in crontab(5), or a nickname such as `@daily`.
    #[schema(min_length = 6, max_length = 100, examples("30 2 * * *"))]
    pub(super) cron_expression: String,
    /// The IANA name of a time zone.
    #[schema(default = "UTC", max_length = 50, examples("America/New_York"))]
    pub(super) timezone: Option<String>,
    /// Runs after this moment; absent: after now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime, examples("2026-03-07T00:00:00-05:00"))]
    from: Option<String>,
    /// The number of runs to return.
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 100, default = 5)]
    count: Option<Number<i64>>,
    /// Steps to show on the clock, as in a schedule.
    #[schema(min_items = 1, max_items = 10)]
    pub(super) steps: Option<Vec<StepDto>>,
    /// Steps that follow however the others ended.
    #[schema(max_items = 10)]
    pub(super) finally: Option<Vec<StepDto>>,
}

/// Reads an instant of a body.
pub(super) fn instant(field: &str, text: &str) -> Result<Timestamp, Problem> {
    let known = text.parse::<Timestamp>().ok().filter(|at| YEARS.contains(&at.year()));
    known.ok_or_else(|| {
        Problem::invalid_value(field, "is a date and time such as 2026-03-07T00:00:00-05:00, from 1970 to 9999")
    })
}

impl PreviewSchedule {
    pub(super) fn from(&self) -> Result<Timestamp, Problem> {
        self.from.as_deref().map_or_else(|| Ok(Utc::now()), |from| instant("from", from))
    }

    pub(super) fn count(&self) -> Result<usize, Problem> {
        let Some(Number(count)) = self.count else { return Ok(NEXT_RUNS) };
        let count = usize::try_from(count).ok().filter(|count| (1..=PREVIEW_MAX).contains(count));
        count.ok_or_else(|| Problem::invalid_value("count", format!("is 1 to {PREVIEW_MAX}")))
    }
}

list_query! {
    SchedulesQuery {
        /// Schedules of this server.
        #[param(value_type = Option<i32>, minimum = 1)]
        server_id,
        /// Schedules with this action; `steps`: with more than one.
        #[param(value_type = Option<words::RunKind>)]
        action,
        /// True: enabled schedules. False: disabled ones.
        #[param(value_type = Option<bool>)]
        enabled,
    }
}

list_query! {
    ServerSchedulesQuery {
        /// Schedules with this action; `steps`: with more than one.
        #[param(value_type = Option<words::RunKind>)]
        action,
        /// True: enabled schedules. False: disabled ones.
        #[param(value_type = Option<bool>)]
        enabled,
    }
}

list_query! {
    ScheduleRunsQuery {
        /// Runs in this state.
        #[param(value_type = Option<words::RunState>)]
        state,
    }
}

/// A schedule.
#[derive(Serialize, ToSchema)]
#[schema(as = Schedule, examples(json!({
    "id": 3, "server_id": 7, "label": null, "at_most": null, "stagger": null, "actor": "123456789012345678", "action": "start", "steps": [{ "do": "start" }], "finally": [],
    "when": { "server": "any", "players": "any", "defer": null }, "overlap": "skip",
    "cron_expression": "30 18 * * 5", "timezone": "Europe/Berlin", "at": null,
    "enabled": true, "disabled_reason": null, "missed_run_policy": "run_once", "last_run": "2026-11-20T17:30:00Z",
    "next_run": "2026-11-27T17:30:00Z", "next_runs": ["2026-11-27T18:30:00+01:00", "2026-12-04T18:30:00+01:00"], "warnings": [],
    "created_at": "2026-11-01T10:00:00Z", "updated_at": "2026-11-01T10:00:00Z"
})))]
pub(crate) struct ScheduleDto {
    #[schema(value_type = i32, minimum = 1)]
    id: ScheduleId,
    /// Null if it has a `label`.
    #[schema(value_type = Option<i32>, minimum = 1)]
    server_id: Option<ServerId>,
    /// The label of the servers that it acts on. Null if it acts on one.
    label: Option<String>,
    /// The most servers on which a run goes on at a time. Null: all.
    #[schema(minimum = 1)]
    at_most: Option<u32>,
    /// The time between the beginnings of two servers. Null: none.
    stagger: Option<String>,
    /// The Discord id of the user who made it. It acts for them.
    #[schema(value_type = String)]
    actor: UserId,
    /// The action of each run, or `steps` if it is more than one.
    #[schema(value_type = words::RunKind)]
    action: &'static str,
    /// The steps of each run.
    steps: Vec<StepDto>,
    /// Steps that follow however the others ended, unless a person ended the run.
    finally: Vec<StepDto>,
    /// The condition under which a run begins.
    when: WhenDto,
    #[schema(value_type = words::Overlap)]
    overlap: &'static str,
    /// Null if it runs once.
    cron_expression: Option<String>,
    timezone: String,
    /// The instant at which it runs once. Null if it has an expression.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// Whether the schedule fires.
    enabled: bool,
    /// Why AGIS disabled it. Null where a person did, and while it is enabled.
    disabled_reason: Option<String>,
    #[schema(value_type = words::MissedRunPolicy)]
    missed_run_policy: &'static str,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_run: Option<Timestamp>,
    /// Null while the schedule is disabled.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_run: Option<Timestamp>,
    /// The next five runs, with the offset of the schedule's time zone; empty while it is disabled.
    #[schema(max_items = 5)]
    next_runs: Vec<String>,
    /// Reasons why the schedule may not do what you meant. In the answers that make and change it, also that no server carries its
    /// label, or too many.
    warnings: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl ScheduleDto {
    pub(super) fn id(&self) -> ScheduleId {
        self.id
    }

    /// Replaces the warnings.
    pub(super) fn warned(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }
}

impl From<Schedule> for ScheduleDto {
    fn from(schedule: Schedule) -> Self {
        // A schedule of an older version that cannot be parsed has no next runs.
        let next_runs = schedule.trigger().ok().map(|trigger| {
            let zone = trigger
                .timing()
                .map(|timing| timing.zone.clone())
                .or_else(|| Zone::named(&schedule.timezone))
                .or_else(|| Zone::named(UTC));
            let runs = schedule.next_runs(Utc::now(), NEXT_RUNS);
            runs.into_iter().map(|at| zone.as_ref().map_or_else(|| at.to_rfc3339(), |zone| local(at, zone))).collect()
        });
        let warnings = schedule.warnings();
        let server_id = schedule.target.server();
        let (label, pace) = match schedule.target {
            Target::Server(_) => (None, Pace::default()),
            Target::Labelled { label, pace } => (Some(label.to_string()), pace),
        };
        Self {
            id: schedule.id,
            server_id,
            label,
            at_most: pace.at_most,
            stagger: pace.stagger.map(|stagger| stagger.to_string()),
            actor: schedule.owner,
            action: schedule.work.kind().as_str(),
            steps: steps::shown(&schedule.work.steps),
            finally: steps::shown(&schedule.work.finally),
            when: schedule.work.when().into(),
            overlap: schedule.work.overlap.as_str(),
            cron_expression: schedule.cron_expression,
            timezone: schedule.timezone,
            at: schedule.at,
            enabled: schedule.enabled,
            disabled_reason: schedule.disabled_reason,
            missed_run_policy: schedule.missed_run_policy.as_str(),
            last_run: schedule.last_run,
            next_run: schedule.next_run,
            next_runs: next_runs.unwrap_or_default(),
            warnings,
            created_at: schedule.created_at,
            updated_at: schedule.updated_at,
        }
    }
}

/// Entry of a schedule's history.
#[derive(Serialize, ToSchema)]
#[schema(as = Run, examples(json!({
    "slot": "2026-11-20T17:30:00Z", "action": "start", "state": "succeeded", "reason": null, "lateness_ms": 3, "slots": 1,
    "ended_at": "2026-11-20T17:30:04Z",
    "operation_id": "0199d3a0-4b5c-7def-8123-456789abcdef"
})))]
pub(crate) struct RunDto {
    /// The moment at which the run was due.
    #[schema(value_type = String, format = DateTime)]
    slot: Timestamp,
    /// The local times of this moment, where there is more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    local_slots: Vec<NaiveDateTime>,
    /// The action of the run; or `steps`, or `servers` for a run on each server with the label: then
    /// `GET /schedules/{id}/runs/{slot}` shows them.
    #[schema(value_type = words::RunKind)]
    action: &'static str,
    #[schema(value_type = words::RunState)]
    state: &'static str,
    /// Why the run ended in this state.
    reason: Option<String>,
    /// Milliseconds from the slot to the firing.
    lateness_ms: i64,
    /// The number of slots in this entry: more than one where old missed ones were folded.
    #[schema(minimum = 1)]
    slots: i64,
    /// The operation that the run started. Null where it started none, and for a run with steps.
    #[schema(value_type = Option<String>, format = "uuid")]
    operation_id: Option<OperationId>,
    /// Null while it goes on.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
}

impl RunDto {
    pub(super) fn slot(&self) -> Timestamp {
        self.slot
    }
}

impl From<Run> for RunDto {
    fn from(run: Run) -> Self {
        Self {
            slot: run.slot,
            local_slots: run.local_slots,
            action: run.kind.as_str(),
            state: run.state.as_str(),
            reason: run.reason,
            lateness_ms: run.lateness.num_milliseconds(),
            slots: run.slots,
            operation_id: run.operation,
            ended_at: run.ended_at,
        }
    }
}

/// The next runs of a timing.
#[derive(Serialize, ToSchema)]
#[schema(as = Preview, examples(json!({
    "runs": [{
        "at": "2026-03-08T07:00:00Z", "local": "2026-03-08T03:00:00-04:00",
        "steps": [{ "at": "2026-03-08T07:00:00Z", "local": "2026-03-08T03:00:00-04:00", "step": "restart" }]
    }], "warnings": []
})))]
pub(crate) struct PreviewDto {
    runs: Vec<PreviewRun>,
    /// Reasons why the timing may not be what you meant.
    warnings: Vec<String>,
}

/// A future run.
#[derive(Serialize, ToSchema)]
struct PreviewRun {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The same moment, with the offset of the time zone.
    #[schema(format = DateTime)]
    local: String,
    /// Its steps, at the earliest moment of each: an operation takes its time, and a state may be waited for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<PreviewStep>,
}

/// A step on the clock.
#[derive(Serialize, ToSchema)]
struct PreviewStep {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The same moment, with the offset of the time zone.
    #[schema(format = DateTime)]
    local: String,
    /// The step in words, such as `say Back soon` or `wait until empty 2h`.
    step: String,
}

impl PreviewDto {
    pub(super) fn new(timing: &Timing, runs: Vec<Timestamp>, work: Option<&Work>) -> Self {
        let steps = |at| {
            let clock = work.map(|work| work.clock(at)).unwrap_or_default().into_iter();
            let step = |(at, step): (Timestamp, String)| PreviewStep { at, local: local(at, &timing.zone), step };
            clock.map(step).collect()
        };
        let runs = runs.into_iter().map(|at| PreviewRun { at, local: local(at, &timing.zone), steps: steps(at) });
        Self { runs: runs.collect(), warnings: timing.warnings() }
    }
}

fn local(at: Timestamp, zone: &Zone) -> String {
    zone.local(at).to_rfc3339_opts(SecondsFormat::Secs, false)
}

//! `/schedules`

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Json, Path, Query},
};
use agis_base::{OperationId, Reach, ScheduleId, ServerId, Timestamp};
use agis_scheduler::{Action, MissedRunPolicy, NewSchedule, Run, Schedule, ScheduleChange, Timing, store};
use agis_servers as servers;
use chrono::{DateTime, Datelike, NaiveDateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::{
    auth::{Caller, Here, May, ReadSchedules, ReadSchedulesOfServer, Somewhere, WriteSchedules},
    body::Body,
    idempotency::Asking,
    page::{List, PageQuery},
    problem::Problem,
    server::Services,
    servers::act,
};

const NEXT_RUNS: usize = 5;
const PREVIEW_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    server_id: ServerId,
    action: String,
    cron_expression: String,
    #[serde(default = "utc")]
    timezone: String,
    #[serde(default = "yes")]
    enabled: bool,
    missed_run_policy: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    action: Option<String>,
    cron_expression: Option<String>,
    timezone: Option<String>,
    enabled: Option<bool>,
    missed_run_policy: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preview {
    cron_expression: String,
    #[serde(default = "utc")]
    timezone: String,
    count: Option<u16>,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn yes() -> bool {
    true
}

#[derive(Serialize)]
pub(crate) struct ScheduleDto {
    id: ScheduleId,
    server_id: ServerId,
    action: &'static str,
    cron_expression: String,
    timezone: String,
    enabled: bool,
    disabled_reason: Option<String>,
    missed_run_policy: &'static str,
    last_run: Option<Timestamp>,
    next_run: Option<Timestamp>,
    /// With the offset of the schedule's zone.
    next_runs: Vec<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Schedule> for ScheduleDto {
    fn from(schedule: Schedule) -> Self {
        let now = Utc::now();
        // A schedule of an older program that cannot be read has no next runs, and says why elsewhere. One that is
        // disabled shows when it would run.
        let next_runs = schedule.timing().ok().map(|timing| {
            let runs = timing.next_runs(now, NEXT_RUNS);
            runs.into_iter().map(|at| local(at, timing.zone)).collect()
        });
        Self {
            id: schedule.id,
            server_id: schedule.server,
            action: schedule.action.as_str(),
            cron_expression: schedule.cron_expression,
            timezone: schedule.timezone,
            enabled: schedule.enabled,
            disabled_reason: schedule.disabled_reason,
            missed_run_policy: schedule.missed_run_policy.as_str(),
            last_run: schedule.last_run,
            next_run: schedule.next_run,
            next_runs: next_runs.unwrap_or_default(),
            created_at: schedule.created_at,
            updated_at: schedule.updated_at,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct RunDto {
    slot: Timestamp,
    /// The local times that met in this instant, where they are more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    local_slots: Vec<NaiveDateTime>,
    state: &'static str,
    reason: Option<String>,
    lateness_ms: i64,
    /// How many slots this line stands for.
    slots: i64,
    operation_id: Option<OperationId>,
}

impl From<Run> for RunDto {
    fn from(run: Run) -> Self {
        Self {
            slot: run.slot,
            local_slots: run.local_slots,
            state: run.state.as_str(),
            reason: run.reason,
            lateness_ms: run.lateness.num_milliseconds(),
            slots: run.slots,
            operation_id: run.operation,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct PreviewDto {
    runs: Vec<PreviewRun>,
    warnings: Vec<&'static str>,
}

#[derive(Serialize)]
struct PreviewRun {
    at: Timestamp,
    local: String,
}

pub(crate) async fn create(
    caller: May<WriteSchedules, Somewhere>,
    services: Data<Services>,
    asking: Asking,
    body: Body<Create>,
) -> Result<HttpResponse, Problem> {
    let body = body.0;
    caller.reaches(body.server_id)?;
    let new = NewSchedule {
        server: body.server_id,
        owner: caller.user().clone(),
        action: action(&body.action)?,
        timing: Timing::parse(&body.cron_expression, &body.timezone)?,
        enabled: body.enabled,
        missed_run_policy: body.missed_run_policy.as_deref().map(policy).transpose()?.unwrap_or_default(),
    };
    services.servers.controlled(caller.user(), body.server_id).await?;
    let schedule = services.schedules.create(new, asking.once()).await?;
    Ok(HttpResponse::Created()
        .insert_header(("Location", format!("/api/v1/schedules/{}", schedule.id)))
        .json(ScheduleDto::from(schedule)))
}

pub(crate) async fn list(
    caller: May<ReadSchedules, Somewhere>,
    services: Data<Services>,
    page: Query<PageQuery>,
) -> Result<Json<List<ScheduleDto>>, Problem> {
    listed(&caller, caller.reach().clone(), &services, &page, None).await
}

pub(crate) async fn of_server(
    caller: May<ReadSchedulesOfServer, Here>,
    services: Data<Services>,
    server: Path<ServerId>,
    page: Query<PageQuery>,
) -> Result<Json<List<ScheduleDto>>, Problem> {
    services.servers.get(caller.user(), *server).await?;
    listed(&caller, Reach::Every, &services, &page, Some(*server)).await
}

async fn listed(
    caller: &Caller,
    reach: Reach,
    services: &Services,
    page: &PageQuery,
    server: Option<ServerId>,
) -> Result<Json<List<ScheduleDto>>, Problem> {
    let limit = page.limit()?;
    let query = store::Query { owner: caller.user().clone(), reach, server, after: page.after()?, limit };
    let schedules = services.schedules.list(&query).await?;
    let schedules = schedules.into_iter().map(ScheduleDto::from).collect();
    Ok(Json(List::new(schedules, limit, |schedule: &ScheduleDto| schedule.id.to_string())))
}

pub(crate) async fn get(
    caller: May<ReadSchedules, Somewhere>,
    services: Data<Services>,
    id: Path<ScheduleId>,
) -> Result<Json<ScheduleDto>, Problem> {
    Ok(Json(services.schedules.get(caller.user(), caller.reach(), *id).await?.into()))
}

pub(crate) async fn change(
    caller: May<WriteSchedules, Somewhere>,
    services: Data<Services>,
    id: Path<ScheduleId>,
    body: Body<Change>,
) -> Result<Json<ScheduleDto>, Problem> {
    let body = body.0;
    let change = ScheduleChange {
        action: body.action.as_deref().map(action).transpose()?,
        cron_expression: body.cron_expression,
        timezone: body.timezone,
        enabled: body.enabled,
        missed_run_policy: body.missed_run_policy.as_deref().map(policy).transpose()?,
    };
    Ok(Json(services.schedules.change(caller.user(), caller.reach(), *id, &change).await?.into()))
}

pub(crate) async fn delete(
    caller: May<WriteSchedules, Somewhere>,
    services: Data<Services>,
    id: Path<ScheduleId>,
) -> Result<HttpResponse, Problem> {
    services.schedules.delete(caller.user(), caller.reach(), *id).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(crate) async fn run_now(
    caller: May<WriteSchedules, Somewhere>,
    services: Data<Services>,
    id: Path<ScheduleId>,
    http: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let schedule = services.schedules.get(caller.user(), caller.reach(), *id).await?;
    let action = match schedule.action {
        Action::Start => servers::Action::Start,
        Action::Stop => servers::Action::Stop,
        Action::Restart => servers::Action::Restart,
    };
    act(&caller, &services, &http, schedule.server, action).await
}

pub(crate) async fn runs(
    caller: May<ReadSchedules, Somewhere>,
    services: Data<Services>,
    id: Path<ScheduleId>,
    page: Query<PageQuery>,
) -> Result<Json<List<RunDto>>, Problem> {
    let limit = page.limit()?;
    let before: Option<DateTime<Utc>> = page.after()?;
    // Beyond these years Postgres and chrono do not understand each other.
    if before.is_some_and(|before| !(1970..10_000).contains(&before.year())) {
        return Err(PageQuery::invalid_cursor());
    }
    let runs = services.schedules.runs(caller.user(), caller.reach(), *id, before, limit).await?;
    let runs = runs.into_iter().map(RunDto::from).collect();
    Ok(Json(List::new(runs, limit, |run: &RunDto| run.slot.to_rfc3339_opts(SecondsFormat::Micros, true))))
}

pub(crate) async fn preview(
    _: May<ReadSchedules, Somewhere>,
    services: Data<Services>,
    body: Body<Preview>,
) -> Result<Json<PreviewDto>, Problem> {
    let body = body.0;
    let count = body.count.map_or(NEXT_RUNS, usize::from);
    if !(1..=PREVIEW_MAX).contains(&count) {
        return Err(Problem::invalid_value("count", format!("is 1 to {PREVIEW_MAX}")));
    }
    let timing = Timing::parse(&body.cron_expression, &body.timezone)?;
    let runs = services.schedules.preview(&timing, Utc::now(), count)?;
    let runs = runs.into_iter().map(|at| PreviewRun { at, local: local(at, timing.zone) }).collect();
    Ok(Json(PreviewDto { runs, warnings: timing.cron.warning().into_iter().collect() }))
}

fn local(at: Timestamp, zone: Tz) -> String {
    at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false)
}

fn action(word: &str) -> Result<Action, Problem> {
    Action::from_word(word).ok_or_else(|| Problem::invalid_value("action", "is one of: start, stop, restart"))
}

fn policy(word: &str) -> Result<MissedRunPolicy, Problem> {
    let known = MissedRunPolicy::from_word(word);
    known.ok_or_else(|| Problem::invalid_value("missed_run_policy", "is one of: run_once, skip"))
}

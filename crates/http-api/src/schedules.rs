//! `/schedules`

mod shapes;
mod steps;
pub(crate) mod templates;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    web::{Data, Json, Query},
};
use agis_base::{InvalidLabel, InvalidSpan, Reach, ScheduleId, ServerId, Span, Timestamp};
use agis_scheduler::{
    FiringId, Kind, MissedRunPolicy, NewSchedule, Run, RunState, RunWithSteps, Schedule, ScheduleChange, Target,
    Timing, Trigger, TriggerChange,
    chain::StepState,
    service::{Cancelled, RunNow},
    store::{self, RunsQuery},
    work::{called_off, postponed},
};
use agis_servers::{Origin, Permission, ServersError};
use chrono::{Datelike, SecondsFormat};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::shapes::{
    ChangeSchedule, CreateSchedule, PreviewDto, PreviewSchedule, RunDto, ScheduleRunsQuery, ServerSchedulesQuery, UTC,
    YEARS,
};
pub(crate) use self::shapes::{ScheduleDto, SchedulesQuery};
use self::steps::{Parts, RunWithStepsDto};
use crate::{
    actions,
    auth::{
        Caller, Here, May, ReadSchedules, ReadSchedulesOfServer, ReadServers, Somewhere, WriteSchedules, WriteServers,
    },
    body::Body,
    idempotency::Asking,
    operations::OperationDto,
    page::{self, List, word, yes_or_no},
    path::{Id, Slot},
    power::act,
    problem::Problem,
    services::Services,
};

/// Create a schedule
///
/// The answer shows the next five runs, and warnings. Check that they are what you meant.
#[utoipa::path(
    post, path = "/api/v1/schedules", operation_id = "createSchedule", tag = "schedules", request_body = CreateSchedule,
    responses((status = 201, description = "The schedule.", body = ScheduleDto)),
)]
pub(crate) async fn create(
    caller: May<WriteSchedules, Somewhere>,
    services: Data<Services>,
    asking: Asking,
    body: Body<CreateSchedule>,
) -> Result<HttpResponse, Problem> {
    let body = body.0;
    let target = target(&caller, &body)?;
    let trigger = trigger(body.cron_expression.as_deref(), body.timezone.as_deref(), body.at.as_deref())?;
    let CreateSchedule { action, steps, finally, when, overlap, .. } = body;
    let work = Parts { action, steps, finally, when: when.map(Some), overlap }.work()?;
    let work = work.ok_or_else(|| Problem::invalid_value("action", "is needed, or `steps` for more than one"))?;
    let server = target.server();
    if work.commands() {
        caller.needs::<WriteServers>(|reach| target.is_within(reach))?;
    }
    let new = NewSchedule {
        target,
        owner: caller.user().clone(),
        work,
        trigger,
        enabled: body.enabled.unwrap_or(true),
        missed_run_policy: body.missed_run_policy.as_deref().map(policy).transpose()?.unwrap_or_default(),
    };
    if let Some(server) = server {
        services.servers.allowed(caller.user(), server, Permission::Schedule).await?;
    }
    Ok(made(services.schedules.create(new, asking.once()).await?))
}

/// Answers with a schedule that was made.
pub(crate) fn made(schedule: Schedule) -> HttpResponse {
    HttpResponse::Created()
        .insert_header(("Location", format!("/api/v1/schedules/{}", schedule.id)))
        .json(ScheduleDto::from(schedule))
}

/// List your schedules
///
/// Schedules that you made, and those that others made for your servers. Sorted by id.
#[utoipa::path(
    get, path = "/api/v1/schedules", operation_id = "listSchedules", tag = "schedules", params(SchedulesQuery),
    responses((status = 200, description = "One page of the list.", body = List<ScheduleDto>)),
)]
pub(crate) async fn list(
    caller: May<ReadSchedules, Somewhere>,
    services: Data<Services>,
    query: Query<SchedulesQuery>,
) -> Result<Json<List<ScheduleDto>>, Problem> {
    let (after, limit) = query.piece()?;
    let wanted = store::Query {
        user: caller.user().clone(),
        reach: caller.reach().clone(),
        server: page::server("server_id", query.server_id.as_ref())?,
        kind: word("action", query.action.as_ref(), Kind::ALL, Kind::as_str)?,
        enabled: yes_or_no("enabled", query.enabled.as_ref())?,
        after,
        limit,
    };
    listed(&services, &wanted).await
}

/// List your schedules of a server
///
/// All schedules if the server is yours, otherwise those that you made. Sorted by id.
#[utoipa::path(
    get, path = "/api/v1/servers/{id}/schedules", operation_id = "listServerSchedules", tag = "schedules",
    params(ServerSchedulesQuery),
    responses((status = 200, description = "One page of the list.", body = List<ScheduleDto>)),
)]
pub(crate) async fn of_server(
    caller: May<ReadSchedulesOfServer, Here>,
    services: Data<Services>,
    query: Query<ServerSchedulesQuery>,
) -> Result<Json<List<ScheduleDto>>, Problem> {
    let (after, limit) = query.piece()?;
    let wanted = store::Query {
        user: caller.user().clone(),
        reach: Reach::Every,
        server: Some(caller.server()),
        kind: word("action", query.action.as_ref(), Kind::ALL, Kind::as_str)?,
        enabled: yes_or_no("enabled", query.enabled.as_ref())?,
        after,
        limit,
    };
    services.servers.get(caller.user(), caller.server()).await?;
    listed(&services, &wanted).await
}

async fn listed(services: &Services, query: &store::Query) -> Result<Json<List<ScheduleDto>>, Problem> {
    let schedules = services.schedules.list(query).await?;
    let schedules = schedules.into_iter().map(ScheduleDto::from).collect();
    Ok(Json(List::new(schedules, query.limit, ScheduleDto::id)))
}

/// Get a schedule
#[utoipa::path(
    get, path = "/api/v1/schedules/{id}", operation_id = "getSchedule", tag = "schedules",
    responses((status = 200, description = "The schedule.", body = ScheduleDto)),
)]
pub(crate) async fn get(
    caller: May<ReadSchedules, Somewhere>,
    services: Data<Services>,
    Id(id): Id<ScheduleId>,
) -> Result<Json<ScheduleDto>, Problem> {
    Ok(Json(services.schedules.get(caller.user(), caller.reach(), id).await?.into()))
}

/// Change a schedule
///
/// A new timing, or enabling, counts from now: earlier times are not missed runs. You can only disable a schedule that
/// somebody else made for your server. Its server, or its label and pace, stay.
#[utoipa::path(
    patch, path = "/api/v1/schedules/{id}", operation_id = "changeSchedule", tag = "schedules", request_body = ChangeSchedule,
    responses((status = 200, description = "The schedule as it is now.", body = ScheduleDto)),
)]
pub(crate) async fn change(
    caller: May<WriteSchedules, Somewhere>,
    services: Data<Services>,
    Id(id): Id<ScheduleId>,
    body: Body<ChangeSchedule>,
) -> Result<Json<ScheduleDto>, Problem> {
    let body = body.0;
    let at = body.at.as_deref().map(|at| shapes::instant("at", at)).transpose()?;
    if at.is_some() && body.cron_expression.is_some() {
        return Err(Problem::invalid_value("at", ONE_TRIGGER));
    }
    if at.is_some() && body.timezone.is_some() {
        return Err(Problem::invalid_value("timezone", OWN_OFFSET));
    }
    let ChangeSchedule { action, steps, finally, when, overlap, .. } = body;
    let work = Parts { action, steps, finally, when, overlap }.change()?;
    if work.commands() {
        let schedule = services.schedules.get(caller.user(), caller.reach(), id).await?;
        caller.needs::<WriteServers>(|reach| schedule.target.is_within(reach))?;
    }
    let change = ScheduleChange {
        work,
        trigger: TriggerChange { cron_expression: body.cron_expression, timezone: body.timezone, at },
        enabled: body.enabled,
        missed_run_policy: body.missed_run_policy.as_deref().map(policy).transpose()?,
    };
    Ok(Json(services.schedules.change(caller.user(), caller.reach(), id, &change).await?.into()))
}

/// Delete a schedule
///
/// Deletes its history too.
#[utoipa::path(
    delete, path = "/api/v1/schedules/{id}", operation_id = "deleteSchedule", tag = "schedules",
    responses((status = 204, description = "Deleted.")),
)]
pub(crate) async fn delete(
    caller: May<WriteSchedules, Somewhere>,
    services: Data<Services>,
    Id(id): Id<ScheduleId>,
) -> Result<HttpResponse, Problem> {
    services.schedules.delete(caller.user(), caller.reach(), id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Run a schedule now
///
/// Does its work now, even while it is disabled, if the condition of its runs is met. Its next run stays as it is. A single
/// action is done in your name, and the answer is its operation. Steps are done in the name of the schedule's maker, and
/// the answer is the run.
#[utoipa::path(
    post, path = "/api/v1/schedules/{id}/run", operation_id = "runSchedule", tag = "schedules",
    responses((status = 202, description = "The operation, or the run, to follow.", body = inline(RunNowDto))),
)]
pub(crate) async fn run_now(
    caller: May<WriteSchedules, Somewhere>,
    services: Data<Services>,
    Id(id): Id<ScheduleId>,
    asking: Asking,
    http: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let schedule = services.schedules.get(caller.user(), caller.reach(), id).await?;
    if schedule.work.commands() {
        caller.needs::<WriteServers>(|reach| schedule.target.is_within(reach))?;
    }
    if schedule.kind().action().is_none() {
        if let Some(server) = schedule.target.server() {
            services.servers.allowed(caller.user(), server, Permission::Schedule).await?;
        }
        asking.venture(&services.idempotency, id.0).await?;
    }
    match services.schedules.run_now(caller.user(), caller.reach(), id).await? {
        RunNow::Action(server, action) => act(&caller, &services, &http, server, action.into()).await,
        RunNow::Run(run) => {
            let begun = services.schedules.run(caller.user(), caller.reach(), run).await?;
            let location = format!("/api/v1/schedules/{id}/runs/{}", Cursor(run.slot));
            Ok(HttpResponse::Accepted().insert_header(("Location", location)).json(RunWithStepsDto::from(begun)))
        }
    }
}

/// The answer to a run of now.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the document alone needs it: each of them answers by itself")]
enum RunNowDto {
    Operation(OperationDto),
    Run(RunWithStepsDto),
}

/// List the runs of a schedule
///
/// Newest first. Runs are deleted 90 days after their end; a schedule that runs more often than hourly keeps about
/// 2,000.
#[utoipa::path(
    get, path = "/api/v1/schedules/{id}/runs", operation_id = "listScheduleRuns", tag = "schedules",
    params(ScheduleRunsQuery),
    responses((status = 200, description = "One page of the list.", body = List<RunDto>)),
)]
pub(crate) async fn runs(
    caller: May<ReadSchedules, Somewhere>,
    services: Data<Services>,
    Id(id): Id<ScheduleId>,
    query: Query<ScheduleRunsQuery>,
) -> Result<Json<List<RunDto>>, Problem> {
    let (before, limit) = query.piece::<Cursor>()?;
    let state = word("state", query.state.as_ref(), RunState::ALL, RunState::as_str)?;
    let wanted = RunsQuery { state, before: before.map(|Cursor(slot)| slot), limit };
    let mut runs = services.schedules.runs(caller.user(), caller.reach(), id, wanted).await?;
    let quoting = runs.iter().any(quotes);
    if quoting && !reads_console(&caller, &services, quoted(&caller, caller.reach(), &services, id).await?).await? {
        runs.iter_mut().filter(|run| quotes(run)).for_each(|run| run.reason = Some("failed".to_owned()));
    }
    let runs = runs.into_iter().map(RunDto::from).collect();
    Ok(Json(List::new(runs, limit, |run: &RunDto| Cursor(run.slot()))))
}

/// Get a run
///
/// Shows each step with its times, its operation and its outcome.
#[utoipa::path(
    get, path = "/api/v1/schedules/{id}/runs/{slot}", operation_id = "getScheduleRun", tag = "schedules",
    params(("slot" = String, Path, format = DateTime, description = "The slot of the run, as the list writes it.")),
    responses((status = 200, description = "The run.", body = RunWithStepsDto)),
)]
pub(crate) async fn run(
    caller: May<ReadSchedules, Somewhere>,
    services: Data<Services>,
    Id(schedule): Id<ScheduleId>,
    Slot(slot): Slot,
) -> Result<Json<RunWithStepsDto>, Problem> {
    let run = services.schedules.run(caller.user(), caller.reach(), FiringId { schedule, slot }).await?;
    Ok(Json(shown(run, &caller, caller.reach(), schedule, &services).await?))
}

/// Cancel a run
///
/// Ends a run with steps, and its announced restart with it. An operation that has begun goes on. The slot in `next_run` of a
/// schedule skips that run: it never begins, and the one behind it becomes the next.
#[utoipa::path(
    post, path = "/api/v1/schedules/{id}/runs/{slot}/cancel", operation_id = "cancelScheduleRun", tag = "schedules",
    params(("slot" = String, Path, format = DateTime, description = "The slot of the run, as the list writes it.")),
    responses((status = 202, description = "The run, which ends.", body = RunWithStepsDto)),
)]
pub(crate) async fn cancel_run(
    caller: May<WriteSchedules, Somewhere>,
    services: Data<Services>,
    Id(schedule): Id<ScheduleId>,
    Slot(slot): Slot,
) -> Result<HttpResponse, Problem> {
    let id = FiringId { schedule, slot };
    let Cancelled { run, announced } = services.schedules.cancel(caller.user(), caller.reach(), id).await?;
    if let Some(action) = announced {
        tell_players(&caller, &services, id, &called_off(action)).await?;
    }
    followed(HttpResponse::Accepted(), run, &caller, caller.reach(), id, &services).await
}

/// Postpone a run
///
/// Puts off the stop or the restart that a run has ahead: the wait before it takes this much longer. Players are told, and the
/// channel of the server's announcements.
#[utoipa::path(
    post, path = "/api/v1/schedules/{id}/runs/{slot}/postpone", operation_id = "postponeScheduleRun", tag = "schedules",
    params(("slot" = String, Path, format = DateTime, description = "The slot of the run, as the list writes it.")),
    request_body = PostponeRun,
    responses((status = 200, description = "The run, with its longer wait.", body = RunWithStepsDto)),
)]
pub(crate) async fn postpone_run(
    caller: May<WriteSchedules, Somewhere>,
    services: Data<Services>,
    Id(schedule): Id<ScheduleId>,
    Slot(slot): Slot,
    asking: Asking,
    body: Body<PostponeRun>,
) -> Result<HttpResponse, Problem> {
    let by: Result<Span, InvalidSpan> = body.0.by.parse();
    let by = by.map_err(|error| Problem::invalid_value("by", error.to_string()))?;
    let id = FiringId { schedule, slot };
    services.schedules.run(caller.user(), caller.reach(), id).await?;
    asking.venture(&services.idempotency, schedule.0).await?;
    let ahead = services.schedules.postpone(caller.user(), caller.reach(), id, by, true).await;
    if ahead.is_err() {
        asking.withdraw(&services.idempotency).await;
    }
    let ahead = ahead?;
    tell_players(&caller, &services, id, &postponed(ahead.action, by)).await?;
    let run = services.schedules.run(caller.user(), caller.reach(), id).await?;
    followed(HttpResponse::Ok(), run, &caller, caller.reach(), id, &services).await
}

/// How long a run is put off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({ "by": "15m" })))]
pub(crate) struct PostponeRun {
    /// A time in whole seconds from 1 s to 24 h, such as `90s`, `15m` or `1h`.
    #[schema(max_length = 40)]
    by: String,
}

/// Tells the players of a run's server something.
async fn tell_players(caller: &Caller, services: &Services, id: FiringId, text: &str) -> Result<(), Problem> {
    let (_, server) = services.schedules.announced(id).await?;
    services.servers.tell_players(caller.user(), server, Origin::Rest, text).await;
    Ok(())
}

/// Answers with a run, and its address.
async fn followed(
    mut answer: HttpResponseBuilder,
    run: RunWithSteps,
    caller: &Caller,
    reach: &Reach,
    id: FiringId,
    services: &Services,
) -> Result<HttpResponse, Problem> {
    let location = format!("/api/v1/schedules/{}/runs/{}", id.schedule, Cursor(id.slot));
    let run = shown(run, caller, reach, id.schedule, services).await?;
    Ok(answer.insert_header(("Location", location)).json(run))
}

/// Leaves out of a run what the caller may not read.
async fn shown(
    mut run: RunWithSteps,
    caller: &Caller,
    reach: &Reach,
    schedule: ScheduleId,
    services: &Services,
) -> Result<RunWithStepsDto, Problem> {
    let quotes = quotes(&run.run) || run.steps.iter().any(|step| step.state == StepState::Failed);
    let server = match run.run.server {
        None if quotes => quoted(caller, reach, services, schedule).await?,
        server => server,
    };
    if quotes && !reads_console(caller, services, server).await? {
        let failed = run.steps.iter_mut().filter(|step| step.state == StepState::Failed).map(|step| &mut step.reason);
        let own = [&mut run.run].into_iter().filter(|run| self::quotes(run)).map(|run| &mut run.reason);
        failed.chain(own).for_each(|reason| *reason = Some("failed".to_owned()));
    }
    for part in run.parts.iter_mut().filter(|part| part.state == RunState::Failed) {
        if !reads_console(caller, services, Some(part.server)).await? {
            part.reason = Some("failed".to_owned());
        }
    }
    Ok(run.into())
}

/// Tells whether the run's reason is the error of its operation, which may quote the console.
fn quotes(run: &Run) -> bool {
    run.state == RunState::Failed && run.reason.is_some()
}

/// Returns the server whose console the runs of a schedule may quote. Runs on many servers only count those.
async fn quoted(
    caller: &Caller,
    reach: &Reach,
    services: &Services,
    id: ScheduleId,
) -> Result<Option<ServerId>, Problem> {
    Ok(services.schedules.get(caller.user(), reach, id).await?.target.server())
}

/// Tells whether the caller may read the console of a server. A schedule stays its maker's after the server is no longer
/// shared with them.
async fn reads_console(caller: &Caller, services: &Services, server: Option<ServerId>) -> Result<bool, Problem> {
    let Some(server) = server else { return Ok(true) };
    if caller.needs::<ReadServers>(|reach| reach.covers(server)).is_err() {
        return Ok(false);
    }
    match services.servers.allowed(caller.user(), server, Permission::Read).await {
        Ok(_) => Ok(true),
        Err(ServersError::NotFound(_) | ServersError::NotAllowed) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Preview a timing
///
/// Stores nothing.
#[utoipa::path(
    post, path = "/api/v1/schedules/preview", operation_id = "previewSchedule", tag = "schedules",
    request_body = PreviewSchedule,
    responses((status = 200, description = "The next runs.", body = PreviewDto)),
)]
pub(crate) async fn preview(
    _: May<ReadSchedules, Somewhere>,
    services: Data<Services>,
    body: Body<PreviewSchedule>,
) -> Result<Json<PreviewDto>, Problem> {
    let body = body.0;
    let timing = Timing::parse(&body.cron_expression, body.timezone.as_deref().unwrap_or(UTC))?;
    let mut runs = services.schedules.preview(&timing, body.from()?, body.count()?)?;
    // RFC 3339 writes a year with four digits.
    runs.retain(|at| YEARS.contains(&at.year()));
    let PreviewSchedule { steps, finally, .. } = body;
    let work = Parts { action: None, steps, finally, when: None, overlap: None }.work()?;
    Ok(Json(PreviewDto::new(&timing, runs, work.as_ref())))
}

const OWN_OFFSET: &str = "is for `cron_expression`: the instant in `at` carries its own offset";
const ONE_TRIGGER: &str = "is for a schedule that runs once; send `at` or `cron_expression`";

fn target(caller: &May<WriteSchedules, Somewhere>, body: &CreateSchedule) -> Result<Target, Problem> {
    match (&body.server_id, &body.label) {
        (Some(server), None) => {
            let paced = [("at_most", body.at_most.is_some()), ("stagger", body.stagger.is_some())];
            if let Some((field, _)) = paced.into_iter().find(|(_, is_there)| *is_there) {
                return Err(Problem::invalid_value(field, "is for a schedule with a `label`"));
            }
            caller.reaches(ServerId(server.0))?;
            Ok(Target::Server(ServerId(server.0)))
        }
        (None, Some(label)) => {
            let label = label.parse().map_err(|error: InvalidLabel| Problem::invalid_value("label", error))?;
            let pace = actions::pace(body.at_most.as_ref(), body.stagger.as_deref())?;
            caller.reaches_all()?;
            Ok(Target::Labelled { label, pace })
        }
        (Some(_), Some(_)) => Err(Problem::invalid_value("label", "is in place of `server_id`; send one of them")),
        (None, None) => Err(Problem::invalid_value("server_id", "is needed, or `label` for all servers that carry it")),
    }
}

fn trigger(cron: Option<&str>, zone: Option<&str>, at: Option<&str>) -> Result<Trigger, Problem> {
    match (cron, at) {
        (Some(_), Some(_)) => Err(Problem::invalid_value("at", ONE_TRIGGER)),
        (Some(cron), None) => Ok(Trigger::Cron(Timing::parse(cron, zone.unwrap_or(UTC))?)),
        (None, Some(_)) if zone.is_some() => Err(Problem::invalid_value("timezone", OWN_OFFSET)),
        (None, Some(at)) => Ok(Trigger::At(shapes::instant("at", at)?)),
        (None, None) => {
            Err(Problem::invalid_value("cron_expression", "is needed, or `at` for a schedule that runs once"))
        }
    }
}

fn policy(word: &str) -> Result<MissedRunPolicy, Problem> {
    let known = MissedRunPolicy::from_word(word);
    known.ok_or_else(|| Problem::invalid_value("missed_run_policy", "is one of: run_once, skip"))
}

/// The position in a list of runs: a slot.
struct Cursor(Timestamp);

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl std::str::FromStr for Cursor {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let slot: Timestamp = text.parse().map_err(|_| Problem::invalid_cursor())?;
        YEARS.contains(&slot.year()).then_some(Self(slot)).ok_or_else(Problem::invalid_cursor)
    }
}

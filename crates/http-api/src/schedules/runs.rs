//! `/schedules/{id}/runs`

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    web::{Data, Json, Query},
};
use agis_base::{InvalidSpan, Reach, ScheduleId, ServerId, Span, Timestamp};
use agis_scheduler::{
    FiringId, Run, RunState, RunWithSteps, SchedulesError,
    chain::{Postponement, StepState},
    service::{PutOff, RunNow},
    store::RunsQuery,
    work::postponed,
};
use agis_servers::{Origin, Permission, ServersError};
use chrono::{Datelike, SecondsFormat};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    shapes::{RunDto, ScheduleRunsQuery, YEARS},
    steps::RunWithStepsDto,
};
use crate::{
    auth::{Caller, May, ReadSchedules, ReadServers, Somewhere, WriteSchedules, WriteServers},
    body::Body,
    idempotency::Asking,
    operations::OperationDto,
    page::{List, word},
    path::{Id, Slot},
    power::act,
    problem::Problem,
    services::Services,
};

/// Run a schedule now
///
/// Does its work now, even while it is disabled, if the condition of its runs is met; a schedule for a label needs servers that
/// carry it, each of which has its own condition. Its next run stays as it is. A single
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
            Ok(HttpResponse::Accepted().insert_header(("Location", location(run))).json(RunWithStepsDto::from(begun)))
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
pub(crate) async fn list(
    caller: May<ReadSchedules, Somewhere>,
    services: Data<Services>,
    Id(id): Id<ScheduleId>,
    query: Query<ScheduleRunsQuery>,
) -> Result<Json<List<RunDto>>, Problem> {
    let (before, limit) = query.piece::<Cursor>()?;
    let state = word("state", query.state.as_ref(), RunState::ALL, RunState::as_str)?;
    let wanted = RunsQuery { state, before: before.map(|Cursor(slot)| slot), limit };
    let mut runs = services.schedules.runs(caller.user(), caller.reach(), id, wanted).await?;
    if runs.iter().any(quotes) {
        // Runs on many servers only count those whose consoles they would quote.
        let server = services.schedules.get(caller.user(), caller.reach(), id).await?.target.server();
        let reads = reads_console(&caller, &services, server).await?;
        runs.iter_mut()
            .filter(|_| !reads)
            .filter(|run| quotes(run))
            .for_each(|run| run.reason = Some("failed".to_owned()));
    }
    let runs = runs.into_iter().map(RunDto::from).collect();
    Ok(Json(List::new(runs, limit, |run: &RunDto| Cursor(run.slot()))))
}

/// Get a run
///
/// Shows each step with its times, its operation and its outcome. Whoever has the permission `schedule` on the server of the
/// run may see it, whoever made its schedule.
#[utoipa::path(
    get, path = "/api/v1/schedules/{id}/runs/{slot}", operation_id = "getScheduleRun", tag = "schedules",
    params(("slot" = String, Path, format = DateTime, description = "The slot of the run, as the list writes it.")),
    responses((status = 200, description = "The run.", body = RunWithStepsDto)),
)]
pub(crate) async fn get(
    caller: May<ReadSchedules, Somewhere>,
    services: Data<Services>,
    Id(schedule): Id<ScheduleId>,
    Slot(slot): Slot,
) -> Result<Json<RunWithStepsDto>, Problem> {
    let id = FiringId { schedule, slot };
    let run = services.schedules.run(caller.user(), caller.reach(), id).await?;
    Ok(Json(shown(run, &caller, caller.reach(), id, &services).await?))
}

/// Cancel a run
///
/// Ends a run with steps, and its announced restart with it. An operation that has begun goes on. The slot in `next_run` of a
/// schedule skips that run: it never begins, and the one behind it becomes the next. Whoever has the permission `schedule` on
/// the server of the run may do this, whoever made its schedule: with the `slot` of the run on that server, if it is one on many.
#[utoipa::path(
    post, path = "/api/v1/schedules/{id}/runs/{slot}/cancel", operation_id = "cancelScheduleRun", tag = "schedules",
    params(("slot" = String, Path, format = DateTime, description = "The slot of the run, as the list writes it.")),
    responses((status = 202, description = "The run, which ends.", body = RunWithStepsDto)),
)]
pub(crate) async fn cancel(
    caller: May<WriteSchedules, Somewhere>,
    services: Data<Services>,
    Id(schedule): Id<ScheduleId>,
    Slot(slot): Slot,
) -> Result<HttpResponse, Problem> {
    let id = FiringId { schedule, slot };
    let run = services.schedules.cancel(caller.user(), caller.reach(), id).await?;
    followed(HttpResponse::Accepted(), run, &caller, caller.reach(), id, &services).await
}

/// Postpone a run
///
/// Puts off the stop or the restart that a run has ahead: the wait before it takes this much longer. Players are told, and the
/// channel of the server's announcements. A run on many servers is put off on those of them where it has one ahead. Whoever
/// has the permission `schedule` on the server of the run may do this, whoever made its schedule.
#[utoipa::path(
    post, path = "/api/v1/schedules/{id}/runs/{slot}/postpone", operation_id = "postponeScheduleRun", tag = "schedules",
    params(("slot" = String, Path, format = DateTime, description = "The slot of the run, as the list writes it.")),
    request_body = PostponeRun,
    responses((status = 200, description = "The run, with its longer wait.", body = PostponedDto)),
)]
pub(crate) async fn postpone(
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
    let put_off = services
        .schedules
        .postpone(caller.user(), caller.reach(), id, &Postponement { by, seen: None, tell: true })
        .await;
    // A store that fails may have put it off before.
    if put_off.as_ref().is_err_and(|error| !matches!(error, SchedulesError::Store(_))) {
        asking.withdraw(&services.idempotency).await;
    }
    let PutOff { servers, others } = put_off?;
    let tell = servers.iter().map(async |(server, ahead)| {
        services.servers.tell_players(caller.user(), *server, Origin::Rest, &postponed(ahead.action, by)).await;
    });
    join_all(tell).await;
    let run = services.schedules.run(caller.user(), caller.reach(), id).await?;
    let run = shown(run, &caller, caller.reach(), id, &services).await?;
    let answer = PostponedDto { run, put_off: servers.len(), not_put_off: others };
    Ok(HttpResponse::Ok().insert_header(("Location", location(id))).json(answer))
}

/// A run that was put off.
#[derive(Serialize, ToSchema)]
#[schema(as = PostponedRun)]
pub(crate) struct PostponedDto {
    #[serde(flatten)]
    run: RunWithStepsDto,
    /// The number of servers whose stop or restart was put off: one, or more of a run on many.
    #[schema(value_type = i32, minimum = 1)]
    put_off: usize,
    /// The number of its other servers.
    #[schema(value_type = i32, minimum = 0)]
    not_put_off: usize,
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

/// Answers with a run, and its address.
async fn followed(
    mut answer: HttpResponseBuilder,
    run: RunWithSteps,
    caller: &Caller,
    reach: &Reach,
    id: FiringId,
    services: &Services,
) -> Result<HttpResponse, Problem> {
    let run = shown(run, caller, reach, id, services).await?;
    Ok(answer.insert_header(("Location", location(id))).json(run))
}

/// Returns the address of a run.
fn location(id: FiringId) -> String {
    format!("/api/v1/schedules/{}/runs/{}", id.schedule, Cursor(id.slot))
}

/// Leaves out of a run what the caller may not read.
async fn shown(
    mut run: RunWithSteps,
    caller: &Caller,
    reach: &Reach,
    id: FiringId,
    services: &Services,
) -> Result<RunWithStepsDto, Problem> {
    let quotes = quotes(&run.run) || run.steps.iter().any(|step| step.state == StepState::Failed);
    let server = match run.run.server {
        None if quotes => services.schedules.of_run(caller.user(), reach, id).await?.target.server(),
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
pub(super) fn quotes(run: &Run) -> bool {
    run.state == RunState::Failed && run.reason.is_some()
}

/// Tells whether the caller may read the console of a server. A schedule stays its maker's after the server is no longer
/// shared with them.
pub(super) async fn reads_console(
    caller: &Caller,
    services: &Services,
    server: Option<ServerId>,
) -> Result<bool, Problem> {
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

/// The position in a list of runs: a slot.
pub(super) struct Cursor(pub(super) Timestamp);

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

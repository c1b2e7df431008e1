//! `/schedules`

pub(crate) mod on_server;
pub(crate) mod runs;
mod shapes;
mod steps;
pub(crate) mod templates;

use actix_web::{
    HttpResponse,
    web::{Data, Json, Query},
};
use agis_base::{InvalidLabel, Reach, ScheduleId, ServerId};
use agis_scheduler::{
    Kind, MissedRunPolicy, NewSchedule, Schedule, ScheduleChange, Target, Timing, Trigger, TriggerChange, store,
};
use agis_servers::{Origin, Permission};
use chrono::Datelike;

use self::shapes::{ChangeSchedule, CreateSchedule, PreviewDto, PreviewSchedule, ServerSchedulesQuery, UTC, YEARS};
pub(crate) use self::shapes::{ScheduleDto, SchedulesQuery};
use self::steps::Parts;
use crate::{
    actions,
    auth::{Here, May, ReadSchedules, ReadSchedulesOfServer, Somewhere, WriteSchedules, WriteServers},
    body::Body,
    idempotency::Asking,
    page::{self, List, word, yes_or_no},
    path::Id,
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
    let schedule = services.schedules.create(new, asking.once()).await?;
    Ok(made(&services, schedule).await)
}

/// Answers with a schedule that was made.
pub(crate) async fn made(services: &Services, schedule: Schedule) -> HttpResponse {
    HttpResponse::Created()
        .insert_header(("Location", format!("/api/v1/schedules/{}", schedule.id)))
        .json(warned(services, schedule).await)
}

/// Adds the warnings that are for the author of a schedule.
async fn warned(services: &Services, schedule: Schedule) -> ScheduleDto {
    let warnings = services.schedules.warnings(&schedule).await;
    ScheduleDto::from(schedule).warned(warnings)
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
        alive: false,
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
        alive: false,
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
/// A new timing, or enabling, counts from now: earlier times are not missed runs. A schedule that has fired once fires again at a
/// new `at`; enabling it without one is refused. A schedule with commands needs the scope `write:servers` too, unless it is
/// only disabled. You can only disable a schedule that
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
    let change = ScheduleChange {
        work,
        trigger: TriggerChange { cron_expression: body.cron_expression, timezone: body.timezone, at },
        enabled: body.enabled,
        missed_run_policy: body.missed_run_policy.as_deref().map(policy).transpose()?,
    };
    let schedule = services.schedules.get(caller.user(), caller.reach(), id).await?;
    // A new time types the commands that are there already.
    if change.work.commands() || (schedule.work.commands() && !change.only_disables()) {
        caller.needs::<WriteServers>(|reach| schedule.target.is_within(reach))?;
    }
    let schedule = services.schedules.change(caller.user(), caller.reach(), id, &change).await?;
    Ok(Json(warned(&services, schedule).await))
}

/// Delete a schedule
///
/// Deletes its history too. While a run of it has stopped its server, and is to start it again, the answer is 409.
#[utoipa::path(
    delete, path = "/api/v1/schedules/{id}", operation_id = "deleteSchedule", tag = "schedules",
    responses((status = 204, description = "Deleted.")),
)]
pub(crate) async fn delete(
    caller: May<WriteSchedules, Somewhere>,
    services: Data<Services>,
    Id(id): Id<ScheduleId>,
) -> Result<HttpResponse, Problem> {
    let off = services.schedules.delete(caller.user(), caller.reach(), id).await?;
    services.servers.tell_players_meanwhile(caller.user(), Origin::Rest, off);
    Ok(HttpResponse::NoContent().finish())
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

//! `/servers/{id}/runs`, and the stop or restart that a server has ahead.

use std::{fmt, str::FromStr};

use actix_web::web::{Data, Json, Query};
use agis_base::{ScheduleId, Timestamp, UserId};
use agis_scheduler::{
    FiringId, RunState,
    store::{ServerAhead, ServerRun, ServerRunsQuery},
};
use agis_servers::Permission;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    runs::{Cursor, quotes, reads_console},
    shapes::{RunDto, ScheduleRunsQuery},
};
use crate::{
    auth::{Here, May, ReadSchedulesOfServer},
    page::{List, word},
    problem::Problem,
    services::Services,
    words,
};

/// A stop or a restart that a run of a schedule has ahead.
#[derive(Serialize, ToSchema)]
#[schema(as = ServerAhead)]
pub(crate) struct AheadDto {
    /// `stop` or `restart`.
    #[schema(value_type = words::ScheduleAction)]
    action: &'static str,
    /// The time at which it follows, unless somebody puts it off.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = i32, minimum = 1)]
    schedule_id: ScheduleId,
    /// The slot of the run: `POST /schedules/{id}/runs/{slot}/cancel` calls it off, `…/postpone` puts it off.
    #[schema(value_type = String, format = DateTime)]
    slot: Timestamp,
    /// The Discord id of the user who made the schedule.
    #[schema(value_type = String)]
    actor: UserId,
}

impl From<ServerAhead> for AheadDto {
    fn from(ServerAhead { run, actor, ahead, .. }: ServerAhead) -> Self {
        Self { action: ahead.action.as_str(), at: ahead.at, schedule_id: run.schedule, slot: run.slot, actor }
    }
}

/// A run on a server.
#[derive(Serialize, ToSchema)]
#[schema(as = ServerRun)]
pub(crate) struct ServerRunDto {
    #[schema(value_type = i32, minimum = 1)]
    schedule_id: ScheduleId,
    /// The Discord id of the user who made the schedule.
    #[schema(value_type = String)]
    actor: UserId,
    /// The label of the schedule, where the run is part of one on every server with that label.
    label: Option<String>,
    #[serde(flatten)]
    run: RunDto,
}

impl From<ServerRun> for ServerRunDto {
    fn from(ServerRun { id, actor, label, run }: ServerRun) -> Self {
        Self { schedule_id: id.schedule, actor, label: label.map(|label| label.to_string()), run: run.into() }
    }
}

/// List the runs on a server
///
/// Newest first, whoever made their schedules; also those that are part of a run on every server with a label. Needs the
/// permission `schedule`. `POST /schedules/{id}/runs/{slot}/cancel` ends one that goes on.
#[utoipa::path(
    get, path = "/api/v1/servers/{id}/runs", operation_id = "listServerRuns", tag = "schedules",
    params(ScheduleRunsQuery),
    responses((status = 200, description = "One page of the list.", body = List<ServerRunDto>)),
)]
pub(crate) async fn list(
    caller: May<ReadSchedulesOfServer, Here>,
    services: Data<Services>,
    query: Query<ScheduleRunsQuery>,
) -> Result<Json<List<ServerRunDto>>, Problem> {
    let server = caller.server();
    let (before, limit) = query.piece::<ServerCursor>()?;
    let state = word("state", query.state.as_ref(), RunState::ALL, RunState::as_str)?;
    services.servers.allowed(caller.user(), server, Permission::Schedule).await?;
    let wanted = ServerRunsQuery { server, state, before: before.map(|ServerCursor(id)| id), limit };
    let mut runs = services.schedules.runs_on(wanted).await?;
    if runs.iter().any(|it| quotes(&it.run)) && !reads_console(&caller, &services, Some(server)).await? {
        let failed = runs.iter_mut().filter(|it| quotes(&it.run));
        failed.for_each(|it| it.run.reason = Some("failed".to_owned()));
    }
    let runs = runs.into_iter().map(ServerRunDto::from).collect();
    let cursor = |it: &ServerRunDto| ServerCursor(FiringId { schedule: it.schedule_id, slot: it.run.slot() });
    Ok(Json(List::new(runs, limit, cursor)))
}

/// Position in a list of runs of several schedules.
struct ServerCursor(FiringId);

impl fmt::Display for ServerCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Cursor(self.0.slot), self.0.schedule)
    }
}

impl FromStr for ServerCursor {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let (slot, schedule) = text.split_once('/').ok_or_else(Problem::invalid_cursor)?;
        let Cursor(slot) = slot.parse()?;
        let schedule = schedule.parse().map_err(|_| Problem::invalid_cursor())?;
        Ok(Self(FiringId { schedule, slot }))
    }
}

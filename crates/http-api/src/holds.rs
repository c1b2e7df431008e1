//! `/servers/{id}/hold`

use actix_web::web::{Data, Json};
use agis_base::{Timestamp, UserId};
use agis_servers::{Hold, NewHold};
use chrono::Utc;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::{Here, May, WriteServers},
    body::BodyOrDefault,
    problem::Problem,
    servers::{ServerDto, shown},
    services::Services,
};

/// A hold to set.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewHold, examples(json!({ "until": "2026-12-01T18:00:00+01:00", "reason": "The map is being built" })))]
pub(crate) struct HoldServer {
    /// A time to come, within a year. Absent or null: until somebody releases the server.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<String>,
    /// The reason, for people, on one line.
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    reason: Option<String>,
}

impl HoldServer {
    fn into_hold(self) -> Result<NewHold, Problem> {
        let read = |until: String| {
            let rule = "is a date and time such as 2026-12-01T18:00:00+01:00";
            until.parse::<Timestamp>().map_err(|_| Problem::invalid_value("until", rule))
        };
        Ok(NewHold { until: self.until.map(read).transpose()?, reason: self.reason })
    }
}

/// The hold of a server.
#[derive(Serialize, ToSchema)]
#[schema(as = Hold, examples(json!({
    "since": "2026-11-29T20:00:00Z", "until": "2026-12-01T17:00:00Z", "reason": "The map is being built",
    "by": "123456789012345678"
})))]
pub(crate) struct HoldDto {
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Null: until somebody releases the server.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    reason: Option<String>,
    /// The Discord id of the user who set it.
    #[schema(value_type = String)]
    by: UserId,
}

impl From<Hold> for HoldDto {
    fn from(Hold { since, until, reason, by }: Hold) -> Self {
        Self { since, until, reason, by }
    }
}

/// Hold a server
///
/// Keeps everything that acts by itself away from the server: runs of its schedules end as `skipped` with the reason
/// `held`, and the supervisor restarts it after a crash only when the hold ends. People start and stop it as before. A new
/// hold takes the place of an earlier one. Needs the permission `schedule`; the hold of somebody else only the owner replaces.
#[utoipa::path(
    post, path = "/api/v1/servers/{id}/hold", operation_id = "holdServer", tag = "servers", request_body = HoldServer,
    responses((status = 200, description = "The server as it is now.", body = ServerDto)),
)]
pub(crate) async fn hold(
    caller: May<WriteServers, Here>,
    services: Data<Services>,
    body: BodyOrDefault<HoldServer>,
) -> Result<Json<ServerDto>, Problem> {
    let hold = body.0.into_hold()?;
    services.servers.hold(caller.user(), caller.server(), hold, Utc::now()).await?;
    shown(&services, caller.user(), caller.server()).await.map(Json)
}

/// Release a server
///
/// Ends the hold, if there is one. A restart that waited for this comes at once. Needs the permission `schedule`; the hold of
/// somebody else only the owner ends.
#[utoipa::path(
    delete, path = "/api/v1/servers/{id}/hold", operation_id = "releaseServer", tag = "servers",
    responses((status = 200, description = "The server as it is now.", body = ServerDto)),
)]
pub(crate) async fn release(
    caller: May<WriteServers, Here>,
    services: Data<Services>,
) -> Result<Json<ServerDto>, Problem> {
    services.servers.release(caller.user(), caller.server(), Utc::now()).await?;
    shown(&services, caller.user(), caller.server()).await.map(Json)
}

//! `/operations`

use actix_web::web::{Data, Json, Query};
use agis_base::{OperationId, ServerId, Timestamp, UserId};
use agis_servers::{
    Action, Operation, State,
    store::{OperationFilter, Page},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::{Here, May, ReadServers, Somewhere},
    page::{List, list_query, word},
    path::Id,
    problem::Problem,
    services::Services,
    words,
};

/// A stored request on a server, and its outcome.
#[derive(Serialize, ToSchema)]
#[schema(as = Operation, examples(json!({
    "id": "0199d3a0-4b5c-7def-8123-456789abcdef", "server_id": 7, "action": "start", "state": "succeeded",
    "origin": "rest", "actor": "123456789012345678", "error": null,
    "progress": null, "image": null, "killed_after_grace": false,
    "created_at": "2026-11-22T19:00:00Z", "finished_at": "2026-11-22T19:00:12Z"
})))]
pub(crate) struct OperationDto {
    #[schema(value_type = String, format = "uuid")]
    id: OperationId,
    #[schema(value_type = i32, minimum = 1)]
    server_id: ServerId,
    #[schema(value_type = words::ServerAction)]
    action: &'static str,
    #[schema(value_type = words::OperationState)]
    state: &'static str,
    #[schema(value_type = words::OperationOrigin)]
    origin: &'static str,
    /// The Discord id of the user who asked.
    #[schema(value_type = String)]
    actor: UserId,
    /// Why it failed. Null unless it failed.
    error: Option<String>,
    /// How it goes on, for people, such as `pulling image: 120 of 480 MB`. Null unless it runs, and where there is
    /// nothing to say.
    #[schema(max_length = 200)]
    progress: Option<String>,
    /// The image that it runs, with its digest. Null before AGIS knows the image, and for games without one.
    #[schema(max_length = 500)]
    image: Option<String>,
    /// Whether the game was killed because it did not end within its grace period; its unsaved data is lost. Null
    /// before the end, and where the host cannot know (Agones).
    killed_after_grace: Option<bool>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Null before the end.
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
}

list_query! {
    OperationsQuery {
        /// Operations in this state.
        #[param(value_type = Option<words::OperationState>)]
        state,
        /// Operations with this action.
        #[param(value_type = Option<words::ServerAction>)]
        action,
    }
}

impl From<Operation> for OperationDto {
    fn from(operation: Operation) -> Self {
        Self {
            id: operation.id,
            server_id: operation.server,
            action: operation.action.as_str(),
            state: operation.state.as_str(),
            origin: operation.origin.as_str(),
            actor: operation.actor,
            error: operation.error,
            progress: operation.progress,
            image: operation.image,
            killed_after_grace: operation.killed_after_grace,
            created_at: operation.created_at,
            finished_at: operation.finished_at,
        }
    }
}

/// Get an operation
#[utoipa::path(
    get, path = "/api/v1/operations/{id}", operation_id = "getOperation", tag = "operations",
    responses((status = 200, description = "The operation as it is now.", body = OperationDto)),
)]
pub(crate) async fn get(
    caller: May<ReadServers, Somewhere>,
    services: Data<Services>,
    Id(id): Id<OperationId>,
) -> Result<Json<OperationDto>, Problem> {
    Ok(Json(services.servers.operation(caller.user(), caller.reach(), id).await?.into()))
}

/// List the operations of a server
///
/// Newest first. Operations are deleted 90 days after their end.
#[utoipa::path(
    get, path = "/api/v1/servers/{id}/operations", operation_id = "listServerOperations", tag = "operations",
    params(OperationsQuery),
    responses((status = 200, description = "One page of the list.", body = List<OperationDto>)),
)]
pub(crate) async fn of_server(
    caller: May<ReadServers, Here>,
    services: Data<Services>,
    query: Query<OperationsQuery>,
) -> Result<Json<List<OperationDto>>, Problem> {
    let (after, limit) = query.piece()?;
    let filter = OperationFilter {
        state: word("state", query.state.as_ref(), State::ALL, State::as_str)?,
        action: word("action", query.action.as_ref(), Action::ALL, Action::as_str)?,
    };
    let operations = services.servers.history(caller.user(), caller.server(), filter, Page { after, limit }).await?;
    let operations = operations.into_iter().map(OperationDto::from).collect();
    Ok(Json(List::new(operations, limit, |operation: &OperationDto| operation.id)))
}

//! `/operations`

use actix_web::web::{Data, Json, Path, Query};
use agis_base::{OperationId, ServerId, Timestamp, UserId};
use agis_servers::{Operation, store::Page};
use serde::Serialize;

use crate::{
    auth::{Here, May, ReadServers, Somewhere},
    page::{List, PageQuery},
    problem::Problem,
    server::Services,
};

#[derive(Serialize)]
pub(crate) struct OperationDto {
    id: OperationId,
    server_id: ServerId,
    action: &'static str,
    state: &'static str,
    origin: &'static str,
    actor: UserId,
    error: Option<String>,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
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
            created_at: operation.created_at,
            finished_at: operation.finished_at,
        }
    }
}

pub(crate) async fn get(
    caller: May<ReadServers, Somewhere>,
    services: Data<Services>,
    id: Path<OperationId>,
) -> Result<Json<OperationDto>, Problem> {
    Ok(Json(services.servers.operation(caller.user(), caller.reach(), *id).await?.into()))
}

pub(crate) async fn of_server(
    caller: May<ReadServers, Here>,
    services: Data<Services>,
    id: Path<ServerId>,
    page: Query<PageQuery>,
) -> Result<Json<List<OperationDto>>, Problem> {
    let limit = page.limit()?;
    let operations = services.servers.history(caller.user(), *id, Page { after: page.after()?, limit }).await?;
    let operations = operations.into_iter().map(OperationDto::from).collect();
    Ok(Json(List::new(operations, limit, |operation: &OperationDto| operation.id.to_string())))
}

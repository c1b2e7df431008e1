//! `/servers`

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Json, Path, Query},
};
use agis_base::{ServerId, Timestamp};
use agis_servers::{Action, NewServer, Origin, Request, Server, ServerChange, store::Page};
use serde::{Deserialize, Serialize};

use crate::{
    auth::{Caller, Here, May, ReadServers, Somewhere, WriteServers},
    body::{Body, nullable},
    idempotency::{self, Asking},
    operations::OperationDto,
    page::{List, PageQuery},
    problem::Problem,
    server::Services,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    name: String,
    game_type: String,
    description: Option<String>,
    #[serde(default)]
    is_public: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    is_public: Option<bool>,
}

#[derive(Serialize)]
pub(crate) struct ServerDto {
    id: ServerId,
    name: String,
    game_type: String,
    status: &'static str,
    address: Option<String>,
    port: Option<u16>,
    error: Option<String>,
    cost_per_hour: i32,
    is_public: bool,
    description: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Server> for ServerDto {
    fn from(server: Server) -> Self {
        let (address, port) = server.endpoint.map(|endpoint| (endpoint.address, endpoint.port)).unzip();
        Self {
            id: server.id,
            name: server.name,
            game_type: server.game_type,
            status: server.status.as_str(),
            address,
            port,
            error: server.error,
            cost_per_hour: server.cost_per_hour,
            is_public: server.is_public,
            description: server.description,
            created_at: server.created_at,
            updated_at: server.updated_at,
        }
    }
}

pub(crate) async fn create(
    caller: May<WriteServers>,
    services: Data<Services>,
    asking: Asking,
    body: Body<Create>,
) -> Result<HttpResponse, Problem> {
    let Create { name, game_type, description, is_public } = body.0;
    let new = NewServer { name, game_type, description, is_public };
    let server = services.servers.create(caller.user(), new, asking.once()).await?;
    Ok(HttpResponse::Created()
        .insert_header(("Location", format!("/api/v1/servers/{}", server.id)))
        .json(ServerDto::from(server)))
}

pub(crate) async fn list(
    caller: May<ReadServers, Somewhere>,
    services: Data<Services>,
    page: Query<PageQuery>,
) -> Result<Json<List<ServerDto>>, Problem> {
    let limit = page.limit()?;
    let servers = services.servers.list(caller.user(), caller.reach(), Page { after: page.after()?, limit }).await?;
    let servers = servers.into_iter().map(ServerDto::from).collect();
    Ok(Json(List::new(servers, limit, |server: &ServerDto| server.id.to_string())))
}

pub(crate) async fn get(
    caller: May<ReadServers, Here>,
    services: Data<Services>,
    id: Path<ServerId>,
) -> Result<Json<ServerDto>, Problem> {
    Ok(Json(services.servers.get(caller.user(), *id).await?.into()))
}

pub(crate) async fn change(
    caller: May<WriteServers, Here>,
    services: Data<Services>,
    id: Path<ServerId>,
    body: Body<Change>,
) -> Result<Json<ServerDto>, Problem> {
    let Change { name, description, is_public } = body.0;
    let change = ServerChange { name, description, is_public };
    Ok(Json(services.servers.change(caller.user(), *id, change).await?.into()))
}

macro_rules! actions {
    ($($handler:ident: $action:ident)+) => {
        $(pub(crate) async fn $handler(
            caller: May<WriteServers, Here>,
            services: Data<Services>,
            id: Path<ServerId>,
            http: HttpRequest,
        ) -> Result<HttpResponse, Problem> {
            act(&caller, &services, &http, *id, Action::$action).await
        })+
    };
}
actions! { start: Start stop: Stop restart: Restart delete: Delete }

/// Asks for an operation in the caller's name: 202, and the operation to follow.
pub(crate) async fn act(
    caller: &Caller,
    services: &Services,
    http: &HttpRequest,
    server: ServerId,
    action: Action,
) -> Result<HttpResponse, Problem> {
    let idempotency_key = idempotency::key(http, caller.user())?.map(|key| key.to_string());
    let actor = caller.user().clone();
    let request = Request { server, action, origin: Origin::Rest, actor, idempotency_key };
    let operation = services.servers.request(request).await?;
    Ok(HttpResponse::Accepted()
        .insert_header(("Location", format!("/api/v1/operations/{}", operation.id)))
        .json(OperationDto::from(operation)))
}

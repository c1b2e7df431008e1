//! `/servers`

use std::collections::BTreeMap;

use actix_web::{
    HttpResponse,
    web::{Data, Json, Query},
};
use agis_base::{ServerId, Timestamp, UserId};
use agis_scheduler::store::ServerAhead;
use agis_servers::{
    Access, Label, NewServer, Permission, Server, ServerChange, Servers, Status,
    game::Protocol,
    host::{Abilities, Endpoint, OpenPort},
    label,
    players::{Measured, Players},
    store::{Page, ServerFilter},
};
use chrono::Utc;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    auth::{Here, May, ReadServers, Somewhere, WriteServers},
    body::{Body, nullable},
    holds::HoldDto,
    hosts::InabilityDto,
    idempotency::Asking,
    idle::{ChangeIdle, IdleDto},
    page::{self, List, list_query, text, word, yes_or_no},
    problem::Problem,
    restarts::{ChangeRestartPolicy, RestartDto, RestartPolicyDto},
    schedules::on_server::AheadDto,
    services::Services,
    settings, words,
};

/// A server to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewServer, examples(json!({
    "name": "Tuesday railways", "game_type": "openttd", "description": "Whitelist; ask in #join"
})))]
pub(crate) struct CreateServer {
    /// Text on a single line, with at least one visible character and no invisible ones. It must look different from the names of
    /// your other servers, regardless of case and of space at both ends.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: String,
    /// The `game_type` of a listed game.
    game_type: String,
    /// A text for people.
    #[schema(max_length = 1000, pattern = r"^[^\x00]*$")]
    description: Option<String>,
    /// Whether everybody may see the server.
    #[schema(default = false)]
    is_public: Option<bool>,
    /// Words by which you put servers together, 10 at most: 1 to 32 letters, digits, `-`, `_` or `.`; stored in lower case.
    #[schema(max_items = 10)]
    labels: Option<Vec<String>>,
    /// Values of settings of its game by their names. `PATCH /servers/{id}/settings` changes them.
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    settings: Option<BTreeMap<String, Option<Value>>>,
}

/// The fields to change; absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServerChange, examples(json!({ "name": "Wednesday railways", "description": null })))]
pub(crate) struct ChangeServer {
    /// Text on a single line, with at least one visible character and no invisible ones. It must look different from the names of
    /// your other servers, regardless of case and of space at both ends.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: Option<String>,
    /// Null removes it.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, max_length = 1000, pattern = r"^[^\x00]*$")]
    description: Option<Option<String>>,
    /// Whether everybody may see the server.
    is_public: Option<bool>,
    /// The labels in place of those that it has, 10 at most: 1 to 32 letters, digits, `-`, `_` or `.`; stored in lower case.
    #[schema(max_items = 10)]
    labels: Option<Vec<String>>,
    /// Absent fields of it stay as they are. Null goes back to the policy of the game.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<ChangeRestartPolicy>)]
    restart_policy: Option<Option<ChangeRestartPolicy>>,
    /// The rule by which the server is stopped when nobody plays. Null removes it. The game must tell who plays.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<ChangeIdle>)]
    idle: Option<Option<ChangeIdle>>,
}

/// A port of a server.
#[derive(Serialize, ToSchema)]
#[schema(as = Port)]
pub(crate) struct PortDto {
    /// The name in the catalogue, or in the GameServer of Agones.
    name: String,
    #[schema(minimum = 1)]
    port: u16,
    /// Null if the host does not know.
    #[schema(value_type = Option<words::Protocol>)]
    protocol: Option<&'static str>,
}

impl From<OpenPort> for PortDto {
    fn from(OpenPort { name, port, protocol }: OpenPort) -> Self {
        Self { name, port, protocol: protocol.map(Protocol::as_str) }
    }
}

/// The players of a server. Everything is null while nobody knows: the server does not run, its game does not tell, or its
/// last answer is more than a minute old. Unknown is not zero.
#[derive(Serialize, ToSchema, Default)]
#[schema(as = Players, examples(json!({
    "online": 2, "max": 16, "names": ["Ann", "Bob"], "measured_at": "2026-11-29T12:00:00Z"
})))]
pub(crate) struct PlayersDto {
    /// The number of players, with bots where the game counts them.
    #[schema(minimum = 0)]
    online: Option<u32>,
    /// The maximum number of players. Null if the game does not tell.
    #[schema(minimum = 0)]
    max: Option<u32>,
    /// The names of the players, 256 at most. Null if the game does not tell all of them, and for callers who may not read the
    /// server's console.
    names: Option<Vec<String>>,
    /// The time at which the game was asked.
    #[schema(value_type = Option<String>, format = DateTime)]
    measured_at: Option<Timestamp>,
}

impl From<Measured> for PlayersDto {
    fn from(Measured { players: Players { online, max, names }, at }: Measured) -> Self {
        Self { online: Some(online), max, names, measured_at: Some(at) }
    }
}

/// A game server.
#[derive(Serialize, ToSchema)]
#[schema(as = Server, examples(json!({
    "id": 7, "owner_id": "123456789012345678", "access": "owner",
    "permissions": ["read", "start", "stop", "restart", "schedule"],
    "name": "Tuesday railways", "game_type": "openttd", "status": "running", "address": "203.0.113.7",
    "port": 3979, "ports": [{ "name": "game", "port": 3979, "protocol": "tcp" }], "error": null, "restart": null,
    "restart_policy": { "on": "crash", "max": 5, "within": "10m", "stable_after": "5m" },
    "players": { "online": 2, "max": 16, "names": ["Ann", "Bob"], "measured_at": "2026-11-22T19:05:00Z" }, "abilities": ["console", "past_console", "commands"],
    "inabilities": [], "hold": null, "idle": null,
    "ahead": {
        "action": "restart", "at": "2026-11-22T19:20:00Z", "schedule_id": 3, "slot": "2026-11-22T19:05:00Z",
        "actor": "123456789012345678"
    }, "cost_per_hour": 20, "is_public": false, "labels": ["friday"],
    "description": "Whitelist; ask in #join", "created_at": "2026-11-22T19:00:00Z", "updated_at": "2026-11-22T19:05:00Z"
})))]
pub(crate) struct ServerDto {
    #[schema(value_type = i32, minimum = 1)]
    id: ServerId,
    /// The Discord id of the owner.
    #[schema(value_type = String)]
    owner_id: UserId,
    #[schema(value_type = words::Access)]
    access: &'static str,
    /// The permissions that you have on it, of those that can be shared.
    #[schema(value_type = Vec<words::Permission>)]
    permissions: Vec<&'static str>,
    name: String,
    game_type: String,
    #[schema(value_type = words::ServerStatus)]
    status: &'static str,
    /// The address for players, while the server runs.
    address: Option<String>,
    #[schema(minimum = 1)]
    port: Option<u16>,
    /// Every port of the server that is not for AGIS alone, the one for players first. Empty until the host has told them.
    ports: Vec<PortDto>,
    /// Why it crashed or failed. Null for callers who may not read its console.
    error: Option<String>,
    /// The players. Null while nobody knows, which is not zero.
    players: Option<PlayersDto>,
    /// Everything that can be done with the server, of that in which hosts differ: `console` (its console can be read), `past_console`
    /// (also when it does not run) and `commands` (a line can be typed); later versions may add others. One that is in
    /// neither list is unknown: nobody serves its host, or an earlier version does.
    abilities: Vec<String>,
    /// Everything that cannot be done with the server.
    inabilities: Vec<InabilityDto>,
    /// The next restart of a server that ended by itself and that its restart policy wants to run. Null for every other
    /// server.
    #[schema(value_type = Option<RestartDto>)]
    restart: Option<RestartDto>,
    restart_policy: RestartPolicyDto,
    /// The hold, which keeps schedules and restarts after crashes away. Null if the server is not held, and for callers who
    /// may not read its console.
    #[schema(value_type = Option<HoldDto>)]
    hold: Option<HoldDto>,
    /// The rule by which the server is stopped when nobody plays. Null if it has none, and for callers who may not read its
    /// console.
    #[schema(value_type = Option<IdleDto>)]
    idle: Option<IdleDto>,
    /// The next stop or restart that a run of a schedule has ahead, once its countdown has begun, whoever made the schedule.
    /// Null if there is none, and for callers who may not read the server's console.
    #[schema(value_type = Option<AheadDto>)]
    ahead: Option<AheadDto>,
    /// Credits per hour.
    #[schema(minimum = 0)]
    cost_per_hour: i32,
    /// Whether everybody may see the server.
    is_public: bool,
    /// Words by which its owner puts servers together, in order.
    labels: Vec<String>,
    description: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

list_query! {
    ServersQuery {
        /// Servers with this status.
        #[param(value_type = Option<words::ServerStatus>)]
        status,
        /// Servers of this game.
        #[param(min_length = 1, max_length = 100)]
        game_type,
        /// Servers whose name contains this, regardless of case.
        #[param(min_length = 1, max_length = 100)]
        name,
        /// Servers with this label, regardless of case.
        #[param(min_length = 1, max_length = 32)]
        label,
        /// True: your own servers. False: servers that others share with you.
        #[param(value_type = Option<bool>)]
        owned,
    }
}

impl ServerDto {
    fn of(servers: &Servers, server: Server, access: Access, facts: Facts) -> Self {
        let Facts { abilities, players, ahead, without_gate } = facts;
        let restart_policy = servers.restart_policy(&server).into();
        let now = Utc::now();
        let hold = server.held(now).cloned().map(HoldDto::from);
        let idle = server.idle.map(|idle| IdleDto::of(idle, without_gate, server.cost_per_hour, now));
        let game = servers.catalogue().get(&server.game_type).map(|game| &**game);
        let ports = server.endpoint.iter().flat_map(|at| at.public_ports(game));
        let ports = ports.cloned().map(PortDto::from).collect();
        let (address, port) = server.endpoint.map(|Endpoint { address, port, .. }| (address, port)).unzip();
        Self {
            id: server.id,
            owner_id: server.owner,
            access: access.as_str(),
            permissions: access.permissions().iter().map(Permission::as_str).collect(),
            name: server.name,
            game_type: server.game_type,
            status: server.status.as_str(),
            address,
            port,
            ports,
            error: server.error,
            players: players.map(PlayersDto::from),
            abilities: abilities.able,
            inabilities: abilities.unable.into_iter().map(InabilityDto::from).collect(),
            restart: server.restart.map(RestartDto::from),
            restart_policy,
            hold,
            idle,
            ahead: ahead.map(AheadDto::from),
            cost_per_hour: server.cost_per_hour,
            is_public: server.is_public,
            labels: server.labels.iter().map(Label::to_string).collect(),
            description: server.description,
            created_at: server.created_at,
            updated_at: server.updated_at,
        }
    }
}

/// Facts about a server that other tables tell.
#[derive(Default)]
struct Facts {
    abilities: Abilities,
    players: Option<Measured>,
    ahead: Option<ServerAhead>,
    without_gate: bool,
}

impl Facts {
    /// Returns those of each of these servers, in their order.
    async fn of(services: &Services, servers: &[(&Server, Access)]) -> Result<Vec<Self>, Problem> {
        let all: Vec<_> = servers.iter().map(|(server, _)| *server).collect();
        let abilities = services.servers.abilities(&all).await?;
        let players = services.servers.players(servers).await?;
        let readable = servers.iter().filter(|(_, access)| access.check(Permission::Read.into()).is_ok());
        let readable: Vec<_> = readable.map(|(server, _)| server.id).collect();
        let ahead = services.schedules.ahead(&readable).await?;
        let without_gate = services.servers.without_gate(&all).await?;
        let mut ahead: BTreeMap<_, _> = ahead.into_iter().map(|it| (it.server, it)).collect();
        let facts = all.into_iter().zip(abilities.into_iter().zip(players));
        let of = |(server, (abilities, players)): (&Server, _)| Self {
            abilities,
            players,
            ahead: ahead.remove(&server.id),
            without_gate: without_gate.contains(&server.id),
        };
        Ok(facts.map(of).collect())
    }

    /// Returns those of one server.
    async fn of_one(services: &Services, server: &Server, access: Access) -> Result<Self, Problem> {
        Ok(Self::of(services, &[(server, access)]).await?.pop().unwrap_or_default())
    }
}

/// Completes servers by what other tables tell.
async fn completed(services: &Services, servers: Vec<(Server, Access)>) -> Result<Vec<ServerDto>, Problem> {
    let seen: Vec<_> = servers.iter().map(|(server, access)| (server, *access)).collect();
    let facts = Facts::of(services, &seen).await?;
    let complete = |((server, access), facts)| ServerDto::of(&services.servers, server, access, facts);
    Ok(servers.into_iter().zip(facts).map(complete).collect())
}

/// Completes a server that the caller has just changed. The change is told even if the rest cannot be read.
async fn changed(services: &Services, server: Server) -> ServerDto {
    let facts = Facts::of_one(services, &server, Access::Owner).await.unwrap_or_default();
    ServerDto::of(&services.servers, server, Access::Owner, facts)
}

/// Create a server
///
/// The new server is stopped.
#[utoipa::path(
    post, path = "/api/v1/servers", operation_id = "createServer", tag = "servers", request_body = CreateServer,
    responses((status = 201, description = "The server.", body = ServerDto)),
)]
pub(crate) async fn create(
    caller: May<WriteServers>,
    services: Data<Services>,
    asking: Asking,
    body: Body<CreateServer>,
) -> Result<HttpResponse, Problem> {
    let CreateServer { name, game_type, description, is_public, labels, settings } = body.0;
    // Null stands for the default.
    let settings = settings::values(settings.unwrap_or_default());
    let settings = settings.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let labels = label::read(&labels.unwrap_or_default())?;
    let is_public = is_public.unwrap_or_default();
    let new = NewServer { name, game_type, description, is_public, labels, settings };
    let server = services.servers.create(caller.user(), new, asking.once()).await?;
    Ok(HttpResponse::Created()
        .insert_header(("Location", format!("/api/v1/servers/{}", server.id)))
        .json(changed(&services, server).await))
}

/// List your servers
///
/// Your own servers first, then those that others share with you, each sorted by id. A key for some servers lists only
/// those.
#[utoipa::path(
    get, path = "/api/v1/servers", operation_id = "listServers", tag = "servers", params(ServersQuery),
    responses((status = 200, description = "One page of the list.", body = List<ServerDto>)),
)]
pub(crate) async fn list(
    caller: May<ReadServers, Somewhere>,
    services: Data<Services>,
    query: Query<ServersQuery>,
) -> Result<Json<List<ServerDto>>, Problem> {
    let (after, limit) = query.piece()?;
    let filter = ServerFilter {
        status: word("status", query.status.as_ref(), Status::ALL, Status::as_str)?,
        game_type: text("game_type", query.game_type.as_ref())?,
        name: text("name", query.name.as_ref())?,
        label: page::label("label", query.label.as_ref())?,
        owned: yes_or_no("owned", query.owned.as_ref())?,
    };
    let servers = services.servers.list(caller.user(), caller.reach(), &filter, Page { after, limit }).await?;
    let servers = completed(&services, servers).await?;
    Ok(Json(List::new(servers, limit, |server: &ServerDto| server.id)))
}

/// Get a server
///
/// Returns a server that is yours, is shared with you, or is public.
#[utoipa::path(
    get, path = "/api/v1/servers/{id}", operation_id = "getServer", tag = "servers",
    responses((status = 200, description = "The server.", body = ServerDto)),
)]
pub(crate) async fn get(caller: May<ReadServers, Here>, services: Data<Services>) -> Result<Json<ServerDto>, Problem> {
    shown(&services, caller.user(), caller.server()).await.map(Json)
}

/// Returns a server as this user may see it.
pub(crate) async fn shown(services: &Services, user: &UserId, id: ServerId) -> Result<ServerDto, Problem> {
    let (server, access) = services.servers.get(user, id).await?;
    let facts = Facts::of_one(services, &server, access).await?;
    Ok(ServerDto::of(&services.servers, server, access, facts))
}

/// Get the players on a server
///
/// Everybody who sees the server sees how many play. Who plays is for those who may read its console.
#[utoipa::path(
    get, path = "/api/v1/servers/{id}/players", operation_id = "getServerPlayers", tag = "servers",
    responses((status = 200, description = "The players; each field is null while nobody knows.", body = PlayersDto)),
)]
pub(crate) async fn players(
    caller: May<ReadServers, Here>,
    services: Data<Services>,
) -> Result<Json<PlayersDto>, Problem> {
    let (server, access) = services.servers.get(caller.user(), caller.server()).await?;
    let players = services.servers.players(&[(&server, access)]).await?.pop().flatten();
    Ok(Json(players.map(PlayersDto::from).unwrap_or_default()))
}

/// Change a server
#[utoipa::path(
    patch, path = "/api/v1/servers/{id}", operation_id = "changeServer", tag = "servers", request_body = ChangeServer,
    responses((status = 200, description = "The server as it is now.", body = ServerDto)),
)]
pub(crate) async fn change(
    caller: May<WriteServers, Here>,
    services: Data<Services>,
    body: Body<ChangeServer>,
) -> Result<Json<ServerDto>, Problem> {
    let ChangeServer { name, description, is_public, labels, restart_policy, idle } = body.0;
    let restart_choice =
        restart_policy.map(|policy| policy.map(ChangeRestartPolicy::choice).transpose()).transpose()?;
    let labels = labels.map(|labels| label::read(&labels)).transpose()?;
    let idle = idle.map(|rule| rule.map(ChangeIdle::rule).transpose()).transpose()?;
    let change = ServerChange { name, description, is_public, labels, restart_choice, idle };
    let server = services.servers.change(caller.user(), caller.server(), change).await?;
    Ok(Json(changed(&services, server).await))
}

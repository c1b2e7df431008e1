//! `/hosts`

use actix_web::web::{Data, Json, Query};
use agis_base::Timestamp;
use agis_servers::{
    host::{Contained, Inability, Room, Uncontained},
    store::HostState,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::{May, ReadHosts},
    page::{List, list_query},
    problem::Problem,
    services::Services,
};

/// A place where game servers run: a machine or a cluster.
#[derive(Serialize, ToSchema)]
#[schema(as = Host, examples(json!({
    "name": "games-1", "kind": "process", "served": true, "seen_at": "2026-11-29T12:00:00Z",
    "servers": { "running": 3, "total": 5 },
    "disk": { "free": 12884901888_u64, "size": 42949672960_u64 },
    "memory": { "free": 4294967296_u64, "size": 8589934592_u64 },
    "abilities": ["console", "past_console", "commands", "files"], "inabilities": [],
    "contained": [{ "what": "processes", "by": "a PID namespace for each run" }],
    "missing": [{ "what": "account", "why": "AGIS is not root, so games run under its account" }]
})))]
pub(crate) struct HostDto {
    /// The name, as in `AGIS_HOST_NAME`.
    name: String,
    /// The kind: `process` for a machine, `container` for the container engine of a machine, `agones` for a cluster;
    /// later versions may add others. Null before the first report.
    kind: Option<String>,
    /// Whether a process serves the host: it has reported the host within the last 15 seconds.
    served: bool,
    /// The time of the last report. Null before the first.
    #[schema(value_type = Option<String>, format = DateTime)]
    seen_at: Option<Timestamp>,
    servers: HostServersDto,
    /// The disk of the servers' worlds. Null where the host cannot know.
    disk: Option<RoomDto>,
    /// The memory of the machine. Null where the host cannot know.
    memory: Option<RoomDto>,
    /// The abilities of the host, of those in which kinds of hosts differ: `console` (the console of a run can be read),
    /// `past_console` (also when the run has ended), `commands` (a line can be typed) and `files` (the files of a game's
    /// entry are written before each start); later versions may add others. One that is in neither list is unknown: an
    /// earlier version serves the host, or none has yet.
    abilities: Vec<String>,
    /// The abilities that the host lacks.
    inabilities: Vec<InabilityDto>,
    /// The boundaries that hold around each game.
    contained: Vec<ContainedDto>,
    /// The boundaries that do not hold.
    missing: Vec<UncontainedDto>,
}

/// The number of servers of a host.
#[derive(Serialize, ToSchema)]
#[schema(as = HostServers)]
struct HostServersDto {
    /// Servers that are ready for players.
    #[schema(minimum = 0)]
    running: i64,
    /// All servers.
    #[schema(minimum = 0)]
    total: i64,
}

/// The room of a resource, in bytes.
#[derive(Serialize, ToSchema)]
#[schema(as = Room)]
struct RoomDto {
    /// Bytes that are free.
    #[schema(minimum = 0)]
    free: u64,
    /// Bytes in all.
    #[schema(minimum = 0)]
    size: u64,
}

/// An ability that a host or a server lacks.
#[derive(Serialize, ToSchema)]
#[schema(as = Inability)]
pub(crate) struct InabilityDto {
    /// The ability.
    what: String,
    /// The reason, and what to do instead.
    why: String,
}

impl From<Inability> for InabilityDto {
    fn from(Inability { what, why }: Inability) -> Self {
        Self { what, why }
    }
}

/// A boundary around each game that holds.
#[derive(Serialize, ToSchema)]
#[schema(as = ContainedBoundary)]
struct ContainedDto {
    /// The boundary: `processes`, `files`, `account`, `memory`, `cpu`, `pids`, `disk` or `console`; later versions may
    /// add others.
    what: String,
    /// The means that holds it.
    by: String,
}

/// A boundary around each game that does not hold.
#[derive(Serialize, ToSchema)]
#[schema(as = MissingBoundary)]
struct UncontainedDto {
    /// The boundary.
    what: String,
    /// The reason.
    why: String,
}

impl From<HostState> for HostDto {
    fn from(host: HostState) -> Self {
        let HostState { name, kind, served, seen_at, running, servers, report } = host;
        let report = report.unwrap_or_default();
        let room = |room: Room| RoomDto { free: room.free, size: room.size };
        let contained = |Contained { what, by }| ContainedDto { what, by };
        let missing = |Uncontained { what, why }| UncontainedDto { what, why };
        Self {
            name,
            kind,
            served,
            seen_at,
            servers: HostServersDto { running, total: servers },
            disk: report.disk.map(room),
            memory: report.memory.map(room),
            abilities: report.abilities.able,
            inabilities: report.abilities.unable.into_iter().map(InabilityDto::from).collect(),
            contained: report.containment.contained.into_iter().map(contained).collect(),
            missing: report.containment.missing.into_iter().map(missing).collect(),
        }
    }
}

list_query! {
    HostsQuery {}
}

/// List the hosts
///
/// Sorted by `name`: every host that reported or has servers. For operators: `*` does not include `read:hosts`, which
/// only `agis-api keys create` gives.
#[utoipa::path(
    get, path = "/api/v1/hosts", operation_id = "listHosts", tag = "hosts", params(HostsQuery),
    responses((status = 200, description = "One page of the list.", body = List<HostDto>)),
)]
pub(crate) async fn list(
    _: May<ReadHosts>,
    services: Data<Services>,
    query: Query<HostsQuery>,
) -> Result<Json<List<HostDto>>, Problem> {
    let (after, limit) = query.piece::<String>()?;
    // PostgreSQL holds no text with a NUL, so no host has such a name.
    if after.as_ref().is_some_and(|after| after.contains('\0')) {
        return Err(Problem::invalid_cursor());
    }
    let hosts = services.hosts.hosts(after.as_deref(), limit).await?;
    Ok(Json(List::new(hosts.into_iter().map(HostDto::from).collect(), limit, |host| host.name.clone())))
}

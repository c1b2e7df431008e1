use std::collections::{BTreeSet, HashMap};

use agis_base::{
    Once, Reach, ServerId, StoreError, Timestamp, UserId,
    name::{look_alike, shape},
};
use agis_servers::{
    Access, NewServer, Permission, Permissions, Restart, RestartChoice, RestartOn, Server, ServerChange, Status,
    host::{Endpoint, OpenPort},
    server::Desired,
    store::{Page, ServerFilter, ServerStore, Terms, WriteError},
};
use async_trait::async_trait;
use diesel::{
    dsl::array,
    prelude::*,
    sql_types::{Integer, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{
    db::Db,
    error::Fault,
    games,
    holds::{self, HoldColumns, hold_of_server},
    idle::{self, IdleColumns, idle_of_server},
    json::{IfReadable, Json},
    labels::{self, LabelsColumn, has_label, labels_of_server},
    once,
    schema::{game_servers, now, server_grants},
    shares::{self, Granted},
    stats, users,
    word::{Stored, every, stored},
};

/// Ports of a server.
pub(crate) type PortsColumn = Json<IfReadable<Vec<OpenPort>>>;

#[derive(Queryable, Selectable)]
#[diesel(table_name = game_servers)]
pub(crate) struct ServerRow {
    id: i32,
    discord_id: String,
    name: String,
    game_type: String,
    description: Option<String>,
    is_public: bool,
    #[diesel(select_expression = labels_of_server(), select_expression_type = labels_of_server)]
    labels: Option<LabelsColumn>,
    status: Stored<Status>,
    desired: Stored<Desired>,
    generation: i64,
    status_generation: i64,
    host: Option<String>,
    address: Option<String>,
    port: Option<i32>,
    ports: Option<PortsColumn>,
    error_message: Option<String>,
    restart_policy: Option<Json<IfReadable<RestartChoice>>>,
    restarts: Vec<Timestamp>,
    restart_max: Option<i32>,
    restart_generation: Option<i64>,
    restart_at: Option<Timestamp>,
    #[diesel(select_expression = hold_of_server(), select_expression_type = hold_of_server)]
    hold: Option<HoldColumns>,
    #[diesel(select_expression = idle_of_server(), select_expression_type = idle_of_server)]
    idle: Option<IdleColumns>,
    cost_per_hour: i32,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl ServerRow {
    pub(crate) fn into_server<R>(self) -> Result<Server, Fault<R>> {
        let status = self.status.known("game_servers.status")?;
        let hold = self.hold.map(holds::hold);
        // A restart that was ordered has a newer generation than the published one.
        let waits = [self.restart_generation, Some(self.status_generation)] == [Some(self.generation); 2];
        let restart = match (status, self.restart_max) {
            (Status::Crashed | Status::Failed, Some(of)) if waits => {
                let restarts = u32::try_from(self.restarts.len()).unwrap_or(u32::MAX);
                let attempt = restarts + u32::from(self.restart_at.is_some());
                // A hold postpones it.
                let held_until = hold.as_ref().and_then(|hold| hold.until);
                let at = self.restart_at.map(|at| held_until.map_or(at, |until| at.max(until)));
                Some(Restart { at, attempt, of: of.unsigned_abs() })
            }
            _ => None,
        };
        let desired = self.desired.known("game_servers.desired")?;
        let stopped_at = (status == Status::Stopped && desired == Desired::Stopped).then_some(self.generation);
        let idle = self.idle.and_then(|columns| idle::idle(columns, stopped_at));
        Ok(Server {
            id: ServerId(self.id),
            owner: UserId::from_stored(&self.discord_id),
            name: self.name,
            game_type: self.game_type,
            description: self.description,
            is_public: self.is_public,
            labels: labels::labels(self.labels),
            status,
            desired,
            generation: self.generation,
            host: self.host,
            endpoint: endpoint(self.address, self.port, self.ports),
            error: self.error_message,
            restart_choice: self.restart_policy.and_then(|Json(IfReadable(choice))| choice).unwrap_or_default(),
            restart,
            hold,
            idle,
            cost_per_hour: self.cost_per_hour,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Checks whether this is the first of these ports. An earlier version, which runs beside this one during an update,
/// publishes the first port only.
fn is_led_by(ports: &[OpenPort], port: u16) -> bool {
    matches!(ports, [first, ..] if first.port == port)
}

#[async_trait]
impl ServerStore for Db {
    async fn create(
        &self,
        owner: &UserId,
        new: &NewServer,
        terms: &Terms,
        once: Option<&Once>,
    ) -> Result<Server, WriteError> {
        self.transaction(async |conn| {
            if let Some(id) = once::made(conn, once).await? {
                let row: ServerRow = game_servers::table.find(id).select(ServerRow::as_select()).first(conn).await?;
                return row.into_server();
            }
            users::lock(conn, owner, WriteError::NoUser).await?;
            let own = game_servers::table
                .filter(game_servers::discord_id.eq(owner.as_str()).and(game_servers::deleted_at.is_null()));
            let servers: i64 = own.count().get_result(conn).await?;
            if servers >= i64::from(terms.limit) {
                return Err(Fault::Refused(WriteError::TooMany));
            }
            if let Some(why) = games::unavailable(conn, &terms.host).await?.remove(&new.game_type) {
                return Err(Fault::Refused(WriteError::GameUnavailable(why)));
            }
            check_name(conn, owner, &new.name, None).await?;
            let row: ServerRow = diesel::insert_into(game_servers::table)
                .values((
                    game_servers::discord_id.eq(owner.as_str()),
                    game_servers::name.eq(&new.name),
                    game_servers::name_shape.eq(shape(&new.name)),
                    game_servers::game_type.eq(&new.game_type),
                    game_servers::description.eq(&new.description),
                    game_servers::is_public.eq(new.is_public),
                    // The column's default may be the Go version's.
                    game_servers::status.eq(stored(Status::Stopped)),
                    game_servers::cost_per_hour.eq(terms.cost_per_hour),
                    game_servers::host.eq(&terms.host),
                    game_servers::settings.eq(Json(new.settings.clone())),
                ))
                .returning(ServerRow::as_returning())
                .get_result(conn)
                .await?;
            stats::add_server_created(conn, owner).await?;
            once::note(conn, once, row.id).await?;
            labels::replace(conn, ServerId(row.id), &new.labels).await?;
            Ok(Server { labels: new.labels.clone(), ..row.into_server()? })
        })
        .await
    }

    async fn find(&self, user: &UserId, id: ServerId) -> Result<Option<(Server, Access)>, StoreError> {
        self.read(async |mut conn| {
            let theirs = server_grants::server_id
                .eq(game_servers::id)
                .and(server_grants::discord_id.eq(user.as_str()))
                .and(shares::counts());
            // A row for each grant, of which there are few; mostly none, and then one row.
            let rows: Vec<(ServerRow, Option<Vec<Stored<Permission>>>)> = game_servers::table
                .left_join(server_grants::table.on(theirs))
                .filter(game_servers::id.eq(id.0).and(game_servers::deleted_at.is_null()))
                .select((ServerRow::as_select(), server_grants::permissions.nullable()))
                .load(&mut conn)
                .await?;
            let mut found = None;
            let mut shared = Permissions::default();
            for (row, words) in rows {
                shared = shared.or(shares::permissions(words.unwrap_or_default())?);
                found = Some(row);
            }
            let server = found.map(ServerRow::into_server).transpose()?;
            Ok(server.map(|server| {
                let access = Access::of(&server, user, shared);
                (server, access)
            }))
        })
        .await
    }

    async fn find_each(&self, of: &[(UserId, ServerId)]) -> Result<Vec<Option<(Server, Access)>>, StoreError> {
        self.read(async |mut conn| {
            let ids: BTreeSet<_> = of.iter().map(|(_, server)| server.0).collect();
            let rows: Vec<ServerRow> = game_servers::table
                .filter(game_servers::id.eq_any(ids).and(game_servers::deleted_at.is_null()))
                .select(ServerRow::as_select())
                .load(&mut conn)
                .await?;
            let servers = rows.into_iter().map(|row| row.into_server().map(|server| (server.id, server)));
            let servers = servers.collect::<Result<HashMap<_, _>, Fault<StoreError>>>()?;
            let is_anothers = |(user, id): &&(UserId, ServerId)| servers.get(id).is_some_and(|it| it.owner != *user);
            let (others, people) =
                of.iter().filter(is_anothers).map(|(user, server)| (server.0, user.as_str())).unzip();
            let granted = shares::granted(&mut conn, others, people).await?;
            let found = of.iter().map(|(user, id)| {
                let server = servers.get(id)?;
                Some((server.clone(), access(server, user, &granted)))
            });
            Ok(found.collect())
        })
        .await
    }

    async fn list(
        &self,
        user: &UserId,
        reach: &Reach,
        filter: &ServerFilter,
        page: Page<ServerId>,
    ) -> Result<Vec<(Server, Access)>, StoreError> {
        // The view of grants costs as much as the list without it, and mostly nothing is shared with a user.
        let db = self.clone();
        let with_shared = filter.owned != Some(true)
            && self.grantees.find(user.clone(), move |people| shares::grantees(db.clone(), people)).await?.is_some();
        self.read(async |mut conn| {
            let own = game_servers::discord_id.eq(user.as_str());
            let shared = server_grants::table
                .filter(server_grants::discord_id.eq(user.as_str()).and(shares::counts()))
                .select(server_grants::server_id);
            // An array is computed first, and then looked up: each side of the OR has its index.
            let shared = game_servers::id.eq_any(array::<Integer, _>(shared));
            // False comes first.
            let anothers = game_servers::discord_id.ne(user.as_str());
            let mut rows = game_servers::table
                .filter(game_servers::deleted_at.is_null())
                .order((anothers, game_servers::id))
                .limit(page.limit.into())
                .select(ServerRow::as_select())
                .into_boxed()
                .filter(game_servers::status.eq_any(every::<Status>()))
                .filter(game_servers::desired.eq_any(every::<Desired>()));
            rows = match filter.owned {
                None if with_shared => rows.filter(own.or(shared)),
                None | Some(true) => rows.filter(own),
                Some(false) => rows.filter(shared.and(game_servers::discord_id.ne(user.as_str()))),
            };
            if let Some(after) = page.after {
                // Deleted ones are there as well; of one that is gone for good nothing is passed over.
                let last = game_servers::table.find(after.0).select(anothers);
                let was_anothers: bool = last.first(&mut conn).await.optional()?.unwrap_or(false);
                let behind = anothers.eq(was_anothers).and(game_servers::id.gt(after.0));
                rows = if was_anothers { rows.filter(behind) } else { rows.filter(behind.or(anothers)) };
            }
            if let Some(servers) = reach.narrowed_to() {
                rows = rows.filter(game_servers::id.eq_any(servers));
            }
            if let Some(status) = filter.status {
                rows = rows.filter(game_servers::status.eq(stored(status)));
            }
            if let Some(game) = &filter.game_type {
                rows = rows.filter(game_servers::game_type.eq(game));
            }
            if let Some(part) = &filter.name {
                rows = rows.filter(strpos(lower(game_servers::name), lower(part)).gt(0));
            }
            if let Some(label) = &filter.label {
                rows = rows.filter(has_label(label.as_str()));
            }
            let rows: Vec<ServerRow> = rows.load(&mut conn).await?;
            let others = rows.iter().filter(|row| row.discord_id != user.as_str()).map(|row| row.id).collect();
            let granted = shares::granted(&mut conn, others, BTreeSet::from([user.as_str()])).await?;
            let servers = rows.into_iter().map(|row| {
                let server = row.into_server()?;
                let access = access(&server, user, &granted);
                Ok((server, access))
            });
            servers.collect()
        })
        .await
    }

    async fn without_gate(&self, servers: &[ServerId], gates: u32) -> Result<Vec<ServerId>, StoreError> {
        let ids: Vec<_> = servers.iter().map(|server| server.0).collect();
        self.run(async |conn| idle::without_gate(conn, ids, gates).await).await
    }

    async fn change(
        &self,
        owner: &UserId,
        id: ServerId,
        change: &ServerChange,
        on: RestartOn,
    ) -> Result<Option<Server>, WriteError> {
        self.transaction(async |conn| {
            users::lock(conn, owner, WriteError::NoUser).await?;
            if let Some(name) = &change.name {
                check_name(conn, owner, name, Some(id)).await?;
            }
            let own = game_servers::id.eq(id.0).and(game_servers::discord_id.eq(owner.as_str()));
            let row: Option<ServerRow> = diesel::update(game_servers::table.filter(own))
                .filter(game_servers::deleted_at.is_null())
                .set((
                    change
                        .name
                        .as_ref()
                        .map(|name| (game_servers::name.eq(name), game_servers::name_shape.eq(shape(name)))),
                    change.description.as_ref().map(|text| game_servers::description.eq(text)),
                    change.is_public.map(|public| game_servers::is_public.eq(public)),
                    change.restart_choice.map(|choice| game_servers::restart_policy.eq(choice.map(Json))),
                    (on == RestartOn::Never).then_some((
                        game_servers::restart_at.eq(None::<Timestamp>),
                        game_servers::restart_generation.eq(None::<i64>),
                    )),
                    game_servers::updated_at.eq(now()),
                ))
                .returning(ServerRow::as_returning())
                .get_result(conn)
                .await
                .optional()?;
            let Some(row) = row else { return Ok(None) };
            let mut server = row.into_server()?;
            if let Some(rule) = &change.idle {
                idle::set(conn, id, rule.as_ref()).await?;
                server.idle = idle::with_rule(server.idle, rule.clone());
            }
            if let Some(new) = &change.labels {
                labels::replace(conn, id, new).await?;
                server.labels.clone_from(new);
            }
            Ok(Some(server))
        })
        .await
    }
}

/// Returns the address of a server; `None` before its first run. Ports that another version wrote are left out.
pub(crate) fn endpoint(address: Option<String>, port: Option<i32>, ports: Option<PortsColumn>) -> Option<Endpoint> {
    let (address, port) = address.zip(port.and_then(|port| u16::try_from(port).ok()))?;
    let ports = ports.and_then(|Json(IfReadable(ports))| ports).filter(|ports| is_led_by(ports, port));
    Some(Endpoint { address, port, ports: ports.unwrap_or_default() })
}

/// Returns the relation of a user to a server, with these grants.
pub(crate) fn access(server: &Server, user: &UserId, granted: &Granted) -> Access {
    let shared = granted.get(&(server.id, user.clone())).copied().unwrap_or_default();
    Access::of(server, user, shared)
}

diesel::define_sql_function!(fn lower(text: Text) -> Text);
diesel::define_sql_function!(fn strpos(text: Text, part: Text) -> Integer);

/// With the owner locked.
async fn check_name(
    conn: &mut AsyncPgConnection,
    owner: &UserId,
    name: &str,
    except: Option<ServerId>,
) -> Result<(), Fault<WriteError>> {
    let same = lower(game_servers::name).eq(lower(name)).nullable();
    let others: Vec<(String, Option<String>)> = game_servers::table
        .filter(game_servers::discord_id.eq(owner.as_str()).and(game_servers::deleted_at.is_null()))
        .filter(game_servers::id.ne(except.map_or(0, |id| id.0)))
        .filter(same.or(game_servers::name_shape.eq(shape(name))).or(game_servers::name_shape.is_null()))
        .select((game_servers::name, game_servers::name_shape))
        .load(conn)
        .await?;
    let taken = others.iter().any(|(other, shape)| shape.is_some() || look_alike(name, other));
    if taken { Err(Fault::Refused(WriteError::NameTaken)) } else { Ok(()) }
}

//! Stops of servers on which nobody plays.

use std::collections::BTreeMap;

use agis_base::{ServerId, StoreError, Timestamp, UserId};
use agis_notices::Kind;
use agis_servers::{
    Action, Idle, IdleRule, Operation, Origin, Request, Server,
    idle::{self, Asleep, Emptiness, FRESH, IdleStep, PlannedStop},
    operation::Identity,
    store::{Announced, Billing, IdleRound, IdleStore, Sleeper, Sleepers},
};
use async_trait::async_trait;
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{
    db::Db,
    error::Fault,
    json::{IfReadable, Json},
    notices,
    operations::accept,
    players::AHEAD_S,
    schema::{game_servers, server_idle},
    servers::{PortsColumn, endpoint},
};

diesel::define_sql_function! {
    /// Columns of a rule as one value.
    #[sql_name = "jsonb_build_array"]
    fn idle_columns(
        rule: Jsonb,
        asleep_since: Nullable<Timestamptz>,
        asleep_generation: Nullable<BigInt>,
        saves_from: Nullable<Timestamptz>,
        saved_credits: BigInt,
    ) -> Jsonb;
}

/// Value of [`idle_of_server`].
pub(crate) type IdleColumns = Json<(IfReadable<IdleRule>, Option<Timestamp>, Option<i64>, Option<Timestamp>, i64)>;

/// Rule of the server of a row. A subquery, so that every statement on servers can return it.
#[diesel::dsl::auto_type]
pub(crate) fn idle_of_server() -> _ {
    let columns = idle_columns(
        server_idle::rule,
        server_idle::asleep_since,
        server_idle::asleep_generation,
        server_idle::saves_from,
        server_idle::saved_credits,
    );
    server_idle::table.filter(server_idle::server_id.eq(game_servers::id)).select(columns).single_value()
}

/// Returns the rule of a server that sleeps at this generation, if it is stopped at all.
pub(crate) fn idle(columns: IdleColumns, stopped_at: Option<i64>) -> Option<Idle> {
    let Json((IfReadable(rule), since, generation, saves_from, saved)) = columns;
    let is_asleep = generation.is_some() && generation == stopped_at;
    let asleep = since.filter(|_| is_asleep).map(|since| Asleep { since, saves_from });
    Some(Idle { rule: rule?, asleep, saved })
}

/// Gives a server another rule, or none. Its row is locked.
pub(crate) async fn set<R>(
    conn: &mut AsyncPgConnection,
    server: ServerId,
    rule: Option<&IdleRule>,
) -> Result<(), Fault<R>> {
    let Some(rule) = rule else {
        diesel::delete(server_idle::table.find(server.0)).execute(conn).await?;
        return Ok(());
    };
    diesel::insert_into(server_idle::table)
        .values((server_idle::server_id.eq(server.0), server_idle::rule.eq(Json(rule))))
        .on_conflict(server_idle::server_id)
        .do_update()
        .set((server_idle::rule.eq(Json(rule)), PlanColumns::default()))
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns what [`set`] makes of the rule of a server.
pub(crate) fn with_rule(before: Option<Idle>, rule: Option<IdleRule>) -> Option<Idle> {
    let rule = rule?;
    Some(match before {
        Some(before) => Idle { rule, ..before },
        None => Idle { rule, asleep: None, saved: 0 },
    })
}

/// Stop that was announced, or that none was.
#[derive(Default, AsChangeset)]
#[diesel(table_name = server_idle, treat_none_as_null = true)]
struct PlanColumns {
    empty_since: Option<Timestamp>,
    stop_at: Option<Timestamp>,
    is_last: Option<bool>,
}

impl From<PlannedStop> for PlanColumns {
    fn from(PlannedStop { since, at, is_last }: PlannedStop) -> Self {
        Self { empty_since: Some(since), stop_at: Some(at), is_last: Some(is_last) }
    }
}

/// A server with a rule, on which nobody plays.
#[derive(QueryableByName)]
struct EmptyRow {
    #[diesel(sql_type = Integer)]
    id: i32,
    #[diesel(sql_type = Text)]
    discord_id: String,
    #[diesel(sql_type = Integer)]
    cost_per_hour: i32,
    #[diesel(sql_type = Jsonb)]
    rule: Json<IfReadable<IdleRule>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    planned_since: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    stop_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Bool>)]
    is_last: Option<bool>,
    #[diesel(sql_type = Timestamptz)]
    empty_since: Timestamp,
    #[diesel(sql_type = Timestamptz)]
    empty_until: Timestamp,
    #[diesel(sql_type = Bool)]
    is_free: bool,
    #[diesel(sql_type = Timestamptz)]
    now: Timestamp,
}

impl EmptyRow {
    /// Reads those of these servers on which nobody plays, or those behind `after`, by id.
    async fn read(
        conn: &mut AsyncPgConnection,
        of: Option<&[i32]>,
        after: Option<ServerId>,
        limit: u32,
    ) -> Result<Vec<Self>, Fault<StoreError>> {
        // A run with steps that has begun acts on its server until it ends. diesel joins no three tables in a subquery.
        let rows = diesel::sql_query(
            "select s.id, s.discord_id, s.cost_per_hour, i.rule, i.empty_since as planned_since, i.stop_at, i.is_last,
                    p.empty_since, p.empty_until, clock_timestamp() as now,
                    not (exists(select from server_holds h
                                where h.server_id = s.id and (h.until is null or h.until > now()))
                         or exists(select from operations o
                                   where o.server_id = s.id and o.state in ('queued', 'running'))
                         or exists(select from server_schedules c
                                   join schedule_runs r on r.schedule_id = c.id
                                   where c.server_id = s.id and r.state = 'pending' and r.begun_at is not null)
                         or exists(select from schedule_runs r
                                   where r.server_id = s.id and r.state = 'pending' and r.begun_at is not null)) as is_free
             from server_idle i
             join game_servers s on s.id = i.server_id
             join server_players p on p.server_id = s.id
             where ($1 is null or s.id = any($1)) and i.server_id > $2
               and s.status = 'running' and s.desired = 'running' and s.generation = s.status_generation
               and s.deleted_at is null and s.host is not null
               and p.generation = s.status_generation and p.empty_since is not null and p.empty_until = p.measured_at
               and p.empty_until > now() - make_interval(secs => $3)
               and p.empty_until <= now() + make_interval(secs => $4)
             order by s.id limit $5",
        )
        .bind::<Nullable<Array<Integer>>, _>(of)
        .bind::<Integer, _>(after.map_or(0, |id| id.0))
        .bind::<Double, _>(FRESH.as_secs_f64())
        .bind::<Double, _>(AHEAD_S)
        .bind::<BigInt, _>(i64::from(limit))
        .load(conn)
        .await?;
        Ok(rows)
    }

    fn step(&self) -> IdleStep {
        let Json(IfReadable(Some(rule))) = &self.rule else { return IdleStep::Rest };
        let planned = match (self.planned_since, self.stop_at, self.is_last) {
            (Some(since), Some(at), Some(is_last)) => Some(PlannedStop { since, at, is_last }),
            _ => None,
        };
        let empty = Emptiness { since: self.empty_since, until: self.empty_until };
        idle::next(rule, empty, planned, self.is_free, self.now)
    }

    fn request(&self) -> Request {
        Request {
            server: ServerId(self.id),
            action: Action::Stop,
            origin: Origin::Idle,
            actor: UserId::from_stored(&self.discord_id),
            channel: None,
            identity: Identity::None,
            trace: None,
        }
    }

    /// Tells the owner why the server is stopped.
    fn told(&self, billing: Billing) -> String {
        let after = match &self.rule {
            Json(IfReadable(Some(rule))) => format!(" for {}", rule.stop_after),
            Json(IfReadable(None)) => String::new(),
        };
        let saved = match (billing, self.cost_per_hour) {
            (Billing::Off, _) | (_, 0) => String::new(),
            (Billing::On, price) => format!("; each hour of its sleep saves {price} credits"),
        };
        format!("nobody has played{after}{saved}")
    }
}

/// A server that sleeps behind a gate.
#[derive(QueryableByName)]
struct SleeperRow {
    #[diesel(sql_type = Integer)]
    id: i32,
    #[diesel(sql_type = Text)]
    discord_id: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    game_type: String,
    #[diesel(sql_type = Nullable<Text>)]
    address: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    port: Option<i32>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    ports: Option<PortsColumn>,
    #[diesel(sql_type = Jsonb)]
    rule: Json<IfReadable<IdleRule>>,
    #[diesel(sql_type = BigInt)]
    sleepers: i64,
}

impl SleeperRow {
    /// Returns the server; `None` if its rule has no gate, or nobody knows its address.
    fn sleeper(self) -> Option<Sleeper> {
        let Self { id, discord_id, name, game_type, address, port, ports, rule: Json(IfReadable(rule)), .. } = self;
        let owner = UserId::from_stored(&discord_id);
        let (endpoint, wake) = (endpoint(address, port, ports)?, rule?.wake_on_join?);
        Some(Sleeper { server: ServerId(id), owner, name, game_type, endpoint, wake })
    }
}

/// Condition of servers that sleep, are not held and wake for players who join.
const SLEEPS: &str = "i.asleep_generation = s.generation and s.status = 'stopped' and s.desired = 'stopped'
    and s.deleted_at is null and i.rule -> 'wake_on_join' is not null
    and not exists(select from server_holds h where h.server_id = s.id and (h.until is null or h.until > now()))";

/// Order in which the servers of a host get gates.
const GATES_FIRST: &str = "i.asleep_since desc, s.id";

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = Integer)]
    id: i32,
}

/// Returns those of these servers that sleep and are not among the first so many of their host.
pub(crate) async fn without_gate(
    conn: &mut AsyncPgConnection,
    servers: Vec<i32>,
    gates: u32,
) -> Result<Vec<ServerId>, Fault<StoreError>> {
    // diesel has no window functions over a subquery.
    let rows: Vec<IdRow> = diesel::sql_query(format!(
        "select id from (
             select s.id, row_number() over (partition by s.host order by {GATES_FIRST}) as place
             from server_idle i join game_servers s on s.id = i.server_id
             where s.host in (select host from game_servers where id = any($1)) and {SLEEPS}) sleepers
         where id = any($1) and place > $2"
    ))
    .bind::<Array<Integer>, _>(servers)
    .bind::<BigInt, _>(i64::from(gates))
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ServerId(row.id)).collect())
}

#[async_trait]
impl IdleStore for Db {
    async fn asleep(&self, host: &str, limit: u32) -> Result<Sleepers, StoreError> {
        self.run(async |conn| {
            // diesel has no operators of JSON here.
            let rows: Vec<SleeperRow> = diesel::sql_query(format!(
                "select s.id, s.discord_id, s.name, s.game_type, s.address, s.port, s.ports, i.rule, count(*) over () as sleepers
                 from server_idle i join game_servers s on s.id = i.server_id
                 where s.host = $1 and {SLEEPS} order by {GATES_FIRST} limit $2"
            ))
            .bind::<Text, _>(host)
            .bind::<BigInt, _>(i64::from(limit))
            .load(conn)
            .await?;
            let all = rows.iter().map(|row| row.sleepers).max().and_then(|all| u64::try_from(all).ok()).unwrap_or_default();
            Ok(Sleepers { latest: rows.into_iter().filter_map(SleeperRow::sleeper).collect(), all })
        })
        .await
    }

    async fn stop_idle(&self, after: Option<ServerId>, limit: u32, billing: Billing) -> Result<IdleRound, StoreError> {
        let seen = self.run(async |conn| EmptyRow::read(conn, None, after, limit).await).await?;
        let last = seen.last().filter(|_| seen.len() >= limit as usize).map(|row| ServerId(row.id));
        // Most rounds find nothing to do.
        let due: Vec<_> = seen.iter().filter(|row| row.step() != IdleStep::Rest).map(|row| row.id).collect();
        if due.is_empty() {
            return Ok(IdleRound { last, ..IdleRound::default() });
        }
        self.transaction(async |conn| {
            // Whatever is asked of these servers meanwhile is decided after this, or was before.
            let locked: Vec<i32> = game_servers::table
                .filter(game_servers::id.eq_any(&due))
                .order(game_servers::id)
                .select(game_servers::id)
                .for_no_key_update()
                .skip_locked()
                .load(conn)
                .await?;
            let rows = EmptyRow::read(conn, Some(&locked), None, limit).await?;
            let (mut announced, mut stopped) = (vec![], vec![]);
            for row in rows {
                match row.step() {
                    IdleStep::Rest => {}
                    IdleStep::Forget => plan(conn, row.id, PlanColumns::default()).await?,
                    IdleStep::Announce(planned) => {
                        plan(conn, row.id, planned.into()).await?;
                        let owner = UserId::from_stored(&row.discord_id);
                        announced.push(Announced { server: ServerId(row.id), owner, minutes: planned.minutes() });
                    }
                    IdleStep::Stop => stopped.push(row),
                }
            }
            let requests: Vec<_> = stopped.iter().map(EmptyRow::request).collect();
            let accepted = accept::accept(conn, &requests, billing, None).await?;
            for (row, answer) in stopped.iter().zip(&accepted.answers) {
                if let Ok(operation) = answer {
                    fall_asleep(conn, operation, billing).await?;
                    let generation = Some(operation.generation);
                    notices::tell(conn, operation.server, Kind::ServerIdle, generation, &row.told(billing)).await?;
                }
            }
            Ok(IdleRound { accepted, announced, last })
        })
        .await
    }
}

async fn plan(conn: &mut AsyncPgConnection, server: i32, columns: PlanColumns) -> Result<(), Fault<StoreError>> {
    diesel::update(server_idle::table.find(server)).set(columns).execute(conn).await?;
    Ok(())
}

/// Notes that the rule stops a server.
async fn fall_asleep(
    conn: &mut AsyncPgConnection,
    operation: &Operation,
    billing: Billing,
) -> Result<(), Fault<StoreError>> {
    // diesel joins no other table in an update.
    diesel::sql_query(
        "update server_idle i set empty_since = null, stop_at = null, is_last = null,
                asleep_since = clock_timestamp(), asleep_generation = $2,
                saves_from = case when $3 then greatest(clock_timestamp(), s.paid_until) end
         from game_servers s where s.id = i.server_id and i.server_id = $1",
    )
    .bind::<Integer, _>(operation.server.0)
    .bind::<BigInt, _>(operation.generation)
    .bind::<Bool, _>(billing == Billing::On)
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the credits that the rules of these servers have saved until now.
pub(crate) fn saved(servers: &BTreeMap<ServerId, Server>, now: Timestamp) -> BTreeMap<ServerId, i64> {
    let saved = |server: &Server| Some((server.id, server.idle.as_ref()?.saved_credits(server.cost_per_hour, now)));
    servers.values().filter_map(saved).collect()
}

/// Ends the sleeps of these servers, of which something else is asked, with the credits that they have saved. Their rows are
/// locked.
pub(crate) async fn wake(
    conn: &mut AsyncPgConnection,
    woken: impl Iterator<Item = (ServerId, i64)>,
) -> Result<(), Fault<StoreError>> {
    for (server, saved) in woken {
        diesel::update(server_idle::table.find(server.0))
            .set((
                server_idle::saved_credits.eq(saved),
                server_idle::asleep_since.eq(None::<Timestamp>),
                server_idle::asleep_generation.eq(None::<i64>),
                server_idle::saves_from.eq(None::<Timestamp>),
            ))
            .execute(conn)
            .await?;
    }
    Ok(())
}

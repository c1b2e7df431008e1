//! Players on servers.

use std::collections::BTreeMap;

use agis_base::{ServerId, StoreError, Timestamp};
use agis_servers::{
    players::{Measured, PROBE_INTERVAL, Players, STALE_AFTER},
    store::{Counted, PlayerStore, Probe},
};
use async_trait::async_trait;
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use serde_json::json;

use crate::{
    db::Db,
    json::{IfReadable, Json},
    servers::{PortsColumn, endpoint},
};

/// Lock of claims: a number that nothing else in the database locks.
const CLAIMS: i64 = 0x6167_6973_7072_6f62;
/// Seconds by which a time may be ahead of a transaction that began before it. One that is further ahead was written before
/// the clock was set back, and nobody knows its age.
pub(crate) const AHEAD_S: f64 = 5.0;

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

#[derive(QueryableByName)]
struct ProbeRow {
    #[diesel(sql_type = Integer)]
    id: i32,
    #[diesel(sql_type = Timestamptz)]
    claimed_at: Timestamp,
    #[diesel(sql_type = BigInt)]
    generation: i64,
    #[diesel(sql_type = Text)]
    game_type: String,
    #[diesel(sql_type = Nullable<Text>)]
    address: Option<String>,
    #[diesel(sql_type = Nullable<Integer>)]
    port: Option<i32>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    ports: Option<PortsColumn>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ready_at: Option<Timestamp>,
}

impl ProbeRow {
    /// Returns the probe; `None` for a server without an address, which cannot be asked.
    fn probe(self) -> Option<Probe> {
        let Self { id, claimed_at, generation, game_type, address, port, ports, ready_at } = self;
        let endpoint = endpoint(address, port, ports)?;
        Some(Probe { server: ServerId(id), at: claimed_at, generation, game_type, endpoint, ready_at })
    }
}

#[derive(QueryableByName)]
struct PlayersRow {
    #[diesel(sql_type = Integer)]
    server_id: i32,
    #[diesel(sql_type = Integer)]
    online: i32,
    #[diesel(sql_type = Nullable<Integer>)]
    max_players: Option<i32>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    names: Option<Json<IfReadable<Vec<String>>>>,
    #[diesel(sql_type = Timestamptz)]
    measured_at: Timestamp,
}

impl From<PlayersRow> for (ServerId, Measured) {
    fn from(row: PlayersRow) -> Self {
        let number = |number| u32::try_from(number).unwrap_or_default();
        let names = row.names.and_then(|Json(IfReadable(names))| names);
        let players = Players { online: number(row.online), max: row.max_players.map(number), names };
        (ServerId(row.server_id), Measured { players, at: row.measured_at })
    }
}

#[derive(QueryableByName)]
struct GameRow {
    #[diesel(sql_type = Text)]
    game_type: String,
    #[diesel(sql_type = BigInt)]
    online: i64,
}

// diesel has neither an upsert of a selection with a limit nor sets of records. An answer counts while its run goes on, and
// for as long as it is fresh. Zeros of a run without such a gap between them are one emptiness. A run begins with the first operation that brought its generation to players: a start of a
// server that runs changes nothing.
#[async_trait]
impl PlayerStore for Db {
    async fn claim_probes(&self, host: &str, games: &[String], per_second: u32) -> Result<Vec<Probe>, StoreError> {
        self.transaction(async |conn| {
            // Without the lock, two processes would count the same claims of the last second.
            let lock = diesel::sql_query("select pg_try_advisory_xact_lock($1) as locked").bind::<BigInt, _>(CLAIMS);
            let Locked { locked } = lock.get_result(conn).await?;
            if !locked {
                return Ok(vec![]);
            }
            let rows: Vec<ProbeRow> = diesel::sql_query(
                "with due as (
                     select s.id from game_servers s left join server_players p on p.server_id = s.id
                     where s.host = $1 and s.game_type = any($2) and s.status = 'running' and s.deleted_at is null
                       and (p.server_id is null or p.claimed_at <= now() - make_interval(secs => $3)
                            or p.claimed_at > now() + make_interval(secs => $5))
                     order by p.claimed_at nulls first, s.id
                     limit greatest(0, $4 - (select count(*) from server_players
                                             where claimed_at > now() - interval '1 second'
                                               and claimed_at <= now() + make_interval(secs => $5)))),
                 claimed as (
                     insert into server_players (server_id, claimed_at) select id, now() from due
                     on conflict (server_id) do update set claimed_at = excluded.claimed_at
                     returning server_id, claimed_at)
                 select s.id, c.claimed_at, s.status_generation as generation, s.game_type, s.address, s.port, s.ports,
                        (select min(o.finished_at) from operations o
                         where o.server_id = s.id and o.generation = s.status_generation and o.state = 'succeeded'
                           and o.action in ('start', 'restart')) as ready_at
                 from claimed c join game_servers s on s.id = c.server_id",
            )
            .bind::<Text, _>(host)
            .bind::<Array<Text>, _>(games)
            .bind::<Double, _>(PROBE_INTERVAL.as_secs_f64())
            .bind::<BigInt, _>(i64::from(per_second))
            .bind::<Double, _>(AHEAD_S)
            .get_results(conn)
            .await?;
            Ok(rows.into_iter().filter_map(ProbeRow::probe).collect())
        })
        .await
    }

    async fn store_players(&self, counted: &[Counted]) -> Result<(), StoreError> {
        let rows: Vec<_> = counted
            .iter()
            .map(|Counted { server, at, generation, players: Players { online, max, names } }| {
                json!({ "server": server.0, "at": at, "generation": generation, "online": online, "max": max, "names": names })
            })
            .collect();
        let rows = json!(rows).to_string();
        self.run(async |conn| {
            diesel::sql_query(
                "update server_players p
                 set generation = r.generation, online = r.online, max_players = r.max, names = r.names, measured_at = r.at,
                     empty_until = case when r.online = 0 then r.at end,
                     empty_since = case
                         when r.online > 0 then null
                         when p.generation = r.generation and p.empty_until = p.measured_at
                              and r.at between p.measured_at and p.measured_at + make_interval(secs => $2)
                         then p.empty_since else r.at end
                 from jsonb_to_recordset($1::jsonb) as r(server integer, at timestamptz, generation bigint, online integer,
                                                         max integer, names jsonb)
                 where p.server_id = r.server and p.claimed_at = r.at",
            )
            .bind::<Text, _>(rows)
            .bind::<Double, _>(STALE_AFTER.as_secs_f64())
            .execute(conn)
            .await?;
            Ok(())
        })
        .await
    }

    async fn players(&self, servers: &[ServerId]) -> Result<BTreeMap<ServerId, Measured>, StoreError> {
        let ids: Vec<_> = servers.iter().map(|server| server.0).collect();
        self.read(async |mut conn| {
            let rows: Vec<PlayersRow> = diesel::sql_query(
                "select p.server_id, p.online, p.max_players, p.names, p.measured_at
                 from server_players p join game_servers s on s.id = p.server_id
                 where p.server_id = any($1) and s.status = 'running' and p.generation = s.status_generation
                   and p.measured_at > now() - make_interval(secs => $2)
                   and p.measured_at <= now() + make_interval(secs => $3)",
            )
            .bind::<Array<Integer>, _>(&ids)
            .bind::<Double, _>(STALE_AFTER.as_secs_f64())
            .bind::<Double, _>(AHEAD_S)
            .get_results(&mut conn)
            .await?;
            Ok(rows.into_iter().map(Into::into).collect())
        })
        .await
    }

    async fn players_by_game(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.run(async |conn| {
            let rows: Vec<GameRow> = diesel::sql_query(
                "select s.game_type, sum(p.online)::bigint as online
                 from server_players p join game_servers s on s.id = p.server_id
                 where s.status = 'running' and p.generation = s.status_generation
                   and p.measured_at > now() - make_interval(secs => $1)
                   and p.measured_at <= now() + make_interval(secs => $2)
                 group by s.game_type",
            )
            .bind::<Double, _>(STALE_AFTER.as_secs_f64())
            .bind::<Double, _>(AHEAD_S)
            .get_results(conn)
            .await?;
            Ok(rows.into_iter().map(|GameRow { game_type, online }| (game_type, online)).collect())
        })
        .await
    }
}

//! Hosts, as the processes report them that serve them.

use std::{collections::BTreeMap, time::Duration};

use agis_base::{StoreError, Timestamp};
use agis_servers::{
    game::RunsOn,
    host::{Abilities, HostReport},
    store::{HostState, HostStore, LetGo, SERVED_FOR},
};
use async_trait::async_trait;
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Double, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::db::Db;

#[derive(QueryableByName)]
struct HostRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<Text>)]
    kind: Option<String>,
    #[diesel(sql_type = Bool)]
    served: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    seen_at: Option<Timestamp>,
    #[diesel(sql_type = BigInt)]
    running: i64,
    #[diesel(sql_type = BigInt)]
    servers: i64,
    #[diesel(sql_type = Nullable<Text>)]
    report: Option<String>,
}

impl From<HostRow> for HostState {
    fn from(row: HostRow) -> Self {
        let HostRow { name, kind, served, seen_at, running, servers, report } = row;
        // A report of a newer version that this one cannot read counts as none.
        let report = report.and_then(|text| serde_json::from_str(&text).ok());
        Self { name, kind, served, seen_at, running, servers, report }
    }
}

// diesel has neither full joins nor, without a further feature, jsonb.
#[async_trait]
impl HostStore for Db {
    async fn report(
        &self,
        host: &str,
        kind: RunsOn,
        directory: Option<Uuid>,
        report: &HostReport,
    ) -> Result<bool, StoreError> {
        let report =
            serde_json::to_string(report).map_err(|error| StoreError::Internal(format!("a report: {error}")))?;
        self.run(async |conn| {
            let rows = diesel::sql_query(
                "insert into hosts (name, kind, directory, report) values ($1, $2, $3, $4::jsonb)
                 on conflict (name) do update set report = excluded.report, seen_at = excluded.seen_at
                 where hosts.kind = excluded.kind and hosts.directory is not distinct from excluded.directory",
            )
            .bind::<Text, _>(host)
            .bind::<Text, _>(kind.as_str())
            .bind::<Nullable<SqlUuid>, _>(directory)
            .bind::<Text, _>(report)
            .execute(conn)
            .await?;
            Ok(rows > 0)
        })
        .await
    }

    async fn hosts(&self, after: Option<&str>, limit: u32) -> Result<Vec<HostState>, StoreError> {
        self.run(async |conn| {
            let rows: Vec<HostRow> = diesel::sql_query(
                r#"with served as (
                       select host, count(*) as servers, count(*) filter (where status = 'running') as running
                       from game_servers where host is not null and deleted_at is null group by host)
                   select coalesce(h.name, s.host) as name, h.kind, h.seen_at, h.report::text as report,
                          coalesce(h.seen_at > now() - make_interval(secs => $1), false) as served,
                          coalesce(s.servers, 0) as servers, coalesce(s.running, 0) as running
                   from hosts h full join served s on s.host = h.name
                   where $2 is null or coalesce(h.name, s.host) collate "C" > $2
                   order by coalesce(h.name, s.host) collate "C" limit $3"#,
            )
            .bind::<Double, _>(SERVED_FOR.as_secs_f64())
            .bind::<Nullable<Text>, _>(after)
            .bind::<BigInt, _>(i64::from(limit))
            .get_results(conn)
            .await?;
            Ok(rows.into_iter().map(HostState::from).collect())
        })
        .await
    }

    async fn abilities(&self, hosts: &[&str]) -> Result<BTreeMap<String, Abilities>, StoreError> {
        #[derive(QueryableByName)]
        struct AbilitiesRow {
            #[diesel(sql_type = Text)]
            name: String,
            #[diesel(sql_type = Nullable<Text>)]
            abilities: Option<String>,
        }
        self.read(async |mut conn| {
            let rows: Vec<AbilitiesRow> =
                diesel::sql_query("select name, report->>'abilities' as abilities from hosts where name = any($1)")
                    .bind::<Array<Text>, _>(hosts)
                    .load(&mut conn)
                    .await?;
            // An earlier version reports none, and of a newer one's form nothing is known.
            let read = |text: String| serde_json::from_str(&text).ok();
            let named = |row: AbilitiesRow| (row.name, row.abilities.and_then(read).unwrap_or_default());
            Ok(rows.into_iter().map(named).collect())
        })
        .await
    }

    async fn let_go(&self, host: &str) -> Result<LetGo, StoreError> {
        #[derive(QueryableByName)]
        struct FoundRow {
            #[diesel(sql_type = Bool)]
            found: bool,
        }
        self.run(async |conn| {
            let gone =
                diesel::sql_query("delete from hosts where name = $1 and seen_at <= now() - make_interval(secs => $2)")
                    .bind::<Text, _>(host)
                    .bind::<Double, _>(SERVED_FOR.as_secs_f64())
                    .execute(conn)
                    .await?;
            if gone > 0 {
                return Ok(LetGo::Done);
            }
            let row: FoundRow = diesel::sql_query("select exists (select from hosts where name = $1) as found")
                .bind::<Text, _>(host)
                .get_result(conn)
                .await?;
            Ok(if row.found { LetGo::Served } else { LetGo::Unknown })
        })
        .await
    }

    async fn forget_hosts(&self, age: Duration) -> Result<(), StoreError> {
        self.run(async |conn| {
            diesel::sql_query(
                "delete from hosts h where seen_at < now() - make_interval(secs => $1)
                 and not exists (select from game_servers s where s.host = h.name and s.deleted_at is null)",
            )
            .bind::<Double, _>(age.as_secs_f64())
            .execute(conn)
            .await?;
            Ok(())
        })
        .await
    }
}

//! Operations under a lease: who has which, and for how long.

mod end;

use std::time::Duration;

use agis_base::{OperationId, Reason, StoreError, UserId};
use agis_notices::Kind;
use agis_servers::{
    Action, Origin, State, Status,
    game::SettingValues,
    host::{Generation, Told},
    operation::SUPERSEDED,
    power,
    rcon::RconPassword,
    server::Desired,
    store::{Billing, Claim, Due, Facts, Finished, Held, Launched, LeaseStore, Outcome},
};
use async_trait::async_trait;
use chrono::TimeDelta;
use diesel::{
    dsl::exists,
    prelude::*,
    sql_types::{Array, BigInt, Double, Integer, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use self::end::requeue;
use crate::{
    db::{Db, column},
    desired,
    error::{Fault, understood},
    json::Json,
    notices,
    notify::{OPERATIONS, ring},
    operations,
    schema::{game_servers, now, operations as ops},
    servers,
    settings::RunSettings,
    word::{Stored, every, stored},
};

type ClaimRow = (
    operations::OperationRow,
    servers::ServerRow,
    i32,
    Generation,
    Json<SettingValues>,
    Option<Json<RunSettings>>,
    Option<String>,
);

#[async_trait]
impl LeaseStore for Db {
    async fn due(&self, host: &str, actions: &[Action], limit: u32) -> Result<Vec<Due>, StoreError> {
        #[derive(QueryableByName)]
        struct DueRow {
            #[diesel(sql_type = SqlUuid)]
            id: Uuid,
            #[diesel(sql_type = Text)]
            owner: String,
        }
        self.run(async |conn| {
            // Ranges of two partial indexes, and then each one's server by its key: whatever the planner believes of how
            // many there are, it reads no more than what is due.
            // diesel has neither CTEs nor window functions.
            let rows: Vec<DueRow> = diesel::sql_query(
                "with due as materialized (
                     select o.id, o.server_id, o.available_at as since from operations o
                     where o.state = 'queued' and o.available_at <= now() and o.action = any($2) and o.origin = any($6)
                       and not exists (select from operations r where r.server_id = o.server_id and r.state = 'running')
                     union all
                     select o.id, o.server_id, o.lease_until from operations o
                     where o.state = 'running' and o.lease_until <= now() and o.action = any($2) and o.origin = any($6))
                 select due.id, s.discord_id as owner
                 from due cross join lateral
                     (select discord_id, host, status, desired from game_servers where id = due.server_id offset 0) s
                 where s.host = $1 and s.status = any($4) and s.desired = any($5)
                 order by row_number() over (partition by s.discord_id order by due.since), due.since limit $3",
            )
            .bind::<Text, _>(host)
            .bind::<Array<Text>, _>(column(actions, |action| stored(*action)))
            .bind::<BigInt, _>(i64::from(limit))
            .bind::<Array<Text>, _>(every::<Status>())
            .bind::<Array<Text>, _>(every::<Desired>())
            .bind::<Array<Text>, _>(every::<Origin>())
            .get_results(conn)
            .await?;
            let due = |row: DueRow| Due { operation: OperationId(row.id), owner: UserId::from_stored(&row.owner) };
            Ok(rows.into_iter().map(due).collect())
        })
        .await
    }

    async fn claim(&self, ids: &[OperationId], lease: Duration) -> Result<Vec<Claim>, StoreError> {
        self.transaction(async |conn| {
            let ids = lease_rows(conn, ids, lease).await?;
            if ids.is_empty() {
                return Ok(vec![]);
            }
            let rows: Vec<ClaimRow> = ops::table
                .inner_join(game_servers::table)
                .filter(ops::id.eq_any(ids))
                .order(ops::id)
                .select((
                    operations::OperationRow::as_select(),
                    servers::ServerRow::as_select(),
                    ops::attempt,
                    game_servers::status_generation,
                    game_servers::launch_settings,
                    game_servers::run_settings,
                    game_servers::rcon_password,
                ))
                .load(conn)
                .await?;
            let claim = |(operation, server, attempt, published, chosen, run, password): ClaimRow| {
                let (operation, mut server) = (operation.into_operation()?, server.into_server()?);
                let run = run.filter(|Json(run)| run.generation == operation.generation);
                let settings = run.map_or(Launched::Chosen(chosen.0), |Json(run)| Launched::All(run.values));
                server.status = power::status_while(operation.action, operation.generation, server.status, published);
                let rcon_password = RconPassword::from_stored(password.unwrap_or_default());
                Ok::<_, Fault<StoreError>>(Claim { operation, server, settings, rcon_password, published, attempt })
            };
            let claims = understood(rows.into_iter().map(claim))?;
            let servers: Vec<_> = claims.iter().map(|claim| claim.server.id.0).collect();
            let statuses: Vec<_> = claims.iter().map(|claim| stored(claim.server.status)).collect();
            // diesel joins no `unnest`.
            diesel::sql_query(
                "update game_servers s set status = u.status, error_message = null, updated_at = now()
                 from unnest($1, $2) as u(id, status) where s.id = u.id and s.status <> u.status",
            )
            .bind::<Array<Integer>, _>(servers)
            .bind::<Array<Text>, _>(statuses)
            .execute(conn)
            .await?;
            Ok(claims)
        })
        .await
    }

    async fn renew(&self, held: &[Held], lease: Duration) -> Result<Vec<OperationId>, StoreError> {
        self.run(async |conn| {
            // Rows that somebody holds are passed over: two who change many at once would wait for each other.
            // diesel joins no `unnest`.
            let renewed: Vec<Id> = diesel::sql_query(
                "with mine as (
                     select o.id from operations o join unnest($1, $2) as u(id, attempt) using (id)
                     where o.attempt = u.attempt and o.state = 'running' for no key update of o skip locked)
                 update operations o set lease_until = clock_timestamp() + make_interval(secs => $3)
                 from mine where o.id = mine.id returning o.id",
            )
            .bind::<Array<SqlUuid>, _>(column(held, |held| held.operation.0))
            .bind::<Array<Integer>, _>(column(held, |held| held.attempt))
            .bind::<Double, _>(lease.as_secs_f64())
            .get_results(conn)
            .await?;
            Ok(renewed.into_iter().map(|row| OperationId(row.id)).collect())
        })
        .await
    }

    async fn lost(&self, held: &[Held]) -> Result<Vec<OperationId>, StoreError> {
        self.run(async |conn| {
            // diesel joins no `unnest`.
            let lost: Vec<Id> = diesel::sql_query(
                "select u.id from unnest($1, $2) as u(id, attempt)
                 where not exists (select from operations o
                                   where o.id = u.id and o.attempt = u.attempt and o.state = 'running')",
            )
            .bind::<Array<SqlUuid>, _>(column(held, |held| held.operation.0))
            .bind::<Array<Integer>, _>(column(held, |held| held.attempt))
            .get_results(conn)
            .await?;
            Ok(lost.into_iter().map(|row| OperationId(row.id)).collect())
        })
        .await
    }

    async fn note_settings(&self, claim: &Claim, values: &SettingValues) -> Result<(), StoreError> {
        let run = RunSettings { generation: claim.operation.generation, values: values.clone() };
        self.run(async |conn| {
            let server = game_servers::table.find(claim.server.id.0);
            diesel::update(server.filter(exists(end::ours(claim.held()))))
                .set(game_servers::run_settings.eq(Json(run.clone())))
                .execute(conn)
                .await?;
            Ok(())
        })
        .await
    }

    async fn tell(&self, held: Held, told: &Told) -> Result<(), StoreError> {
        self.run(async |conn| {
            diesel::update(end::ours(held))
                .set((
                    ops::progress.eq(told.progress.as_deref()),
                    told.image.as_deref().map(|image| ops::image.eq(image)),
                ))
                .execute(conn)
                .await?;
            Ok(())
        })
        .await
    }

    async fn hand_back(&self, held: &[Held], why: &Reason) -> Result<Vec<Action>, StoreError> {
        #[derive(QueryableByName)]
        struct Ended {
            #[diesel(sql_type = Text)]
            action: Stored<Action>,
        }
        let (ids, attempts) = (column(held, |held| held.operation.0), column(held, |held| held.attempt));
        self.transaction(async |conn| {
            let servers = ops::table.filter(ops::id.eq_any(&ids)).select(ops::server_id);
            let servers = game_servers::table.filter(game_servers::id.eq_any(servers)).order(game_servers::id);
            let _: Vec<i32> = servers.select(game_servers::id).for_no_key_update().load(conn).await?;
            // diesel joins no `unnest`.
            diesel::sql_query(
                "update operations o set state = 'queued', lease_until = null, available_at = now(), error = $3
                 from unnest($1, $2) as u(id, attempt)
                 where o.id = u.id and o.attempt = u.attempt and o.state = 'running'
                   and not exists (select from operations q where q.server_id = o.server_id and q.state = 'queued')",
            )
            .bind::<Array<SqlUuid>, _>(&ids)
            .bind::<Array<Integer>, _>(&attempts)
            .bind::<Text, _>(&**why)
            .execute(conn)
            .await?;
            // diesel joins no `unnest`.
            let superseded: Vec<Ended> = diesel::sql_query(
                "update operations o set state = 'superseded', lease_until = null, finished_at = now(), error = $3
                 from unnest($1, $2) as u(id, attempt)
                 where o.id = u.id and o.attempt = u.attempt and o.state = 'running' returning o.action",
            )
            .bind::<Array<SqlUuid>, _>(&ids)
            .bind::<Array<Integer>, _>(&attempts)
            .bind::<Text, _>(SUPERSEDED)
            .get_results(conn)
            .await?;
            ring(conn, OPERATIONS).await?;
            understood(superseded.into_iter().map(|it| it.action.known("operations.action")))
        })
        .await
    }

    async fn postpone(&self, claim: &Claim, delay: Duration, why: &Reason) -> Result<Option<State>, StoreError> {
        let delay = TimeDelta::from_std(delay).unwrap_or(TimeDelta::MAX);
        self.transaction(async |conn| {
            desired::lock(conn, claim.server.id).await?;
            requeue(conn, claim, claim.operation.generation, delay, why).await
        })
        .await
    }

    async fn finish(
        &self,
        claim: &Claim,
        outcome: &Outcome,
        facts: &Facts,
        billing: Billing,
    ) -> Result<Option<Finished>, StoreError> {
        self.transaction(async |conn| end::finish(conn, claim, outcome, facts, billing).await).await
    }

    async fn revive(&self, claim: &Claim, how: &Reason, good: bool) -> Result<bool, StoreError> {
        self.transaction(async |conn| {
            let generation = desired::lock(conn, claim.server.id).await?;
            let next = generation.max(claim.operation.generation) + 1;
            let queued = requeue(conn, claim, next, TimeDelta::zero(), how).await?;
            // If a newer one waits, it finds the same and does this.
            let again = queued == Some(State::Queued);
            if again {
                if !good {
                    notices::tell(conn, claim.server.id, Kind::ServerCrashed, Some(claim.operation.generation), how)
                        .await?;
                }
                let status = if good { Status::Stopped } else { Status::Crashed };
                diesel::update(game_servers::table.find(claim.server.id.0))
                    .set((
                        game_servers::generation.eq(next),
                        game_servers::status.eq(status.as_str()),
                        game_servers::error_message.eq((!good).then_some(&**how)),
                        game_servers::stopped_at.eq(now().nullable()),
                        game_servers::updated_at.eq(now()),
                    ))
                    .execute(conn)
                    .await?;
            }
            Ok(again)
        })
        .await
    }
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Leases what can be begun or taken over. The server's row is locked with the operation's, and neither is waited for;
/// a queued operation behind a running one waits for it.
async fn lease_rows(
    conn: &mut AsyncPgConnection,
    ids: &[OperationId],
    lease: Duration,
) -> Result<Vec<Uuid>, Fault<StoreError>> {
    // diesel has no CTEs.
    let ids: Vec<Id> = diesel::sql_query(
        "with due as (
             select o.id from operations o join game_servers s on s.id = o.server_id
             where o.id = any($1)
               and (o.state = 'queued' and o.available_at <= now()
                    and not exists (select from operations r where r.server_id = o.server_id and r.state = 'running')
                 or o.state = 'running' and o.lease_until <= now())
             for no key update skip locked)
         update operations o set state = 'running', attempt = attempt + 1, error = null, progress = null,
                lease_until = clock_timestamp() + make_interval(secs => $2)
         from due where o.id = due.id returning o.id",
    )
    .bind::<Array<SqlUuid>, _>(column(ids, |id| id.0))
    .bind::<Double, _>(lease.as_secs_f64())
    .get_results(conn)
    .await?;
    Ok(ids.into_iter().map(|row| row.id).collect())
}

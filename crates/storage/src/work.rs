use std::time::Duration;

use agis_base::{OperationId, Reason, ServerId, StoreError, Timestamp, UserId};
use agis_servers::{
    Action, Operation, Origin, Request, State, Status,
    host::Generation,
    operation::Identity,
    power,
    server::Desired,
    store::{Claim, Due, Held, Outcome, Published, WorkStore},
};
use async_trait::async_trait;
use chrono::TimeDelta;
use diesel::{
    dsl::{count_star, exists, not},
    pg::Pg,
    prelude::*,
    query_builder::{BoxedSqlQuery, SqlQuery},
    sql_types::{Array, BigInt, Double, Integer, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    db::{Db, column},
    error::{Fault, understood},
    ledger, notices,
    notify::OPERATIONS,
    operations,
    schema::{game_servers, now, operations as ops},
    servers,
};

#[async_trait]
impl WorkStore for Db {
    async fn due(&self, host: &str, actions: &[Action], limit: u32) -> Result<Vec<Due>, StoreError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = SqlUuid)]
            id: Uuid,
            #[diesel(sql_type = Text)]
            owner: String,
        }
        self.run(async |conn| {
            // Ranges of two partial indexes, and then each one's server by its key: whatever the planner believes of how
            // many there are, it reads no more than what is due.
            let rows: Vec<Row> = diesel::sql_query(
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
            .bind::<Array<Text>, _>(column(actions, |action| action.as_str()))
            .bind::<BigInt, _>(i64::from(limit))
            .bind::<Array<Text>, _>(column(Status::ALL, |status| status.as_str()))
            .bind::<Array<Text>, _>(column(Desired::ALL, |desired| desired.as_str()))
            .bind::<Array<Text>, _>(column(Origin::ALL, |origin| origin.as_str()))
            .get_results(conn)
            .await?;
            let due = |row: Row| Due { operation: OperationId(row.id), owner: UserId::from_stored(&row.owner) };
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
            let rows: Vec<(operations::Row, servers::Row, i32, Generation)> = ops::table
                .inner_join(game_servers::table)
                .filter(ops::id.eq_any(ids))
                .order(ops::id)
                .select((
                    operations::Row::as_select(),
                    servers::Row::as_select(),
                    ops::attempt,
                    game_servers::status_generation,
                ))
                .load(conn)
                .await?;
            let claim = |(operation, server, attempt, published): (operations::Row, servers::Row, i32, Generation)| {
                let (operation, mut server) = (operation.into_operation()?, server.into_server()?);
                server.status = power::status_while(operation.action, operation.generation, server.status, published);
                Ok::<_, Fault<StoreError>>(Claim { operation, server, published, attempt })
            };
            let claims = understood(rows.into_iter().map(claim))?;
            let servers: Vec<_> = claims.iter().map(|claim| claim.server.id.0).collect();
            let statuses: Vec<_> = claims.iter().map(|claim| claim.server.status.as_str()).collect();
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

    async fn hand_back(&self, held: &[Held], why: &Reason) -> Result<Vec<Action>, StoreError> {
        #[derive(QueryableByName)]
        struct Ended {
            #[diesel(sql_type = Text)]
            action: String,
        }
        let (ids, attempts) = (column(held, |held| held.operation.0), column(held, |held| held.attempt));
        self.transaction(async |conn| {
            let servers = ops::table.filter(ops::id.eq_any(&ids)).select(ops::server_id);
            let servers = game_servers::table.filter(game_servers::id.eq_any(servers)).order(game_servers::id);
            let _: Vec<i32> = servers.select(game_servers::id).for_no_key_update().load(conn).await?;
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
            diesel::sql_query(format!("notify {OPERATIONS}")).execute(conn).await?;
            Ok(superseded.iter().filter_map(|it| Action::from_word(&it.action)).collect())
        })
        .await
    }

    async fn postpone(&self, claim: &Claim, delay: Duration, why: &Reason) -> Result<Option<State>, StoreError> {
        let delay = TimeDelta::from_std(delay).unwrap_or(TimeDelta::MAX);
        self.transaction(async |conn| {
            lock_server(conn, claim.server.id).await?;
            requeue(conn, claim, claim.operation.generation, delay, why).await
        })
        .await
    }

    async fn revive(&self, claim: &Claim, how: &Reason, good: bool) -> Result<bool, StoreError> {
        self.transaction(async |conn| {
            let generation = lock_server(conn, claim.server.id).await?;
            let next = generation.max(claim.operation.generation) + 1;
            let queued = requeue(conn, claim, next, TimeDelta::zero(), how).await?;
            // Where a newer one waits it finds the same, and does this.
            let again = queued == Some(State::Queued);
            if again {
                if !good {
                    notices::tell_of_crash(conn, claim.server.id, claim.operation.generation, how).await?;
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

    async fn finish(
        &self,
        claim: &Claim,
        outcome: &Outcome,
        killed: Option<bool>,
    ) -> Result<Option<State>, StoreError> {
        self.transaction(async |conn| {
            let generation = lock_server(conn, claim.server.id).await?;
            if let (Outcome::Stale(seen), Action::Stop) = (outcome, claim.operation.action)
                && generation == claim.operation.generation
            {
                return go_above(conn, claim, *seen).await;
            }
            let (state, error) = match outcome {
                Outcome::Stale(_) if generation > claim.operation.generation => (State::Superseded, Some(SUPERSEDED)),
                Outcome::Stale(_) => (State::Failed, Some(BEHIND_ITS_HOST)),
                Outcome::Failed(why) => (State::Failed, Some(&**why)),
                _ => (outcome.state(), None),
            };
            if !end(conn, claim, state, error, killed).await? {
                return Ok(None);
            }
            if state != State::Superseded {
                publish(conn, &claim.operation, outcome, self.billing).await?;
            }
            // What waits behind this one can begin.
            diesel::sql_query(format!("notify {OPERATIONS}")).execute(conn).await?;
            if state == State::Failed {
                notices::tell_of_operations(conn, &[claim.operation.id.0]).await?;
            }
            Ok(Some(state))
        })
        .await
    }

    async fn expire(&self, age: Duration) -> Result<Vec<Operation>, StoreError> {
        let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        self.transaction(async |conn| {
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            // What nobody outside asked for has to be done, however late: a stop of what nobody pays for, or of the below.
            let old = ops::state
                .eq(State::Queued.as_str())
                .and(ops::created_at.lt(at - age))
                .and(ops::origin.ne(Origin::Operator.as_str()))
                .and(ops::action.eq_any(column(Action::ALL, |it| it.as_str())))
                .and(ops::origin.eq_any(column(Origin::ALL, |it| it.as_str())));
            let waiting: Vec<(Uuid, i32)> = ops::table
                .inner_join(game_servers::table)
                .filter(old)
                .select((ops::id, ops::server_id))
                .limit(1000)
                .for_no_key_update()
                .skip_locked()
                .load(conn)
                .await?;
            let (ids, servers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
            let rows: Vec<operations::Row> = diesel::update(ops::table.filter(ops::id.eq_any(&ids)))
                .set((ops::state.eq(State::Expired.as_str()), ops::finished_at.eq(now().nullable())))
                .returning(operations::Row::as_returning())
                .get_results(conn)
                .await?;
            let between = [Status::Starting, Status::Stopping, Status::Deleting].map(Status::as_str);
            let failed: Vec<i32> = diesel::update(game_servers::table.filter(game_servers::id.eq_any(&servers)))
                .filter(game_servers::status.eq_any(between).and(not(exists(running_operation()))))
                .set((
                    game_servers::status.eq(Status::Failed.as_str()),
                    game_servers::error_message.eq("nobody could carry out the last operation in time"),
                    game_servers::updated_at.eq(now()),
                ))
                .returning(game_servers::id)
                .get_results(conn)
                .await?;
            revert_desired(conn, &servers).await?;
            notices::tell_of_operations(conn, &ids).await?;
            let expired: Vec<Operation> = understood(rows.into_iter().map(operations::Row::into_operation))?;
            let begun = expired.iter().filter(|it| it.action != Action::Delete && failed.contains(&it.server.0));
            let stops: Vec<_> = begun.map(stop_of).collect();
            operations::accept(conn, &stops, false).await?;
            Ok(expired)
        })
        .await
    }

    async fn published(&self, hosts: &[String]) -> Result<Vec<Published>, StoreError> {
        self.run(async |conn| {
            let rows: Vec<(i32, i64, Option<String>, Timestamp)> = game_servers::table
                .filter(game_servers::status.eq(Status::Running.as_str()).and(game_servers::host.eq_any(hosts)))
                .select((game_servers::id, game_servers::status_generation, game_servers::host, now()))
                .load(conn)
                .await?;
            let known = |(id, generation, host, at): (i32, i64, Option<String>, Timestamp)| {
                host.map(|host| Published { server: ServerId(id), generation, host, at })
            };
            Ok(rows.into_iter().filter_map(known).collect())
        })
        .await
    }

    async fn confirm(&self, running: &[Published]) -> Result<(), StoreError> {
        if !self.billing || running.is_empty() {
            return Ok(());
        }
        self.run(async |conn| ledger::confirm(conn, running).await).await
    }

    async fn crashed(&self, server: ServerId, generation: Generation, how: &Reason) -> Result<bool, StoreError> {
        self.transaction(async |conn| {
            let as_published =
                game_servers::status.eq(Status::Running.as_str()).and(game_servers::status_generation.eq(generation));
            let updated = diesel::update(game_servers::table.find(server.0))
                .filter(as_published)
                .set((
                    game_servers::status.eq(Status::Crashed.as_str()),
                    game_servers::error_message.eq(&**how),
                    game_servers::stopped_at.eq(now().nullable()),
                    game_servers::updated_at.eq(now()),
                ))
                .execute(conn)
                .await?;
            if updated == 1 {
                notices::tell_of_crash(conn, server, generation, how).await?;
            }
            Ok(updated == 1)
        })
        .await
    }

    async fn ended_well(&self, server: ServerId, generation: Generation) -> Result<bool, StoreError> {
        self.transaction(async |conn| {
            // Whatever is asked of it from now on is decided after this.
            lock_server(conn, server).await?;
            let as_published =
                game_servers::status.eq(Status::Running.as_str()).and(game_servers::status_generation.eq(generation));
            let updated = diesel::update(game_servers::table.find(server.0))
                .filter(as_published)
                .set((
                    game_servers::status.eq(Status::Stopped.as_str()),
                    game_servers::error_message.eq(None::<String>),
                    game_servers::stopped_at.eq(now().nullable()),
                    game_servers::updated_at.eq(now()),
                ))
                .execute(conn)
                .await?;
            if updated == 1 {
                leave_stopped(conn, server, generation).await?;
            }
            Ok(updated == 1)
        })
        .await
    }

    async fn wanted(&self, hosts: &[String]) -> Result<Vec<ServerId>, StoreError> {
        self.run(async |conn| {
            let ids: Vec<i32> = game_servers::table
                .filter(game_servers::desired.eq(Desired::Running.as_str()).and(game_servers::host.eq_any(hosts)))
                .filter(game_servers::deleted_at.is_null())
                .filter(game_servers::status.ne_all([Status::Crashed, Status::Failed].map(Status::as_str)))
                .select(game_servers::id)
                .load(conn)
                .await?;
            Ok(ids.into_iter().map(ServerId).collect())
        })
        .await
    }

    async fn running_by_game(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.run(async |conn| {
            Ok(game_servers::table
                .filter(game_servers::status.eq(Status::Running.as_str()))
                .group_by(game_servers::game_type)
                .select((game_servers::game_type, count_star()))
                .load(conn)
                .await?)
        })
        .await
    }

    async fn by_host_and_status(&self) -> Result<Vec<(String, Status, i64)>, StoreError> {
        self.run(async |conn| {
            let counted: Vec<(Option<String>, String, i64)> = game_servers::table
                .filter(game_servers::host.is_not_null().and(game_servers::deleted_at.is_null()))
                .group_by((game_servers::host, game_servers::status))
                .select((game_servers::host, game_servers::status, count_star()))
                .load(conn)
                .await?;
            let of = |(host, status, servers): (Option<String>, String, i64)| {
                Some((host?, Status::from_word(&status)?, servers))
            };
            Ok(counted.into_iter().filter_map(of).collect())
        })
        .await
    }

    async fn not_understood(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.count_words(
            "select o.action || ', ' || o.origin || ', ' || s.status || ', ' || s.desired as word, count(*) as rows
             from operations o join game_servers s on s.id = o.server_id
             where o.state in ('queued', 'running')
               and not (o.action = any($1) and o.origin = any($2) and s.status = any($3) and s.desired = any($4))
             group by 1 limit 100",
            [
                column(Action::ALL, |it| it.as_str()),
                column(Origin::ALL, |it| it.as_str()),
                column(Status::ALL, |it| it.as_str()),
                column(Desired::ALL, |it| it.as_str()),
            ],
        )
        .await
    }

    async fn forget_keys(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        self.forget(
            "update operations set idempotency_key = null where id in
                 (select id from operations where idempotency_key is not null
                    and created_at < $1 and finished_at is not null
                  order by created_at limit $2 for update skip locked)",
            age,
            limit,
        )
        .await
    }

    async fn forget_operations(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        self.forget(
            "delete from operations where id in
                 (select id from operations where finished_at < $1
                  order by finished_at limit $2 for update skip locked)",
            age,
            limit,
        )
        .await
    }

    async fn forget_servers(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        self.forget(
            "delete from game_servers where id in
                 (select id from game_servers where deleted_at < $1
                  order by deleted_at limit $2 for update skip locked)",
            age,
            limit,
        )
        .await
    }
}

impl Db {
    /// Runs a statement that takes the words that this program knows, and answers with those it does not, and how many
    /// rows have each.
    pub(crate) async fn count_words(
        &self,
        statement: &str,
        known: impl IntoIterator<Item = Vec<&'static str>> + Send,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            word: String,
            #[diesel(sql_type = BigInt)]
            rows: i64,
        }
        let bind = |query: BoxedSqlQuery<'static, Pg, SqlQuery>, words| query.bind::<Array<Text>, _>(words);
        let query = known.into_iter().fold(diesel::sql_query(statement).into_boxed::<Pg>(), bind);
        self.run(async |conn| {
            let rows: Vec<Row> = query.get_results(conn).await?;
            Ok(rows.into_iter().map(|row| (row.word, row.rows)).collect())
        })
        .await
    }

    /// Runs a statement that takes a moment, `age` ago, and a limit.
    pub(crate) async fn forget(&self, statement: &str, age: Duration, limit: u32) -> Result<(), StoreError> {
        let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        self.run(async |conn| {
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            diesel::sql_query(statement)
                .bind::<Timestamptz, _>(at - age)
                .bind::<BigInt, _>(i64::from(limit))
                .execute(conn)
                .await?;
            Ok(())
        })
        .await
    }
}

const SUPERSEDED: &str = "a newer operation took its place";
const BEHIND_ITS_HOST: &str =
    "the server's host has seen newer operations than this database, which may have been restored; try again";
const GOES_ABOVE_ITS_HOST: &str =
    "the server's host is ahead of this database, which may have been restored; the stop goes on above it";

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
    let ids: Vec<Id> = diesel::sql_query(
        "with due as (
             select o.id from operations o join game_servers s on s.id = o.server_id
             where o.id = any($1)
               and (o.state = 'queued' and o.available_at <= now()
                    and not exists (select from operations r where r.server_id = o.server_id and r.state = 'running')
                 or o.state = 'running' and o.lease_until <= now())
             for no key update skip locked)
         update operations o set state = 'running', attempt = attempt + 1, error = null,
                lease_until = clock_timestamp() + make_interval(secs => $2)
         from due where o.id = due.id returning o.id",
    )
    .bind::<Array<SqlUuid>, _>(column(ids, |id| id.0))
    .bind::<Double, _>(lease.as_secs_f64())
    .get_results(conn)
    .await?;
    Ok(ids.into_iter().map(|row| row.id).collect())
}

/// Locks a server's row; answers with its generation.
async fn lock_server(conn: &mut AsyncPgConnection, id: ServerId) -> Result<Generation, Fault<StoreError>> {
    let locked = game_servers::table.find(id.0).select(game_servers::generation).for_no_key_update();
    Ok(locked.first(conn).await?)
}

/// Queues an operation again, or ends it where a newer one waits: one waits per server.
async fn requeue(
    conn: &mut AsyncPgConnection,
    claim: &Claim,
    generation: Generation,
    delay: TimeDelta,
    why: &str,
) -> Result<Option<State>, Fault<StoreError>> {
    let newer = ops::table.filter(ops::server_id.eq(claim.server.id.0).and(ops::state.eq(State::Queued.as_str())));
    if diesel::select(exists(newer)).get_result(conn).await? {
        let ended = end(conn, claim, State::Superseded, Some(SUPERSEDED), None).await?;
        return Ok(ended.then_some(State::Superseded));
    }
    let at: Timestamp = diesel::select(now()).get_result(conn).await?;
    let updated = diesel::update(ours(claim))
        .set((
            ops::state.eq(State::Queued.as_str()),
            ops::lease_until.eq(None::<Timestamp>),
            ops::generation.eq(generation),
            ops::available_at.eq(at + delay),
            ops::error.eq(why),
        ))
        .execute(conn)
        .await?;
    if updated == 1 && delay.is_zero() {
        // Another worker can have it at once.
        diesel::sql_query(format!("notify {OPERATIONS}")).execute(conn).await?;
    }
    Ok((updated == 1).then_some(State::Queued))
}

/// Queues a stop again above what its host has seen: whoever wants a server stopped wants it whatever has become of it.
async fn go_above(
    conn: &mut AsyncPgConnection,
    claim: &Claim,
    seen: Generation,
) -> Result<Option<State>, Fault<StoreError>> {
    let next = seen.saturating_add(1);
    let queued = requeue(conn, claim, next, TimeDelta::zero(), GOES_ABOVE_ITS_HOST).await?;
    // Where a newer one waits it finds the same, and does this.
    if queued == Some(State::Queued) {
        diesel::update(game_servers::table.find(claim.server.id.0))
            .set((game_servers::generation.eq(next), game_servers::updated_at.eq(now())))
            .execute(conn)
            .await?;
    }
    Ok(queued)
}

/// The operation, if this attempt still has it.
#[diesel::dsl::auto_type(no_type_alias)]
fn ours<'a>(claim: &'a Claim) -> _ {
    let id: Uuid = claim.operation.id.0;
    let attempt: i32 = claim.attempt;
    ops::table.filter(ops::id.eq(id).and(ops::attempt.eq(attempt)).and(ops::state.eq("running")))
}

#[diesel::dsl::auto_type(no_type_alias)]
fn running_operation() -> _ {
    ops::table.filter(ops::server_id.eq(game_servers::id).and(ops::state.eq("running")))
}

#[diesel::dsl::auto_type(no_type_alias)]
fn open_operation() -> _ {
    let open: [&'static str; 2] = ["queued", "running"];
    ops::table.filter(ops::server_id.eq(game_servers::id).and(ops::state.eq_any(open)))
}

async fn end(
    conn: &mut AsyncPgConnection,
    claim: &Claim,
    state: State,
    error: Option<&str>,
    killed: Option<bool>,
) -> Result<bool, Fault<StoreError>> {
    let ended = diesel::update(ours(claim))
        .set((
            ops::state.eq(state.as_str()),
            ops::lease_until.eq(None::<Timestamp>),
            ops::error.eq(error),
            ops::killed_after_grace.eq(killed),
            ops::finished_at.eq(now().nullable()),
        ))
        .execute(conn)
        .await?;
    Ok(ended == 1)
}

/// Makes the published state of these servers the desired one, where nobody had begun with the operation that expired. A
/// server that runs is charged again; one that is stopped has its first hour checked by the next start. No host has seen the
/// generation that is given back. The servers' rows are locked.
async fn revert_desired(conn: &mut AsyncPgConnection, servers: &[i32]) -> Result<(), Fault<StoreError>> {
    // Both columns have the same words for these two.
    let at_rest = [Status::Running, Status::Stopped].map(Status::as_str);
    diesel::update(game_servers::table.filter(game_servers::id.eq_any(servers)))
        .filter(game_servers::status.eq_any(at_rest).and(not(exists(open_operation()))))
        .filter(game_servers::desired.ne(Desired::Deleted.as_str()))
        .set((
            game_servers::desired.eq(game_servers::status),
            game_servers::generation.eq(game_servers::status_generation),
            game_servers::updated_at.eq(now()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Somebody had begun with this one: what they started may run on, and nobody would know of it.
fn stop_of(expired: &Operation) -> Request {
    Request {
        server: expired.server,
        action: Action::Stop,
        origin: Origin::Operator,
        actor: expired.actor.clone(),
        channel: None,
        identity: Identity::None,
        trace: Some(expired.trace.clone()),
    }
}

/// A server that has come to a good end at this generation is to stay stopped, unless something was asked of it since. Its
/// row is locked.
async fn leave_stopped(
    conn: &mut AsyncPgConnection,
    server: ServerId,
    generation: Generation,
) -> Result<(), Fault<StoreError>> {
    diesel::update(game_servers::table.find(server.0))
        .filter(game_servers::generation.eq(generation).and(game_servers::desired.eq(Desired::Running.as_str())))
        .filter(not(exists(open_operation())))
        .set(game_servers::desired.eq(Desired::Stopped.as_str()))
        .execute(conn)
        .await?;
    Ok(())
}

async fn publish(
    conn: &mut AsyncPgConnection,
    operation: &Operation,
    outcome: &Outcome,
    billing: bool,
) -> Result<(), Fault<StoreError>> {
    let server = game_servers::table.find(operation.server.0);
    let common = (
        game_servers::status.eq(outcome.status().as_str()),
        game_servers::status_generation.eq(operation.generation),
        game_servers::updated_at.eq(now()),
    );
    match outcome {
        Outcome::Running(endpoint) => {
            ledger::begin(conn, operation.server, billing).await?;
            let address = (
                game_servers::address.eq(&endpoint.address),
                game_servers::port.eq(i32::from(endpoint.port)),
                game_servers::error_message.eq(None::<String>),
            );
            diesel::update(server).set((common, address)).execute(conn).await?;
        }
        Outcome::Ended(_) => {
            let stopped =
                (game_servers::stopped_at.eq(now().nullable()), game_servers::error_message.eq(None::<String>));
            diesel::update(server).set((common, stopped)).execute(conn).await?;
            leave_stopped(conn, operation.server, operation.generation).await?;
        }
        Outcome::Stopped => {
            let stopped =
                (game_servers::stopped_at.eq(now().nullable()), game_servers::error_message.eq(None::<String>));
            diesel::update(server).set((common, stopped)).execute(conn).await?;
        }
        Outcome::Deleted => {
            let deleted =
                (game_servers::stopped_at.eq(now().nullable()), game_servers::deleted_at.eq(now().nullable()));
            diesel::update(server).set((common, deleted)).execute(conn).await?;
        }
        Outcome::Failed(why) => {
            let failed = (game_servers::stopped_at.eq(now().nullable()), game_servers::error_message.eq(&**why));
            diesel::update(server).set((common, failed)).execute(conn).await?;
        }
        Outcome::Stale(seen) => {
            let behind = (game_servers::generation.eq(seen), game_servers::error_message.eq(BEHIND_ITS_HOST));
            diesel::update(server).set((common, behind)).execute(conn).await?;
        }
    }
    Ok(())
}

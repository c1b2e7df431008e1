//! Ends and forgets what is old.

use std::time::Duration;

use agis_base::{StoreError, Timestamp};
use agis_servers::{
    Action, Operation, Origin, Request, State, Status,
    store::{Billing, RetentionStore},
};
use async_trait::async_trait;
use chrono::TimeDelta;
use diesel::{
    dsl::{exists, not},
    prelude::*,
    sql_types::{BigInt, Timestamptz},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    db::Db,
    desired,
    error::understood,
    notices,
    operations::{self, accept},
    schema::{game_servers, now, operations as ops},
    word::{Stored, every, stored},
};

#[async_trait]
impl RetentionStore for Db {
    async fn expire(&self, age: Duration) -> Result<Vec<Operation>, StoreError> {
        let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        self.transaction(async |conn| {
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            // The program's own requests have to be carried out, however late: stops of unpaid servers, or those below, and
            // restarts after an outage of the host.
            let old = ops::state
                .eq(stored(State::Queued))
                .and(ops::created_at.lt(at - age))
                .and(ops::origin.ne_all([Origin::Operator, Origin::Supervisor].map(stored)))
                .and(ops::action.eq_any(every::<Action>()))
                .and(ops::origin.eq_any(every::<Origin>()));
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
            let rows: Vec<operations::OperationRow> = diesel::update(ops::table.filter(ops::id.eq_any(&ids)))
                .set((ops::state.eq(stored(State::Expired)), ops::finished_at.eq(now().nullable())))
                .returning(operations::OperationRow::as_returning())
                .get_results(conn)
                .await?;
            let between = [Status::Starting, Status::Stopping, Status::Deleting].map(stored);
            let failed: Vec<i32> = diesel::update(game_servers::table.filter(game_servers::id.eq_any(&servers)))
                .filter(game_servers::status.eq_any(between).and(not(exists(running_operation()))))
                .set((
                    game_servers::status.eq(stored(Status::Failed)),
                    game_servers::error_message.eq("nobody could carry out the last operation in time"),
                    game_servers::updated_at.eq(now()),
                ))
                .returning(game_servers::id)
                .get_results(conn)
                .await?;
            desired::revert(conn, &servers).await?;
            notices::tell_of_operations(conn, &ids, None).await?;
            let expired: Vec<Operation> = understood(rows.into_iter().map(operations::OperationRow::into_operation))?;
            let begun = expired.iter().filter(|it| it.action != Action::Delete && failed.contains(&it.server.0));
            let stops: Vec<_> = begun.map(stop_of).collect();
            accept::accept(conn, &stops, Billing::Off, None).await?;
            Ok(expired)
        })
        .await
    }

    async fn forget_keys(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        self.forget_older(
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
        self.forget_older(
            "delete from operations where id in
                 (select id from operations where finished_at < $1
                  order by finished_at limit $2 for update skip locked)",
            age,
            limit,
        )
        .await
    }

    async fn forget_servers(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        self.forget_older(
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
    /// Runs a statement that takes a moment, `age` ago, and a limit.
    pub(crate) async fn forget_older(&self, statement: &str, age: Duration, limit: u32) -> Result<(), StoreError> {
        let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        self.run(async |conn| {
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            // diesel deletes by no subquery that skips locked rows.
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

#[diesel::dsl::auto_type(no_type_alias)]
fn running_operation() -> _ {
    let running: Stored<State> = stored(State::Running);
    ops::table.filter(ops::server_id.eq(game_servers::id).and(ops::state.eq(running)))
}

/// Returns the stop of a server whose expired operation somebody had begun with: what they started may run on, and
/// nobody would know of it.
fn stop_of(expired: &Operation) -> Request {
    let stop = Request::of_operator(expired.server, Action::Stop, expired.actor.clone());
    Request { trace: Some(expired.trace.clone()), ..stop }
}

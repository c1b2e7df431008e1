//! Writes what a draft comes to.

use agis_base::{ChannelId, StoreError, Timestamp};
use agis_servers::server::Desired;
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::draft::{Draft, New};
use crate::{
    db::column,
    error::Fault,
    schema::{game_servers, now, server_schedules},
    word::stored,
};

pub(super) async fn insert(conn: &mut AsyncPgConnection, new: &[New]) -> Result<(), Fault<StoreError>> {
    if new.is_empty() {
        return Ok(());
    }
    // Column by column, so that it is one prepared statement however many there are: diesel's has one more for each row.
    diesel::sql_query(
        "insert into operations
             (id, server_id, action, state, origin, actor, idempotency_key, channel_id, generation, error,
              finished_at, request_id, trace_id)
         select * from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind::<Array<SqlUuid>, _>(column(new, |new| new.operation.id.0))
    .bind::<Array<Integer>, _>(column(new, |new| new.operation.server.0))
    .bind::<Array<Text>, _>(column(new, |new| stored(new.operation.action)))
    .bind::<Array<Text>, _>(column(new, |new| stored(new.operation.state)))
    .bind::<Array<Text>, _>(column(new, |new| stored(new.operation.origin)))
    .bind::<Array<Text>, _>(column(new, |new| new.operation.actor.as_str().to_owned()))
    .bind::<Array<Nullable<Text>>, _>(column(new, |new| new.key.clone()))
    .bind::<Array<Nullable<Text>>, _>(column(new, |new| new.channel.as_ref().map(ChannelId::as_str)))
    .bind::<Array<BigInt>, _>(column(new, |new| new.operation.generation))
    .bind::<Array<Nullable<Text>>, _>(column(new, |new| new.operation.error.clone()))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(new, |new| new.operation.finished_at))
    .bind::<Array<Text>, _>(column(new, |new| new.operation.trace.request_id.as_str()))
    .bind::<Array<Nullable<Text>>, _>(column(new, |new| new.operation.trace.trace_id.map(|id| id.to_string())))
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn update_servers(conn: &mut AsyncPgConnection, draft: &Draft) -> Result<(), Fault<StoreError>> {
    let servers: Vec<_> = draft.changed.values().collect();
    if servers.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = servers.iter().map(|server| server.id.0).collect();
    let desired: Vec<_> = servers.iter().map(|server| stored(server.desired)).collect();
    let generations: Vec<_> = servers.iter().map(|server| server.generation).collect();
    let slots: Vec<_> = servers.iter().map(|server| draft.slots.get(&server.id).copied()).collect();
    // diesel joins no `unnest`.
    diesel::sql_query(
        "update game_servers s set desired = u.desired, generation = u.generation, latest_slot = u.slot,
                restart_at = null,
                updated_at = now()
         from unnest($1, $2, $3, $4) as u(id, desired, generation, slot) where s.id = u.id",
    )
    .bind::<Array<Integer>, _>(ids)
    .bind::<Array<Text>, _>(desired)
    .bind::<Array<BigInt>, _>(generations)
    .bind::<Array<Nullable<Timestamptz>>, _>(slots)
    .execute(conn)
    .await?;

    if !draft.gone.is_empty() {
        let gone = game_servers::id.eq_any(draft.gone.iter().map(|id| id.0));
        let hidden = game_servers::deleted_at.eq(now().nullable());
        diesel::update(game_servers::table.filter(gone)).set(hidden).execute(conn).await?;
    }
    let deleted: Vec<_> =
        servers.iter().filter(|server| server.desired == Desired::Deleted).map(|server| server.id.0).collect();
    if !deleted.is_empty() {
        diesel::update(server_schedules::table.filter(server_schedules::server_id.eq_any(deleted)))
            .set((
                server_schedules::enabled.eq(false),
                server_schedules::next_run.eq(None::<Timestamp>),
                server_schedules::disabled_reason.eq("the server was deleted"),
            ))
            .execute(conn)
            .await?;
    }
    Ok(())
}

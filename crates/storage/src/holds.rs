//! Holds of servers.

use agis_base::{ServerId, StoreError, Timestamp, UserId};
use agis_scheduler::chain::EndedBy;
use agis_servers::{Hold, NewHold, Server, store::HoldStore};
use async_trait::async_trait;
use diesel::{
    prelude::*,
    sql_types::{Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{
    chains,
    db::Db,
    error::Fault,
    json::Json,
    notify::{OPERATIONS, ring},
    schema::{clock_timestamp, game_servers, now, server_holds},
    servers::ServerRow,
};

diesel::define_sql_function! {
    /// Columns of a hold as one value.
    fn jsonb_build_array(
        since: Timestamptz,
        until: Nullable<Timestamptz>,
        reason: Nullable<Text>,
        held_by: Text,
    ) -> Jsonb;
}

/// Value of [`hold_of_server`].
pub(crate) type HoldColumns = Json<(Timestamp, Option<Timestamp>, Option<String>, String)>;

/// Hold of the server of a row. A subquery, so that every statement on servers can return it.
#[diesel::dsl::auto_type]
pub(crate) fn hold_of_server() -> _ {
    let columns =
        jsonb_build_array(server_holds::since, server_holds::until, server_holds::reason, server_holds::held_by);
    server_holds::table.filter(server_holds::server_id.eq(game_servers::id)).select(columns).single_value()
}

pub(crate) fn hold(Json((since, until, reason, by)): HoldColumns) -> Hold {
    Hold { since, until, reason, by: UserId::from_stored(&by) }
}

#[async_trait]
impl HoldStore for Db {
    async fn hold(&self, id: ServerId, by: &UserId, hold: &NewHold) -> Result<Option<Server>, StoreError> {
        self.transaction(async |conn| {
            if !lock(conn, id).await? {
                return Ok(None);
            }
            let columns = (
                server_holds::since.eq(clock_timestamp()),
                server_holds::until.eq(hold.until),
                server_holds::reason.eq(&hold.reason),
                server_holds::held_by.eq(by.as_str()),
            );
            diesel::insert_into(server_holds::table)
                .values((server_holds::server_id.eq(id.0), columns))
                .on_conflict(server_holds::server_id)
                .do_update()
                .set(columns)
                .execute(conn)
                .await?;
            chains::interrupt_all(conn, &[id], EndedBy::Hold).await?;
            ring(conn, OPERATIONS).await?;
            changed(conn, id).await.map(Some)
        })
        .await
    }

    async fn release(&self, id: ServerId) -> Result<Option<Server>, StoreError> {
        self.transaction(async |conn| {
            if !lock(conn, id).await? {
                return Ok(None);
            }
            diesel::delete(server_holds::table.find(id.0)).execute(conn).await?;
            // A restart of the supervisor may have waited for this.
            ring(conn, OPERATIONS).await?;
            changed(conn, id).await.map(Some)
        })
        .await
    }
}

/// Locks the server; `false` if there is none. An operation that is accepted after this sees the hold.
async fn lock(conn: &mut AsyncPgConnection, id: ServerId) -> Result<bool, Fault<StoreError>> {
    let row = game_servers::table
        .filter(game_servers::id.eq(id.0).and(game_servers::deleted_at.is_null()))
        .select(game_servers::id)
        .for_no_key_update();
    Ok(row.first::<i32>(conn).await.optional()?.is_some())
}

async fn changed(conn: &mut AsyncPgConnection, id: ServerId) -> Result<Server, Fault<StoreError>> {
    let row: ServerRow = diesel::update(game_servers::table.find(id.0))
        .set(game_servers::updated_at.eq(now()))
        .returning(ServerRow::as_returning())
        .get_result(conn)
        .await?;
    row.into_server()
}

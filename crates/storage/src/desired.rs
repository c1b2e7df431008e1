//! Changes of a server's desired state by something else than a request. The server's row is locked.

use agis_base::{ServerId, StoreError};
use agis_servers::{State, Status, host::Generation, server::Desired};
use diesel::{
    dsl::{exists, not},
    prelude::*,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{
    error::Fault,
    schema::{game_servers, now, operations as ops},
    word::{Stored, stored},
};

/// Locks a server's row, and returns its generation.
pub(crate) async fn lock(conn: &mut AsyncPgConnection, id: ServerId) -> Result<Generation, Fault<StoreError>> {
    let locked = game_servers::table.find(id.0).select(game_servers::generation).for_no_key_update();
    Ok(locked.first(conn).await?)
}

/// Makes the published state of these servers the desired one, where the operation that ended had changed nothing. A
/// server that runs is charged again; one that is stopped has its first hour checked by the next start. No host has seen the
/// generation that is given back. The servers' rows are locked.
pub(crate) async fn revert(conn: &mut AsyncPgConnection, servers: &[i32]) -> Result<(), Fault<StoreError>> {
    // Both columns have the same words for these two.
    let at_rest = [Status::Running, Status::Stopped].map(stored);
    diesel::update(game_servers::table.filter(game_servers::id.eq_any(servers)))
        .filter(game_servers::status.eq_any(at_rest).and(not(exists(open_operation()))))
        .filter(game_servers::desired.ne(stored(Desired::Deleted)))
        .set((
            game_servers::desired.eq(game_servers::status),
            game_servers::generation.eq(game_servers::status_generation),
            game_servers::updated_at.eq(now()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Lets a server that has come to a good end at this generation stay stopped, unless something was asked of it since. Its
/// row is locked.
pub(crate) async fn leave_stopped(
    conn: &mut AsyncPgConnection,
    server: ServerId,
    generation: Generation,
) -> Result<(), Fault<StoreError>> {
    diesel::update(game_servers::table.find(server.0))
        .filter(game_servers::generation.eq(generation).and(game_servers::desired.eq(stored(Desired::Running))))
        .filter(not(exists(open_operation())))
        .set(game_servers::desired.eq(stored(Desired::Stopped)))
        .execute(conn)
        .await?;
    Ok(())
}

#[diesel::dsl::auto_type(no_type_alias)]
fn open_operation() -> _ {
    let open: [Stored<State>; 2] = [stored(State::Queued), stored(State::Running)];
    ops::table.filter(ops::server_id.eq(game_servers::id).and(ops::state.eq_any(open)))
}

use std::collections::HashMap;

use agis_accounts::{Stats, User, UserStore, ledger::Kind};
use agis_base::{StoreError, Timestamp, UserId};
use async_trait::async_trait;
use diesel::{dsl::count_star, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{
    db::{Db, column},
    error::Fault,
    ledger,
    schema::{game_servers, users},
    stats,
};

#[async_trait]
impl UserStore for Db {
    async fn find(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        let db = self.clone();
        self.users.find(id.clone(), move |ids| known(db.clone(), ids)).await
    }

    async fn stats(&self, id: &UserId) -> Result<Option<Stats>, StoreError> {
        self.run(async |conn| stats::read(conn, id).await).await
    }

    async fn ensure(&self, id: &UserId, credits: i32) -> Result<(), StoreError> {
        self.transaction(async |conn| {
            let added = diesel::insert_into(users::table)
                .values((users::discord_id.eq(id.as_str()), users::credits.eq(credits)))
                .on_conflict_do_nothing()
                .execute(conn)
                .await?;
            if added == 1 {
                ledger::write(conn, id, credits, credits, Kind::Welcome, None).await?;
                stats::add_credits_earned(conn, id, credits).await?;
            }
            Ok(())
        })
        .await
    }
}

/// Returns the users that exist among `ids`.
async fn known(db: Db, ids: Vec<UserId>) -> Result<HashMap<UserId, User>, StoreError> {
    db.read(async |mut conn| {
        let servers = game_servers::table
            .filter(game_servers::discord_id.eq(users::discord_id).and(game_servers::deleted_at.is_null()))
            .select(count_star())
            .single_value();
        let rows: Vec<(String, i32, String, Timestamp, Option<i64>)> = users::table
            .filter(users::discord_id.eq_any(column(&ids, UserId::as_str)))
            .select((users::discord_id, users::credits, users::tier, users::join_date, servers))
            .load(&mut conn)
            .await?;
        let user = |(id, credits, tier, joined_at, servers): (String, _, _, _, Option<i64>)| {
            let id = UserId::from_stored(&id);
            (id.clone(), User { id, credits, tier, servers: servers.unwrap_or(0), joined_at })
        };
        Ok(rows.into_iter().map(user).collect())
    })
    .await
}

/// Locks a user's row: what a user has is counted, named and rotated behind it. `gone` is the refusal where there is none.
pub(crate) async fn lock<R>(conn: &mut AsyncPgConnection, user: &UserId, gone: R) -> Result<(), Fault<R>> {
    let locked = users::table.find(user.as_str()).select(users::discord_id).for_no_key_update();
    let found: Option<String> = locked.first(conn).await.optional()?;
    found.map(drop).ok_or(Fault::Refused(gone))
}

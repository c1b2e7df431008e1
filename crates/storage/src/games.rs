use std::collections::BTreeMap;

use agis_base::{Reason, StoreError};
use agis_servers::store::{GameStore, UNAVAILABLE_FOR};
use async_trait::async_trait;
use diesel::{
    prelude::*,
    sql_types::{Array, Integer, Text},
    upsert::excluded,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{
    db::Db,
    error::Fault,
    schema::{interval, now, timestamptz_pl_interval, unavailable_games},
};

/// How long what a host said is kept that nobody serves any more, in days.
const KEPT_DAYS: i32 = 1;

#[async_trait]
impl GameStore for Db {
    async fn note_games(&self, host: &str, games: &[(String, Option<Reason>)]) -> Result<(), StoreError> {
        let fine: Vec<_> = games.iter().filter(|(_, why)| why.is_none()).map(|(game, _)| game.as_str()).collect();
        let mut unfit: Vec<_> =
            games.iter().filter_map(|(game, why)| Some((game.as_str(), &**why.as_ref()?))).collect();
        // In one order, so that two processes that serve the host never wait for each other.
        unfit.sort_unstable();
        let unfit: Vec<_> = unfit
            .into_iter()
            .map(|(game, why)| {
                (
                    unavailable_games::host.eq(host),
                    unavailable_games::game_type.eq(game),
                    unavailable_games::reason.eq(why),
                )
            })
            .collect();
        self.transaction(async |conn| {
            // diesel has no CTEs.
            diesel::sql_query(
                // Passes over what another process is writing: two that change many rows would wait for each other.
                "with gone as (
                     select host, game_type from unavailable_games
                     where host = $1 and game_type = any($2) or seen_at < now() - make_interval(days => $3)
                     for update skip locked)
                 delete from unavailable_games u using gone where (u.host, u.game_type) = (gone.host, gone.game_type)",
            )
            .bind::<Text, _>(host)
            .bind::<Array<Text>, _>(fine)
            .bind::<Integer, _>(KEPT_DAYS)
            .execute(conn)
            .await?;
            if !unfit.is_empty() {
                diesel::insert_into(unavailable_games::table)
                    .values(&unfit)
                    .on_conflict((unavailable_games::host, unavailable_games::game_type))
                    .do_update()
                    .set((
                        unavailable_games::reason.eq(excluded(unavailable_games::reason)),
                        unavailable_games::seen_at.eq(excluded(unavailable_games::seen_at)),
                    ))
                    .execute(conn)
                    .await?;
            }
            Ok(())
        })
        .await
    }

    async fn unavailable_games(&self, host: &str) -> Result<BTreeMap<String, String>, StoreError> {
        self.run(async |conn| unavailable(conn, host).await).await
    }
}

/// The games that cannot be run on the host, and why.
pub(crate) async fn unavailable<R>(
    conn: &mut AsyncPgConnection,
    host: &str,
) -> Result<BTreeMap<String, String>, Fault<R>> {
    let until = timestamptz_pl_interval(unavailable_games::seen_at.nullable(), interval(UNAVAILABLE_FOR));
    let rows: Vec<(String, String)> = unavailable_games::table
        .filter(unavailable_games::host.eq(host).and(until.gt(now().nullable())))
        .select((unavailable_games::game_type, unavailable_games::reason))
        .load(conn)
        .await?;
    Ok(rows.into_iter().collect())
}

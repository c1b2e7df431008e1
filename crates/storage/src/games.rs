use std::collections::BTreeMap;

use agis_base::{Reason, StoreError};
use agis_servers::store::{GameStore, UNAVAILABLE_FOR};
use async_trait::async_trait;
use diesel::{
    prelude::*,
    sql_types::{Array, Double, Integer, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{
    db::{Db, column},
    error::Fault,
};

/// How long what a host said is kept that nobody serves any more, in days.
const KEPT_DAYS: i32 = 1;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    game_type: String,
    #[diesel(sql_type = Text)]
    reason: String,
}

#[async_trait]
impl GameStore for Db {
    async fn note_games(&self, host: &str, games: &[(String, Option<Reason>)]) -> Result<(), StoreError> {
        let fine: Vec<_> = games.iter().filter(|(_, why)| why.is_none()).map(|(game, _)| game.as_str()).collect();
        let unfit: Vec<_> = games.iter().filter_map(|(game, why)| Some((game.as_str(), &**why.as_ref()?))).collect();
        self.transaction(async |conn| {
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
                // In one order, so that two processes that serve the host never wait for each other.
                diesel::sql_query(
                    "insert into unavailable_games (host, game_type, reason)
                     select $1, game_type, reason from unnest($2, $3) as u(game_type, reason) order by game_type
                     on conflict (host, game_type) do update set reason = excluded.reason, seen_at = excluded.seen_at",
                )
                .bind::<Text, _>(host)
                .bind::<Array<Text>, _>(column(&unfit, |(game, _)| *game))
                .bind::<Array<Text>, _>(column(&unfit, |(_, why)| *why))
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
    let rows: Vec<Row> = diesel::sql_query(
        "select game_type, reason from unavailable_games
         where host = $1 and seen_at > now() - make_interval(secs => $2)",
    )
    .bind::<Text, _>(host)
    .bind::<Double, _>(UNAVAILABLE_FOR.as_secs_f64())
    .get_results(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.game_type, row.reason)).collect())
}

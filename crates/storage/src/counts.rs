//! Numbers for dashboards.

use agis_base::StoreError;
use agis_servers::{Action, Origin, Status, server::Desired, store::CountStore};
use async_trait::async_trait;
use diesel::{
    dsl::count_star,
    pg::Pg,
    prelude::*,
    query_builder::{BoxedSqlQuery, SqlQuery},
    sql_types::{Array, BigInt, Text},
};
use diesel_async::RunQueryDsl;

use crate::{
    db::Db,
    schema::game_servers,
    word::{Stored, stored, words},
};

#[async_trait]
impl CountStore for Db {
    async fn running_by_game(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.run(async |conn| {
            Ok(game_servers::table
                .filter(game_servers::status.eq(stored(Status::Running)))
                .group_by(game_servers::game_type)
                .select((game_servers::game_type, count_star()))
                .load(conn)
                .await?)
        })
        .await
    }

    async fn by_host_and_status(&self) -> Result<Vec<(String, Status, i64)>, StoreError> {
        self.run(async |conn| {
            let counted: Vec<(Option<String>, Stored<Status>, i64)> = game_servers::table
                .filter(game_servers::host.is_not_null().and(game_servers::deleted_at.is_null()))
                .group_by((game_servers::host, game_servers::status))
                .select((game_servers::host, game_servers::status, count_star()))
                .load(conn)
                .await?;
            let counts = counted.into_iter().filter_map(|(host, status, servers)| match status {
                Stored::Known(status) => Some((host?, status, servers)),
                Stored::Newer(_) => None,
            });
            Ok(counts.collect())
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
            [words::<Action>(), words::<Origin>(), words::<Status>(), words::<Desired>()],
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
        struct CountRow {
            #[diesel(sql_type = Text)]
            word: String,
            #[diesel(sql_type = BigInt)]
            rows: i64,
        }
        // The statements have different tables, and compare several columns with what is known.
        let bind = |query: BoxedSqlQuery<'static, Pg, SqlQuery>, words| query.bind::<Array<Text>, _>(words);
        let query = known.into_iter().fold(diesel::sql_query(statement).into_boxed::<Pg>(), bind);
        self.run(async |conn| {
            let rows: Vec<CountRow> = query.get_results(conn).await?;
            Ok(rows.into_iter().map(|row| (row.word, row.rows)).collect())
        })
        .await
    }
}

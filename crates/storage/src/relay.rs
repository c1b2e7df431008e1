//! Requests to consoles, and their answers, on their way between two processes.

use agis_base::{ServerId, StoreError};
use agis_servers::{
    console::relay::{ConsoleAnswer, ConsoleRequest, PATIENCE, RelayStore, TakenRequest},
    store::SERVED_FOR,
};
use async_trait::async_trait;
use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool, Double, Integer, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    db::Db,
    error::Fault,
    notify::{CONSOLES, ring},
};

/// Age of a request that nobody waits for any more, in seconds.
const FORGOTTEN_S: f64 = 60.0;

fn unwritten(error: serde_json::Error) -> StoreError {
    StoreError::Internal(format!("a console's request: {error}"))
}

// diesel has no jsonb without a further feature.
#[async_trait]
impl RelayStore for Db {
    async fn ask(&self, id: Uuid, host: &str, server: ServerId, request: &ConsoleRequest) -> Result<bool, StoreError> {
        let request = serde_json::to_string(request).map_err(unwritten)?;
        self.transaction(async |conn| {
            let asked = diesel::sql_query(
                "insert into console_requests (id, host, server_id, request) select $1, $2, $3, $4::jsonb
                 where exists (select from hosts where name = $2 and seen_at > now() - make_interval(secs => $5))",
            )
            .bind::<SqlUuid, _>(id)
            .bind::<Text, _>(host)
            .bind::<Integer, _>(server.0)
            .bind::<Text, _>(request)
            .bind::<Double, _>(SERVED_FOR.as_secs_f64())
            .execute(conn)
            .await?;
            ring(conn, CONSOLES).await?;
            Ok(asked > 0)
        })
        .await
    }

    async fn answered(&self, id: Uuid) -> Result<Option<ConsoleAnswer>, StoreError> {
        #[derive(QueryableByName)]
        struct AnswerRow {
            #[diesel(sql_type = Text)]
            answer: String,
        }
        self.run(async |conn| {
            let row: Option<AnswerRow> = diesel::sql_query(
                "delete from console_requests where id = $1 and answer is not null returning answer::text as answer",
            )
            .bind::<SqlUuid, _>(id)
            .get_result(conn)
            .await
            .optional()?;
            let read = |row: AnswerRow| serde_json::from_str(&row.answer);
            row.map(read).transpose().map_err(|error| Fault::Refused(unwritten(error)))
        })
        .await
    }

    async fn give_up(&self, id: Uuid) -> Result<bool, StoreError> {
        #[derive(QueryableByName)]
        struct GivenUpRow {
            #[diesel(sql_type = Bool)]
            untaken: bool,
        }
        self.run(async |conn| {
            let row: Option<GivenUpRow> =
                diesel::sql_query("delete from console_requests where id = $1 returning taken_at is null as untaken")
                    .bind::<SqlUuid, _>(id)
                    .get_result(conn)
                    .await
                    .optional()?;
            Ok(row.is_some_and(|row| row.untaken))
        })
        .await
    }

    async fn take(&self, host: &str, limit: u32) -> Result<Vec<TakenRequest>, StoreError> {
        #[derive(QueryableByName)]
        struct TakenRow {
            #[diesel(sql_type = SqlUuid)]
            id: Uuid,
            #[diesel(sql_type = Integer)]
            server_id: i32,
            #[diesel(sql_type = Nullable<Text>)]
            request: Option<String>,
        }
        self.run(async |conn| {
            let rows: Vec<TakenRow> = diesel::sql_query(
                "with due as (
                     select id from console_requests
                     where host = $1 and taken_at is null and asked_at > clock_timestamp() - make_interval(secs => $2)
                     order by asked_at limit $3 for update skip locked)
                 update console_requests r set taken_at = clock_timestamp() from due where r.id = due.id
                 returning r.id, r.server_id, r.request::text as request",
            )
            .bind::<Text, _>(host)
            .bind::<Double, _>(PATIENCE.as_secs_f64())
            .bind::<BigInt, _>(i64::from(limit))
            .load(conn)
            .await?;
            // Nobody here can answer a request of a newer version. Whoever asked waits in vain.
            let taken = rows.into_iter().filter_map(|TakenRow { id, server_id, request }| {
                let request = serde_json::from_str(&request?).ok()?;
                Some(TakenRequest { id, server: ServerId(server_id), request })
            });
            Ok(taken.collect())
        })
        .await
    }

    async fn answer(&self, id: Uuid, answer: &ConsoleAnswer) -> Result<(), StoreError> {
        let answer = serde_json::to_string(answer).map_err(unwritten)?;
        self.transaction(async |conn| {
            diesel::sql_query("update console_requests set answer = $2::jsonb where id = $1")
                .bind::<SqlUuid, _>(id)
                .bind::<Text, _>(answer)
                .execute(conn)
                .await?;
            ring(conn, CONSOLES).await
        })
        .await
    }

    async fn forget_requests(&self) -> Result<(), StoreError> {
        self.run(async |conn| {
            diesel::sql_query(
                "delete from console_requests where asked_at < clock_timestamp() - make_interval(secs => $1)",
            )
            .bind::<Double, _>(FORGOTTEN_S)
            .execute(conn)
            .await?;
            Ok(())
        })
        .await
    }
}

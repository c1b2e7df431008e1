//! Lists of batches.

use agis_base::{BatchId, Label, PowerAction, StoreError, Timestamp};
use agis_servers::{batch::BatchSummary, store::BatchesQuery};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{known, pace};
use crate::{error::Fault, word::Stored};

#[derive(QueryableByName)]
struct SummaryRow {
    #[diesel(sql_type = Integer)]
    id: i32,
    #[diesel(sql_type = Text)]
    label: String,
    #[diesel(sql_type = Text)]
    action: Stored<PowerAction>,
    #[diesel(sql_type = Nullable<Integer>)]
    at_most: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    stagger_s: Option<i32>,
    #[diesel(sql_type = Timestamptz)]
    created_at: Timestamp,
    #[diesel(sql_type = BigInt)]
    servers: i64,
    #[diesel(sql_type = BigInt)]
    remaining: i64,
}

/// Returns a page of a user's batches, newest first.
pub(super) async fn page(
    conn: &mut AsyncPgConnection,
    query: &BatchesQuery,
) -> Result<Vec<BatchSummary>, Fault<StoreError>> {
    // diesel has no `lateral`.
    let rows: Vec<SummaryRow> = diesel::sql_query(
        "select b.id, b.label, b.action, b.at_most, b.stagger_s, b.created_at, c.servers, c.remaining
         from server_batches b cross join lateral (
             select count(*) as servers,
                    count(*) filter (where o.state in ('queued', 'running')
                                        or (i.operation_id is null and i.untouched is null)) as remaining
             from server_batch_items i left join operations o on o.id = i.operation_id
             where i.batch_id = b.id and ($3 is null or i.server_id = any($3))) c
         where b.discord_id = $1 and ($2 is null or b.id < $2) and c.servers > 0
           and ($4 is null or (c.remaining = 0) = $4)
         order by b.id desc limit $5",
    )
    .bind::<Text, _>(query.user.as_str())
    .bind::<Nullable<Integer>, _>(query.before.map(|id| id.0))
    .bind::<Nullable<Array<Integer>>, _>(query.reach.narrowed_to())
    .bind::<Nullable<Bool>, _>(query.finished)
    .bind::<BigInt, _>(i64::from(query.limit))
    .load(conn)
    .await?;
    let count = |rows: i64| u32::try_from(rows).unwrap_or(u32::MAX);
    let summary = |row: SummaryRow| BatchSummary {
        id: BatchId(row.id),
        label: Label::from_stored(row.label),
        action: known(row.action),
        pace: pace(row.at_most, row.stagger_s),
        created_at: row.created_at,
        servers: count(row.servers),
        left: count(row.remaining),
    };
    Ok(rows.into_iter().map(summary).collect())
}

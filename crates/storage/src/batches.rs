//! Batches: rows of their own, and an operation for each server.

mod list;

use std::time::Duration;

use agis_base::{
    BatchId, ChannelId, Label, Once, Pace, PowerAction, ServerId, Span, StoreError, Timestamp, Trace, TraceId, UserId,
};
use agis_servers::{
    Origin, Request, State,
    batch::{AGE_MAX, Batch, BatchItem, BatchProgress, BatchSummary, NewBatch, OPEN_MAX, Untouched},
    game::Catalogue,
    operation::Identity,
    store::{BatchError, BatchStore, BatchesQuery, Billing, Ended},
};
use async_trait::async_trait;
use diesel::{
    dsl::{exists, min, sql},
    prelude::*,
    sql_types::{Array, Bool, Integer, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    db::Db,
    error::{Fault, understood},
    notices, once,
    operations::{OperationRow, accept},
    schema::{after, clock_timestamp, operations, server_batch_items as items, server_batches as batches},
    word::{Stored, stored},
};

/// Time for which a message in Discord follows a batch for sure: its token lives for a quarter of an hour, less what was needed
/// to ask for the batch.
const FOLLOWED: Duration = Duration::from_secs(13 * 60);

/// Time between two looks at a batch whose operations have to end.
const LOOK: Duration = Duration::from_secs(5);

#[derive(Queryable, Selectable)]
#[diesel(table_name = batches)]
struct BatchRow {
    id: i32,
    discord_id: String,
    label: String,
    action: Stored<PowerAction>,
    at_most: Option<i32>,
    stagger_s: Option<i32>,
    origin: Stored<Origin>,
    channel_id: Option<String>,
    request_id: Option<String>,
    trace_id: Option<String>,
    created_at: Timestamp,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = items)]
struct ItemRow {
    server_id: i32,
    server_name: String,
    operation_id: Option<Uuid>,
    untouched: Option<Stored<Untouched>>,
}

impl BatchRow {
    fn into_batch<R>(self, items: Vec<BatchItem>) -> Result<Batch, Fault<R>> {
        let pace = self.pace();
        Ok(Batch {
            id: BatchId(self.id),
            label: Label::from_stored(self.label),
            action: known(self.action),
            pace,
            actor: UserId::from_stored(&self.discord_id),
            created_at: self.created_at,
            items,
        })
    }

    fn pace(&self) -> Pace {
        pace(self.at_most, self.stagger_s)
    }

    fn request<R>(&self, server: i32) -> Result<Request, Fault<R>> {
        let trace_id = self.trace_id.as_deref().and_then(TraceId::of_hex);
        Ok(Request {
            server: ServerId(server),
            action: self.action.clone().known("server_batches.action")?.into(),
            origin: self.origin.clone().known("server_batches.origin")?,
            actor: UserId::from_stored(&self.discord_id),
            channel: self.channel_id.as_deref().map(ChannelId::from_stored),
            // The lock of the batch and the row of the server see to it that it is asked for once.
            identity: Identity::Batch,
            trace: self.request_id.clone().map(|request_id| Trace { request_id, trace_id }),
        })
    }
}

/// Returns an action that this program knows; `None` for one of a newer version, whose batch can be seen and cancelled.
fn known(action: Stored<PowerAction>) -> Option<PowerAction> {
    match action {
        Stored::Known(action) => Some(action),
        Stored::Newer(_) => None,
    }
}

/// Returns the item; nothing if its operation is forgotten.
fn item<R>((row, operation): (ItemRow, Option<OperationRow>)) -> Result<Option<BatchItem>, Fault<R>> {
    let progress = match (row.operation_id, operation, row.untouched) {
        (Some(_), Some(operation), _) => BatchProgress::Asked(Box::new(operation.into_operation()?)),
        (Some(_), None, _) => return Ok(None),
        (None, _, Some(why)) => BatchProgress::Untouched(why.known("server_batch_items.untouched")?),
        (None, _, None) => BatchProgress::Waiting,
    };
    Ok(Some(BatchItem { server: ServerId(row.server_id), name: row.server_name, progress }))
}

#[async_trait]
impl BatchStore for Db {
    async fn begin_batch(
        &self,
        new: &NewBatch,
        servers: &[(ServerId, String)],
        terms: (Billing, &Catalogue),
        once: Option<&Once>,
    ) -> Result<(Batch, Ended), BatchError> {
        self.transaction(async |conn| {
            if let Some(id) = once::made(conn, once).await? {
                return Ok((begun(conn, id).await?, vec![]));
            }
            check_room(conn, &new.actor).await?;
            let id = insert(conn, new).await?;
            insert_items(conn, id, servers).await?;
            let ended = advance(conn, BatchId(id), terms).await?;
            once::note(conn, once, id).await?;
            Ok((begun(conn, id).await?, ended))
        })
        .await
    }

    async fn begun_batch(&self, once: &Once) -> Result<Option<Batch>, StoreError> {
        self.run(async |conn| match once::made(conn, Some(once)).await? {
            Some(id) => find(conn, id).await,
            None => Ok(None),
        })
        .await
    }

    async fn batches(&self, query: &BatchesQuery) -> Result<Vec<BatchSummary>, StoreError> {
        self.run(async |conn| list::page(conn, query).await).await
    }

    async fn batch(&self, id: BatchId) -> Result<Option<Batch>, StoreError> {
        self.run(async |conn| find(conn, id.0).await).await
    }

    async fn due_batches(&self, limit: u32) -> Result<Vec<BatchId>, StoreError> {
        self.run(async |conn| {
            let due = batches::table
                .filter(batches::next_at.le(clock_timestamp().nullable()))
                .order(batches::next_at)
                .select(batches::id)
                .limit(limit.into());
            let ids: Vec<i32> = due.load(conn).await?;
            Ok(ids.into_iter().map(BatchId).collect())
        })
        .await
    }

    async fn until_next_batch(&self) -> Result<Option<Duration>, StoreError> {
        self.run(async |conn| {
            let (next, at): (Option<Timestamp>, Timestamp) =
                batches::table.select((min(batches::next_at), clock_timestamp())).first(conn).await?;
            Ok(next.map(|next| (next - at).to_std().unwrap_or_default()))
        })
        .await
    }

    async fn advance_batch(&self, id: BatchId, terms: (Billing, &Catalogue)) -> Result<Ended, StoreError> {
        self.transaction(async |conn| advance(conn, id, terms).await).await
    }

    async fn put_off_batch(&self, id: BatchId, time: Duration) -> Result<(), StoreError> {
        self.run(async |conn| {
            let waits = batches::table.find(id.0).filter(batches::next_at.is_not_null());
            diesel::update(waits).set(batches::next_at.eq(after(time))).execute(conn).await?;
            Ok(())
        })
        .await
    }

    async fn cancel_batch(&self, id: BatchId) -> Result<(), StoreError> {
        self.transaction(async |conn| {
            // An advance of this moment comes first.
            leave_rest(conn, id, Untouched::Cancelled).await
        })
        .await
    }

    async fn forget_batches(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        self.forget_older(
            "delete from server_batches where id in
                 (select id from server_batches where created_at < $1
                  order by created_at limit $2 for update skip locked)",
            age,
            limit,
        )
        .await
    }
}

/// Refuses a user with too many open batches. Two requests of a user count one after the other.
async fn check_room(conn: &mut AsyncPgConnection, actor: &UserId) -> Result<(), Fault<BatchError>> {
    diesel::sql_query("select pg_advisory_xact_lock(hashtextextended('batches ' || $1, 0))")
        .bind::<Text, _>(actor.as_str())
        .execute(conn)
        .await?;
    // A batch that is over is so at once, not when the loop sees it.
    let waits = items::operation_id.is_null().and(items::untouched.is_null());
    let goes_on = operations::table
        .filter(operations::id.nullable().eq(items::operation_id))
        .filter(operations::state.eq_any([State::Queued, State::Running].map(stored)));
    let left = items::table.filter(items::batch_id.eq(batches::id)).filter(waits.or(exists(goes_on)));
    let open: i64 = batches::table
        .filter(batches::discord_id.eq(actor.as_str()).and(batches::next_at.is_not_null()))
        .filter(exists(left))
        .count()
        .get_result(conn)
        .await?;
    if open >= i64::from(OPEN_MAX) { Err(Fault::Refused(BatchError::TooMany)) } else { Ok(()) }
}

/// Leaves the servers of a batch alone that still wait.
async fn leave_rest<R>(conn: &mut AsyncPgConnection, id: BatchId, why: Untouched) -> Result<(), Fault<R>> {
    let ends = diesel::update(batches::table.find(id.0)).set(batches::next_at.eq(None::<Timestamp>));
    ends.execute(conn).await?;
    let waits = items::operation_id.is_null().and(items::untouched.is_null());
    diesel::update(items::table.filter(items::batch_id.eq(id.0).and(waits)))
        .set(items::untouched.eq(stored(why)))
        .execute(conn)
        .await?;
    Ok(())
}

async fn insert(conn: &mut AsyncPgConnection, new: &NewBatch) -> Result<i32, Fault<BatchError>> {
    let trace = new.trace.as_ref();
    let id = diesel::insert_into(batches::table)
        .values((
            batches::discord_id.eq(new.actor.as_str()),
            batches::label.eq(new.label.as_str()),
            batches::action.eq(stored(new.action)),
            batches::at_most.eq(new.pace.at_most.and_then(|at_most| i32::try_from(at_most).ok())),
            batches::stagger_s.eq(new.pace.stagger.map(seconds)),
            batches::origin.eq(stored(new.origin)),
            batches::channel_id.eq(new.channel.as_ref().map(ChannelId::as_str)),
            batches::request_id.eq(trace.map(|trace| trace.request_id.as_str())),
            batches::trace_id.eq(trace.and_then(|trace| trace.trace_id).map(|id| id.to_string())),
        ))
        .returning(batches::id)
        .get_result(conn)
        .await?;
    Ok(id)
}

async fn insert_items(
    conn: &mut AsyncPgConnection,
    batch: i32,
    servers: &[(ServerId, String)],
) -> Result<(), Fault<BatchError>> {
    let row = |(place, (server, name)): (i32, &(ServerId, String))| {
        (
            items::batch_id.eq(batch),
            items::server_id.eq(server.0),
            items::server_name.eq(name.clone()),
            items::place.eq(place),
        )
    };
    let rows: Vec<_> = (0..).zip(servers).map(row).collect();
    diesel::insert_into(items::table).values(rows).execute(conn).await?;
    Ok(())
}

/// Condition: an operation of the batch waits for the host of this server. A turn would come too early, as all that waited would
/// begin at once when the host is back.
const HOST_LAGS: &str = "exists (select from server_batch_items q
    join operations o on o.id = q.operation_id and o.state = 'queued'
    join game_servers theirs on theirs.id = q.server_id
    join game_servers its on its.id = server_batch_items.server_id and its.host = theirs.host
    where q.batch_id = server_batch_items.batch_id)";

/// Asks for the operations of the servers whose turn it is, and plans the next look.
async fn advance<R: From<StoreError>>(
    conn: &mut AsyncPgConnection,
    id: BatchId,
    (billing, catalogue): (Billing, &Catalogue),
) -> Result<Ended, Fault<R>> {
    let row = batches::table
        .find(id.0)
        .filter(batches::next_at.le(clock_timestamp().nullable()))
        .select((BatchRow::as_select(), clock_timestamp()))
        .for_no_key_update()
        .skip_locked();
    let row: Option<(BatchRow, Timestamp)> = row.first(conn).await.optional()?;
    let Some((batch, at)) = row else { return Ok(vec![]) };
    if (at - batch.created_at).to_std().is_ok_and(|age| age >= AGE_MAX) {
        leave_rest(conn, id, Untouched::Expired).await?;
        tell(conn, &batch, at).await.map_err(Fault::widened)?;
        return Ok(vec![]);
    }
    let open: i64 = items::table
        .inner_join(operations::table.on(items::operation_id.eq(operations::id.nullable())))
        .filter(items::batch_id.eq(id.0))
        .filter(operations::state.eq_any([State::Queued, State::Running].map(stored)))
        .count()
        .get_result(conn)
        .await?;
    let waits: Vec<(i32, bool)> = items::table
        .filter(items::batch_id.eq(id.0))
        .filter(items::operation_id.is_null().and(items::untouched.is_null()))
        .order(items::place)
        .select((items::server_id, sql::<Bool>(HOST_LAGS)))
        .load(conn)
        .await?;
    let pace = batch.pace();
    let turns = pace.turns(u32::try_from(open).unwrap_or(u32::MAX)) as usize;
    let in_turn = waits.iter().filter(|(_, host_lags)| pace.stagger.is_none() || !host_lags);
    let due: Vec<_> = in_turn.take(turns).map(|(server, _)| *server).collect();
    let requests: Vec<_> = due.iter().map(|server| batch.request(*server)).collect::<Result<Vec<_>, Fault<R>>>()?;
    let accepted = accept::accept(conn, &requests, billing, Some(catalogue)).await.map_err(Fault::widened)?;
    let going = accepted.answers.iter().flatten().filter(|operation| !operation.state.is_final()).count();
    let ends = accepted.answers.into_iter().map(|answer| match answer {
        Ok(operation) => (Some(operation.id.0), None),
        Err(refusal) => (None, Some(Untouched::from(refusal).as_str())),
    });
    note(conn, id, &due, ends.unzip()).await?;
    let all = batches::table.find(id.0);
    let pause = match (waits.len() - due.len(), due.len()) {
        (0, _) if open == 0 && going == 0 => {
            tell(conn, &batch, at).await.map_err(Fault::widened)?;
            diesel::update(all).set(batches::next_at.eq(None::<Timestamp>)).execute(conn).await?;
            return Ok(accepted.ended);
        }
        // The batch ends with its operations.
        (0, _) => LOOK,
        (_, turns) => pace.until_next(turns),
    };
    diesel::update(all).set(batches::next_at.eq(after(pause))).execute(conn).await?;
    Ok(accepted.ended)
}

/// Tells who asked in Discord that a batch is through, if its message does not follow it any more.
async fn tell(conn: &mut AsyncPgConnection, batch: &BatchRow, at: Timestamp) -> Result<(), Fault<StoreError>> {
    let is_old = (at - batch.created_at).to_std().is_ok_and(|age| age >= FOLLOWED);
    if batch.origin != stored(Origin::Discord) || !is_old {
        return Ok(());
    }
    let Some(seen) = find(conn, batch.id).await? else { return Ok(()) };
    notices::tell_of_batch(conn, &seen, batch.channel_id.as_deref()).await
}

/// Leaves servers alone that still wait for one of these actions, since a person has asked something else of them meanwhile.
pub(crate) async fn overtake(
    conn: &mut AsyncPgConnection,
    servers: &[i32],
    actions: &[PowerAction],
    why: Untouched,
) -> Result<(), Fault<StoreError>> {
    let waits = items::operation_id.is_null().and(items::untouched.is_null());
    let such = batches::table.filter(batches::action.eq_any(actions.iter().copied().map(stored)));
    let waits = waits.and(items::batch_id.eq_any(such.select(batches::id)));
    diesel::update(items::table.filter(items::server_id.eq_any(servers).and(waits)))
        .set(items::untouched.eq(stored(why)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns a pace as it is stored.
pub(crate) fn pace(at_most: Option<i32>, stagger_s: Option<i32>) -> Pace {
    let stagger = stagger_s.map(|seconds| Span::of_seconds(seconds.unsigned_abs()));
    Pace { at_most: at_most.map(i32::unsigned_abs), stagger }
}

/// Returns a length of time as it is stored.
pub(crate) fn seconds(span: Span) -> i32 {
    i32::try_from(span.duration().as_secs()).unwrap_or(i32::MAX)
}

/// Notes the operations of these servers, or why they are left alone.
async fn note<R>(
    conn: &mut AsyncPgConnection,
    batch: BatchId,
    servers: &[i32],
    (operations, untouched): (Vec<Option<Uuid>>, Vec<Option<&'static str>>),
) -> Result<(), Fault<R>> {
    // diesel joins no `unnest`.
    diesel::sql_query(
        "update server_batch_items i set operation_id = u.operation, untouched = u.untouched
         from unnest($2, $3, $4) as u(server, operation, untouched) where i.batch_id = $1 and i.server_id = u.server",
    )
    .bind::<Integer, _>(batch.0)
    .bind::<Array<Integer>, _>(servers)
    .bind::<Array<Nullable<SqlUuid>>, _>(operations)
    .bind::<Array<Nullable<Text>>, _>(untouched)
    .execute(conn)
    .await?;
    Ok(())
}

async fn find<R>(conn: &mut AsyncPgConnection, id: i32) -> Result<Option<Batch>, Fault<R>> {
    let row: Option<BatchRow> = batches::table.find(id).select(BatchRow::as_select()).first(conn).await.optional()?;
    let Some(row) = row else { return Ok(None) };
    let rows: Vec<(ItemRow, Option<OperationRow>)> = items::table
        .left_join(operations::table.on(items::operation_id.eq(operations::id.nullable())))
        .filter(items::batch_id.eq(id))
        .order(items::place)
        .select((ItemRow::as_select(), Option::<OperationRow>::as_select()))
        .load(conn)
        .await?;
    let items = understood(rows.into_iter().map(item))?;
    row.into_batch(items.into_iter().flatten().collect()).map(Some)
}

async fn begun(conn: &mut AsyncPgConnection, id: i32) -> Result<Batch, Fault<BatchError>> {
    let gone = || Fault::Refused(StoreError::Internal("a batch is gone".into()).into());
    find(conn, id).await?.ok_or_else(gone)
}

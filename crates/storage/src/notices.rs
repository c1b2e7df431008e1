//! Notices: written with what they tell of, claimed, and ended.

use std::time::Duration;

use agis_base::{
    ChannelId, OperationId, PowerAction, Reason, ScheduleId, ServerId, Span, StoreError, Timestamp, UserId,
};
use agis_notices::{
    Claimed, Failure, Kind, Notice, NoticeId, NoticeStore,
    notice::{Announced, PENDING_MAX, REASON_MAX, TOO_MANY},
    retry,
    service::count_given_up,
};
use agis_scheduler::{FiringId, chain::Ahead, store::CalledOff};
use agis_servers::{batch::Batch, host::Generation};
use async_trait::async_trait;
use chrono::TimeDelta;
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Double, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    db::Db,
    error::{Fault, understood},
    notify::{self, NOTICES},
    schema::{clock_timestamp, game_servers, notices, now},
    word::{Stored, every, stored, words},
};

const PENDING: &str = "pending";
const SENT: &str = "sent";
const GIVEN_UP: &str = "given_up";

#[derive(Queryable, Selectable, QueryableByName)]
#[diesel(table_name = notices)]
struct NoticeRow {
    id: i64,
    recipient: String,
    channel_id: Option<String>,
    kind: Stored<Kind>,
    server_id: i32,
    server_name: String,
    action: Option<String>,
    reason: String,
    operation_id: Option<Uuid>,
    attempts: i32,
    created_at: Timestamp,
    schedule_id: Option<i32>,
    slot: Option<Timestamp>,
    due_at: Option<Timestamp>,
    next_at: Option<Timestamp>,
}

impl NoticeRow {
    fn into_notice(self) -> Result<Notice, Fault<StoreError>> {
        Ok(Notice {
            id: NoticeId(self.id),
            recipient: UserId::from_stored(&self.recipient),
            channel: self.channel_id.as_deref().map(ChannelId::from_stored),
            kind: self.kind.known("notices.kind")?,
            server: ServerId(self.server_id),
            server_name: self.server_name,
            action: self.action,
            reason: self.reason,
            operation: self.operation_id.map(OperationId),
            announced: match (self.schedule_id, self.slot, self.due_at) {
                (Some(id), Some(slot), Some(at)) => {
                    Some(Announced { schedule: ScheduleId(id), slot, at, next: self.next_at })
                }
                _ => None,
            },
            attempts: self.attempts.unsigned_abs(),
            created_at: self.created_at,
        })
    }
}

#[async_trait]
impl NoticeStore for Db {
    async fn claim(&self, limit: u32, lease: Duration) -> Result<Claimed, StoreError> {
        self.transaction(async |conn| {
            let given_up = give_up_old(conn).await?;
            // diesel has no CTEs.
            let rows: Vec<NoticeRow> = diesel::sql_query(
                "with due as (
                     select id from notices
                     where state = 'pending' and next_attempt_at <= now() and kind = any($3)
                       and (lease_until is null or lease_until <= now())
                     order by next_attempt_at limit $1
                     for no key update skip locked)
                 update notices n set attempts = attempts + 1,
                        lease_until = clock_timestamp() + make_interval(secs => $2)
                 from due where n.id = due.id
                 returning n.id, n.recipient, n.channel_id, n.kind, n.server_id, n.server_name, n.action, n.reason,
                           n.operation_id, n.attempts, n.created_at, n.schedule_id, n.slot, n.due_at, n.next_at",
            )
            .bind::<BigInt, _>(i64::from(limit))
            .bind::<Double, _>(lease.as_secs_f64())
            .bind::<Array<Text>, _>(every::<Kind>())
            .get_results(conn)
            .await?;
            let mut notices = understood(rows.into_iter().map(NoticeRow::into_notice))?;
            notices.sort_by_key(|notice| notice.id);
            Ok(Claimed { notices, given_up })
        })
        .await
    }

    async fn sent(&self, notice: &Notice) -> Result<bool, StoreError> {
        self.run(async |conn| {
            let updated = diesel::update(ours(notice))
                .set((
                    notices::state.eq(SENT),
                    notices::lease_until.eq(None::<Timestamp>),
                    notices::last_error.eq(None::<String>),
                    notices::finished_at.eq(now().nullable()),
                ))
                .execute(conn)
                .await?;
            Ok(updated == 1)
        })
        .await
    }

    async fn failed(&self, notice: &Notice, why: &Reason, permanent: bool) -> Result<Option<Failure>, StoreError> {
        let why: String = why.chars().take(REASON_MAX).collect();
        self.transaction(async |conn| {
            let row: Option<(i32, Timestamp, Timestamp)> = ours(notice)
                .select((notices::attempts, notices::created_at, clock_timestamp()))
                .for_no_key_update()
                .first(conn)
                .await
                .optional()?;
            let Some((attempts, created_at, at)) = row else { return Ok(None) };
            let age = (at - created_at).to_std().unwrap_or_default();
            let wait = retry::after(attempts.unsigned_abs(), age).filter(|_| !permanent);
            let next = wait.map(|wait| at + TimeDelta::from_std(wait).unwrap_or_default());
            diesel::update(ours(notice))
                .set((
                    notices::state.eq(if next.is_some() { PENDING } else { GIVEN_UP }),
                    next.map(|next| notices::next_attempt_at.eq(next)),
                    notices::lease_until.eq(None::<Timestamp>),
                    notices::last_error.eq(why),
                    notices::finished_at.eq(next.is_none().then_some(at)),
                ))
                .execute(conn)
                .await?;
            Ok(Some(if next.is_some() { Failure::Retried } else { Failure::GivenUp }))
        })
        .await
    }

    async fn not_understood(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.count_words(
            "select kind as word, count(*) as rows from notices
             where state = 'pending' and not kind = any($1) group by 1 limit 100",
            [words::<Kind>()],
        )
        .await
    }

    async fn forget(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        self.forget_older(
            "delete from notices where id in
                 (select id from notices where finished_at < $1
                  order by finished_at limit $2 for update skip locked)",
            age,
            limit,
        )
        .await
    }
}

fn attempts_of(notice: &Notice) -> i32 {
    i32::try_from(notice.attempts).unwrap_or(i32::MAX)
}

/// The notice, if this attempt still has it.
#[diesel::dsl::auto_type(no_type_alias)]
fn ours(notice: &Notice) -> _ {
    let id: i64 = notice.id.0;
    let attempts: i32 = attempts_of(notice);
    let held = notices::attempts.eq(attempts).and(notices::lease_until.is_not_null());
    notices::table.filter(notices::id.eq(id).and(notices::state.eq("pending")).and(held))
}

/// Gives up what nobody has, and is to be tried no more: whoever had it last never said what became of it, or nobody came
/// for it in time.
async fn give_up_old(conn: &mut AsyncPgConnection) -> Result<u64, Fault<StoreError>> {
    // diesel updates by no subquery of the same table.
    let given_up = diesel::sql_query(
        "update notices set state = 'given_up', finished_at = now(), lease_until = null,
                last_error = coalesce(last_error, 'nobody could send it in time')
         where id in (
             select id from notices
             where state = 'pending' and (lease_until is null or lease_until <= now())
               and (attempts >= $1 or created_at <= now() - make_interval(secs => $2))
             limit 1000 for no key update skip locked)",
    )
    .bind::<Integer, _>(i32::try_from(retry::ATTEMPTS_MAX).unwrap_or(i32::MAX))
    .bind::<Double, _>(retry::AGE_MAX.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(given_up as u64)
}

/// Writes what the owners of these operations' servers have to hear of those that ended badly: `why`, or else the error of
/// each. Of parts of a run, the run tells. What somebody else asked for is told alone: where they asked, others would read of it, and the owner might not.
pub(crate) async fn tell_of_operations(
    conn: &mut AsyncPgConnection,
    ids: &[Uuid],
    why: Option<&str>,
) -> Result<(), Fault<StoreError>> {
    if ids.is_empty() {
        return Ok(());
    }
    // diesel joins no text to a column's.
    let recipients: Vec<Recipient> = diesel::sql_query(
        "insert into notices (recipient, channel_id, kind, server_id, server_name, action, reason, operation_id)
         select s.discord_id, case when o.actor = s.discord_id then o.channel_id end, 'operation_' || o.state, s.id, s.name, o.action,
                left(coalesce($3, o.error, 'nobody could carry it out in time'), $2), o.id
         from operations o join game_servers s on s.id = o.server_id
         where o.id = any($1) and o.state in ('failed', 'expired') and not exists
             (select from schedule_run_steps t join schedule_runs r on r.schedule_id = t.schedule_id and r.slot = t.slot
              where t.operation_id = o.id and r.of_slot is not null)
         order by o.id
         on conflict do nothing returning recipient",
    )
    .bind::<Array<diesel::sql_types::Uuid>, _>(ids)
    .bind::<Integer, _>(REASON_LENGTH)
    .bind::<Nullable<Text>, _>(why)
    .get_results(conn)
    .await?;
    ring(conn, recipients).await
}

/// Tells an owner of an event on this server, at most once of a generation, if one is given.
pub(crate) async fn tell(
    conn: &mut AsyncPgConnection,
    server: ServerId,
    kind: Kind,
    generation: Option<Generation>,
    why: &str,
) -> Result<(), Fault<StoreError>> {
    let why: String = why.chars().take(REASON_MAX).collect();
    let notice = game_servers::table.find(server.0).select((
        game_servers::discord_id,
        stored(kind).into_sql::<Text>(),
        game_servers::id,
        game_servers::name,
        why.into_sql::<Text>(),
        generation.into_sql::<Nullable<BigInt>>(),
    ));
    let recipients: Vec<Recipient> = diesel::insert_into(notices::table)
        .values(notice)
        .into_columns((
            notices::recipient,
            notices::kind,
            notices::server_id,
            notices::server_name,
            notices::reason,
            notices::generation,
        ))
        .on_conflict_do_nothing()
        .returning((notices::recipient,))
        .get_results(conn)
        .await?;
    ring(conn, recipients).await
}

/// Tells the maker of a schedule for a label of a run that failed, and the owners of the servers on which it did: each once,
/// with the first server.
pub(crate) async fn tell_of_whole(
    conn: &mut AsyncPgConnection,
    run: FiringId,
    why: &str,
) -> Result<(), Fault<StoreError>> {
    // diesel joins no text to a column's.
    let recipients: Vec<Recipient> = diesel::sql_query(
        "insert into notices (recipient, kind, server_id, server_name, action, reason)
         select g.discord_id, $1, g.id, g.name, 'schedule ' || s.id || ' for ' || s.label, left($2, $3)
         from server_schedules s cross join lateral
             (select distinct on (owner) owner, id, name from
                 (select g.discord_id as owner, g.id, g.name from schedule_runs r join game_servers g on g.id = r.server_id
                  where r.schedule_id = s.id and r.slot > $5 and r.of_slot = $5 and r.state in ('failed', 'missed') and g.deleted_at is null
                  union all
                  select s.discord_id, g.id, g.name from server_labels l join game_servers g on g.id = l.server_id
                  where l.label = s.label and g.deleted_at is null and (g.discord_id = s.discord_id or exists
                      (select from server_grants a where a.server_id = g.id and a.discord_id = s.discord_id))) told
              order by owner, id) g (discord_id, id, name)
         where s.id = $4 returning recipient",
    )
    .bind::<Text, _>(stored(Kind::RunFailed))
    .bind::<Text, _>(why)
    .bind::<Integer, _>(REASON_LENGTH)
    .bind::<Integer, _>(run.schedule.0)
    .bind::<Timestamptz, _>(run.slot)
    .get_results(conn)
    .await?;
    ring(conn, recipients).await
}

/// Tells who asked for a batch how it went: in the channel of the request, if it has one.
pub(crate) async fn tell_of_batch(
    conn: &mut AsyncPgConnection,
    batch: &Batch,
    channel: Option<&str>,
) -> Result<(), Fault<StoreError>> {
    let [first, ..] = batch.items.as_slice() else { return Ok(()) };
    let action = batch.action.map_or("action", PowerAction::as_str);
    let recipients: Vec<Recipient> = diesel::insert_into(notices::table)
        .values((
            notices::recipient.eq(batch.actor.as_str()),
            notices::channel_id.eq(channel),
            notices::kind.eq(stored(Kind::ActionsEnded)),
            notices::server_id.eq(first.server.0),
            notices::server_name.eq(&first.name),
            notices::action.eq(format!("{action} of the servers with the label {}", batch.label)),
            notices::reason.eq(batch.told().chars().take(REASON_MAX).collect::<String>()),
        ))
        .returning((notices::recipient,))
        .get_results(conn)
        .await?;
    ring(conn, recipients).await
}

/// Tells the maker of a schedule of a run that failed, unless its operation tells the server's owner, or the run is a part of
/// another; the owner, if the maker has lost the server. The news of an earlier run that nobody was told yet goes, so that a
/// schedule fills no place of other notices.
pub(crate) async fn tell_of_run(
    conn: &mut AsyncPgConnection,
    run: FiringId,
    why: &str,
) -> Result<(), Fault<StoreError>> {
    // diesel joins no text to a column's.
    let recipients: Vec<Recipient> = diesel::sql_query(
        "with earlier as (
             delete from notices where kind = $1 and action = 'schedule ' || $4 and state = 'pending'
                 and (lease_until is null or lease_until <= now()))
         insert into notices (recipient, kind, server_id, server_name, action, reason)
         select case when exists (select from server_grants a where a.server_id = g.id and a.discord_id = s.discord_id)
                     then s.discord_id else g.discord_id end,
                $1, g.id, g.name, 'schedule ' || s.id, left($2, $3)
         from schedule_runs r join server_schedules s on s.id = r.schedule_id
         join game_servers g on g.id = coalesce(r.server_id, s.server_id)
         where r.schedule_id = $4 and r.slot = $5 and r.of_slot is null and g.deleted_at is null and not exists
             (select from schedule_run_steps t join operations o on o.id = t.operation_id
              where t.schedule_id = $4 and t.slot = $5 and t.state = 'failed' and o.state in ('failed', 'expired'))
         returning recipient",
    )
    .bind::<Text, _>(stored(Kind::RunFailed))
    .bind::<Text, _>(why)
    .bind::<Integer, _>(REASON_LENGTH)
    .bind::<Integer, _>(run.schedule.0)
    .bind::<Timestamptz, _>(run.slot)
    .get_results(conn)
    .await?;
    ring(conn, recipients).await
}

/// Announces the action of a run in the channel of its server, if it has one; `by` is the time by which somebody put it off.
pub(crate) async fn announce(
    conn: &mut AsyncPgConnection,
    run: FiringId,
    ahead: &Ahead,
    by: Option<Span>,
) -> Result<(), Fault<StoreError>> {
    forget_announced(conn, run).await?;
    // diesel joins no text to a column's.
    let recipients: Vec<Recipient> = diesel::sql_query(
        "insert into notices (recipient, channel_id, kind, server_id, server_name, action, reason, schedule_id, slot, due_at,
                              next_at)
         select g.discord_id, a.channel_id, $1, g.id, g.name, $2, $3, s.id, r.slot, $5, s.next_run
         from schedule_runs r join server_schedules s on s.id = r.schedule_id
         join game_servers g on g.id = coalesce(r.server_id, s.server_id)
         join server_announcements a on a.server_id = g.id
         where r.schedule_id = $6 and r.slot = $4 and g.deleted_at is null returning recipient",
    )
    .bind::<Text, _>(stored(Kind::PowerAnnounced))
    .bind::<Text, _>(ahead.action.as_str())
    .bind::<Text, _>(by.map(|by| format!("Somebody put it off by {by}.")).unwrap_or_default())
    .bind::<Timestamptz, _>(run.slot)
    .bind::<Timestamptz, _>(ahead.at)
    .bind::<Integer, _>(run.schedule.0)
    .get_results(conn)
    .await?;
    ring(conn, recipients).await
}

/// Tells the channel of a server that an announced action does not follow.
pub(crate) async fn call_off(
    conn: &mut AsyncPgConnection,
    run: FiringId,
    called_off: CalledOff<'_>,
) -> Result<(), Fault<StoreError>> {
    forget_announced(conn, run).await?;
    // diesel joins no text to a column's.
    let recipients: Vec<Recipient> = diesel::sql_query(
        "insert into notices (recipient, channel_id, kind, server_id, server_name, action, reason, schedule_id, slot)
         select g.discord_id, a.channel_id, $1, g.id, g.name, $2, left($3, $4), s.id, r.slot
         from schedule_runs r join server_schedules s on s.id = r.schedule_id
         join game_servers g on g.id = coalesce(r.server_id, s.server_id)
         join server_announcements a on a.server_id = g.id
         where r.schedule_id = $5 and r.slot = $6 and g.deleted_at is null returning recipient",
    )
    .bind::<Text, _>(stored(Kind::PowerCalledOff))
    .bind::<Text, _>(called_off.action.as_str())
    .bind::<Text, _>(called_off.why)
    .bind::<Integer, _>(REASON_LENGTH)
    .bind::<Integer, _>(run.schedule.0)
    .bind::<Timestamptz, _>(run.slot)
    .get_results(conn)
    .await?;
    ring(conn, recipients).await
}

/// Forgets what a channel was to hear of a run, and has not: the newest news alone counts. This also bounds them.
async fn forget_announced(conn: &mut AsyncPgConnection, run: FiringId) -> Result<(), Fault<StoreError>> {
    let old = notices::table.filter(notices::schedule_id.eq(run.schedule.0).and(notices::slot.eq(run.slot))).filter(
        notices::state.eq(PENDING).and(notices::lease_until.is_null().or(notices::lease_until.le(now().nullable()))),
    );
    diesel::delete(old).execute(conn).await?;
    Ok(())
}

#[expect(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "a constant of a few hundred")]
const REASON_LENGTH: i32 = REASON_MAX as i32;

#[derive(Queryable, QueryableByName)]
struct Recipient {
    #[diesel(sql_type = Text)]
    recipient: String,
}

/// Rings for those who send, and gives up the oldest where too many wait for a recipient. One that is being sent stays, and so
/// do announcements, which neighbours can cause.
async fn ring(conn: &mut AsyncPgConnection, recipients: Vec<Recipient>) -> Result<(), Fault<StoreError>> {
    if recipients.is_empty() {
        return Ok(());
    }
    let recipients: Vec<_> = recipients.into_iter().map(|row| row.recipient).collect();
    // diesel has no window functions over a subquery.
    let given_up = diesel::sql_query(
        "update notices set state = 'given_up', finished_at = now(), lease_until = null, last_error = $2
         where id in (
             select id from notices
             where id in (select id from (
                     select id, row_number() over (partition by recipient order by id desc) as place
                     from notices where state = 'pending' and recipient = any($1)
                       and kind not in ('power_announced', 'power_called_off')) waiting
                 where place > $3)
               and state = 'pending' and (lease_until is null or lease_until <= now())
             order by id for no key update skip locked)",
    )
    .bind::<Array<Text>, _>(recipients)
    .bind::<Text, _>(TOO_MANY)
    .bind::<BigInt, _>(i64::from(PENDING_MAX))
    .execute(conn)
    .await?;
    notify::ring(conn, NOTICES).await?;
    // If the commit fails after this, the next attempt counts them again.
    count_given_up(given_up as u64);
    Ok(())
}

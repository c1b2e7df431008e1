//! Firings: claimed, assigned to operations, ended and forgotten.

mod claim;
pub(crate) mod plan;

use std::time::Duration;

use agis_base::{OperationId, ScheduleId, ServerId, StoreError, Timestamp, UserId};
use agis_scheduler::{
    Action, Firing, FiringId, Kind, MissedRunPolicy, RunState,
    store::{Claimed, End, FiringStore},
    zone,
};
use async_trait::async_trait;
use chrono::TimeDelta;
use diesel::{
    dsl::{min, sql},
    expression::SqlLiteral,
    prelude::*,
    sql_types::{Array, Bool, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use self::plan::planned;
use crate::{
    db::{Db, column},
    error::{Fault, understood},
    schedules,
    schema::{clock_timestamp, now, schedule_runs, server_schedules},
    word::{Stored, every, stored, words},
};

#[async_trait]
impl FiringStore for Db {
    async fn until_next(&self) -> Result<Option<Duration>, StoreError> {
        self.run(async |conn| {
            let (next, at): (Option<Timestamp>, Timestamp) = server_schedules::table
                .filter(server_schedules::enabled)
                .filter(server_schedules::action.eq_any(every::<Kind>()))
                .filter(server_schedules::missed_run_policy.eq_any(every::<MissedRunPolicy>()))
                .select((min(server_schedules::next_run), clock_timestamp()))
                .first(conn)
                .await?;
            Ok(next.map(|next| (next - at).to_std().unwrap_or_default()))
        })
        .await
    }

    async fn claim_due(&self, limit: u32) -> Result<Claimed, StoreError> {
        self.transaction(async |conn| {
            // The partial index gives them in order. Left to itself the planner, whose statistics know of none that is
            // due, sorts all that are for each batch of them.
            // diesel has no SET.
            diesel::sql_query("set local enable_sort = off").execute(conn).await?;
            let rows: Vec<claim::DueSchedule> = server_schedules::table
                .filter(server_schedules::enabled.and(server_schedules::next_run.le(now().nullable())))
                // Rows of a newer program would be first in every batch, before those of this one.
                .filter(server_schedules::action.eq_any(every::<Kind>()))
                .filter(server_schedules::missed_run_policy.eq_any(every::<MissedRunPolicy>()))
                .order(server_schedules::next_run)
                .limit(limit.into())
                .select((schedules::ScheduleRow::as_select(), planned(), now()))
                .for_no_key_update()
                .skip_locked()
                .load(conn)
                .await?;
            claim::claim(conn, rows).await
        })
        .await
    }

    async fn plan_again(&self, limit: u32) -> Result<Claimed, StoreError> {
        let zones = zone::current();
        let (bound, ours) = (zones.version().bound(), zones.version().as_str());
        self.transaction(async |conn| {
            let rows: Vec<claim::DueSchedule> = server_schedules::table
                .filter(server_schedules::enabled.and(server_schedules::zone_version.lt(bound)))
                .filter(server_schedules::zone_version.ne(ours))
                .filter(server_schedules::action.eq_any(every::<Kind>()))
                .filter(server_schedules::missed_run_policy.eq_any(every::<MissedRunPolicy>()))
                .limit(limit.into())
                .select((schedules::ScheduleRow::as_select(), planned(), now()))
                .for_no_key_update()
                .skip_locked()
                .load(conn)
                .await?;
            claim::claim(conn, rows).await
        })
        .await
    }

    async fn unassigned(&self, min_age: Duration, limit: u32) -> Result<Vec<Firing>, StoreError> {
        let min_age = TimeDelta::from_std(min_age).unwrap_or(TimeDelta::MAX);
        self.run(async |conn| {
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            let rows: Vec<(i32, Timestamp, Uuid, Stored<Kind>, i32, String)> = schedule_runs::table
                .inner_join(server_schedules::table)
                .filter(pending().and(not_submitted()))
                .filter(schedule_runs::claimed_at.le(at - min_age).and(schedule_runs::action.eq_any(every::<Action>())))
                .order((schedule_runs::slot, schedule_runs::schedule_id))
                .limit(limit.into())
                .select((
                    schedule_runs::schedule_id,
                    schedule_runs::slot,
                    schedule_runs::operation_id.assume_not_null(),
                    schedule_runs::action,
                    server_schedules::server_id.assume_not_null(),
                    server_schedules::discord_id,
                ))
                .load(conn)
                .await?;
            understood(rows.into_iter().map(|(schedule, slot, operation, action, server, owner)| {
                Ok(Firing {
                    id: FiringId { schedule: ScheduleId(schedule), slot },
                    operation: OperationId(operation),
                    server: Some(ServerId(server)),
                    owner: UserId::from_stored(&owner),
                    kind: action.known("schedule_runs.action")?,
                })
            }))
        })
        .await
    }

    async fn expire_unassigned(&self, age: Duration) -> Result<Vec<(Kind, RunState)>, StoreError> {
        let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        self.run(async |conn| {
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            let old = pending().and(not_submitted()).and(schedule_runs::claimed_at.lt(at - age));
            let old = old.and(schedule_runs::action.eq_any(every::<Action>()));
            let actions: Vec<Stored<Kind>> = diesel::update(schedule_runs::table.filter(old))
                .set((
                    schedule_runs::state.eq(stored(RunState::Failed)),
                    schedule_runs::reason.eq("expired"),
                    schedule_runs::finished_at.eq(now().nullable()),
                ))
                .returning(schedule_runs::action)
                .get_results(conn)
                .await?;
            understood(actions.into_iter().map(|action| Ok((action.known("schedule_runs.action")?, RunState::Failed))))
        })
        .await
    }

    async fn forget_runs(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        self.forget_older(
            "delete from schedule_runs where (schedule_id, slot) in
                 (select schedule_id, slot from schedule_runs where finished_at < $1
                  order by finished_at limit $2 for update skip locked)",
            age,
            limit,
        )
        .await
    }

    async fn forget_schedules(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        // Their runs first, or one schedule would take a million rows with it.
        self.forget_older(
            "delete from schedule_runs where (schedule_id, slot) in
                 (select r.schedule_id, r.slot from game_servers g join server_schedules s on s.server_id = g.id
                  join schedule_runs r on r.schedule_id = s.id
                  where g.deleted_at < $1 limit $2 for update of r skip locked)",
            age,
            limit,
        )
        .await?;
        self.forget_older(
            "delete from server_schedules where id in
                 (select s.id from server_schedules s where s.at < $1 and not s.enabled and s.updated_at < $1
                  and not exists (select from schedule_runs r where r.schedule_id = s.id and r.state = 'pending')
                  limit $2 for update of s skip locked)",
            age,
            limit,
        )
        .await?;
        self.forget_older(
            "delete from server_schedules where id in
                 (select s.id from game_servers g join server_schedules s on s.server_id = g.id
                  where g.deleted_at < $1 and not exists (select from schedule_runs r where r.schedule_id = s.id)
                  limit $2 for update of s skip locked)",
            age,
            limit,
        )
        .await
    }

    async fn in_progress(
        &self,
        after: Option<FiringId>,
        limit: u32,
    ) -> Result<Vec<(FiringId, OperationId)>, StoreError> {
        self.run(async |conn| {
            let mut rows = schedule_runs::table
                .filter(pending().and(schedule_runs::action.eq_any(every::<Action>())))
                .order((schedule_runs::schedule_id, schedule_runs::slot))
                .limit(limit.into())
                .select((
                    schedule_runs::schedule_id,
                    schedule_runs::slot,
                    schedule_runs::operation_id.assume_not_null(),
                ))
                .into_boxed();
            if let Some(after) = after {
                // A comparison of rows is a range of the index.
                let later = sql::<Bool>("(schedule_runs.schedule_id, schedule_runs.slot) > (")
                    .bind::<Integer, _>(after.schedule.0)
                    .sql(", ")
                    .bind::<Timestamptz, _>(after.slot)
                    .sql(")");
                rows = rows.filter(later);
            }
            let rows: Vec<(i32, Timestamp, Uuid)> = rows.load(conn).await?;
            let known = |(schedule, slot, operation)| {
                (FiringId { schedule: ScheduleId(schedule), slot }, OperationId(operation))
            };
            Ok(rows.into_iter().map(known).collect())
        })
        .await
    }

    async fn finish(&self, ends: &[(FiringId, End)]) -> Result<Vec<(Kind, RunState)>, StoreError> {
        self.run(async |conn| finish(conn, ends).await).await
    }

    async fn not_understood(&self) -> Result<Vec<(String, i64)>, StoreError> {
        // They stay due, and so are few and in the beginning of the index, however many schedules there are.
        self.count_words(
            "select action || ', ' || missed_run_policy as word, count(*) as rows from server_schedules
             where enabled and next_run <= now() and not (action = any($1) and missed_run_policy = any($2))
             group by 1 limit 100",
            [words::<Kind>(), words::<MissedRunPolicy>()],
        )
        .await
    }

    async fn active(&self) -> Result<i64, StoreError> {
        self.run(async |conn| {
            Ok(server_schedules::table.filter(server_schedules::enabled).count().get_result(conn).await?)
        })
        .await
    }
}

/// Ends runs that have not ended, and have no steps. Returns their ends.
pub(crate) async fn finish(
    conn: &mut AsyncPgConnection,
    ends: &[(FiringId, End)],
) -> Result<Vec<(Kind, RunState)>, Fault<StoreError>> {
    #[derive(QueryableByName)]
    struct Ended {
        #[diesel(sql_type = Text)]
        action: Stored<Kind>,
        #[diesel(sql_type = Text)]
        state: Stored<RunState>,
    }
    if ends.is_empty() {
        return Ok(vec![]);
    }
    // diesel joins no `unnest`.
    let rows: Vec<Ended> = diesel::sql_query(
        "update schedule_runs r set state = u.state, reason = u.reason, look_at = null, finished_at = now()
         from unnest($1, $2, $3, $4) as u(schedule, slot, state, reason)
         where r.schedule_id = u.schedule and r.slot = u.slot and r.state = 'pending' and r.begun_at is null
         returning r.action, r.state",
    )
    .bind::<Array<Integer>, _>(column(ends, |(id, _)| id.schedule.0))
    .bind::<Array<Timestamptz>, _>(column(ends, |(id, _)| id.slot))
    .bind::<Array<Text>, _>(column(ends, |(_, end)| stored(end.state)))
    .bind::<Array<Nullable<Text>>, _>(column(ends, |(_, end)| end.reason.as_deref()))
    .get_results(conn)
    .await?;
    understood(
        rows.into_iter()
            .map(|row| Ok((row.action.known("schedule_runs.action")?, row.state.known("schedule_runs.state")?))),
    )
}

/// A literal, so that a prepared plan can use the partial index.
fn pending() -> SqlLiteral<Bool> {
    sql("schedule_runs.state = 'pending'")
}

/// Not with the pending ones, so that their indexes are asked first: a firing chooses its operation when it is claimed,
/// and there is one when its server has been asked.
fn not_submitted() -> SqlLiteral<Bool> {
    sql("not exists (select from operations o where o.id = schedule_runs.operation_id)")
}

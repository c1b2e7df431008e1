use std::{collections::HashSet, time::Duration};

use agis_base::{OperationId, ScheduleId, ServerId, StoreError, Timestamp, UserId};
use agis_scheduler::{
    Action, Firing, FiringId, RunState, Schedule,
    firing::{self, Plan, PlannedRun},
    store::{Claimed, End, FiringStore},
};
use async_trait::async_trait;
use chrono::{NaiveDateTime, TimeDelta};
use diesel::{
    dsl::sql,
    expression::SqlLiteral,
    prelude::*,
    sql_types::{Array, Bool, Double, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    db::Db,
    error::Fault,
    schedules::{self, action},
    schema::{now, schedule_runs, server_schedules},
};

/// Rows of one INSERT; Postgres takes 65,535 values.
const BATCH: usize = 2000;
/// Slots that one transaction plans, and so rows that it writes, before it leaves the other schedules to the next: after
/// a long outage it must end before its deadline all the same.
const SLOTS: i64 = 10_000;

#[async_trait]
impl FiringStore for Db {
    async fn until_next(&self) -> Result<Option<Duration>, StoreError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Nullable<Double>)]
            seconds: Option<f64>,
        }
        self.run(async |conn| {
            let row: Row = diesel::sql_query(
                "select extract(epoch from min(next_run) - clock_timestamp())::float8 as seconds
                 from server_schedules where enabled",
            )
            .get_result(conn)
            .await?;
            Ok(row.seconds.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)))
        })
        .await
    }

    async fn claim_due(&self, limit: u32) -> Result<Claimed, StoreError> {
        self.transaction(async |conn| {
            // The partial index gives them in order. Left to itself the planner, whose statistics know of none that is
            // due, sorts all that are for each batch of them.
            diesel::sql_query("set local enable_sort = off").execute(conn).await?;
            let rows: Vec<(schedules::Row, Timestamp)> = server_schedules::table
                .filter(server_schedules::enabled.and(server_schedules::next_run.le(now().nullable())))
                .order(server_schedules::next_run)
                .limit(limit.into())
                .select((schedules::Row::as_select(), now()))
                .for_no_key_update()
                .skip_locked()
                .load(conn)
                .await?;
            let mut due = Vec::with_capacity(rows.len());
            let mut slots = 0;
            for (row, at) in rows {
                let schedule = row.into_schedule()?;
                let planned = plan(&schedule, at);
                slots += planned.iter().flat_map(|plan| &plan.runs).map(|run| run.slots).sum::<i64>();
                due.push((schedule, planned, at));
                if slots >= SLOTS {
                    break;
                }
            }
            let written = write_runs(conn, &due).await?;
            move_on(conn, &due).await?;
            Ok(claimed(&due, &written))
        })
        .await
    }

    async fn unassigned(&self, min_age: Duration, limit: u32) -> Result<Vec<Firing>, StoreError> {
        let min_age = TimeDelta::from_std(min_age).unwrap_or(TimeDelta::MAX);
        self.run(async |conn| {
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            let rows: Vec<(i32, Timestamp, String, i32, String)> = schedule_runs::table
                .inner_join(server_schedules::table)
                .filter(pending().and(schedule_runs::operation_id.is_null()))
                .filter(schedule_runs::claimed_at.le(at - min_age))
                .order(schedule_runs::claimed_at)
                .limit(limit.into())
                .select((
                    schedule_runs::schedule_id,
                    schedule_runs::slot,
                    schedule_runs::action,
                    server_schedules::server_id,
                    server_schedules::discord_id,
                ))
                .load(conn)
                .await?;
            rows.into_iter()
                .map(|(schedule, slot, word, server, owner)| {
                    Ok(Firing {
                        id: FiringId { schedule: ScheduleId(schedule), slot },
                        server: ServerId(server),
                        owner: UserId::from_stored(&owner),
                        action: action(&word)?,
                    })
                })
                .collect()
        })
        .await
    }

    async fn expire_unassigned(&self, age: Duration) -> Result<Vec<(Action, RunState)>, StoreError> {
        let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        self.run(async |conn| {
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            let old = pending().and(schedule_runs::operation_id.is_null()).and(schedule_runs::claimed_at.lt(at - age));
            let actions: Vec<String> = diesel::update(schedule_runs::table.filter(old))
                .set((
                    schedule_runs::state.eq(RunState::Failed.as_str()),
                    schedule_runs::reason.eq("expired"),
                    schedule_runs::finished_at.eq(now().nullable()),
                ))
                .returning(schedule_runs::action)
                .get_results(conn)
                .await?;
            actions.iter().map(|word| Ok((action(word)?, RunState::Failed))).collect()
        })
        .await
    }

    async fn forget_runs(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        self.forget(
            "delete from schedule_runs where (schedule_id, slot) in
                 (select schedule_id, slot from schedule_runs where finished_at < $1
                  order by finished_at limit $2 for update skip locked)",
            age,
            limit,
        )
        .await
    }

    async fn assign(&self, firings: &[(FiringId, OperationId)]) -> Result<(), StoreError> {
        let (schedules, slots) = columns(firings.iter().map(|(id, _)| *id));
        let operations: Vec<_> = firings.iter().map(|(_, operation)| operation.0).collect();
        self.run(async |conn| {
            diesel::sql_query(
                "update schedule_runs r set operation_id = u.operation
                 from unnest($1, $2, $3) as u(schedule, slot, operation)
                 where r.schedule_id = u.schedule and r.slot = u.slot and r.state = 'pending'",
            )
            .bind::<Array<Integer>, _>(schedules)
            .bind::<Array<Timestamptz>, _>(slots)
            .bind::<Array<diesel::sql_types::Uuid>, _>(operations)
            .execute(conn)
            .await?;
            Ok(())
        })
        .await
    }

    async fn in_progress(
        &self,
        after: Option<FiringId>,
        limit: u32,
    ) -> Result<Vec<(FiringId, OperationId)>, StoreError> {
        self.run(async |conn| {
            let mut rows = schedule_runs::table
                .filter(pending())
                .order((schedule_runs::schedule_id, schedule_runs::slot))
                .limit(limit.into())
                .select((
                    schedule_runs::schedule_id,
                    schedule_runs::slot,
                    schedule_runs::operation_id.assume_not_null(),
                ))
                .filter(schedule_runs::operation_id.is_not_null())
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

    async fn finish(&self, ends: &[(FiringId, End)]) -> Result<Vec<(Action, RunState)>, StoreError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            action: String,
            #[diesel(sql_type = Text)]
            state: String,
        }
        let (schedules, slots) = columns(ends.iter().map(|(id, _)| *id));
        let states: Vec<_> = ends.iter().map(|(_, end)| end.state.as_str()).collect();
        let reasons: Vec<_> = ends.iter().map(|(_, end)| end.reason.as_deref()).collect();
        self.run(async |conn| {
            let rows: Vec<Row> = diesel::sql_query(
                "update schedule_runs r set state = u.state, reason = u.reason, finished_at = now()
                 from unnest($1, $2, $3, $4) as u(schedule, slot, state, reason)
                 where r.schedule_id = u.schedule and r.slot = u.slot and r.state = 'pending'
                 returning r.action, r.state",
            )
            .bind::<Array<Integer>, _>(schedules)
            .bind::<Array<Timestamptz>, _>(slots)
            .bind::<Array<Text>, _>(states)
            .bind::<Array<Nullable<Text>>, _>(reasons)
            .get_results(conn)
            .await?;
            rows.into_iter()
                .filter_map(|row| RunState::from_word(&row.state).map(|state| Ok((action(&row.action)?, state))))
                .collect()
        })
        .await
    }

    async fn active(&self) -> Result<i64, StoreError> {
        self.run(async |conn| {
            Ok(server_schedules::table.filter(server_schedules::enabled).count().get_result(conn).await?)
        })
        .await
    }
}

/// A literal, so that a prepared plan can use the partial index.
fn pending() -> SqlLiteral<Bool> {
    sql("schedule_runs.state = 'pending'")
}

/// A schedule that is due, and what to write for it; the text says why it cannot go on.
type Due = (Schedule, Result<Plan, String>, Timestamp);

fn plan(schedule: &Schedule, at: Timestamp) -> Result<Plan, String> {
    let timing = schedule.timing().map_err(|error| error.to_string())?;
    Ok(firing::plan(&timing, schedule.missed_run_policy, schedule.next_run.unwrap_or(at), at))
}

fn runs(due: &[Due]) -> impl Iterator<Item = (&Schedule, &PlannedRun, Timestamp)> {
    due.iter().flat_map(|(schedule, planned, at)| {
        planned.iter().flat_map(|plan| &plan.runs).map(move |run| (schedule, run, *at))
    })
}

#[derive(Insertable)]
#[diesel(table_name = schedule_runs)]
struct NewRow<'a> {
    schedule_id: i32,
    slot: Timestamp,
    action: &'a str,
    local_slots: &'a [NaiveDateTime],
    state: &'a str,
    reason: Option<&'a str>,
    slots: i64,
    finished_at: Option<Timestamp>,
}

/// Writes the runs that are not there yet, and answers with those: the primary key has the last word.
async fn write_runs(conn: &mut AsyncPgConnection, due: &[Due]) -> Result<HashSet<FiringId>, Fault<StoreError>> {
    let rows: Vec<_> = runs(due)
        .map(|(schedule, run, at)| {
            let missed = run.state == RunState::Missed;
            NewRow {
                schedule_id: schedule.id.0,
                slot: run.slot.at,
                action: schedule.action.as_str(),
                local_slots: if run.slot.local.len() > 1 { &run.slot.local } else { &[] },
                state: run.state.as_str(),
                reason: missed.then_some(firing::SCHEDULER_UNAVAILABLE),
                slots: run.slots,
                finished_at: missed.then_some(at),
            }
        })
        .collect();
    let mut written = HashSet::with_capacity(rows.len());
    for rows in rows.chunks(BATCH) {
        let keys: Vec<(i32, Timestamp)> = diesel::insert_into(schedule_runs::table)
            .values(rows)
            .on_conflict_do_nothing()
            .returning((schedule_runs::schedule_id, schedule_runs::slot))
            .get_results(conn)
            .await?;
        written.extend(keys.into_iter().map(|(schedule, slot)| FiringId { schedule: ScheduleId(schedule), slot }));
    }
    Ok(written)
}

/// Moves every schedule to its next run. One that has none, or that cannot be read, is disabled and says why.
async fn move_on(conn: &mut AsyncPgConnection, due: &[Due]) -> Result<(), Fault<StoreError>> {
    let ids: Vec<_> = due.iter().map(|(schedule, ..)| schedule.id.0).collect();
    let next: Vec<_> = due.iter().map(|(_, plan, _)| plan.as_ref().ok().and_then(|plan| plan.next_run)).collect();
    let last: Vec<_> = due
        .iter()
        .map(|(_, plan, _)| plan.as_ref().ok()?.runs.iter().rfind(|run| run.state == RunState::Pending))
        .map(|run| run.map(|run| run.slot.at))
        .collect();
    let reasons: Vec<_> = due
        .iter()
        .map(|(_, plan, _)| match plan {
            Ok(plan) => plan.next_run.is_none().then_some("it never fires again"),
            Err(reason) => Some(reason.as_str()),
        })
        .collect();
    diesel::sql_query(
        "update server_schedules s set next_run = u.next_run, enabled = u.next_run is not null,
                last_run = coalesce(u.last_run, s.last_run), disabled_reason = u.reason
         from unnest($1, $2, $3, $4) as u(id, next_run, last_run, reason) where s.id = u.id",
    )
    .bind::<Array<Integer>, _>(ids)
    .bind::<Array<Nullable<Timestamptz>>, _>(next)
    .bind::<Array<Nullable<Timestamptz>>, _>(last)
    .bind::<Array<Nullable<Text>>, _>(reasons)
    .execute(conn)
    .await?;
    Ok(())
}

fn claimed(due: &[Due], written: &HashSet<FiringId>) -> Claimed {
    let mut claimed = Claimed { schedules: due.len(), ..Claimed::default() };
    for (schedule, run, at) in runs(due) {
        let id = FiringId { schedule: schedule.id, slot: run.slot.at };
        if !written.contains(&id) {
            continue;
        }
        match run.state {
            RunState::Missed => claimed.missed.push((schedule.action, run.slots)),
            _ => claimed.firings.push((
                Firing { id, server: schedule.server, owner: schedule.owner.clone(), action: schedule.action },
                run.lateness(at).to_std().unwrap_or_default(),
            )),
        }
    }
    claimed
}

fn columns(ids: impl Iterator<Item = FiringId>) -> (Vec<i32>, Vec<Timestamp>) {
    ids.map(|id| (id.schedule.0, id.slot)).unzip()
}

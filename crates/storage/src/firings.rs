use std::{collections::HashMap, time::Duration};

use agis_base::{OperationId, ScheduleId, ServerId, StoreError, Timestamp, UserId};
use agis_scheduler::{
    Action, Firing, FiringId, MissedRunPolicy, RunState, Schedule, Slot,
    firing::{self, Plan, PlannedRun, Standing},
    store::{Claimed, End, FiringStore},
    zone,
};
use async_trait::async_trait;
use chrono::TimeDelta;
use diesel::{
    dsl::sql,
    expression::SqlLiteral,
    prelude::*,
    sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    db::{Db, column},
    error::{Fault, understood},
    schedules::{self, action},
    schema::{now, schedule_runs, server_schedules},
};

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
                 from server_schedules where enabled and action = any($1) and missed_run_policy = any($2)",
            )
            .bind::<Array<Text>, _>(actions())
            .bind::<Array<Text>, _>(policies())
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
            let rows: Vec<Row> = server_schedules::table
                .filter(server_schedules::enabled.and(server_schedules::next_run.le(now().nullable())))
                // What a newer program has written would be first in every batch, and none of this one's.
                .filter(server_schedules::action.eq_any(actions()))
                .filter(server_schedules::missed_run_policy.eq_any(policies()))
                .order(server_schedules::next_run)
                .limit(limit.into())
                .select((schedules::Row::as_select(), planned(), now()))
                .for_no_key_update()
                .skip_locked()
                .load(conn)
                .await?;
            claim(conn, rows).await
        })
        .await
    }

    async fn plan_again(&self, limit: u32) -> Result<Claimed, StoreError> {
        let zones = zone::current();
        let (bound, ours) = (zones.version().bound(), zones.version().as_str());
        self.transaction(async |conn| {
            let rows: Vec<Row> = server_schedules::table
                .filter(server_schedules::enabled.and(server_schedules::zone_version.lt(bound)))
                .filter(server_schedules::zone_version.ne(ours))
                .limit(limit.into())
                .select((schedules::Row::as_select(), planned(), now()))
                .for_no_key_update()
                .skip_locked()
                .load(conn)
                .await?;
            claim(conn, rows).await
        })
        .await
    }

    async fn unassigned(&self, min_age: Duration, limit: u32) -> Result<Vec<Firing>, StoreError> {
        let min_age = TimeDelta::from_std(min_age).unwrap_or(TimeDelta::MAX);
        self.run(async |conn| {
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            let rows: Vec<(i32, Timestamp, Uuid, String, i32, String)> = schedule_runs::table
                .inner_join(server_schedules::table)
                .filter(pending().and(not_submitted()))
                .filter(schedule_runs::claimed_at.le(at - min_age).and(schedule_runs::action.eq_any(actions())))
                .order((schedule_runs::slot, schedule_runs::schedule_id))
                .limit(limit.into())
                .select((
                    schedule_runs::schedule_id,
                    schedule_runs::slot,
                    schedule_runs::operation_id.assume_not_null(),
                    schedule_runs::action,
                    server_schedules::server_id,
                    server_schedules::discord_id,
                ))
                .load(conn)
                .await?;
            understood(rows.into_iter().map(|(schedule, slot, operation, word, server, owner)| {
                Ok(Firing {
                    id: FiringId { schedule: ScheduleId(schedule), slot },
                    operation: OperationId(operation),
                    server: ServerId(server),
                    owner: UserId::from_stored(&owner),
                    action: action(&word)?,
                })
            }))
        })
        .await
    }

    async fn expire_unassigned(&self, age: Duration) -> Result<Vec<(Action, RunState)>, StoreError> {
        let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        self.run(async |conn| {
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            let old = pending().and(not_submitted()).and(schedule_runs::claimed_at.lt(at - age));
            let actions: Vec<String> = diesel::update(schedule_runs::table.filter(old))
                .set((
                    schedule_runs::state.eq(RunState::Failed.as_str()),
                    schedule_runs::reason.eq("expired"),
                    schedule_runs::finished_at.eq(now().nullable()),
                ))
                .returning(schedule_runs::action)
                .get_results(conn)
                .await?;
            understood(actions.iter().map(|word| Ok((action(word)?, RunState::Failed))))
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

    async fn forget_schedules(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        // Their runs first, or one schedule would take a million rows with it.
        self.forget(
            "delete from schedule_runs where (schedule_id, slot) in
                 (select r.schedule_id, r.slot from game_servers g join server_schedules s on s.server_id = g.id
                  join schedule_runs r on r.schedule_id = s.id
                  where g.deleted_at < $1 limit $2 for update of r skip locked)",
            age,
            limit,
        )
        .await?;
        self.forget(
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
                .filter(pending())
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
            let ended = |row: Row| RunState::from_word(&row.state).map(|state| Ok((action(&row.action)?, state)));
            understood(rows.into_iter().filter_map(ended))
        })
        .await
    }

    async fn not_understood(&self) -> Result<Vec<(String, i64)>, StoreError> {
        // They stay due, and so are few and in the beginning of the index, however many schedules there are.
        self.count_words(
            "select action || ', ' || missed_run_policy as word, count(*) as rows from server_schedules
             where enabled and next_run <= now() and not (action = any($1) and missed_run_policy = any($2))
             group by 1 limit 100",
            [actions(), policies()],
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

pub(crate) fn actions() -> Vec<&'static str> {
    column(&Action::ALL, |action| action.as_str())
}

pub(crate) fn policies() -> Vec<&'static str> {
    column(&MissedRunPolicy::ALL, |policy| policy.as_str())
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

/// A schedule, what was planned for it, and this moment.
type Row = (schedules::Row, Planned, Timestamp);

/// What is kept of a plan beside its next run.
#[derive(Queryable)]
pub(crate) struct Planned {
    zone_version: String,
    since: Option<Timestamp>,
}

impl Planned {
    pub(crate) fn standing(self, next_run: Timestamp) -> Standing {
        Standing { due: next_run, since: self.since, zone_version: self.zone_version }
    }
}

/// Older programs did not note when they planned: not before the schedule was last changed, nor before what ran last.
#[diesel::dsl::auto_type(no_type_alias)]
pub(crate) fn planned() -> _ {
    let since: SqlLiteral<Nullable<Timestamptz>> =
        sql("coalesce(server_schedules.planned_at, greatest(server_schedules.updated_at, server_schedules.last_run,
             (select max(r.slot) from schedule_runs r where r.schedule_id = server_schedules.id)))");
    (server_schedules::zone_version, since)
}

/// A schedule that is due, and what to write for it; the text says why it cannot go on.
type Due = (Schedule, Result<(Plan, String), String>, Timestamp);

/// Plans schedules whose rows are locked, and writes what comes of it.
async fn claim(conn: &mut AsyncPgConnection, rows: Vec<Row>) -> Result<Claimed, Fault<StoreError>> {
    let mut due = Vec::with_capacity(rows.len());
    let mut slots = 0;
    for (row, planned, at) in rows {
        let schedule = row.into_schedule()?;
        let planned = plan(&schedule, planned, at);
        slots += planned.iter().flat_map(|(plan, _)| &plan.runs).map(|run| run.slots).sum::<i64>();
        due.push((schedule, planned, at));
        if slots >= SLOTS {
            break;
        }
    }
    if due.is_empty() {
        return Ok(Claimed::default());
    }
    let written = write_runs(conn, &due).await?;
    move_on(conn, &due).await?;
    forget_surplus(conn, &due).await?;
    Ok(claimed(&due, &written))
}

/// The plan, and the version of the time zone data that it was made by.
fn plan(schedule: &Schedule, planned: Planned, at: Timestamp) -> Result<(Plan, String), String> {
    let timing = schedule.timing().map_err(|error| error.to_string())?;
    let standing = planned.standing(schedule.next_run.unwrap_or(at));
    let plan = firing::plan(&timing, schedule.missed_run_policy, &standing, at);
    Ok((plan, timing.zone.version().to_string()))
}

fn runs(due: &[Due]) -> impl Iterator<Item = (&Schedule, &PlannedRun, Timestamp)> {
    due.iter().flat_map(|(schedule, planned, at)| {
        planned.iter().flat_map(|(plan, _)| &plan.runs).map(move |run| (schedule, run, *at))
    })
}

/// The runs that were written, with the operations that the pending ones become.
type Written = HashMap<FiringId, Option<OperationId>>;

/// Writes the runs that are not there yet, and answers with those: the primary key has the last word.
async fn write_runs(conn: &mut AsyncPgConnection, due: &[Due]) -> Result<Written, Fault<StoreError>> {
    let runs: Vec<_> = runs(due).collect();
    write(conn, &runs).await
}

/// Writes these runs of schedules, as planned at these moments.
pub(crate) async fn write<R: From<StoreError>>(
    conn: &mut AsyncPgConnection,
    runs: &[(&Schedule, &PlannedRun, Timestamp)],
) -> Result<Written, Fault<R>> {
    #[derive(QueryableByName)]
    #[diesel(table_name = schedule_runs)]
    struct Key {
        schedule_id: i32,
        slot: Timestamp,
        operation_id: Option<Uuid>,
    }
    let ended = |run: &PlannedRun| run.state != RunState::Pending;
    // Column by column, so that it is one prepared statement however many there are.
    let keys: Vec<Key> = diesel::sql_query(
        "insert into schedule_runs
             (schedule_id, slot, action, local_slots, state, reason, slots, finished_at, operation_id)
         select schedule, slot, action, local_slots::timestamp[], state, reason, slots, finished_at, operation
         from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
             as u(schedule, slot, action, local_slots, state, reason, slots, finished_at, operation)
         on conflict do nothing
         returning schedule_id, slot, operation_id",
    )
    .bind::<Array<Integer>, _>(column(runs, |(schedule, ..)| schedule.id.0))
    .bind::<Array<Timestamptz>, _>(column(runs, |(_, run, _)| run.slot.at))
    .bind::<Array<Text>, _>(column(runs, |(schedule, ..)| schedule.action.as_str()))
    .bind::<Array<Text>, _>(column(runs, |(_, run, _)| local_slots(&run.slot)))
    .bind::<Array<Text>, _>(column(runs, |(_, run, _)| run.state.as_str()))
    .bind::<Array<Nullable<Text>>, _>(column(runs, |(_, run, _)| run.reason))
    .bind::<Array<BigInt>, _>(column(runs, |(_, run, _)| run.slots))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(runs, |(_, run, at)| ended(run).then_some(*at)))
    .bind::<Array<Nullable<SqlUuid>>, _>(column(runs, |(_, run, _)| (!ended(run)).then(|| OperationId::new().0)))
    .get_results(conn)
    .await?;
    let id = |key: &Key| FiringId { schedule: ScheduleId(key.schedule_id), slot: key.slot };
    Ok(keys.into_iter().map(|key| (id(&key), key.operation_id.map(OperationId))).collect())
}

/// An array as PostgreSQL writes it (unnest would take one of arrays apart): the local slots, where they are several.
fn local_slots(slot: &Slot) -> String {
    let several: Vec<_> = slot.local.iter().filter(|_| slot.local.len() > 1).map(|at| format!("{at:?}")).collect();
    format!("{{{}}}", several.join(","))
}

/// Moves every schedule to its next run. One that has none, or that cannot be read, is disabled and says why.
async fn move_on(conn: &mut AsyncPgConnection, due: &[Due]) -> Result<(), Fault<StoreError>> {
    let ids: Vec<_> = due.iter().map(|(schedule, ..)| schedule.id.0).collect();
    let next: Vec<_> =
        due.iter().map(|(_, planned, _)| planned.as_ref().ok().and_then(|(plan, _)| plan.next_run)).collect();
    let last: Vec<_> = due
        .iter()
        .map(|(_, planned, _)| planned.as_ref().ok()?.0.runs.iter().rfind(|run| run.state == RunState::Pending))
        .map(|run| run.map(|run| run.slot.at))
        .collect();
    let reasons: Vec<_> = due
        .iter()
        .map(|(_, planned, _)| match planned {
            Ok((plan, _)) => plan.next_run.is_none().then_some("it never fires again"),
            Err(reason) => Some(reason.as_str()),
        })
        .collect();
    let versions = due.iter().map(|(_, planned, _)| planned.as_ref().map_or("", |(_, version)| version));
    let at: Vec<_> = due.iter().map(|(_, _, at)| *at).collect();
    diesel::sql_query(
        "update server_schedules s set next_run = u.next_run, enabled = u.next_run is not null,
                last_run = coalesce(u.last_run, s.last_run), disabled_reason = u.reason,
                zone_version = u.version, planned_at = u.at
         from unnest($1, $2, $3, $4, $5, $6) as u(id, next_run, last_run, reason, version, at) where s.id = u.id",
    )
    .bind::<Array<Integer>, _>(ids)
    .bind::<Array<Nullable<Timestamptz>>, _>(next)
    .bind::<Array<Nullable<Timestamptz>>, _>(last)
    .bind::<Array<Nullable<Text>>, _>(reasons)
    .bind::<Array<Text>, _>(versions.collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets old runs of schedules that run often, a few with each claim: more than one comes, so they become fewer.
async fn forget_surplus(conn: &mut AsyncPgConnection, due: &[Due]) -> Result<(), Fault<StoreError>> {
    let before = |(schedule, planned, _): &Due| Some((schedule.id.0, planned.as_ref().ok()?.0.forget_before?));
    let (ids, moments): (Vec<_>, Vec<_>) = due.iter().filter_map(before).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    diesel::sql_query(
        "delete from schedule_runs r using
             (select k.schedule_id, k.slot from unnest($1, $2) as u(schedule, moment) cross join lateral
                  (select schedule_id, slot from schedule_runs
                   where schedule_id = u.schedule and slot < u.moment and finished_at is not null
                   order by slot limit 10) k) old
         where r.schedule_id = old.schedule_id and r.slot = old.slot",
    )
    .bind::<Array<Integer>, _>(ids)
    .bind::<Array<Timestamptz>, _>(moments)
    .execute(conn)
    .await?;
    Ok(())
}

fn claimed(due: &[Due], written: &Written) -> Claimed {
    let mut claimed = Claimed { schedules: due.len(), ..Claimed::default() };
    for (schedule, run, at) in runs(due) {
        let id = FiringId { schedule: schedule.id, slot: run.slot.at };
        let Some(operation) = written.get(&id) else { continue };
        let Schedule { server, owner, action, .. } = schedule;
        match *operation {
            None => claimed.ended.push((*action, run.state, run.slots)),
            Some(operation) => claimed.firings.push((
                Firing { id, operation, server: *server, owner: owner.clone(), action: *action },
                run.lateness(at).to_std().unwrap_or_default(),
            )),
        }
    }
    // The last one has the last word: that is the newest slot, not that of the schedule that was due last.
    claimed.firings.sort_by_key(|(firing, _)| (firing.id.slot, firing.id.schedule));
    claimed
}

fn columns(ids: impl Iterator<Item = FiringId>) -> (Vec<i32>, Vec<Timestamp>) {
    ids.map(|id| (id.schedule.0, id.slot)).unzip()
}

//! Plans of schedules, and the runs that they write.

use std::collections::HashMap;

use agis_base::{OperationId, ScheduleId, StoreError, Timestamp};
use agis_scheduler::{
    FiringId, Kind, RunState, Schedule, Slot, Trigger,
    chain::CLAIMED,
    firing::{self, Plan, PlannedRun, Standing},
    zone,
};
use diesel::{
    dsl::sql,
    expression::SqlLiteral,
    prelude::*,
    sql_types::{Array, BigInt, Integer, Interval, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    db::column,
    error::Fault,
    notify::{OPERATIONS, ring},
    schema::{interval, schedule_runs, server_schedules},
    word::stored,
};

/// Columns of a plan beside its next run.
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

/// The plan, and the version of the time zone data that it was made by.
pub(super) fn plan(schedule: &Schedule, planned: Planned, at: Timestamp) -> Result<(Plan, String), String> {
    let trigger = schedule.trigger().map_err(|error| error.to_string())?;
    let standing = planned.standing(schedule.next_run.unwrap_or(at));
    let plan = firing::plan(&trigger, schedule.missed_run_policy, &standing, at);
    Ok((plan, zone_version(&trigger)))
}

/// Returns the version of the time zone data that plans a trigger.
pub(crate) fn zone_version(trigger: &Trigger) -> String {
    let timing = trigger.timing().map(|timing| timing.zone.version().to_string());
    timing.unwrap_or_else(|| zone::current().version().to_string())
}

/// The runs that were written, with the operations that the pending ones become.
pub(crate) type Written = HashMap<FiringId, Option<OperationId>>;

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
    // Column by column: diesel's statement would have parameters for each row, of which there may be 65,535.
    let keys: Vec<Key> = diesel::sql_query(
        "insert into schedule_runs
             (schedule_id, slot, action, local_slots, state, reason, slots, finished_at, operation_id, look_at)
         select schedule, slot, action, local_slots::timestamp[], state, reason, slots, finished_at, operation,
                case when state = 'pending' then case action when 'servers' then now() when 'steps' then now() + $10 end end
         from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
             as u(schedule, slot, action, local_slots, state, reason, slots, finished_at, operation)
         on conflict do nothing
         returning schedule_id, slot, operation_id",
    )
    .bind::<Array<Integer>, _>(column(runs, |(schedule, ..)| schedule.id.0))
    .bind::<Array<Timestamptz>, _>(column(runs, |(_, run, _)| run.slot.at))
    .bind::<Array<Text>, _>(column(runs, |(schedule, ..)| stored(schedule.kind())))
    .bind::<Array<Text>, _>(column(runs, |(_, run, _)| local_slots(&run.slot)))
    .bind::<Array<Text>, _>(column(runs, |(_, run, _)| stored(run.state)))
    .bind::<Array<Nullable<Text>>, _>(column(runs, |(_, run, _)| run.reason))
    .bind::<Array<BigInt>, _>(column(runs, |(_, run, _)| run.slots))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(runs, |(_, run, at)| ended(run).then_some(*at)))
    .bind::<Array<Nullable<SqlUuid>>, _>(column(runs, |(_, run, _)| (!ended(run)).then(|| OperationId::new().0)))
    // The process that claims a run with steps begins it; another one does if that dies.
    .bind::<Interval, _>(interval(CLAIMED))
    .get_results(conn)
    .await?;
    let is_of_many =
        |(schedule, run, _): &(&Schedule, &PlannedRun, Timestamp)| !ended(run) && schedule.kind() == Kind::Servers;
    if runs.iter().any(is_of_many) {
        ring(conn, OPERATIONS).await?;
    }
    let id = |key: &Key| FiringId { schedule: ScheduleId(key.schedule_id), slot: key.slot };
    Ok(keys.into_iter().map(|key| (id(&key), key.operation_id.map(OperationId))).collect())
}

/// An array as PostgreSQL writes it (unnest would take one of arrays apart): the local slots, where they are several.
fn local_slots(slot: &Slot) -> String {
    let several: Vec<_> = slot.local.iter().filter(|_| slot.local.len() > 1).map(|at| format!("{at:?}")).collect();
    format!("{{{}}}", several.join(","))
}

//! Claims schedules that are due: plans them, writes their runs, moves them on.

use agis_base::{MANY_MAX, StoreError, Timestamp};
use agis_scheduler::{
    Firing, FiringId, Kind, RunState, Schedule,
    firing::{Plan, PlannedRun},
    store::Claimed,
};
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::plan::{self, Planned, Written};
use crate::{error::Fault, schedules};

/// Slots that one transaction plans, and so rows that it writes, before it leaves the other schedules to the next: after
/// a long outage it must end before its deadline all the same.
const SLOTS: i64 = 10_000;

/// A schedule, what was planned for it, and this moment.
pub(super) type DueSchedule = (schedules::ScheduleRow, Planned, Timestamp);

/// A schedule that is due, and what to write for it; the text says why it cannot go on.
type Due = (Schedule, Result<(Plan, String), String>, Timestamp);

/// Plans schedules whose rows are locked, and writes what comes of it.
pub(super) async fn claim(conn: &mut AsyncPgConnection, rows: Vec<DueSchedule>) -> Result<Claimed, Fault<StoreError>> {
    let mut due = Vec::with_capacity(rows.len());
    let mut slots = 0;
    for (row, planned, at) in rows {
        let schedule = row.into_schedule()?;
        let planned = plan::plan(&schedule, planned, at);
        slots += planned.iter().flat_map(|(plan, _)| &plan.runs).map(|run| run.slots).sum::<i64>();
        due.push((schedule, planned, at));
        if slots >= SLOTS {
            break;
        }
    }
    if due.is_empty() {
        return Ok(Claimed::default());
    }
    let written = plan::write(conn, &runs(&due).collect::<Vec<_>>()).await?;
    move_on(conn, &due).await?;
    forget_surplus(conn, &due).await?;
    Ok(claimed(&due, &written))
}

fn runs(due: &[Due]) -> impl Iterator<Item = (&Schedule, &PlannedRun, Timestamp)> {
    due.iter().flat_map(|(schedule, planned, at)| {
        planned.iter().flat_map(|(plan, _)| &plan.runs).map(move |run| (schedule, run, *at))
    })
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
        .map(|(schedule, planned, _)| match planned {
            Ok((plan, _)) if plan.next_run.is_some() => None,
            Ok(_) if schedule.at.is_some() => Some("its run has begun"),
            Ok(_) => Some("it never fires again"),
            Err(reason) => Some(reason.as_str()),
        })
        .collect();
    let versions = due.iter().map(|(_, planned, _)| planned.as_ref().map_or("", |(_, version)| version));
    let at: Vec<_> = due.iter().map(|(_, _, at)| *at).collect();
    // diesel joins no `unnest`.
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
    // A run on many servers has a row for each.
    let many = due.iter().any(|(schedule, ..)| schedule.kind() == Kind::Servers);
    let rows = if many { 10 * (1 + i64::from(MANY_MAX)) } else { 10 };
    // diesel joins no `unnest`.
    diesel::sql_query(
        "delete from schedule_runs r using
             (select k.schedule_id, k.slot from unnest($1, $2) as u(schedule, moment) cross join lateral
                  (select schedule_id, slot from schedule_runs
                   where schedule_id = u.schedule and slot < u.moment and finished_at is not null
                   order by slot limit $3) k) old
         where r.schedule_id = old.schedule_id and r.slot = old.slot",
    )
    .bind::<Array<Integer>, _>(ids)
    .bind::<Array<Timestamptz>, _>(moments)
    .bind::<BigInt, _>(rows)
    .execute(conn)
    .await?;
    Ok(())
}

fn claimed(due: &[Due], written: &Written) -> Claimed {
    let mut claimed = Claimed { schedules: due.len(), ..Claimed::default() };
    for (schedule, run, at) in runs(due) {
        let id = FiringId { schedule: schedule.id, slot: run.slot.at };
        let Some(operation) = written.get(&id) else { continue };
        let Schedule { target, owner, .. } = schedule;
        match *operation {
            None => claimed.ended.push((schedule.kind(), run.state, run.slots)),
            Some(operation) => claimed.firings.push((
                Firing { id, operation, server: target.server(), owner: owner.clone(), kind: schedule.kind() },
                run.lateness(at).to_std().unwrap_or_default(),
            )),
        }
    }
    // The last one has the last word: that is the newest slot, not that of the schedule that was due last.
    claimed.firings.sort_by_key(|(firing, _)| (firing.id.slot, firing.id.schedule));
    claimed
}

//! Runs at their gates: many begin, end or go on waiting in one transaction, since thousands are due at the same minute.

use std::{collections::HashSet, time::Duration};

use agis_base::{ScheduleId, StoreError, Timestamp};
use agis_scheduler::{
    FiringId, Kind, RunState,
    chain::SOON,
    store::{Beginning, Chain, End, Entry},
};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Integer, Interval, Jsonb, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{number, rows::columns};
use crate::{
    db::column,
    error::Fault,
    firings,
    json::Json,
    notices,
    notify::{OPERATIONS, ring},
    schema::interval,
    word::stored,
};

/// Run that is to begin.
type Begins<'a> = (&'a Chain, &'a Beginning);

#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = Integer)]
    schedule_id: i32,
    #[diesel(sql_type = Timestamptz)]
    slot: Timestamp,
}

impl Key {
    fn id(self) -> FiringId {
        FiringId { schedule: ScheduleId(self.schedule_id), slot: self.slot }
    }
}

/// Carries out what the gate decided. Returns the ends of the runs that ended.
pub(super) async fn pass(
    conn: &mut AsyncPgConnection,
    decided: &[(&Chain, Entry)],
) -> Result<Vec<(Kind, RunState)>, Fault<StoreError>> {
    let (mut begins, mut ends, mut waits): (Vec<Begins>, Vec<(FiringId, End)>, Vec<_>) = (vec![], vec![], vec![]);
    for (chain, entry) in decided {
        match entry {
            Entry::Begins(beginning) => begins.push((chain, beginning)),
            Entry::Ends(end) => ends.push((chain.id, end.clone())),
            Entry::Waits(time) => waits.push((chain.id, *time)),
        }
    }
    let free = lock(conn, &begins).await?;
    let locked: Vec<_> = begins.iter().filter(|(chain, _)| free.contains(&chain.id)).copied().collect();
    let begun = begin(conn, &locked).await?;
    for (chain, beginning) in begins {
        match &beginning.announced {
            _ if !begun.contains(&chain.id) => waits.push((chain.id, SOON)),
            Some(ahead) => notices::announce(conn, chain.id, ahead, None).await?,
            None => {}
        }
    }
    look_again(conn, &waits).await?;
    let ended = firings::finish(conn, &ends).await?;
    if !begun.is_empty() {
        ring(conn, OPERATIONS).await?;
    }
    Ok(ended)
}

/// Looks at runs again after these times. One that somebody ends meanwhile keeps its look of now, and one that was ended
/// before loses its lease.
pub(super) async fn look_again(
    conn: &mut AsyncPgConnection,
    waits: &[(FiringId, Duration)],
) -> Result<(), Fault<StoreError>> {
    if waits.is_empty() {
        return Ok(());
    }
    // diesel joins no `unnest`.
    diesel::sql_query(
        "update schedule_runs r set look_at = now() + u.time from unnest($1, $2, $3) as u(schedule, slot, time)
         where r.schedule_id = u.schedule and r.slot = u.slot and r.state = 'pending'
           and (r.ended_by is null or r.look_at > now() + u.time)",
    )
    .bind::<Array<Integer>, _>(column(waits, |(id, _)| id.schedule.0))
    .bind::<Array<Timestamptz>, _>(column(waits, |(id, _)| id.slot))
    .bind::<Array<Interval>, _>(column(waits, |(_, time)| interval(*time)))
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks runs that may still begin, with their servers, and returns them. A stop by a person waits for the lock of the server,
/// and then ends the run; one that came before has changed the generation. Rows that others hold are left out: whoever waits
/// for many rows meets somebody who waits for these.
async fn lock(conn: &mut AsyncPgConnection, begins: &[Begins<'_>]) -> Result<HashSet<FiringId>, Fault<StoreError>> {
    if begins.is_empty() {
        return Ok(HashSet::new());
    }
    // diesel joins no `unnest`.
    let keys: Vec<Key> = diesel::sql_query(
        "select r.schedule_id, r.slot from unnest($1, $2, $3, $4) as u(schedule, slot, server, generation)
         join game_servers g on g.id = u.server and g.generation = u.generation and g.desired <> 'deleted'
         join schedule_runs r on r.schedule_id = u.schedule and r.slot = u.slot
             and r.state = 'pending' and r.begun_at is null and r.ended_by is null
         for no key update of g, r skip locked",
    )
    .bind::<Array<Integer>, _>(column(begins, |(chain, _)| chain.id.schedule.0))
    .bind::<Array<Timestamptz>, _>(column(begins, |(chain, _)| chain.id.slot))
    .bind::<Array<Integer>, _>(column(begins, |(chain, _)| chain.server.0))
    .bind::<Array<BigInt>, _>(column(begins, |(chain, _)| chain.generation))
    .load(conn)
    .await?;
    Ok(keys.into_iter().map(Key::id).collect())
}

/// Begins runs whose rows are locked, with their steps, and returns those that have begun. A statement of its own: it sees
/// everything that was committed before the rows were locked.
async fn begin(conn: &mut AsyncPgConnection, begins: &[Begins<'_>]) -> Result<HashSet<FiringId>, Fault<StoreError>> {
    if begins.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<_> = begins.iter().map(|(chain, _)| chain.id).collect();
    let (schedules, slots) = columns(&ids);
    let steps = begins.iter().flat_map(|(chain, beginning)| {
        beginning.steps.iter().enumerate().map(|(place, step)| (chain.id, number(place), step))
    });
    let steps: Vec<_> = steps.collect();
    // diesel has no `with`.
    let keys: Vec<Key> = diesel::sql_query(
        "with begun as (
             update schedule_runs r set begun_at = clock_timestamp(), look_at = clock_timestamp() + u.look
             from unnest($1, $2, $3, $4) as u(schedule, slot, server, look)
             where r.schedule_id = u.schedule and r.slot = u.slot
                 and not exists (select from schedule_runs e
                     where e.schedule_id = u.schedule and e.slot <> u.slot and e.state = 'pending'
                         and e.begun_at is not null and e.server_id is not distinct from r.server_id)
                 and not exists (select from server_holds h
                     where h.server_id = u.server and (h.until is null or h.until > now()))
             returning r.schedule_id, r.slot
         ), planned as (
             insert into schedule_run_steps (schedule_id, slot, place, step, operation_id, state, started_at)
             select b.schedule_id, b.slot, u.place, u.step, u.operation, u.state,
                    case u.state when 'running' then clock_timestamp() end
             from begun b join unnest($5, $6, $7, $8, $9, $10) as u(schedule, slot, place, step, operation, state)
                 on u.schedule = b.schedule_id and u.slot = b.slot
         )
         select schedule_id, slot from begun",
    )
    .bind::<Array<Integer>, _>(schedules)
    .bind::<Array<Timestamptz>, _>(slots)
    .bind::<Array<Integer>, _>(column(begins, |(chain, _)| chain.server.0))
    .bind::<Array<Interval>, _>(column(begins, |(_, beginning)| interval(beginning.look)))
    .bind::<Array<Integer>, _>(column(&steps, |(id, ..)| id.schedule.0))
    .bind::<Array<Timestamptz>, _>(column(&steps, |(id, ..)| id.slot))
    .bind::<Array<SmallInt>, _>(column(&steps, |(_, place, _)| *place))
    .bind::<Array<Jsonb>, _>(column(&steps, |(.., step)| Json(&step.step)))
    .bind::<Array<SqlUuid>, _>(column(&steps, |(.., step)| step.operation.unwrap_or_default().0))
    .bind::<Array<Text>, _>(column(&steps, |(.., step)| stored(step.state)))
    .load(conn)
    .await?;
    Ok(keys.into_iter().map(Key::id).collect())
}

//! Runs with steps: taken to be looked at, begun, moved on and ended.

mod gate;
mod rows;

use std::{collections::BTreeSet, time::Duration};

use agis_base::{OperationId, PowerAction, ScheduleId, ServerId, Span, StoreError, Timestamp};
use agis_scheduler::{
    Action, FiringId, Kind, RunState,
    chain::{self, Ahead, EndedBy, NotPutOff, Postponement, PutOff, StepState},
    store::{CalledOff, Chain, ChainStore, End, Entry, Mark, PostponeError},
};
use agis_servers::batch::Untouched;
use async_trait::async_trait;
use chrono::TimeDelta;
use diesel::{
    dsl::{exists, max, min, sql},
    prelude::*,
    sql_types::Bool,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use self::rows::{ChainRow, step_rows, taken};
pub(crate) use self::rows::{StepRow, known_steps, outlook, pending, steps};
use crate::{
    batches,
    db::Db,
    error::{Fault, understood},
    notices,
    notify::{OPERATIONS, ring},
    schema::{clock_timestamp, now, schedule_run_steps as steps_table, schedule_runs as runs, server_schedules},
    word::{Stored, stored},
};

#[async_trait]
impl ChainStore for Db {
    async fn until_next_look(&self) -> Result<Option<Duration>, StoreError> {
        self.run(async |conn| {
            let (next, at): (Option<Timestamp>, Timestamp) = runs::table
                .filter(runs::look_at.is_not_null().and(runs::action.eq(stored(Kind::Steps))))
                .select((min(runs::look_at), clock_timestamp()))
                .first(conn)
                .await?;
            Ok(next.map(|next| (next - at).to_std().unwrap_or_default()))
        })
        .await
    }

    async fn take_chains(&self, limit: u32, lease: Duration) -> Result<Vec<Chain>, StoreError> {
        self.transaction(async |conn| {
            let ids = taken(conn, limit, lease).await?;
            chains(conn, &ids).await
        })
        .await
    }

    async fn chains(&self, ids: &[FiringId]) -> Result<Vec<Chain>, StoreError> {
        self.run(async |conn| chains(conn, ids).await).await
    }

    async fn pass_gate(&self, decided: &[(&Chain, Entry)]) -> Result<Vec<(Kind, RunState)>, StoreError> {
        self.transaction(async |conn| gate::pass(conn, decided).await).await
    }

    async fn mark_step(&self, id: FiringId, mark: &Mark<'_>) -> Result<bool, StoreError> {
        let Mark { place, from, to, reason, announced } = mark;
        self.transaction(async |conn| {
            let step = steps_table::table
                .find((id.schedule.0, id.slot, number(*place)))
                .filter(
                    steps_table::state.eq(stored(from.state)).and(steps_table::postponed_s.eq(seconds(from.postponed))),
                )
                .filter(exists(open(id).filter(runs::ended_by.is_null())));
            let (begins, ends) = (*to == StepState::Running, !matches!(to, StepState::Waiting | StepState::Running));
            let marked = diesel::update(step)
                .set((
                    steps_table::state.eq(stored(*to)),
                    steps_table::reason.eq(reason),
                    begins.then(|| steps_table::started_at.eq(clock_timestamp().nullable())),
                    ends.then(|| steps_table::ended_at.eq(clock_timestamp().nullable())),
                ))
                .execute(conn)
                .await?;
            if let (1, Some(ahead)) = (marked, announced) {
                notices::announce(conn, id, ahead, None).await?;
            }
            Ok(marked > 0)
        })
        .await
    }

    async fn look_again(&self, ids: &[FiringId], time: Duration) -> Result<(), StoreError> {
        let waits: Vec<_> = ids.iter().map(|id| (*id, time)).collect();
        self.run(async |conn| gate::look_again(conn, &waits).await).await
    }

    async fn interrupt(&self, id: FiringId, by: EndedBy) -> Result<bool, StoreError> {
        self.transaction(async |conn| {
            let steps = runs::action.eq_any([Kind::Steps, Kind::Servers].map(stored));
            let run = open(id).filter(runs::ended_by.is_null().and(steps));
            let ended = diesel::update(run)
                .set((runs::ended_by.eq(by.as_str()), runs::look_at.eq(now().nullable())))
                .execute(conn)
                .await?;
            ring(conn, OPERATIONS).await?;
            Ok(ended > 0)
        })
        .await
    }

    async fn end_chain(
        &self,
        id: FiringId,
        end: &End,
        called_off: Option<CalledOff<'_>>,
    ) -> Result<Option<(Kind, RunState)>, StoreError> {
        self.transaction(async |conn| {
            let ended = self::end(conn, id, end).await?;
            if let (Some(_), Some(called_off)) = (ended, called_off) {
                notices::call_off(conn, id, called_off).await?;
            }
            Ok(ended)
        })
        .await
    }
}

/// Returns those of these runs that have not ended. The lease keeps one that only a newer program can read out of the way.
async fn chains(conn: &mut AsyncPgConnection, ids: &[FiringId]) -> Result<Vec<Chain>, Fault<StoreError>> {
    let mut steps = step_rows(conn, ids).await?;
    let rows = ChainRow::of(conn, ids).await?;
    understood(rows.into_iter().map(|row| {
        let steps = steps.remove(&row.id()).unwrap_or_default();
        let steps = steps.into_iter().map(StepRow::into_step).collect::<Result<_, _>>()?;
        row.into_chain(steps)
    }))
}

/// Ends a run that has not ended, and skips its steps that have not.
pub(crate) async fn end(
    conn: &mut AsyncPgConnection,
    id: FiringId,
    end: &End,
) -> Result<Option<(Kind, RunState)>, Fault<StoreError>> {
    let ended: Option<Stored<Kind>> = diesel::update(open(id))
        .set((
            runs::state.eq(stored(end.state)),
            runs::reason.eq(&end.reason),
            runs::look_at.eq(None::<Timestamp>),
            runs::finished_at.eq(clock_timestamp().nullable()),
        ))
        .returning(runs::action)
        .get_result(conn)
        .await
        .optional()?;
    let Some(kind) = ended else { return Ok(None) };
    let left = steps_table::table
        .filter(steps_table::schedule_id.eq(id.schedule.0).and(steps_table::slot.eq(id.slot)))
        .filter(steps_table::state.eq_any([StepState::Waiting, StepState::Running].map(stored)));
    diesel::update(left)
        .set((
            steps_table::state.eq(stored(StepState::Skipped)),
            steps_table::ended_at.eq(clock_timestamp().nullable()),
        ))
        .execute(conn)
        .await?;
    let kind = kind.known("schedule_runs.action")?;
    let why = end.reason.as_deref().unwrap_or("it failed");
    match (kind, end.state) {
        (Kind::Steps, RunState::Failed) => notices::tell_of_run(conn, id, why).await?,
        (Kind::Servers, RunState::Failed | RunState::Missed) => {
            notices::tell_of_whole(conn, id, agis_scheduler::service::why(why)).await?
        }
        _ => {}
    }
    Ok(Some((kind, end.state)))
}

/// Runs with steps of these servers that nothing has ended.
macro_rules! open_on {
    ($servers:expr) => {{
        let schedules = server_schedules::table
            .filter(server_schedules::server_id.eq_any($servers.clone()))
            .select(server_schedules::id);
        runs::table
            .filter(pending().and(runs::action.eq(stored(Kind::Steps))).and(runs::ended_by.is_null()))
            .filter(runs::schedule_id.eq_any(schedules).or(runs::server_id.assume_not_null().eq_any($servers)))
    }};
}

/// Ends the runs with steps of these servers, whose rows are locked, for this cause: also those that wait for the end of an
/// earlier one, or for players to leave, or they would start the server again that a person has stopped. Batches leave these
/// servers alone, too.
pub(crate) async fn interrupt_all(
    conn: &mut AsyncPgConnection,
    servers: &[ServerId],
    by: EndedBy,
) -> Result<(), Fault<StoreError>> {
    if servers.is_empty() {
        return Ok(());
    }
    let servers: Vec<_> = servers.iter().map(|server| server.0).collect();
    let why = if by == EndedBy::Delete { Untouched::Deleted } else { Untouched::Overtaken };
    batches::overtake(conn, &servers, PowerAction::ALL, why).await?;
    diesel::update(open_on!(servers))
        .set((runs::ended_by.eq(by.as_str()), runs::look_at.eq(now().nullable())))
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends the runs of these servers, whose rows are locked, that have nothing but a restart ahead, since a person has restarted
/// them.
pub(crate) async fn forestall(conn: &mut AsyncPgConnection, servers: &[ServerId]) -> Result<(), Fault<StoreError>> {
    let servers: Vec<_> = servers.iter().map(|server| server.0).collect();
    batches::overtake(conn, &servers, &[PowerAction::Stop, PowerAction::Restart], Untouched::Overtaken).await?;
    let begun = open_on!(servers).filter(runs::begun_at.is_not_null());
    let begun: Vec<(i32, Timestamp)> = begun.select((runs::schedule_id, runs::slot)).load(conn).await?;
    for (schedule, slot) in begun {
        let id = FiringId { schedule: ScheduleId(schedule), slot };
        if chain::only_restarts(&steps(conn, id).await?) {
            diesel::update(open(id).filter(runs::ended_by.is_null()))
                .set((runs::ended_by.eq(EndedBy::Restart.as_str()), runs::look_at.eq(now().nullable())))
                .execute(conn)
                .await?;
        }
    }
    Ok(())
}

/// Ends the runs with steps of a schedule that have done nothing yet, since it goes on in another way. One that has acted on
/// its server goes on: it may have stopped it to start it again.
pub(crate) async fn interrupt_waiting<R: From<StoreError>>(
    conn: &mut AsyncPgConnection,
    schedule: ScheduleId,
) -> Result<(), Fault<R>> {
    // A run on many servers may choose them at this moment. Behind its lock, its parts are seen.
    let wholes = runs::table.filter(runs::schedule_id.eq(schedule.0).and(runs::action.eq(stored(Kind::Servers))));
    let wholes = wholes.filter(pending()).select(runs::slot).for_no_key_update();
    wholes.load::<Timestamp>(conn).await?;
    let with_steps = runs::action.eq_any([Kind::Steps, Kind::Servers].map(stored));
    let waiting = runs::table
        .filter(pending().and(with_steps).and(runs::ended_by.is_null()))
        .filter(runs::schedule_id.eq(schedule.0))
        // A run on many servers ends with its parts, once it has some.
        .filter(runs::action.eq(stored(Kind::Steps)).or(runs::begun_at.is_null()))
        .filter(sql::<Bool>(
            "not exists (select from schedule_run_steps t
                 where t.schedule_id = schedule_runs.schedule_id and t.slot = schedule_runs.slot and t.state <> 'waiting'
                   and t.step -> 'deed' ?| array['power', 'command'])",
        ));
    diesel::update(waiting)
        .set((runs::ended_by.eq(EndedBy::Changed.as_str()), runs::look_at.eq(now().nullable())))
        .execute(conn)
        .await?;
    ring(conn, OPERATIONS).await
}

/// Tells the channels of servers which announced actions do not follow, as their schedule is deleted. Returns these;
/// `None` if a run is about to start its server again.
pub(crate) async fn call_off(
    conn: &mut AsyncPgConnection,
    schedule: ScheduleId,
) -> Result<Option<Vec<(ServerId, Action)>>, Fault<StoreError>> {
    let begun = runs::table
        .filter(pending().and(runs::schedule_id.eq(schedule.0)).and(runs::begun_at.is_not_null()))
        .filter(runs::action.eq(stored(Kind::Steps)))
        .inner_join(server_schedules::table)
        .select((runs::slot, runs::server_id, server_schedules::server_id));
    let begun: Vec<(Timestamp, Option<i32>, Option<i32>)> = begun.load(conn).await?;
    let mut announced = vec![];
    for (slot, part, server) in begun {
        let id = FiringId { schedule, slot };
        let steps = steps(conn, id).await?;
        if chain::brings_up(&steps) {
            return Ok(None);
        }
        announced.extend(chain::announced(&steps).zip(part.or(server)).map(|(action, server)| (id, action, server)));
    }
    let mut off = vec![];
    for (id, action, server) in announced {
        notices::call_off(conn, id, CalledOff { action, why: "its schedule was deleted" }).await?;
        off.push((ServerId(server), action));
    }
    Ok(Some(off))
}

/// Returns those of these operations whose steps no longer run, since their run has ended or was ended.
pub(crate) async fn overtaken(
    conn: &mut AsyncPgConnection,
    operations: Vec<OperationId>,
) -> Result<Vec<OperationId>, Fault<StoreError>> {
    if operations.is_empty() {
        return Ok(vec![]);
    }
    let ids: Vec<_> = operations.iter().map(|id| id.0).collect();
    let goes_on: Vec<uuid::Uuid> = steps_table::table
        .inner_join(
            runs::table.on(runs::schedule_id.eq(steps_table::schedule_id).and(runs::slot.eq(steps_table::slot))),
        )
        .filter(steps_table::operation_id.eq_any(ids).and(steps_table::state.eq(stored(StepState::Running))))
        .filter(pending().and(runs::ended_by.is_null()))
        .select(steps_table::operation_id)
        .load(conn)
        .await?;
    Ok(operations.into_iter().filter(|id| !goes_on.contains(&id.0)).collect())
}

/// Lengthens the waits before the next actions of runs. Returns those that are put off.
pub(crate) async fn postpone_all(
    conn: &mut AsyncPgConnection,
    ids: &[FiringId],
    wish: &Postponement,
) -> Result<Vec<(FiringId, Ahead)>, Fault<PostponeError>> {
    let (mut put_off, mut refusal) = (vec![], PostponeError::NothingAhead);
    // In one order, so that two requests do not wait for each other.
    for id in ids.iter().copied().collect::<BTreeSet<_>>() {
        match postpone(conn, id, wish).await.map_err(Fault::widened)? {
            Ok(ahead) => put_off.push((id, ahead)),
            Err(NotPutOff::TooLong) => refusal = PostponeError::TooLong,
            Err(NotPutOff::Already) => refusal = PostponeError::Already,
            Err(NotPutOff::NothingAhead) => {}
        }
    }
    if put_off.is_empty() { Err(Fault::Refused(refusal)) } else { Ok(put_off) }
}

/// Lengthens the wait before the next action of a run.
async fn postpone(
    conn: &mut AsyncPgConnection,
    id: FiringId,
    wish: &Postponement,
) -> Result<Result<Ahead, NotPutOff>, Fault<StoreError>> {
    let run = open(id).filter(runs::begun_at.is_not_null().and(runs::ended_by.is_null()));
    let Some(at): Option<Timestamp> = run.select(clock_timestamp()).for_no_key_update().first(conn).await.optional()?
    else {
        return Ok(Err(NotPutOff::NothingAhead));
    };
    // A step that changes meanwhile has waited for this lock, or is seen as changed.
    steps_table::table
        .filter(steps_table::schedule_id.eq(id.schedule.0).and(steps_table::slot.eq(id.slot)))
        .select(steps_table::place)
        .for_no_key_update()
        .load::<i16>(conn)
        .await?;
    let steps = steps(conn, id).await?;
    let PutOff { ahead, postponed, anew } = match chain::postponed(&steps, wish, at) {
        Ok(put_off) => put_off,
        Err(why) => return Ok(Err(why)),
    };
    let wait = anew.start;
    let begins_anew = !anew.is_empty();
    for place in anew {
        diesel::update(steps_table::table.find((id.schedule.0, id.slot, number(place))))
            .set((
                steps_table::state.eq(stored(StepState::Waiting)),
                steps_table::reason.eq(None::<String>),
                steps_table::started_at.eq(None::<Timestamp>),
                steps_table::ended_at.eq(None::<Timestamp>),
                steps_table::postponed_s.eq(0),
                // A warning is another command now.
                steps_table::operation_id.eq(OperationId::new().0),
            ))
            .execute(conn)
            .await?;
    }
    diesel::update(steps_table::table.find((id.schedule.0, id.slot, number(wait))))
        .set((
            steps_table::postponed_s.eq(seconds(postponed)),
            begins_anew.then(|| steps_table::state.eq(stored(StepState::Running))),
            begins_anew.then(|| steps_table::started_at.eq(clock_timestamp().nullable())),
        ))
        .execute(conn)
        .await?;
    diesel::update(open(id)).set(runs::look_at.eq(now().nullable())).execute(conn).await?;
    if wish.tell {
        notices::announce(conn, id, &ahead, Some(wish.by)).await?;
    }
    ring(conn, OPERATIONS).await?;
    Ok(Ok(ahead))
}

fn number(place: usize) -> i16 {
    i16::try_from(place).unwrap_or(i16::MAX)
}

fn seconds(time: Span) -> i32 {
    i32::try_from(time.duration().as_secs()).unwrap_or(i32::MAX)
}

/// Adds a run of this moment to a schedule of steps, or for a label.
pub(crate) async fn fire(conn: &mut AsyncPgConnection, id: ScheduleId) -> Result<Option<FiringId>, Fault<StoreError>> {
    let schedule = server_schedules::table
        .filter(server_schedules::id.eq(id.0))
        .filter(server_schedules::action.eq_any([Kind::Steps, Kind::Servers].map(stored)))
        .select(server_schedules::action)
        .for_no_key_update();
    let Some(kind): Option<Stored<Kind>> = schedule.first(conn).await.optional()? else { return Ok(None) };
    // The parts of a run on many servers have the microseconds behind its slot.
    let before = runs::table.filter(runs::schedule_id.eq(id.0).and(runs::slot.le(clock_timestamp())));
    let (latest, at): (Option<Timestamp>, Timestamp) =
        before.select((max(runs::slot), clock_timestamp())).first(conn).await?;
    let slot = latest.map_or(at, |latest| at.max(latest + TimeDelta::milliseconds(1)));
    diesel::insert_into(runs::table)
        .values((
            runs::schedule_id.eq(id.0),
            runs::slot.eq(slot),
            runs::action.eq(kind),
            runs::state.eq(stored(RunState::Pending)),
            runs::operation_id.eq(OperationId::new().0),
            runs::look_at.eq(slot),
        ))
        .execute(conn)
        .await?;
    ring(conn, OPERATIONS).await?;
    Ok(Some(FiringId { schedule: id, slot }))
}

pub(crate) type Open =
    diesel::dsl::Filter<diesel::dsl::Find<runs::table, (i32, Timestamp)>, diesel::expression::SqlLiteral<Bool>>;

/// Selects a run that has not ended.
pub(crate) fn open(id: FiringId) -> Open {
    runs::table.find((id.schedule.0, id.slot)).filter(pending())
}

/// Returns whether this id is that of the act of a step that has ended, or whose run has.
pub(crate) async fn has_ended(conn: &mut AsyncPgConnection, act: OperationId) -> Result<bool, Fault<StoreError>> {
    let ended = steps_table::table
        .inner_join(
            runs::table.on(runs::schedule_id.eq(steps_table::schedule_id).and(runs::slot.eq(steps_table::slot))),
        )
        .filter(steps_table::operation_id.eq(act.0))
        .filter(
            steps_table::state
                .ne(stored(StepState::Running))
                .or(runs::state.ne(stored(RunState::Pending)))
                .or(runs::ended_by.is_not_null()),
        );
    Ok(diesel::select(exists(ended)).get_result(conn).await?)
}

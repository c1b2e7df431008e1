//! Rows of runs and of their steps.

use std::{collections::HashMap, time::Duration};

use agis_base::{OperationId, ScheduleId, ServerId, Span, StoreError, Timestamp, UserId};
use agis_scheduler::{
    FiringId, Work,
    chain::{EndedBy, Facts, LOOK, StepRun, StepState},
    store::{Chain, Outlook},
    work::PlannedStep,
};
use agis_servers::{Status, players::STALE_AFTER, server::Desired};
use diesel::{
    dsl::sql,
    expression::SqlLiteral,
    prelude::*,
    sql_types::{Array, BigInt, Bool, Integer, Interval, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    error::{Fault, understood, unknown},
    json::{IfReadable, Json},
    schema::interval,
    word::Stored,
};

/// A literal, so that a prepared plan can use the partial index.
pub(crate) fn pending() -> SqlLiteral<Bool> {
    sql("schedule_runs.state = 'pending'")
}

#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = Integer)]
    schedule_id: i32,
    #[diesel(sql_type = Timestamptz)]
    slot: Timestamp,
}

pub(super) fn columns(ids: &[FiringId]) -> (Vec<i32>, Vec<Timestamp>) {
    ids.iter().map(|id| (id.schedule.0, id.slot)).unzip()
}

/// Takes runs whose time has come, or the operation of whose step has ended.
pub(super) async fn taken(
    conn: &mut AsyncPgConnection,
    limit: u32,
    lease: Duration,
) -> Result<Vec<FiringId>, Fault<StoreError>> {
    // diesel has no `with` and no locks on one of two tables.
    let keys: Vec<Key> = diesel::sql_query(
        "with due as (
             select schedule_id, slot from schedule_runs
             where look_at <= now() and action = 'steps' order by look_at limit $1 for no key update skip locked
         ), ended as (
             select r.schedule_id, r.slot from schedule_runs r
             join schedule_run_steps s
                 on s.schedule_id = r.schedule_id and s.slot = r.slot and s.state = 'running' and s.step -> 'deed' ? 'power'
             join operations o on o.id = s.operation_id and o.state not in ('queued', 'running')
             where r.look_at <= now() + $3 limit $1 for no key update of r skip locked
         )
         update schedule_runs r set look_at = now() + $2 from (select * from due union select * from ended) due
         where r.schedule_id = due.schedule_id and r.slot = due.slot and r.state = 'pending'
         returning r.schedule_id, r.slot",
    )
    .bind::<BigInt, _>(i64::from(limit))
    .bind::<Interval, _>(interval(lease))
    // Somebody has the others, and tells how their operations ended.
    .bind::<Interval, _>(interval(LOOK))
    .get_results(conn)
    .await?;
    let id = |key: Key| FiringId { schedule: ScheduleId(key.schedule_id), slot: key.slot };
    Ok(keys.into_iter().map(id).collect())
}

#[derive(QueryableByName)]
pub(super) struct ChainRow {
    #[diesel(sql_type = Integer)]
    schedule_id: i32,
    #[diesel(sql_type = Timestamptz)]
    slot: Timestamp,
    #[diesel(sql_type = Integer)]
    server_id: i32,
    #[diesel(sql_type = Text)]
    discord_id: String,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    work: Option<Json<IfReadable<Work>>>,
    #[diesel(sql_type = Nullable<Text>)]
    ended_by: Option<Stored<EndedBy>>,
    #[diesel(sql_type = Array<Timestamptz>)]
    earlier: Vec<Timestamp>,
    #[diesel(sql_type = Text)]
    desired: Stored<Desired>,
    #[diesel(sql_type = Text)]
    status: Stored<Status>,
    #[diesel(sql_type = Bool)]
    comes_back: bool,
    #[diesel(sql_type = BigInt)]
    generation: i64,
    #[diesel(sql_type = Nullable<Integer>)]
    players: Option<i32>,
    #[diesel(sql_type = Timestamptz)]
    claimed_at: Timestamp,
    #[diesel(sql_type = Timestamptz)]
    now: Timestamp,
}

impl ChainRow {
    pub(super) async fn of(conn: &mut AsyncPgConnection, ids: &[FiringId]) -> Result<Vec<Self>, Fault<StoreError>> {
        let (schedules, slots) = columns(ids);
        // A count of another run, or an old one, says nothing.
        let rows = diesel::sql_query(
            "select r.schedule_id, r.slot, g.id as server_id, s.discord_id, s.action, s.work, r.ended_by,
                    array(select e.slot from schedule_runs e
                          where e.schedule_id = r.schedule_id and e.slot <> r.slot and e.state = 'pending'
                            and (e.slot < r.slot or e.begun_at is not null)
                            and e.server_id is not distinct from r.server_id
                          order by e.slot) as earlier,
                    g.desired, g.status, g.restart_at is not null as comes_back, g.generation, p.online as players, r.claimed_at, clock_timestamp() as now
             from unnest($1, $2) as u(schedule, slot)
             join schedule_runs r on r.schedule_id = u.schedule and r.slot = u.slot and r.state = 'pending'
             join server_schedules s on s.id = r.schedule_id
             join game_servers g on g.id = coalesce(r.server_id, s.server_id)
             left join server_players p on p.server_id = g.id and p.measured_at > now() - $3 and g.status = 'running'
             order by r.slot, r.schedule_id",
        )
        .bind::<Array<Integer>, _>(schedules)
        .bind::<Array<Timestamptz>, _>(slots)
        .bind::<Interval, _>(interval(STALE_AFTER))
        .load(conn)
        .await?;
        Ok(rows)
    }

    pub(super) fn id(&self) -> FiringId {
        FiringId { schedule: ScheduleId(self.schedule_id), slot: self.slot }
    }

    pub(super) fn into_chain(self, steps: Vec<StepRun>) -> Result<Chain, Fault<StoreError>> {
        let id = self.id();
        let work = match (agis_scheduler::Action::from_word(&self.action), self.work) {
            // The schedule has changed since it fired.
            (Some(action), _) => Work::of(action),
            (None, Some(Json(IfReadable(Some(work))))) => work,
            (None, _) => return Err(unknown("server_schedules.work", "steps")),
        };
        let (desired, status) =
            (self.desired.known("game_servers.desired")?, self.status.known("game_servers.status")?);
        let earlier = self.earlier.into_iter().map(|slot| FiringId { slot, ..id }).collect();
        Ok(Chain {
            id,
            server: ServerId(self.server_id),
            owner: UserId::from_stored(&self.discord_id),
            work,
            steps,
            ended_by: self.ended_by.map(|cause| cause.known("schedule_runs.ended_by")).transpose()?,
            earlier,
            facts: facts(desired, status, self.comes_back, self.players),
            generation: self.generation,
            since: self.claimed_at,
            now: self.now,
        })
    }
}

#[derive(QueryableByName)]
pub(crate) struct StepRow {
    #[diesel(sql_type = Integer)]
    schedule_id: i32,
    #[diesel(sql_type = Timestamptz)]
    slot: Timestamp,
    #[diesel(sql_type = Jsonb)]
    step: Json<IfReadable<PlannedStep>>,
    #[diesel(sql_type = Text)]
    state: Stored<StepState>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = SqlUuid)]
    operation_id: Uuid,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    started_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<Timestamp>,
    #[diesel(sql_type = Integer)]
    postponed_s: i32,
}

impl StepRow {
    /// Returns the run of the step.
    pub(crate) fn run(&self) -> FiringId {
        FiringId { schedule: ScheduleId(self.schedule_id), slot: self.slot }
    }

    pub(crate) fn into_step(self) -> Result<StepRun, Fault<StoreError>> {
        let Json(IfReadable(Some(step))) = self.step else {
            return Err(unknown("schedule_run_steps.step", "step"));
        };
        Ok(StepRun {
            step,
            state: self.state.known("schedule_run_steps.state")?,
            reason: self.reason,
            operation: Some(OperationId(self.operation_id)),
            started_at: self.started_at,
            ended_at: self.ended_at,
            postponed: Span::of_seconds(self.postponed_s.unsigned_abs()),
        })
    }
}

/// Returns the rows of the steps of these runs in their order.
pub(super) async fn step_rows(
    conn: &mut AsyncPgConnection,
    ids: &[FiringId],
) -> Result<HashMap<FiringId, Vec<StepRow>>, Fault<StoreError>> {
    let (schedules, slots) = columns(ids);
    let rows: Vec<StepRow> = diesel::sql_query(
        "select s.* from unnest($1, $2) as u(schedule, slot)
         join schedule_run_steps s on s.schedule_id = u.schedule and s.slot = u.slot
         order by s.schedule_id, s.slot, s.place",
    )
    .bind::<Array<Integer>, _>(schedules)
    .bind::<Array<Timestamptz>, _>(slots)
    .load(conn)
    .await?;
    let mut steps: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        steps.entry(row.run()).or_default().push(row);
    }
    Ok(steps)
}

/// Returns the steps of a run in their order, for people: those that this program knows.
pub(crate) async fn known_steps(conn: &mut AsyncPgConnection, id: FiringId) -> Result<Vec<StepRun>, Fault<StoreError>> {
    let rows = step_rows(conn, &[id]).await?.remove(&id).unwrap_or_default();
    understood(rows.into_iter().map(StepRow::into_step))
}

/// Returns the steps of a run in their order.
pub(crate) async fn steps(conn: &mut AsyncPgConnection, id: FiringId) -> Result<Vec<StepRun>, Fault<StoreError>> {
    let rows = step_rows(conn, &[id]).await?.remove(&id).unwrap_or_default();
    rows.into_iter().map(StepRow::into_step).collect()
}

#[derive(QueryableByName)]
struct OutlookRow {
    #[diesel(sql_type = Text)]
    desired: Stored<Desired>,
    #[diesel(sql_type = Text)]
    status: Stored<Status>,
    #[diesel(sql_type = Bool)]
    comes_back: bool,
    #[diesel(sql_type = Nullable<Integer>)]
    players: Option<i32>,
    #[diesel(sql_type = Bool)]
    is_busy: bool,
    #[diesel(sql_type = Bool)]
    is_held: bool,
    #[diesel(sql_type = Timestamptz)]
    now: Timestamp,
}

/// Returns the server of a schedule as a run would find it now.
pub(crate) async fn outlook(
    conn: &mut AsyncPgConnection,
    id: ScheduleId,
) -> Result<Option<Outlook>, Fault<StoreError>> {
    let row: Option<OutlookRow> = diesel::sql_query(
        "select g.desired, g.status, g.restart_at is not null as comes_back, p.online as players,
                exists(select from server_holds h where h.server_id = g.id and (h.until is null or h.until > now())) as is_held, clock_timestamp() as now,
                exists(select from schedule_runs r where r.schedule_id = s.id and r.state = 'pending') as is_busy
         from server_schedules s join game_servers g on g.id = s.server_id
         left join server_players p on p.server_id = g.id and p.measured_at > now() - $2 and g.status = 'running'
         where s.id = $1",
    )
    .bind::<Integer, _>(id.0)
    .bind::<Interval, _>(interval(STALE_AFTER))
    .get_result(conn)
    .await
    .optional()?;
    let outlook = row.map(|row| {
        let (desired, status) = (row.desired.known("game_servers.desired")?, row.status.known("game_servers.status")?);
        let facts = facts(desired, status, row.comes_back, row.players);
        Ok(Outlook { facts, now: row.now, is_busy: row.is_busy, is_held: row.is_held })
    });
    outlook.transpose()
}

fn facts(desired: Desired, status: Status, comes_back: bool, players: Option<i32>) -> Facts {
    Facts {
        should_run: desired == Desired::Running,
        is_ready: status == Status::Running,
        // The supervisor may start one that has crashed in the next moment.
        is_stopped: matches!(status, Status::Stopped | Status::Crashed | Status::Failed) && !comes_back,
        players: players.and_then(|players| u32::try_from(players).ok()),
    }
}

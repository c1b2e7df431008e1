use agis_base::{Label, Once, OperationId, Pace, ScheduleId, ServerId, StoreError, Timestamp, UserId};
use agis_scheduler::{
    FiringId, Kind, MissedRunPolicy, NewSchedule, Run, RunState, RunWithSteps, Schedule, ScheduleChange, Target,
    Trigger, Work,
    chain::{Ahead, EndedBy, Postponement},
    firing::{self, PlannedRun},
    schedule::InvalidChange,
    store::{
        Breadth, ChainStore, Deleted, Limits, Outlook, PostponeError, Query, RunsQuery, ScheduleStore, WriteError,
    },
};
use agis_servers::server::Desired;
use async_trait::async_trait;
use chrono::{NaiveDateTime, TimeDelta};
use diesel::{
    dsl::{self, exists, sql},
    expression::SqlLiteral,
    prelude::*,
    sql_types::{Bool, Integer},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    batches, chains,
    db::Db,
    error::{Fault, understood, unknown},
    firings::plan::{self, Planned, planned},
    json::{IfReadable, Json},
    many,
    notify::{SCHEDULES, ring},
    once,
    schema::{clock_timestamp, game_servers, now, operations, schedule_runs, server_schedules, users},
    word::{Stored, every, stored},
};

/// Condition: a schedule may still do something.
const ALIVE: &str =
    "not exists (select from game_servers g where g.id = server_schedules.server_id and g.deleted_at is not null)
    and (at is null or enabled or disabled_reason is null or exists
        (select from schedule_runs r where r.schedule_id = server_schedules.id and r.state = 'pending'))";

#[derive(Queryable, Selectable)]
#[diesel(table_name = server_schedules)]
pub(crate) struct ScheduleRow {
    id: i32,
    server_id: Option<i32>,
    label: Option<String>,
    at_most: Option<i32>,
    stagger_s: Option<i32>,
    discord_id: String,
    action: Stored<Kind>,
    work: Option<Json<IfReadable<Work>>>,
    cron_expression: Option<String>,
    timezone: String,
    at: Option<Timestamp>,
    enabled: bool,
    disabled_reason: Option<String>,
    missed_run_policy: Stored<MissedRunPolicy>,
    last_run: Option<Timestamp>,
    next_run: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl ScheduleRow {
    /// Reads a schedule. The steps of a newer program are none here: its runs are left to whoever understands them, and its
    /// owner can still see, disable and delete it.
    pub(crate) fn into_schedule<R: From<StoreError>>(self) -> Result<Schedule, Fault<R>> {
        let work = match (self.action.known("server_schedules.action")?.action(), self.work) {
            (Some(action), _) => Work::of(action),
            (None, Some(Json(IfReadable(Some(work))))) => work,
            (None, _) => Work::steps(vec![]),
        };
        let target = match (self.server_id, self.label) {
            (Some(server), _) => Target::Server(ServerId(server)),
            (None, Some(label)) => {
                Target::Labelled { label: Label::from_stored(label), pace: batches::pace(self.at_most, self.stagger_s) }
            }
            (None, None) => return Err(unknown("server_schedules.server_id", "null")),
        };
        Ok(Schedule {
            id: ScheduleId(self.id),
            target,
            owner: UserId::from_stored(&self.discord_id),
            work,
            cron_expression: self.cron_expression,
            timezone: self.timezone,
            at: self.at,
            enabled: self.enabled,
            disabled_reason: self.disabled_reason,
            missed_run_policy: self.missed_run_policy.known("server_schedules.missed_run_policy")?,
            last_run: self.last_run,
            next_run: self.next_run,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

#[async_trait]
impl ScheduleStore for Db {
    async fn create(&self, new: &NewSchedule, limits: Limits, once: Option<&Once>) -> Result<Schedule, WriteError> {
        self.transaction(async |conn| {
            if let Some(id) = once::made(conn, once).await? {
                let row =
                    server_schedules::table.find(id).select(ScheduleRow::as_select()).first(conn).await.optional()?;
                let row: ScheduleRow = row.ok_or(Fault::Refused(WriteError::Gone))?;
                return row.into_schedule();
            }
            // So that the schedules of one user are counted one at a time.
            let owner = users::table.find(new.owner.as_str()).select(users::discord_id).for_no_key_update();
            owner.first::<String>(conn).await.optional()?;
            check_limits(conn, &new.target, &new.owner, limits).await?;
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            let next_run = new.trigger.next_run(at).map_err(|error| Fault::Refused(error.into()))?;
            let timing = new.trigger.timing();
            let once_at = match new.trigger {
                Trigger::At(at) => Some(at),
                Trigger::Cron(_) => None,
            };
            let kind = new.kind();
            let (label, pace) = match &new.target {
                Target::Server(_) => (None, Pace::default()),
                Target::Labelled { label, pace } => (Some(label.as_str()), *pace),
            };
            let row: ScheduleRow = diesel::insert_into(server_schedules::table)
                .values((
                    server_schedules::server_id.eq(new.target.server().map(|server| server.0)),
                    server_schedules::label.eq(label),
                    server_schedules::at_most.eq(pace.at_most.and_then(|at_most| i32::try_from(at_most).ok())),
                    server_schedules::stagger_s.eq(pace.stagger.map(batches::seconds)),
                    server_schedules::discord_id.eq(new.owner.as_str()),
                    server_schedules::action.eq(stored(kind)),
                    server_schedules::work.eq(steps(&new.work, kind)),
                    server_schedules::cron_expression.eq(timing.map(|timing| timing.cron.to_string())),
                    server_schedules::timezone.eq(timing.map_or("UTC", |timing| timing.zone.name())),
                    server_schedules::at.eq(once_at),
                    server_schedules::enabled.eq(new.enabled),
                    server_schedules::missed_run_policy.eq(stored(new.missed_run_policy)),
                    server_schedules::next_run.eq(new.enabled.then_some(next_run)),
                    server_schedules::zone_version.eq(plan::zone_version(&new.trigger)),
                    server_schedules::planned_at.eq(at),
                ))
                .returning(ScheduleRow::as_returning())
                .get_result(conn)
                .await?;
            ring(conn, SCHEDULES).await?;
            once::note(conn, once, row.id).await?;
            row.into_schedule()
        })
        .await
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.read(async |mut conn| Ok(diesel::select(clock_timestamp()).get_result(&mut conn).await?)).await
    }

    async fn find(&self, user: &UserId, id: ScheduleId) -> Result<Option<Schedule>, StoreError> {
        self.read(async |mut conn| {
            let row: Option<ScheduleRow> = server_schedules::table
                .filter(server_schedules::id.eq(id.0).and(theirs(user)))
                .select(ScheduleRow::as_select())
                .first(&mut conn)
                .await
                .optional()?;
            row.map(ScheduleRow::into_schedule).transpose()
        })
        .await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Schedule>, StoreError> {
        self.read(async |mut conn| {
            let mut rows = server_schedules::table
                .filter(theirs(&query.user))
                .filter(server_schedules::id.gt(query.after.map_or(0, |id| id.0)))
                .order(server_schedules::id)
                .limit(query.limit.into())
                .select(ScheduleRow::as_select())
                .into_boxed()
                .filter(server_schedules::action.eq_any(every::<Kind>()))
                .filter(server_schedules::missed_run_policy.eq_any(every::<MissedRunPolicy>()));
            if let Some(servers) = query.reach.narrowed_to() {
                rows = rows.filter(server_schedules::server_id.eq_any(servers));
            }
            if let Some(server) = query.server {
                rows = rows.filter(server_schedules::server_id.eq(server.0));
            }
            if let Some(kind) = query.kind {
                rows = rows.filter(server_schedules::action.eq(stored(kind)));
            }
            if let Some(enabled) = query.enabled {
                rows = rows.filter(server_schedules::enabled.eq(enabled));
            }
            if query.alive {
                rows = rows.filter(sql::<Bool>(ALIVE));
            }
            let rows: Vec<ScheduleRow> = rows.load(&mut conn).await?;
            understood(rows.into_iter().map(ScheduleRow::into_schedule))
        })
        .await
    }

    async fn change(
        &self,
        user: &UserId,
        id: ScheduleId,
        change: &ScheduleChange,
        limits: Limits,
    ) -> Result<Option<Schedule>, WriteError> {
        self.transaction(async |conn| {
            let row: Option<(ScheduleRow, Planned)> = server_schedules::table
                .filter(server_schedules::id.eq(id.0).and(theirs(user)))
                .select((ScheduleRow::as_select(), planned()))
                .for_no_key_update()
                .first(conn)
                .await
                .optional()?;
            let Some((row, planned)) = row else { return Ok(None) };
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            let schedule = row.into_schedule()?;
            let changed = schedule.changed(change, at).map_err(|error| {
                Fault::Refused(match error {
                    InvalidChange::Timing(error) => error.into(),
                    InvalidChange::Work(error) => error.into(),
                })
            })?;
            if let (true, Some(server)) = (changed.enabled && !schedule.enabled, changed.target.server()) {
                // Without a lock: a deletion at this moment waits for our schedule and disables it afterwards.
                let server =
                    game_servers::table.find(server.0).filter(game_servers::desired.ne(stored(Desired::Deleted)));
                if !diesel::select(exists(server)).get_result::<bool>(conn).await? {
                    return Err(Fault::Refused(WriteError::NoServer));
                }
            }
            if changed.counts() && !schedule.counts() {
                check_limits(conn, &schedule.target, &schedule.owner, limits).await?;
            }
            let version = if changed.next_run == schedule.next_run {
                None
            } else {
                give_up(conn, &schedule, planned, at).await?;
                // Slots that were skipped ahead would be planned, and found to have run.
                let skipped = schedule_runs::table
                    .filter(schedule_runs::schedule_id.eq(id.0).and(schedule_runs::slot.gt(at)))
                    .filter(schedule_runs::state.eq(stored(RunState::Skipped)));
                diesel::delete(skipped).execute(conn).await?;
                changed.trigger().ok().map(|trigger| plan::zone_version(&trigger))
            };
            let planned_at = version.as_ref().map(|_| at);
            let rewrites = changed.work != schedule.work || changed.kind() != schedule.kind();
            // The servers of one run do the same.
            let mixes = rewrites && schedule.kind() == Kind::Servers;
            if changed.next_run != schedule.next_run || change.enabled == Some(false) || mixes {
                chains::interrupt_waiting(conn, schedule.id).await?;
            }
            let row: ScheduleRow = diesel::update(server_schedules::table.find(id.0))
                .set((
                    version.map(|version| server_schedules::zone_version.eq(version)),
                    planned_at.map(|at| server_schedules::planned_at.eq(at)),
                    // Steps that this program cannot read stay as they are.
                    rewrites.then(|| server_schedules::action.eq(stored(changed.kind()))),
                    rewrites.then(|| server_schedules::work.eq(steps(&changed.work, changed.kind()))),
                    server_schedules::at.eq(changed.at),
                    server_schedules::cron_expression.eq(&changed.cron_expression),
                    server_schedules::timezone.eq(&changed.timezone),
                    server_schedules::enabled.eq(changed.enabled),
                    server_schedules::disabled_reason.eq(&changed.disabled_reason),
                    server_schedules::missed_run_policy.eq(stored(changed.missed_run_policy)),
                    server_schedules::next_run.eq(changed.next_run),
                    server_schedules::updated_at.eq(now()),
                ))
                .returning(ScheduleRow::as_returning())
                .get_result(conn)
                .await?;
            ring(conn, SCHEDULES).await?;
            row.into_schedule().map(Some)
        })
        .await
    }

    async fn delete(&self, user: &UserId, id: ScheduleId) -> Result<Deleted, StoreError> {
        self.transaction(async |conn| {
            let schedule = server_schedules::table.filter(server_schedules::id.eq(id.0).and(theirs(user)));
            let found: Option<i32> = schedule.select(server_schedules::id).for_update().first(conn).await.optional()?;
            if found.is_none() {
                return Ok(Deleted::Unknown);
            }
            let Some(off) = chains::call_off(conn, id).await? else { return Ok(Deleted::Acting) };
            diesel::delete(server_schedules::table.find(id.0)).execute(conn).await?;
            Ok(Deleted::Gone(off))
        })
        .await
    }

    async fn runs(&self, id: ScheduleId, query: RunsQuery) -> Result<Vec<Run>, StoreError> {
        self.read(async |mut conn| {
            // A pending run has chosen its operation before that is there, and a skipped one never gets it.
            let its_operation = schedule_runs::operation_id.eq(operations::id.nullable());
            let mut rows = schedule_runs::table
                .left_join(operations::table.on(its_operation))
                .filter(schedule_runs::schedule_id.eq(id.0).and(schedule_runs::of_slot.is_null()))
                .filter(schedule_runs::state.eq_any(every::<RunState>()))
                .order(schedule_runs::slot.desc())
                .limit(query.limit.into())
                .select((RunRow::as_select(), operations::id.nullable()))
                .into_boxed();
            if let Some(before) = query.before {
                rows = rows.filter(schedule_runs::slot.lt(before));
            }
            if let Some(state) = query.state {
                rows = rows.filter(schedule_runs::state.eq(stored(state)));
            }
            let rows: Vec<(RunRow, Option<Uuid>)> = rows.load(&mut conn).await?;
            understood(rows.into_iter().map(|(row, operation)| row.into_run(operation.map(OperationId))))
        })
        .await
    }

    async fn outlook(&self, id: ScheduleId) -> Result<Option<Outlook>, StoreError> {
        self.run(async |conn| chains::outlook(conn, id).await).await
    }

    async fn breadth(&self, id: ScheduleId) -> Result<Option<Breadth>, StoreError> {
        self.run(async |conn| many::breadth(conn, id).await).await
    }

    async fn fire(&self, id: ScheduleId) -> Result<Option<FiringId>, StoreError> {
        self.transaction(async |conn| chains::fire(conn, id).await).await
    }

    async fn cancel(&self, id: FiringId) -> Result<bool, StoreError> {
        ChainStore::interrupt(self, id, EndedBy::Cancel).await
    }

    async fn any(&self, id: ScheduleId) -> Result<Option<Schedule>, StoreError> {
        self.read(async |mut conn| {
            let row: Option<ScheduleRow> = server_schedules::table
                .find(id.0)
                .select(ScheduleRow::as_select())
                .first(&mut conn)
                .await
                .optional()?;
            row.map(ScheduleRow::into_schedule).transpose()
        })
        .await
    }

    async fn skip(&self, id: FiringId) -> Result<bool, StoreError> {
        self.transaction(async |conn| {
            // A run that is due may have begun: the loop that claims it decides.
            let planned = server_schedules::table
                .find(id.schedule.0)
                .filter(server_schedules::enabled.and(server_schedules::next_run.eq(id.slot)))
                .filter(server_schedules::next_run.gt(clock_timestamp().nullable()));
            let row: Option<(ScheduleRow, Timestamp)> = planned
                .select((ScheduleRow::as_select(), clock_timestamp()))
                .for_no_key_update()
                .first(conn)
                .await
                .optional()?;
            let Some((row, at)) = row else { return Ok(false) };
            let schedule = row.into_schedule()?;
            let next = schedule.trigger().ok().and_then(|trigger| trigger.next_runs(id.slot, 1).pop());
            let run = PlannedRun::skipped(id.slot, EndedBy::Cancel.reason());
            plan::write(conn, &[(&schedule, &run, at)]).await?;
            diesel::update(server_schedules::table.find(id.schedule.0))
                .set((
                    server_schedules::next_run.eq(next),
                    server_schedules::enabled.eq(next.is_some()),
                    server_schedules::disabled_reason.eq(next.is_none().then_some("its last run was skipped")),
                    // Newer time zone data decides about later slots alone.
                    server_schedules::planned_at.eq(id.slot),
                ))
                .execute(conn)
                .await?;
            ring(conn, SCHEDULES).await?;
            Ok(true)
        })
        .await
    }

    async fn postpone(&self, ids: &[FiringId], wish: &Postponement) -> Result<Vec<(FiringId, Ahead)>, PostponeError> {
        self.transaction(async |conn| chains::postpone_all(conn, ids, wish).await).await
    }

    async fn run(&self, id: FiringId) -> Result<Option<RunWithSteps>, StoreError> {
        self.run(async |conn| {
            let its_operation = schedule_runs::operation_id.eq(operations::id.nullable());
            let row: Option<(RunRow, Option<Uuid>)> = schedule_runs::table
                .find((id.schedule.0, id.slot))
                .left_join(operations::table.on(its_operation))
                .filter(schedule_runs::state.eq_any(every::<RunState>()))
                .select((RunRow::as_select(), operations::id.nullable()))
                .first(conn)
                .await
                .optional()?;
            let Some((row, operation)) = row else { return Ok(None) };
            let run = row.into_run(operation.map(OperationId))?;
            let steps = chains::known_steps(conn, id).await?;
            let parts = if run.kind == Kind::Servers { many::part_runs(conn, id).await? } else { vec![] };
            Ok(Some(RunWithSteps { run, steps, parts }))
        })
        .await
    }
}

/// Returns the column for work of this kind.
fn steps(work: &Work, kind: Kind) -> Option<Json<&Work>> {
    kind.action().is_none().then_some(Json(work))
}

/// Locks a server that gets another schedule, and counts those that it has.
async fn check_server(conn: &mut AsyncPgConnection, server: ServerId, limits: Limits) -> Result<(), Fault<WriteError>> {
    let row = game_servers::table
        .filter(game_servers::id.eq(server.0).and(game_servers::desired.ne(stored(Desired::Deleted))))
        .select(game_servers::id)
        .for_no_key_update();
    if row.first::<i32>(conn).await.optional()?.is_none() {
        return Err(Fault::Refused(WriteError::NoServer));
    }
    let of_server = server_schedules::table.filter(server_schedules::server_id.eq(server.0)).filter(counts());
    let schedules: i64 = of_server.count().get_result(conn).await?;
    if schedules >= i64::from(limits.per_server) { Err(Fault::Refused(WriteError::TooMany)) } else { Ok(()) }
}

type Own<'a> = dsl::And<dsl::Eq<game_servers::discord_id, &'a str>, dsl::IsNull<game_servers::deleted_at>>;
type ServersOf<'a> = dsl::Select<dsl::Filter<game_servers::table, Own<'a>>, game_servers::id>;

/// Made by this user, or for a server of theirs. The servers are an array, so that each side of the OR has its index.
#[diesel::dsl::auto_type(no_type_alias)]
fn theirs<'a>(user: &'a UserId) -> _ {
    let user: &'a str = user.as_str();
    let own = game_servers::discord_id.eq(user).and(game_servers::deleted_at.is_null());
    let servers: dsl::array<Integer, ServersOf<'a>> =
        dsl::array(game_servers::table.filter(own).select(game_servers::id));
    server_schedules::discord_id.eq(user).or(server_schedules::server_id.assume_not_null().eq_any(servers))
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = schedule_runs)]
struct RunRow {
    slot: Timestamp,
    local_slots: Vec<NaiveDateTime>,
    state: Stored<RunState>,
    reason: Option<String>,
    slots: i64,
    claimed_at: Timestamp,
    action: Stored<Kind>,
    server_id: Option<i32>,
    finished_at: Option<Timestamp>,
}

impl RunRow {
    fn into_run(self, operation: Option<OperationId>) -> Result<Run, Fault<StoreError>> {
        Ok(Run {
            slot: self.slot,
            local_slots: self.local_slots,
            state: self.state.known("schedule_runs.state")?,
            reason: self.reason,
            // A run that was skipped ahead of its time is not early.
            lateness: (self.claimed_at - self.slot).max(TimeDelta::zero()),
            slots: self.slots,
            kind: self.action.known("schedule_runs.action")?,
            server: self.server_id.map(ServerId),
            operation,
            ended_at: self.finished_at,
        })
    }
}

/// See [`Schedule::counts`]. A run that goes on counts too, or announced restarts would have no bound.
fn counts() -> SqlLiteral<Bool> {
    sql("(server_schedules.at is null or server_schedules.enabled or server_schedules.last_run is null or exists
             (select from schedule_runs r where r.schedule_id = server_schedules.id and r.state = 'pending'))")
}

/// Fails if a target, or a user, has as many schedules as allowed, or if the server is gone.
async fn check_limits(
    conn: &mut AsyncPgConnection,
    target: &Target,
    user: &UserId,
    limits: Limits,
) -> Result<(), Fault<WriteError>> {
    if let Some(server) = target.server() {
        check_server(conn, server, limits).await?;
    }
    if made_by(conn, user).await? >= i64::from(limits.per_user) {
        return Err(Fault::Refused(WriteError::TooManyOfUser));
    }
    Ok(())
}

/// How many schedules somebody has made, on servers that are there.
async fn made_by(conn: &mut AsyncPgConnection, user: &UserId) -> Result<i64, Fault<WriteError>> {
    let there = game_servers::table.filter(game_servers::id.nullable().eq(server_schedules::server_id));
    let count = server_schedules::table
        .filter(server_schedules::discord_id.eq(user.as_str()).and(counts()))
        .filter(
            server_schedules::server_id
                .is_null()
                .or(exists(there.filter(game_servers::desired.ne(stored(Desired::Deleted))))),
        )
        .count();
    Ok(count.get_result(conn).await?)
}

/// Writes what is due and will not run, as the schedule goes on in another way.
async fn give_up(
    conn: &mut AsyncPgConnection,
    schedule: &Schedule,
    planned: Planned,
    at: Timestamp,
) -> Result<(), Fault<WriteError>> {
    // A schedule that is disabled, or cannot be read, has nothing due.
    let (Some(due), Ok(trigger)) = (schedule.next_run.filter(|due| *due <= at), schedule.trigger()) else {
        return Ok(());
    };
    let runs = firing::give_up(&trigger, &planned.standing(due), at);
    let runs: Vec<_> = runs.iter().map(|run| (schedule, run, at)).collect();
    plan::write(conn, &runs).await.map(drop)
}

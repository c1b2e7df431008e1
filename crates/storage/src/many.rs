//! Runs on many servers: their runs on each server are chosen, get their turns, and are counted at the end.

use std::time::Duration;

use agis_base::{OperationId, ScheduleId, ServerId, StoreError, Timestamp};
use agis_scheduler::{
    FiringId, Kind, PartRun, RunState, Work,
    chain::EndedBy,
    firing::LATE,
    many::{self, ManyRun, Next, Part},
    store::{Breadth, End, ManyStore},
    work::Overlap,
};
use agis_servers::{Origin, server::Desired};
use async_trait::async_trait;
use diesel::{
    dsl::{exists, min},
    prelude::*,
    sql_types::{Array, Integer, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{
    batches,
    chains::{end, open, pending},
    db::Db,
    error::{Fault, understood, unknown},
    json::{IfReadable, Json},
    notify::{OPERATIONS, ring},
    schema::{
        after, clock_timestamp, game_servers, now, schedule_runs as runs, server_grants, server_labels,
        server_schedules,
    },
    shares,
    word::{Stored, every, stored},
};

#[async_trait]
impl ManyStore for Db {
    async fn until_next_many(&self) -> Result<Option<Duration>, StoreError> {
        self.run(async |conn| {
            let (next, at): (Option<Timestamp>, Timestamp) = runs::table
                .filter(runs::look_at.is_not_null().and(runs::action.eq(stored(Kind::Servers))).and(pending()))
                .select((min(runs::look_at), clock_timestamp()))
                .first(conn)
                .await?;
            Ok(next.map(|next| (next - at).to_std().unwrap_or_default()))
        })
        .await
    }

    async fn due_many(&self, limit: u32) -> Result<Vec<FiringId>, StoreError> {
        self.run(async |conn| {
            let rows: Vec<(i32, Timestamp)> = runs::table
                .filter(runs::look_at.le(now().nullable()).and(runs::action.eq(stored(Kind::Servers))).and(pending()))
                .order(runs::look_at)
                .limit(limit.into())
                .select((runs::schedule_id, runs::slot))
                .load(conn)
                .await?;
            Ok(rows.into_iter().map(|(schedule, slot)| FiringId { schedule: ScheduleId(schedule), slot }).collect())
        })
        .await
    }

    async fn advance_many(&self, id: FiringId) -> Result<Option<(Kind, RunState)>, StoreError> {
        self.transaction(async |conn| {
            let Some(locked) = Locked::of(conn, id).await? else { return Ok(None) };
            let pause = match many::next(&locked.run) {
                Next::End(ends) => return end(conn, id, &ends).await,
                Next::Replace => {
                    for run in &locked.run.earlier {
                        interrupt(conn, *run, EndedBy::Replaced).await?;
                    }
                    locked.run.pace.until_next(0)
                }
                Next::Interrupt(cause) => {
                    interrupt_parts(conn, id, cause).await?;
                    locked.run.pace.until_next(0)
                }
                Next::Miss => {
                    let waiting = parts(conn, id).await?.into_iter().filter(PartRow::waits);
                    for part in waiting {
                        interrupt(conn, FiringId { slot: part.slot, ..id }, EndedBy::Missed).await?;
                    }
                    Duration::ZERO
                }
                Next::Choose => {
                    let servers = servers(conn, &locked.owner, &locked.label).await?;
                    if let Some(unfit) = many::unfit(servers.len()) {
                        return end(conn, id, &unfit).await;
                    }
                    choose(conn, id, &servers).await?;
                    Duration::ZERO
                }
                Next::Wait => locked.run.pace.until_next(0),
                Next::Turns(turns) => {
                    give_turns(conn, id, turns).await?;
                    // Behind the last turn the run ends with its parts.
                    let others_wait = locked.run.waiting() > turns;
                    locked.run.pace.until_next(if others_wait { turns } else { 0 })
                }
            };
            diesel::update(open(id)).set(runs::look_at.eq(after(pause))).execute(conn).await?;
            Ok(None)
        })
        .await
    }

    async fn put_off_many(&self, id: FiringId, time: Duration) -> Result<(), StoreError> {
        self.run(async |conn| {
            diesel::update(open(id)).set(runs::look_at.eq(after(time))).execute(conn).await?;
            Ok(())
        })
        .await
    }

    async fn give_up_many(&self, id: FiringId, ends: &End) -> Result<Option<(Kind, RunState)>, StoreError> {
        self.transaction(async |conn| {
            interrupt_parts(conn, id, EndedBy::Cancel).await?;
            end(conn, id, ends).await
        })
        .await
    }
}

/// Ends the runs on each server that have not ended.
async fn interrupt_parts(conn: &mut AsyncPgConnection, id: FiringId, by: EndedBy) -> Result<(), Fault<StoreError>> {
    for part in parts(conn, id).await? {
        interrupt(conn, FiringId { slot: part.slot, ..id }, by).await?;
    }
    Ok(())
}

/// Run whose row is locked.
struct Locked {
    run: ManyRun,
    owner: String,
    label: String,
}

impl Locked {
    /// Locks a run whose time has come; `None` while another process does.
    async fn of(conn: &mut AsyncPgConnection, id: FiringId) -> Result<Option<Self>, Fault<StoreError>> {
        type Row = (Option<Timestamp>, Option<Stored<EndedBy>>, Option<Timestamp>, Timestamp);
        let row: Option<Row> = open(id)
            .filter(runs::look_at.le(now().nullable()))
            .select((runs::begun_at, runs::ended_by, runs::look_at, clock_timestamp()))
            .for_no_key_update()
            .skip_locked()
            .first(conn)
            .await
            .optional()?;
        let Some((begun_at, ended_by, look_at, at)) = row else { return Ok(None) };
        type Schedule = (String, Option<String>, Option<i32>, Option<i32>, Option<Json<IfReadable<Work>>>);
        let (owner, label, at_most, stagger, work): Schedule = server_schedules::table
            .find(id.schedule.0)
            .select((
                server_schedules::discord_id,
                server_schedules::label,
                server_schedules::at_most,
                server_schedules::stagger_s,
                server_schedules::work,
            ))
            .first(conn)
            .await?;
        let overlap = match work {
            Some(Json(IfReadable(Some(work)))) => work.overlap,
            // The end of a run needs no work.
            _ if ended_by.is_some() => Overlap::default(),
            _ => return Err(unknown("server_schedules.work", "steps")),
        };
        let earlier: Vec<Timestamp> = runs::table
            .filter(runs::schedule_id.eq(id.schedule.0).and(runs::slot.lt(id.slot)))
            .filter(runs::server_id.is_null().and(pending()))
            .order(runs::slot)
            .select(runs::slot)
            .load(conn)
            .await?;
        let parts = match begun_at {
            Some(_) => Some(parts(conn, id).await?.into_iter().map(PartRow::part).collect::<Result<_, _>>()?),
            None => None,
        };
        let run = ManyRun {
            pace: batches::pace(at_most, stagger),
            overlap,
            ended_by: ended_by.map(|cause| cause.known("schedule_runs.ended_by")).transpose()?,
            is_late: look_at.is_some_and(|look_at| at - look_at > LATE),
            earlier: earlier.into_iter().map(|slot| FiringId { slot, ..id }).collect(),
            parts,
        };
        Ok(Some(Self { run, owner, label: label.unwrap_or_default() }))
    }
}

/// Returns the servers that carry a label now, the owner's before those that others share with the owner; one more than a
/// run may have, if there are so many.
async fn servers(conn: &mut AsyncPgConnection, owner: &str, label: &str) -> Result<Vec<i32>, Fault<StoreError>> {
    let labelled = server_labels::table.filter(server_labels::label.eq(label));
    let shared = server_grants::table
        .filter(server_grants::discord_id.eq(owner).and(shares::counts()))
        .select(server_grants::server_id);
    let servers = game_servers::table
        .filter(game_servers::deleted_at.is_null().and(game_servers::desired.ne(stored(Desired::Deleted))))
        .filter(game_servers::id.eq_any(labelled.select(server_labels::server_id)))
        .filter(game_servers::discord_id.eq(owner).or(game_servers::id.eq_any(shared)))
        .order((game_servers::discord_id.ne(owner), game_servers::id))
        .select(game_servers::id)
        .limit(i64::from(agis_base::MANY_MAX) + 1);
    Ok(servers.load(conn).await?)
}

/// Returns the servers of a schedule for a label as a run would find them now.
pub(crate) async fn breadth(
    conn: &mut AsyncPgConnection,
    id: ScheduleId,
) -> Result<Option<Breadth>, Fault<StoreError>> {
    let schedule = server_schedules::table.find(id.0).filter(server_schedules::label.is_not_null());
    let of_label = schedule.select((server_schedules::discord_id, server_schedules::label.assume_not_null()));
    let Some((owner, label)): Option<(String, String)> = of_label.first(conn).await.optional()? else {
        return Ok(None);
    };
    let open = runs::table.filter(runs::schedule_id.eq(id.0).and(pending()));
    let is_busy = diesel::select(exists(open)).get_result(conn).await?;
    Ok(Some(Breadth { servers: servers(conn, &owner, &label).await?.len(), is_busy }))
}

/// Adds a run on each of these servers. Their slots follow that of the whole by microseconds: no other run has those. One on a
/// server that a person has stopped since the whole was claimed is ended by that, as it would have been if it had been there.
async fn choose(conn: &mut AsyncPgConnection, id: FiringId, servers: &[i32]) -> Result<(), Fault<StoreError>> {
    diesel::update(open(id)).set(runs::begun_at.eq(clock_timestamp().nullable())).execute(conn).await?;
    let places: Vec<i16> = (1..).zip(servers).map(|(place, _)| place).collect();
    let operations: Vec<_> = servers.iter().map(|_| OperationId::new().0).collect();
    let persons: Vec<_> = Origin::ALL.iter().copied().filter(|origin| origin.is_person()).map(stored).collect();
    // diesel joins no `unnest`.
    diesel::sql_query(
        "insert into schedule_runs (schedule_id, slot, of_slot, server_id, action, state, operation_id, ended_by, look_at)
         select w.schedule_id, w.slot + u.place * interval '1 microsecond', w.slot, u.server, 'steps', 'pending', u.operation,
                case when stopped then $6 end, case when stopped then now() end
         from schedule_runs w cross join unnest($3, $4, $5) as u(server, place, operation)
         cross join lateral (select exists (select from game_servers g join operations o on o.server_id = g.id
             where g.id = u.server and g.desired = 'stopped' and o.action = 'stop' and o.origin = any($7)
               and o.created_at >= w.claimed_at)) s(stopped)
         where w.schedule_id = $1 and w.slot = $2",
    )
    .bind::<Integer, _>(id.schedule.0)
    .bind::<Timestamptz, _>(id.slot)
    .bind::<Array<Integer>, _>(servers)
    .bind::<Array<SmallInt>, _>(places)
    .bind::<Array<SqlUuid>, _>(operations)
    .bind::<Text, _>(EndedBy::Stop.as_str())
    .bind::<Array<Text>, _>(persons)
    .execute(conn)
    .await?;
    // The loop of chains ends those that were stopped.
    ring(conn, OPERATIONS).await
}

/// Lets so many runs begin that wait for their turn.
async fn give_turns(conn: &mut AsyncPgConnection, id: FiringId, turns: usize) -> Result<(), Fault<StoreError>> {
    let waiting = parts(conn, id).await?.into_iter().filter(|part| part.waits());
    let slots: Vec<_> = waiting.take(turns).map(|part| part.slot).collect();
    if slots.is_empty() {
        return Ok(());
    }
    diesel::update(runs::table.filter(runs::schedule_id.eq(id.schedule.0).and(runs::slot.eq_any(slots))))
        .set((runs::look_at.eq(clock_timestamp().nullable()), runs::claimed_at.eq(clock_timestamp())))
        .execute(conn)
        .await?;
    ring(conn, OPERATIONS).await
}

/// Ends a run for this cause. The loop that carries it out does so at once.
async fn interrupt(conn: &mut AsyncPgConnection, id: FiringId, by: EndedBy) -> Result<(), Fault<StoreError>> {
    diesel::update(open(id).filter(runs::ended_by.is_null()))
        .set((runs::ended_by.eq(by.as_str()), runs::look_at.eq(now().nullable())))
        .execute(conn)
        .await?;
    ring(conn, OPERATIONS).await
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = runs)]
struct PartRow {
    slot: Timestamp,
    server_id: Option<i32>,
    state: Stored<RunState>,
    reason: Option<String>,
    look_at: Option<Timestamp>,
    begun_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl PartRow {
    fn waits(&self) -> bool {
        self.finished_at.is_none() && self.look_at.is_none()
    }

    fn part(self) -> Result<Part, Fault<StoreError>> {
        if self.waits() {
            return Ok(Part::Waiting);
        }
        Ok(match self.state.known("schedule_runs.state")? {
            RunState::Pending => Part::Open,
            state => Part::Ended(state),
        })
    }
}

/// Returns the runs on each server, in their order.
async fn parts(conn: &mut AsyncPgConnection, id: FiringId) -> Result<Vec<PartRow>, Fault<StoreError>> {
    Ok(of_whole(id).select(PartRow::as_select()).load(conn).await?)
}

/// Returns the runs on each server as people see them. The maker of the schedule reads no names of servers that are no longer
/// shared with them.
pub(crate) async fn part_runs(conn: &mut AsyncPgConnection, id: FiringId) -> Result<Vec<PartRun>, Fault<StoreError>> {
    let maker = server_schedules::table.find(id.schedule.0).select(server_schedules::discord_id);
    let maker: String = maker.first(conn).await?;
    let shared = server_grants::table
        .filter(server_grants::discord_id.eq(&maker).and(shares::counts()))
        .select(server_grants::server_id);
    let seen = game_servers::discord_id.eq(&maker).or(game_servers::is_public).or(game_servers::id.eq_any(shared));
    let rows: Vec<(PartRow, Option<String>)> = of_whole(id)
        .left_join(game_servers::table.on(runs::server_id.eq(game_servers::id.nullable()).and(seen)))
        .filter(runs::state.eq_any(every::<RunState>()))
        .select((PartRow::as_select(), game_servers::name.nullable()))
        .load(conn)
        .await?;
    understood(rows.into_iter().map(|(row, name)| {
        let server = ServerId(row.server_id.unwrap_or_default());
        Ok(PartRun {
            slot: row.slot,
            server,
            name: name.unwrap_or_else(|| format!("server {server}")),
            state: row.state.known("schedule_runs.state")?,
            reason: row.reason,
            begun_at: row.begun_at,
            ended_at: row.finished_at,
        })
    }))
}

#[diesel::dsl::auto_type(no_type_alias)]
fn of_whole(id: FiringId) -> _ {
    let schedule: i32 = id.schedule.0;
    let slot: Timestamp = id.slot;
    runs::table
        .filter(runs::schedule_id.eq(schedule).and(runs::slot.gt(slot)).and(runs::of_slot.eq(slot)))
        .order(runs::slot)
}

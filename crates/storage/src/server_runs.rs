//! Runs on servers, whoever made their schedules.

use agis_base::{Label, OperationId, ScheduleId, ServerId, StoreError, Timestamp, UserId};
use agis_scheduler::{
    Action, FiringId, Kind, Run, RunState,
    chain::{self, StepRun},
    store::{ServerAhead, ServerRun, ServerRunStore, ServerRunsQuery},
};
use agis_servers::Permission;
use async_trait::async_trait;
use chrono::{NaiveDateTime, TimeDelta};
use diesel::{
    QueryableByName,
    dsl::min,
    prelude::*,
    sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamp as SqlTimestamp, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    chains::{StepRow, pending},
    db::Db,
    error::{Fault, understood},
    schema::{game_servers, schedule_runs},
    servers::{ServerRow, access},
    shares,
    word::{Stored, every, words},
};

#[async_trait]
impl ServerRunStore for Db {
    async fn ahead(&self, servers: &[ServerId]) -> Result<Vec<ServerAhead>, StoreError> {
        let servers: Vec<_> = servers.iter().map(|server| server.0).collect();
        self.read(async |mut conn| {
            // diesel has no `lateral`. Each arm has an index of its own.
            let rows: Vec<AheadRow> = diesel::sql_query(
                "select u.server, d.discord_id as actor, clock_timestamp() as now, t.*
                 from unnest($1) as u(server)
                 cross join lateral (
                     select r.schedule_id, r.slot from server_schedules s
                     join schedule_runs r on r.schedule_id = s.id and r.state = 'pending'
                     where s.server_id = u.server and r.begun_at is not null and r.ended_by is null and r.action = 'steps'
                     union all
                     select r.schedule_id, r.slot from schedule_runs r
                     where r.server_id = u.server and r.state = 'pending' and r.begun_at is not null and r.ended_by is null
                 ) r
                 join server_schedules d on d.id = r.schedule_id
                 join schedule_run_steps t on t.schedule_id = r.schedule_id and t.slot = r.slot
                 order by u.server, t.schedule_id, t.slot, t.place",
            )
            .bind::<Array<Integer>, _>(servers)
            .load(&mut conn)
            .await?;
            nearest(rows)
        })
        .await
    }

    async fn runs_on(&self, query: ServerRunsQuery) -> Result<Vec<ServerRun>, StoreError> {
        let (schedule, slot) = query.before.map(|id| (id.schedule.0, id.slot)).unzip();
        let states = query.state.map_or_else(words::<RunState>, |state| vec![state.as_str()]);
        self.read(async |mut conn| {
            // diesel has no `lateral` and no order over a union. A pending run has chosen its operation before that is there,
            // and a skipped one never gets it.
            let rows: Vec<ServerRunRow> = diesel::sql_query(
                "select r.*, d.discord_id as actor, d.label, o.id as operation from (
                     select r.* from server_schedules s
                     cross join lateral (
                         select * from schedule_runs r
                         where r.schedule_id = s.id and r.state = any($2) and r.action = any($3)
                           and ($4 is null or (r.slot, r.schedule_id) < ($4, $5))
                         order by r.slot desc limit $6) r
                     where s.server_id = $1
                     union all
                     select * from (
                         select * from schedule_runs r
                         where r.server_id = $1 and r.state = any($2)
                           and ($4 is null or (r.slot, r.schedule_id) < ($4, $5))
                         order by r.slot desc limit $6) parts
                 ) r
                 join server_schedules d on d.id = r.schedule_id
                 left join operations o on o.id = r.operation_id
                 order by r.slot desc, r.schedule_id desc limit $6",
            )
            .bind::<Integer, _>(query.server.0)
            .bind::<Array<Text>, _>(states)
            .bind::<Array<Text>, _>(every::<Kind>())
            .bind::<Nullable<Timestamptz>, _>(slot)
            .bind::<Nullable<Integer>, _>(schedule)
            .bind::<BigInt, _>(i64::from(query.limit))
            .load(&mut conn)
            .await?;
            rows.into_iter().map(ServerRunRow::into_run).collect()
        })
        .await
    }

    async fn open_runs(&self, schedules: &[ScheduleId]) -> Result<Vec<FiringId>, StoreError> {
        let schedules: Vec<_> = schedules.iter().map(|id| id.0).collect();
        self.read(async |mut conn| {
            let rows: Vec<(i32, Option<Timestamp>)> = schedule_runs::table
                .filter(schedule_runs::schedule_id.eq_any(schedules).and(pending()))
                .filter(schedule_runs::of_slot.is_null())
                .group_by(schedule_runs::schedule_id)
                .select((schedule_runs::schedule_id, min(schedule_runs::slot)))
                .load(&mut conn)
                .await?;
            let run = |(id, slot): (i32, Option<Timestamp>)| Some(FiringId { schedule: ScheduleId(id), slot: slot? });
            Ok(rows.into_iter().filter_map(run).collect())
        })
        .await
    }

    async fn schedulable(&self, user: &UserId, servers: &[ServerId]) -> Result<Vec<ServerId>, StoreError> {
        let ids: Vec<_> = servers.iter().map(|server| server.0).collect();
        self.run(async |conn| {
            let rows: Vec<ServerRow> = game_servers::table
                .filter(game_servers::id.eq_any(&ids).and(game_servers::deleted_at.is_null()))
                .select(ServerRow::as_select())
                .load(conn)
                .await?;
            let servers = understood(rows.into_iter().map(ServerRow::into_server))?;
            let granted = shares::granted(conn, ids.into_iter().collect(), [user.as_str()].into()).await?;
            let may = servers.iter().filter(|server| {
                let access = access(server, user, &granted);
                access.check(Permission::Schedule.into()).is_ok()
            });
            Ok(may.map(|server| server.id).collect())
        })
        .await
    }
}

#[derive(QueryableByName)]
struct AheadRow {
    #[diesel(sql_type = Integer)]
    server: i32,
    #[diesel(sql_type = Text)]
    actor: String,
    #[diesel(sql_type = Timestamptz)]
    now: Timestamp,
    #[diesel(embed)]
    step: StepRow,
}

/// Open run with its steps.
struct OpenRun {
    server: ServerId,
    actor: String,
    now: Timestamp,
    id: FiringId,
    steps: Vec<StepRow>,
}

impl OpenRun {
    fn ahead(self) -> Result<Option<ServerAhead>, Fault<StoreError>> {
        let Self { server, actor, now, id, steps } = self;
        let steps: Vec<StepRun> = steps.into_iter().map(StepRow::into_step).collect::<Result<_, _>>()?;
        let ahead = chain::ahead(&steps, now).filter(|ahead| ahead.action != Action::Start);
        let actor = UserId::from_stored(&actor);
        Ok(ahead.map(|ahead| ServerAhead { server, run: id, actor, ahead }))
    }
}

/// Returns the nearest action of each server, from the steps of its runs in their order.
fn nearest(rows: Vec<AheadRow>) -> Result<Vec<ServerAhead>, Fault<StoreError>> {
    let mut open: Vec<OpenRun> = vec![];
    for AheadRow { server, actor, now, step } in rows {
        let (server, id) = (ServerId(server), step.run());
        match open.last_mut() {
            Some(run) if (run.server, run.id) == (server, id) => run.steps.push(step),
            _ => open.push(OpenRun { server, actor, now, id, steps: vec![step] }),
        }
    }
    let mut ahead: Vec<_> = understood(open.into_iter().map(OpenRun::ahead))?.into_iter().flatten().collect();
    ahead.sort_by_key(|it| (it.server, it.ahead.at));
    ahead.dedup_by_key(|it| it.server);
    Ok(ahead)
}

#[derive(QueryableByName)]
struct ServerRunRow {
    #[diesel(sql_type = Integer)]
    schedule_id: i32,
    #[diesel(sql_type = Timestamptz)]
    slot: Timestamp,
    #[diesel(sql_type = Array<SqlTimestamp>)]
    local_slots: Vec<NaiveDateTime>,
    #[diesel(sql_type = Text)]
    state: Stored<RunState>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = BigInt)]
    slots: i64,
    #[diesel(sql_type = Timestamptz)]
    claimed_at: Timestamp,
    #[diesel(sql_type = Text)]
    action: Stored<Kind>,
    #[diesel(sql_type = Nullable<Integer>)]
    server_id: Option<i32>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    finished_at: Option<Timestamp>,
    #[diesel(sql_type = Text)]
    actor: String,
    #[diesel(sql_type = Nullable<Text>)]
    label: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    operation: Option<Uuid>,
}

impl ServerRunRow {
    fn into_run(self) -> Result<ServerRun, Fault<StoreError>> {
        Ok(ServerRun {
            id: FiringId { schedule: ScheduleId(self.schedule_id), slot: self.slot },
            actor: UserId::from_stored(&self.actor),
            label: self.label.map(Label::from_stored),
            run: Run {
                slot: self.slot,
                local_slots: self.local_slots,
                state: self.state.known("schedule_runs.state")?,
                reason: self.reason,
                lateness: (self.claimed_at - self.slot).max(TimeDelta::zero()),
                slots: self.slots,
                kind: self.action.known("schedule_runs.action")?,
                server: self.server_id.map(ServerId),
                operation: self.operation.map(OperationId),
                ended_at: self.finished_at,
            },
        })
    }
}

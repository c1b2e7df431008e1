//! The same on a real database, with one server for each piece.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use agis_automation::Chains;
use agis_base::{OperationId, ScheduleId, ServerId, UserId};
use agis_scheduler::{
    FiringId, MissedRunPolicy, NewSchedule, ScheduleChange, Target, Trigger, Work,
    chain::EndedBy,
    schedule::Timing,
    store::{ChainStore, Limits, ScheduleStore},
};
use agis_servers::{
    Action, Origin, Request, Servers,
    console::{Begin, Console, ConsoleError, Piece},
    hold::NewHold,
    operation::Identity,
    store::Billing,
};
use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Event, Stage,
    faults::{Faults, Faulty},
    model::Seen,
};
use crate::scene::{OWNER, Scene, servers_of};

/// A console that takes every line.
struct Patient;

#[async_trait]
impl Console for Patient {
    fn host(&self) -> &str {
        "there"
    }

    async fn lines(&self, _: ServerId, _: &Begin, _: u32) -> Result<Piece, ConsoleError> {
        Err(ConsoleError::NotRunning)
    }

    async fn tell(&self, _: ServerId, _: &str) -> Result<(), ConsoleError> {
        Ok(())
    }
}

pub(super) struct Database<'a> {
    scene: &'a Scene,
    servers: Servers,
    server: ServerId,
    schedule: ScheduleId,
}

impl<'a> Database<'a> {
    pub(super) async fn new(scene: &'a Scene, work: &Work) -> Self {
        let made = "insert into game_servers (discord_id, name, game_type, status, desired, generation, status_generation, host)
                    values ($1, 'server ' || gen_random_uuid(), 'demo', 'running', 'running', 1, 1, 'there') returning id";
        let server = ServerId(scene.sql.query_one(made, &[&OWNER]).await.expect("a server").get(0));
        let new = NewSchedule {
            target: Target::Server(server),
            owner: UserId::from_stored(OWNER),
            work: work.clone(),
            trigger: Trigger::Cron(Timing::parse("0 0 1 1 *", "UTC").expect("a time")),
            enabled: true,
            missed_run_policy: MissedRunPolicy::Skip,
        };
        let limits = Limits { per_server: 1000, per_user: 1000 };
        let schedule = scene.db.create(&new, limits, None).await.expect("a schedule").id;
        let servers = servers_of(&scene.db, Billing::Off, vec![Arc::new(Patient)]);
        Self { scene, servers, server, schedule }
    }

    async fn run(&self, statement: &str) {
        let statement =
            statement.replace("$schedule", &self.schedule.0.to_string()).replace("$server", &self.server.0.to_string());
        self.scene.sql.batch_execute(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    async fn ask(&self, action: Action) {
        let request = Request {
            server: self.server,
            action,
            origin: Origin::Rest,
            actor: UserId::from_stored(OWNER),
            channel: None,
            identity: Identity::None,
            trace: None,
        };
        self.servers.request(request).await.expect("accepted");
    }

    async fn slots(&self) -> Vec<(agis_base::Timestamp, bool, Option<EndedBy>)> {
        let rows = "select (extract(epoch from slot) * 1000000)::bigint, begun_at is not null, ended_by
                    from schedule_runs where schedule_id = $1 order by claimed_at, slot";
        let rows = self.scene.sql.query(rows, &[&self.schedule.0]).await.expect("runs");
        let row = |row: &tokio_postgres::Row| {
            let slot = agis_base::Timestamp::from_timestamp_micros(row.get(0)).expect("a time");
            let by: Option<String> = row.get(2);
            (slot, row.get(1), by.map(|by| EndedBy::from_word(&by).expect("a cause")))
        };
        rows.iter().map(row).collect()
    }

    async fn acts(&self) -> BTreeMap<OperationId, usize> {
        let rows = "select id::text from operations where server_id = $1 and origin = 'schedule'
                    union all select id::text from server_commands where server_id = $1 and outcome = 'typed'";
        let rows = self.scene.sql.query(rows, &[&self.server.0]).await.expect("acts");
        let mut acts = BTreeMap::new();
        for row in rows {
            *acts.entry(OperationId(Uuid::parse_str(row.get(0)).expect("an id"))).or_default() += 1;
        }
        acts
    }
}

impl Stage for Database<'_> {
    fn process(&self, faults: &Arc<Faults>) -> Chains {
        let store = Faulty { inner: self.scene.db.clone(), faults: faults.clone() };
        let acts = Faulty { inner: Arc::new(self.servers.clone()), faults: faults.clone() };
        Chains::new(Arc::new(store), Arc::new(acts))
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_micros(500)).await;
    }

    async fn happen(&self, event: &Event) {
        match *event {
            Event::Pass(seconds) => {
                let earlier = |columns: &[&str]| {
                    let moved = |column: &&str| format!("{column} = {column} - interval '{seconds} s'");
                    columns.iter().map(moved).collect::<Vec<_>>().join(", ")
                };
                let (steps, runs) = (earlier(&["started_at", "ended_at"]), earlier(&["look_at", "claimed_at"]));
                self.run(&format!(
                    "update schedule_run_steps set {steps} where schedule_id = $schedule;
                     update schedule_runs set {runs} where schedule_id = $schedule"
                ))
                .await;
            }
            Event::Fire(false) => drop(self.scene.db.fire(self.schedule).await.expect("a run")),
            Event::Fire(true) => {
                self.run(
                    "insert into schedule_runs (schedule_id, slot, action, state, operation_id, look_at)
                     values ($schedule, clock_timestamp() - interval '1 h', 'steps', 'pending', gen_random_uuid(), now())",
                )
                .await;
            }
            Event::Operations(well) => {
                let (state, error) = if well { ("succeeded", "null") } else { ("failed", "'it broke'") };
                self.run(&format!(
                    "update operations set state = '{state}', error = {error}, finished_at = now()
                         where server_id = $server and state in ('queued', 'running');
                     update game_servers set status = case desired when 'running' then 'running' else 'stopped' end,
                         status_generation = generation where id = $server"
                ))
                .await;
            }
            Event::Cancel(by) => {
                if let Some((slot, ..)) = self.slots().await.last() {
                    let id = FiringId { schedule: self.schedule, slot: *slot };
                    self.scene.db.interrupt(id, by).await.expect("an answer");
                }
            }
            Event::Stop => self.ask(Action::Stop).await,
            Event::Start => self.ask(Action::Start).await,
            Event::Hold(held) => {
                let (owner, now) = (UserId::from_stored(OWNER), std::time::SystemTime::now().into());
                let hold = NewHold { until: None, reason: None };
                let done = match held {
                    true => self.servers.hold(&owner, self.server, hold, now).await,
                    false => self.servers.release(&owner, self.server, now).await,
                };
                done.expect("a hold");
            }
            Event::Disable => {
                let change = ScheduleChange { enabled: Some(false), ..ScheduleChange::default() };
                let limits = Limits { per_server: 1000, per_user: 1000 };
                let owner = UserId::from_stored(OWNER);
                self.scene.db.change(&owner, self.schedule, &change, limits).await.expect("changed");
            }
            Event::Players(players) => {
                let count = players.map_or("null".to_owned(), |players| players.to_string());
                self.run(&format!(
                    "delete from server_players where server_id = $server;
                     insert into server_players (server_id, claimed_at, online, measured_at)
                     select $server, now(), {count}, now() + interval '1 h' where {count} is not null"
                ))
                .await;
            }
            Event::Round(..) | Event::Kill(_) | Event::Resume(_) => {}
        }
    }

    async fn runs(&self) -> Vec<Seen> {
        let (mut runs, acts) = (vec![], self.acts().await);
        for (slot, has_begun, ended_by) in self.slots().await {
            let id = FiringId { schedule: self.schedule, slot };
            let run = ScheduleStore::run(&*self.scene.db, id).await.expect("an answer").expect("a run");
            let of_run = run.steps.iter().filter_map(|step| Some((step.operation?, *acts.get(&step.operation?)?)));
            runs.push(Seen {
                slot,
                state: run.run.state,
                reason: run.run.reason.clone(),
                has_begun,
                ended_by,
                acts: of_run.collect(),
                steps: run.steps,
            });
        }
        runs
    }
}

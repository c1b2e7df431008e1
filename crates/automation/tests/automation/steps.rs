//! Promises about runs with steps on a real database: who waits for whom, and who is told.

use std::{future::pending, sync::Arc, time::Duration};

use agis_automation::Chains;
use agis_base::{ScheduleId, ServerId, UserId};
use agis_scheduler::{
    FiringId, MissedRunPolicy, NewSchedule, RunWithSteps, Target, Trigger, Work,
    chain::StepState,
    schedule::Timing,
    store::{Limits, ScheduleStore},
};
use agis_servers::{
    console::{Begin, Console, ConsoleError, Piece},
    store::Billing,
};
use agis_test_support::wait;
use async_trait::async_trait;

use crate::scene::{OWNER, Scene, number, servers_of};

const SOON: Duration = Duration::from_secs(60);
const OTHER: &str = "100000000000000002";

/// Console of a game that takes no line to its end.
struct Hangs;

#[async_trait]
impl Console for Hangs {
    fn host(&self) -> &str {
        "there"
    }

    async fn lines(&self, _: ServerId, _: &Begin, _: u32) -> Result<Piece, ConsoleError> {
        Err(ConsoleError::NotRunning)
    }

    async fn tell(&self, _: ServerId, _: &str) -> Result<(), ConsoleError> {
        pending().await
    }
}

/// Fires a schedule of these steps on a running server of its own.
async fn fired(scene: &Scene, owner: &str, lines: &str) -> FiringId {
    let made =
        "insert into game_servers (discord_id, name, game_type, status, desired, generation, status_generation, host)
                values ($1, 'server ' || gen_random_uuid(), 'demo', 'running', 'running', 1, 1, 'there') returning id";
    let server = scene.sql.query_one(made, &[&owner]).await.expect("a server").get(0);
    let new = NewSchedule {
        target: Target::Server(ServerId(server)),
        owner: UserId::from_stored(owner),
        work: Work::of_lines(lines).expect("steps"),
        trigger: Trigger::Cron(Timing::parse("0 0 1 1 *", "UTC").expect("a time")),
        enabled: true,
        missed_run_policy: MissedRunPolicy::Skip,
    };
    let limits = Limits { per_server: 100, per_user: 100 };
    let ScheduleId(id) = scene.db.create(&new, limits, None).await.expect("a schedule").id;
    scene.db.fire(ScheduleId(id)).await.expect("an answer").expect("a run")
}

fn chains(scene: &Scene, consoles: Vec<Arc<dyn Console>>) -> Chains {
    Chains::new(scene.db.clone(), Arc::new(servers_of(&scene.db, Billing::Off, consoles)))
}

async fn seen(scene: &Scene, id: FiringId) -> RunWithSteps {
    ScheduleStore::run(&*scene.db, id).await.expect("an answer").expect("a run")
}

async fn state(scene: &Scene, id: FiringId) -> StepState {
    seen(scene, id).await.steps[0].state
}

/// Lets seconds pass for all runs, and carries them on.
async fn pass(scene: &Scene, chains: &Chains, seconds: u32) {
    let passed = format!(
        "update schedule_run_steps set started_at = started_at - interval '{seconds} s';
         update schedule_runs set look_at = now() where look_at is not null"
    );
    scene.sql.batch_execute(&passed).await.expect("seconds");
    chains.round().await.expect("a round");
    chains.drain().await;
}

#[tokio::test]
async fn command_waits_ten_minutes_for_its_host() {
    let scene = &Scene::start().await;
    let run = fired(scene, OWNER, "command save-all\nstop").await;
    let nobody = chains(scene, vec![]);
    for seconds in [0, 540] {
        pass(scene, &nobody, seconds).await;
        assert_eq!(state(scene, run).await, StepState::Running, "its host is away");
    }
    pass(scene, &nobody, 61).await;
    let ended = seen(scene, run).await.run;
    let reason = ended.reason.expect("a reason");
    assert!(reason.contains("no process serves this server's host"), "{reason}");
    assert_eq!(
        number(&scene.sql, "select count(*) from notices where kind = 'run_failed'").await,
        1,
        "its owner is told"
    );
    assert_eq!(number(&scene.sql, "select count(*) from operations").await, 0, "no step follows one that failed");
}

#[tokio::test]
async fn hanging_games_of_an_owner_leave_places_to_others() {
    let scene = &Scene::start().await;
    scene.sql.execute("insert into users (discord_id) values ($1)", &[&OTHER]).await.expect("a user");
    for _ in 0..10 {
        fired(scene, OWNER, "command save-all").await;
    }
    let chains = chains(scene, vec![Arc::new(Hangs)]);
    let round = async || drop(tokio::time::timeout(Duration::from_millis(300), chains.round()).await);
    let sent = "select count(*) from server_commands where outcome = 'sent'";
    wait::until(SOON, "commands of the first owner", async || {
        round().await;
        (number(&scene.sql, sent).await >= 4).then_some(())
    })
    .await;
    let other = fired(scene, OTHER, "wait 10m").await;
    wait::until(SOON, "the run of the second owner", async || {
        round().await;
        (!seen(scene, other).await.steps.is_empty()).then_some(())
    })
    .await;
    assert_eq!(number(&scene.sql, sent).await, 4, "as many at a time as an owner may have");
}

#[tokio::test]
async fn server_that_comes_back_is_not_stopped() {
    let scene = &Scene::start().await;
    let chains = chains(scene, vec![]);
    let run = fired(scene, OWNER, "wait until stopped 10m").await;
    let crashed = "update game_servers set status = 'crashed', restart_at = now() + interval '1 h'";
    scene.sql.batch_execute(crashed).await.expect("a crash");
    pass(scene, &chains, 0).await;
    assert_eq!(state(scene, run).await, StepState::Running, "the supervisor is about to start it");
    scene.sql.batch_execute("update game_servers set restart_at = null").await.expect("no restart");
    pass(scene, &chains, 1).await;
    assert_eq!(state(scene, run).await, StepState::Succeeded);
}

/// Runs begin together, and nobody is waited for.
#[tokio::test]
async fn busy_server_holds_up_no_other() {
    let scene = &Scene::start().await;
    let busy = fired(scene, OWNER, "wait 10m").await;
    let others = [fired(scene, OWNER, "wait 10m").await, fired(scene, OWNER, "wait 10m").await];
    let chains = chains(scene, vec![]);
    let held = format!(
        "begin; select id from game_servers where id = (select server_id from server_schedules where id = {}) for update",
        busy.schedule
    );
    scene.sql.batch_execute(&held).await.expect("a lock");
    chains.round().await.expect("a round");
    for id in others {
        assert_eq!(state(scene, id).await, StepState::Running);
    }
    assert!(seen(scene, busy).await.steps.is_empty(), "somebody holds its server");
    scene.sql.batch_execute("rollback").await.expect("the end");
    wait::until(SOON, "the last run to begin", async || {
        chains.round().await.expect("a round");
        (!seen(scene, busy).await.steps.is_empty()).then_some(())
    })
    .await;
}

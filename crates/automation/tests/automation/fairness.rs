//! Nobody's operations hold up another's: the loops that carry operations out, on a host of the test's own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use agis_automation::Workers;
use agis_base::{ServerId, UserId};
use agis_servers::{
    Action, Origin, Request,
    game::{Catalogue, RunsOn},
    host::{Abilities, Host, HostError, HostReport, Observed, Order, Reached, Target},
    operation::Identity,
    store::{Billing, OperationStore},
};
use agis_storage::Db;
use agis_test_support::wait;
use async_trait::async_trait;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::scene::{Scene, number, queue};

/// For thousands of operations, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
const LEASE: Duration = Duration::from_secs(20);

/// A host on which no start ends.
struct Endless {
    name: &'static str,
    /// Whether starts keep the host busy, or only wait.
    busy: bool,
    /// How many starts are under way, by owner.
    starts: Mutex<BTreeMap<String, usize>>,
}

impl Endless {
    fn new(name: &'static str, busy: bool) -> Arc<Self> {
        Arc::new(Self { name, busy, starts: Mutex::default() })
    }

    fn starts(&self) -> BTreeMap<String, usize> {
        self.starts.lock().expect("starts").clone()
    }

    fn count(&self) -> usize {
        self.starts().values().sum()
    }
}

/// A start that is under way, until dropped.
struct Begun<'a>(&'a Endless, String);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        *self.0.starts.lock().expect("starts").entry(self.1.clone()).or_default() -= 1;
    }
}

#[async_trait]
impl Host for Endless {
    fn name(&self) -> &str {
        self.name
    }

    fn kind(&self) -> RunsOn {
        RunsOn::Process
    }

    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    async fn report(&self) -> HostReport {
        HostReport::default()
    }

    async fn apply(&self, order: &Order) -> Result<Reached, HostError> {
        let Target::Running(launch) = &order.target else { return Ok(Reached::Stopped) };
        *self.starts.lock().expect("starts").entry(launch.owner.to_string()).or_default() += 1;
        let _begun = Begun(self, launch.owner.to_string());
        if !self.busy {
            order.slot.leave();
        }
        std::future::pending().await
    }

    async fn observe(&self, _: ServerId) -> Result<Observed, HostError> {
        Ok(Observed::Absent)
    }

    async fn changed(&self) {
        std::future::pending().await
    }
}

/// The loops, and what wakes them.
struct Crew {
    bell: watch::Sender<()>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Crew {
    fn begin(store: &Arc<Db>, hosts: Vec<Arc<dyn Host>>, concurrency: usize) -> Self {
        let (bell, heard) = watch::channel(());
        let stop = CancellationToken::new();
        let catalogue = r#"
            [demo]
            title = "Demo"
            command = ["true"]
            port = 20000
            cost_per_hour = 0
            ready = { when = { delay = 0 }, within_s = 30 }
        "#;
        let catalogue = Arc::new(Catalogue::parse(catalogue).expect("a catalogue"));
        let (store, billing) = (store.clone(), Billing::Off);
        let workers = Workers { store, hosts, catalogue, concurrency, lease: LEASE, billing, bell: heard };
        let task = tokio::spawn(workers.run(stop.clone(), |_| {}));
        Self { bell, stop, task }
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("an end in time").expect("a task");
    }
}

fn stop_of(server: i32, owner: &str) -> Request {
    Request {
        server: ServerId(server),
        action: Action::Stop,
        origin: Origin::Rest,
        actor: UserId::from_stored(owner),
        channel: None,
        identity: Identity::None,
        trace: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_is_done_while_two_thousand_start() {
    let Scene { sql, db: store, .. } = &Scene::start().await;
    queue(sql, "there", 1..=20, 100).await;
    sql.batch_execute(
        "insert into users (discord_id) values ('99');
         insert into game_servers (id, discord_id, name, game_type, status, desired, generation, status_generation, host)
             values (100000, '99', 'runs', 'demo', 'running', 'running', 1, 1, 'there')",
    )
    .await
    .expect("a server that runs");
    let host = Endless::new("there", false);
    let crew = Crew::begin(store, vec![host.clone()], 16);
    wait::until(PATIENCE, "all to start", async || (host.count() == 2000).then_some(())).await;

    // One that runs, and one that starts.
    let victim: i32 =
        sql.query_one("select min(id) from game_servers where discord_id = '7'", &[]).await.expect("one").get(0);
    let stops = [stop_of(100_000, "99"), stop_of(victim, "7")];
    let accepted = store.accept(&stops, Billing::Off, &Catalogue::default()).await.expect("accepted");
    assert!(accepted.answers.iter().all(Result::is_ok), "{accepted:?}");
    crew.bell.send_replace(());
    let stopped = "select count(*) from operations where action = 'stop' and state = 'succeeded'";
    wait::until(PATIENCE, "both to stop", async || (number(sql, stopped).await == 2).then_some(())).await;
    wait::until(PATIENCE, "one start to be given up", async || (host.count() == 1999).then_some(())).await;
    assert_eq!(host.starts()["7"], 99);

    // Every lease is prolonged, and nobody else takes what this process has.
    let still = "select count(*) from operations where action = 'start' and state = 'running' and attempt = 1";
    sql.batch_execute("create table leases as select id, lease_until from operations where state = 'running'")
        .await
        .expect("the leases of now");
    let prolonged = "select count(*) from operations o join leases l using (id) where o.lease_until > l.lease_until";
    wait::until(PATIENCE, "all to be prolonged", async || (number(sql, prolonged).await == 1999).then_some(())).await;
    assert_eq!(number(sql, still).await, 1999);

    // A process that ends hands them back, and the next goes on with each.
    crew.end().await;
    let over = "select count(*) from operations where action = 'start' and state = 'queued' and attempt = 1";
    assert_eq!(number(sql, over).await, 1999);
    let next = Endless::new("there", false);
    let crew = Crew::begin(store, vec![next.clone()], 16);
    wait::until(PATIENCE, "all to be taken over", async || (next.count() == 1999).then_some(())).await;
    crew.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_owner_or_host_takes_all_places() {
    let Scene { sql, db: store, .. } = &Scene::start().await;
    queue(sql, "stuck", 1..=1, 50).await;
    let (stuck, well) = (Endless::new("stuck", true), Endless::new("well", false));
    let crew = Crew::begin(store, vec![stuck.clone(), well.clone()], 8);
    wait::until(PATIENCE, "the first owner's share", async || (stuck.count() == 2).then_some(())).await;

    queue(sql, "stuck", 2..=2, 1).await;
    queue(sql, "well", 1..=1, 50).await;
    crew.bell.send_replace(());
    wait::until(PATIENCE, "the second owner's start", async || {
        (stuck.starts() == BTreeMap::from([("1".to_owned(), 2), ("2".to_owned(), 1)])).then_some(())
    })
    .await;
    wait::until(PATIENCE, "all on the other host", async || (well.count() == 50).then_some(())).await;
    assert_eq!(stuck.starts()["1"], 2);
    crew.end().await;
}

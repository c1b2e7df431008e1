//! Running servers are asked who plays.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use agis_automation::{Prober, Probing};
use agis_base::{ServerId, Timestamp};
use agis_servers::{
    console::{Begin, Console, ConsoleError, Line, Piece, Position},
    game::{Catalogue, QueryProtocol, RunsOn},
    host::{Abilities, Generation, Host, HostError, HostReport, Observed, Order, Reached},
    platform::PlayerCount,
    players::{GameQuery, Measured, Players, Unanswered},
    store::{Billing, PlayerStore},
};
use agis_test_support::wait;
use async_trait::async_trait;

use crate::scene::{Scene, number, queue, servers};

const SOON: Duration = Duration::from_secs(60);

/// A host whose servers have a console and answer over the network.
struct There {
    kind: RunsOn,
    lines: Mutex<Vec<Line>>,
    asked: AtomicUsize,
}

impl Default for There {
    fn default() -> Self {
        Self { kind: RunsOn::Process, lines: Mutex::default(), asked: AtomicUsize::default() }
    }
}

impl There {
    fn says(&self, at: Timestamp, text: &str) {
        let mut lines = self.lines.lock().expect("no panic");
        let position = Position::new((lines.len() + 1).to_string());
        lines.push(Line { at, text: text.to_owned(), position });
    }
}

#[async_trait]
impl Host for There {
    fn name(&self) -> &str {
        "there"
    }

    fn kind(&self) -> RunsOn {
        self.kind
    }

    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    async fn report(&self) -> HostReport {
        HostReport::default()
    }

    async fn apply(&self, _: &Order) -> Result<Reached, HostError> {
        Ok(Reached::Stopped)
    }

    fn reached_at(&self, public: &str) -> String {
        format!("inside of {public}")
    }

    async fn observe(&self, _: ServerId) -> Result<Observed, HostError> {
        Ok(Observed::Absent)
    }

    async fn changed(&self) {
        std::future::pending().await
    }
}

#[async_trait]
impl Console for There {
    fn host(&self) -> &str {
        "there"
    }

    async fn lines(&self, _: ServerId, begin: &Begin, limit: u32) -> Result<Piece, ConsoleError> {
        let lines = self.lines.lock().expect("no panic");
        let first = match begin {
            Begin::Recent { since, .. } => lines.iter().position(|line| since.is_none_or(|since| line.at >= since)),
            Begin::Behind(position) => Some(position.as_str().parse().expect("a position")),
        };
        let first = first.unwrap_or(lines.len());
        let piece: Vec<_> = lines[first..].iter().take(limit as usize).cloned().collect();
        let end = first + piece.len();
        let more = end < lines.len();
        Ok(Piece { lines: piece, end: Position::new(end.to_string()), more, lost: false })
    }

    async fn tell(&self, _: ServerId, _: &str) -> Result<(), ConsoleError> {
        Err(ConsoleError::Mute)
    }
}

#[async_trait]
impl PlayerCount for There {
    async fn players(&self, _: ServerId, generation: Generation) -> Result<Players, Unanswered> {
        Ok(Players::new(3, None, Some(vec![format!("of run {generation}")])))
    }
}

#[async_trait]
impl GameQuery for There {
    async fn ask(&self, _: QueryProtocol, host: &str, port: u16) -> Result<Players, Unanswered> {
        assert_eq!(host, "inside of here");
        self.asked.fetch_add(1, Ordering::SeqCst);
        match port {
            7 => std::future::pending().await,
            8 => panic!("a bug"),
            port => Ok(Players::new(port.into(), None, None)),
        }
    }
}

fn prober(scene: &Scene, there: &Arc<There>, query: &str) -> Prober {
    let way = match query {
        "'agones'" => "fleet = 'demo'",
        _ => "command = ['demo']\nport = 20000\nready = { when = { delay = 0 } }",
    };
    let game = format!("[demo]\ntitle = 'Demo'\ncost_per_hour = 0\nquery = {query}\n{way}");
    Prober::new(Probing {
        store: scene.db.clone(),
        host: there.clone(),
        console: there.clone(),
        query: there.clone(),
        platform: Some(there.clone()),
        rcon: servers(&scene.db, Billing::Off).dispatcher().clone(),
        catalogue: Arc::new(Catalogue::parse(&game).expect("a catalogue")),
        per_second: 100,
    })
}

async fn measured(scene: &Scene, id: i64) -> Option<Measured> {
    let id = ServerId(i32::try_from(id).expect("an id"));
    scene.db.players(&[id]).await.expect("players").remove(&id)
}

/// Makes servers that run, at the ports from 7 on.
async fn running(scene: &Scene, servers: i32) -> i64 {
    queue(&scene.sql, "there", 1..=1, servers).await;
    let first = number(&scene.sql, "select min(id)::int8 from game_servers").await;
    let run = format!(
        "update operations set state = 'succeeded', finished_at = now();
         update game_servers set status = 'running', status_generation = 1, address = 'here', port = 7 + id - {first}"
    );
    scene.sql.batch_execute(&run).await.expect("running servers");
    first
}

#[tokio::test]
async fn hanging_game_holds_up_no_other() {
    let (scene, there) = (Scene::start().await, Arc::new(There::default()));
    let first = running(&scene, 3).await;
    let probers = [prober(&scene, &there, "'a2s'"), prober(&scene, &there, "'a2s'")];
    let known = wait::until(SOON, "an answer", async || {
        for prober in &probers {
            prober.round().await.expect("a round");
        }
        measured(&scene, first + 2).await
    })
    .await;
    assert_eq!(known.players.online, 9);
    assert_eq!((measured(&scene, first).await, measured(&scene, first + 1).await), (None, None));
    assert_eq!(there.asked.load(Ordering::SeqCst), 3, "each is asked by one of the two");
}

#[tokio::test]
async fn console_tells_who_comes_and_goes() {
    let (scene, there) = (Scene::start().await, Arc::new(There::default()));
    let server = running(&scene, 1).await;
    let ready = scene.sql.query_one("select finished_at from operations", &[]).await.expect("a time");
    let ready = Timestamp::from(ready.get::<_, std::time::SystemTime>(0));
    there.says(ready - Duration::from_secs(60), "Old joined");
    there.says(ready, "Ann joined");
    there.says(ready, "Bob joined");
    for _ in 0..2000 {
        there.says(ready, "<Eve> Bob left");
    }
    there.says(ready, "Bob left");
    let query = "{ log = { join = '(\\w+) joined', leave = '(\\w+) left' } }";
    let (mut online, names) = (vec![], |measured: Measured| measured.players.names.expect("names"));
    let first = prober(&scene, &there, query);
    // The second process reads from the beginning, as after a restart of AGIS.
    for prober in [&first, &first, &prober(&scene, &there, query)] {
        let before = measured(&scene, server).await.map(|it| it.at);
        let known = wait::until(SOON, "an answer", async || {
            prober.round().await.expect("a round");
            measured(&scene, server).await.filter(|it| Some(it.at) != before)
        })
        .await;
        online.push(names(known));
        there.says(ready, "Cid joined");
        let due = "update server_players set claimed_at = claimed_at - interval '15 s'";
        scene.sql.batch_execute(due).await.expect("time passes");
    }
    assert_eq!(online, [vec!["Ann"], vec!["Ann", "Cid"], vec!["Ann", "Cid"]]);
}

#[tokio::test]
async fn cut_console_tells_nothing() {
    let (scene, there) = (Scene::start().await, Arc::new(There::default()));
    let server = running(&scene, 1).await;
    there.says(Timestamp::from(std::time::SystemTime::now()) + Duration::from_secs(3600), "Ann joined");
    let prober = prober(&scene, &there, "{ log = { join = '(\\w+) joined', leave = '(\\w+) left' } }");
    prober.round().await.expect("a claim");
    wait::until(SOON, "the probe", async || {
        let asked = "select count(*) from server_players where claimed_at < now() - interval '1 s'";
        (number(&scene.sql, asked).await == 1).then_some(())
    })
    .await;
    prober.round().await.expect("nothing to store");
    assert_eq!(measured(&scene, server).await, None);
}

#[tokio::test]
async fn platform_counts_for_its_games() {
    let (scene, there) = (Scene::start().await, Arc::new(There { kind: RunsOn::Agones, ..There::default() }));
    let server = running(&scene, 1).await;
    let prober = prober(&scene, &there, "'agones'");
    let known = wait::until(SOON, "an answer", async || {
        prober.round().await.expect("a round");
        measured(&scene, server).await
    })
    .await;
    assert_eq!((known.players.online, known.players.names), (3, Some(vec!["of run 1".to_owned()])));
    assert_eq!(there.asked.load(Ordering::SeqCst), 0, "nobody asks the game");
}

//! A data directory of its own for every test, and processes that do not outlive it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use agis_base::{OperationId, ServerId, UserId};
use agis_host_process::{Config, ProcessHost, SetupError};
use agis_servers::{
    game::{Catalogue, Game},
    host::{Endpoint, Generation, Host, HostError, Launch, Observed, Order, Progress, Reached, Slot, Target},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// Longer than anything here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    data: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    /// A data directory in this folder.
    pub(crate) fn within(folder: &Path) -> Self {
        let data = tempfile::tempdir_in(folder).expect("a directory");
        // Games must be able to pass through.
        fs::set_permissions(data.path(), fs::Permissions::from_mode(0o711)).expect("our directory");
        Self { data }
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn server(&self, server: ServerId) -> PathBuf {
        self.data.path().canonicalize().expect("a directory").join(format!("servers/{server}"))
    }

    /// Another program's view of the same data.
    pub(crate) fn host(&self) -> ProcessHost {
        self.host_called("here").expect("a host")
    }

    pub(crate) fn host_called(&self, name: &str) -> Result<ProcessHost, SetupError> {
        let mut config = self.config();
        config.machine.name = name.to_owned();
        ProcessHost::new(config)
    }

    /// A host with another configuration.
    pub(crate) fn host_with(&self, change: impl FnOnce(&mut Config)) -> ProcessHost {
        let mut config = self.config();
        change(&mut config);
        ProcessHost::new(config).expect("a host")
    }

    fn config(&self) -> Config {
        let machine = agis_machine::Config {
            data_dir: self.data.path().to_owned(),
            name: "here".to_owned(),
            public_address: "games.example.org".to_owned(),
            bind_address: "127.0.0.1".to_owned(),
            game_uids: 1_900_000_000..=1_999_999_999,
            disk_reserve: 0,
            trash_max: None,
        };
        Config { machine, shim: shim_program() }
    }

    pub(crate) async fn start(
        &self,
        host: &ProcessHost,
        server: ServerId,
        generation: Generation,
        game: &Arc<Game>,
    ) -> Result<Endpoint, HostError> {
        match self.begin(host, server, generation, game).await? {
            Reached::Running(endpoint) => Ok(endpoint),
            other => panic!("a start led to {other:?}"),
        }
    }

    /// As [`Self::start`], whatever it leads to.
    pub(crate) async fn begin(
        &self,
        host: &ProcessHost,
        server: ServerId,
        generation: Generation,
        game: &Arc<Game>,
    ) -> Result<Reached, HostError> {
        self.apply(host, server, generation, running(game)).await
    }

    pub(crate) async fn stop(&self, host: &ProcessHost, server: ServerId, n: Generation) -> Result<Reached, HostError> {
        self.apply(host, server, n, Target::Stopped).await
    }

    pub(crate) async fn delete(
        &self,
        host: &ProcessHost,
        server: ServerId,
        n: Generation,
    ) -> Result<Reached, HostError> {
        self.apply(host, server, n, Target::Deleted).await
    }

    async fn apply(
        &self,
        host: &ProcessHost,
        server: ServerId,
        generation: Generation,
        target: Target,
    ) -> Result<Reached, HostError> {
        self.order(host, server, (generation, OperationId::new()), target).await
    }

    /// On behalf of that operation.
    pub(crate) async fn order(
        &self,
        host: &ProcessHost,
        server: ServerId,
        (generation, operation): (Generation, OperationId),
        target: Target,
    ) -> Result<Reached, HostError> {
        self.order_from(host, server, (generation, operation), target, Slot::default()).await
    }

    /// From that place.
    pub(crate) async fn order_from(
        &self,
        host: &ProcessHost,
        server: ServerId,
        (generation, operation): (Generation, OperationId),
        target: Target,
        slot: Slot,
    ) -> Result<Reached, HostError> {
        within(host.apply(&Order { server, operation, generation, target, slot, progress: Progress::default() })).await
    }

    pub(crate) fn console(&self, server: ServerId) -> String {
        fs::read_to_string(self.server(server).join("console.log")).expect("a log")
    }

    /// Process id of the shim of a server.
    pub(crate) fn shim(&self, server: ServerId) -> i32 {
        shim(&self.server(server)).expect("a status that names it")
    }

    /// Process id of the game of a server: the shim's first child.
    pub(crate) fn game(&self, server: ServerId) -> i32 {
        let shim = self.shim(server);
        let children = fs::read_to_string(format!("/proc/{shim}/task/{shim}/children")).expect("the shim lives");
        children.split(' ').next().and_then(|pid| pid.parse().ok()).expect("a child")
    }
}

/// The target of a start or a restart.
pub(crate) fn running(game: &Arc<Game>) -> Target {
    running_as(game, "Friday {port} night; $(reboot)")
}

/// As [`running`], for a server of that name.
pub(crate) fn running_as(game: &Arc<Game>, server_name: &str) -> Target {
    let server_name = server_name.to_owned();
    let settings = game.setting_values(&Default::default()).expect("a default of each setting");
    Target::Running(Launch {
        game: Arc::clone(game),
        server_name,
        owner: UserId::from_stored("1"),
        settings,
        rcon_password: Default::default(),
    })
}

impl Drop for Bench {
    fn drop(&mut self) {
        for server in fs::read_dir(self.data.path().join("servers")).into_iter().flatten().flatten() {
            let status = fs::read_to_string(server.path().join("status.json")).unwrap_or_default();
            // An ended process has given its number away.
            if !status.contains("\"ended\"") {
                shim(&server.path()).into_iter().for_each(kill);
            }
        }
    }
}

fn shim(server: &Path) -> Option<i32> {
    let status: serde_json::Value = serde_json::from_slice(&fs::read(server.join("status.json")).ok()?).ok()?;
    status["shim"]["pid"].as_i64()?.try_into().ok()
}

/// The program of the supervisors, which a build of the workspace leaves beside the tests.
fn shim_program() -> PathBuf {
    let test = std::env::current_exe().expect("our own path");
    let path = test.ancestors().nth(2).expect("target/debug").join("agis-shim");
    assert!(path.exists(), "build it first: cargo build -p agis-shim");
    path
}

/// The demo, with other settings in place of the usual ones. A line `args = a, b` adds arguments.
pub(crate) fn demo(settings: &str) -> Arc<Game> {
    let (args, settings): (Vec<_>, Vec<_>) = settings.lines().partition(|line| line.starts_with("args ="));
    let args: String = args
        .iter()
        .flat_map(|line| line["args =".len()..].split(','))
        .map(|arg| format!(", '{}'", arg.trim()))
        .collect();
    let mut settings = settings.join("\n");
    if !settings.contains("ready =") {
        settings += "\nready = { when = { log = 'ready for players' }, within_s = 30 }";
    }
    game(&format!(
        "command = ['{{agis}}', 'demo-game', '--bind', '{{bind}}', '--port', '{{port}}', '--name', '{{name}}'{args}]\n\
         {settings}"
    ))
}

/// A shell script as a game.
pub(crate) fn script(script: &str, settings: &str) -> Arc<Game> {
    game(&format!("command = ['sh', '-c', '''{script}''']\n{settings}"))
}

/// A game at a port that was free a moment ago.
pub(crate) fn game(settings: &str) -> Arc<Game> {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let text = format!("[game]\ntitle = 'Game'\nport = {}\ncost_per_hour = 0\n{settings}", free.port());
    Arc::clone(Catalogue::parse(&text).expect("a catalogue").get("game").expect("the game"))
}

pub(crate) fn ended(generation: Generation, how: &str) -> Observed {
    Observed::Ended { generation, how: how.to_owned(), good: false }
}

pub(crate) fn ended_well(generation: Generation, how: &str) -> Observed {
    Observed::Ended { generation, how: how.to_owned(), good: true }
}

/// Asks a demo game how it is.
pub(crate) async fn query(port: u16) -> serde_json::Value {
    let answer = within(async {
        let mut game = TcpStream::connect(("127.0.0.1", port)).await?;
        game.write_all(b"status\n").await?;
        let mut answer = String::new();
        game.read_to_string(&mut answer).await.map(|_| answer)
    });
    serde_json::from_str(&answer.await.expect("an answer")).expect("JSON")
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("it takes too long")
}

pub(crate) async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < until, "it takes too long");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Ended; whether anybody has taken note of it does not matter.
pub(crate) async fn process_is_gone(pid: i32) {
    eventually(async || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| matches!(rest.trim_start().as_bytes().first(), Some(b'Z' | b'X')))
    })
    .await;
}

pub(crate) fn kill(pid: i32) {
    signal(pid, Signal::KILL);
}

pub(crate) fn freeze(pid: i32) {
    signal(pid, Signal::STOP);
}

fn signal(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).expect("a pid"), signal);
}

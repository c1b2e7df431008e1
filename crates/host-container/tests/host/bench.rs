//! An engine and a data directory for one test.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use agis_base::{OperationId, ServerId, UserId};
use agis_host_container::{Address, Config, ContainerHost, Pace};
use agis_local_services::engine::{Engine, Make};
use agis_servers::{
    console::{Begin, Console},
    game::{Catalogue, Game, SettingValues},
    host::{Endpoint, Generation, Host, HostError, Launch, Observed, Order, Progress, Reached, Slot, Target},
};
use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// Longer than anything here takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(180);
/// Pace of a host that waits for an engine on a busy machine.
pub(crate) const PACE: Pace = Pace { call: Duration::from_secs(90), ..Pace::DEFAULT };
/// Image of the demo game, and of a shell.
pub(crate) const IMAGE: &str = "docker.io/agis-test/demo:1";

pub(crate) struct Bench {
    pub(crate) engine: Arc<Engine>,
    pub(crate) data: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self::bare();
        bench.engine.build(IMAGE, &[&program("agis-shim")], "WORKDIR /data").expect("an image");
        bench
    }

    /// An engine without an image.
    pub(crate) fn bare() -> Self {
        let make = std::env::var("AGIS_TEST_ENGINE").unwrap_or_else(|_| "podman".to_owned());
        let make = Make::named(&make).expect("docker or podman");
        make.install();
        let engine = Engine::start(make).expect("an engine");
        Self { engine: Arc::new(engine), data: tempfile::tempdir().expect("a directory") }
    }

    /// Another data directory on the same engine.
    pub(crate) fn with_new_data(&self) -> Self {
        Self { engine: Arc::clone(&self.engine), data: tempfile::tempdir().expect("a directory") }
    }

    pub(crate) fn host(&self) -> ContainerHost {
        self.host_at(&self.engine.socket())
    }

    /// A host that finds the engine at another socket.
    pub(crate) fn host_at(&self, socket: &Path) -> ContainerHost {
        self.host_with(socket, PACE.call)
    }

    /// A host that finds the engine at one of these sockets.
    pub(crate) fn host_among(&self, sockets: &[PathBuf]) -> ContainerHost {
        self.host_of(sockets, PACE)
    }

    /// A host that waits this long for an answer.
    pub(crate) fn host_with(&self, socket: &Path, call: Duration) -> ContainerHost {
        self.host_of(&[socket.to_owned()], Pace { call, ..PACE })
    }

    pub(crate) fn host_at_pace(&self, pace: Pace) -> ContainerHost {
        self.host_of(&[self.engine.socket()], pace)
    }

    fn host_of(&self, sockets: &[PathBuf], pace: Pace) -> ContainerHost {
        self.host_on("127.0.0.1", sockets, pace)
    }

    /// A host whose games listen on this address.
    pub(crate) fn host_bound_to(&self, bind: &str) -> ContainerHost {
        self.host_on(bind, &[self.engine.socket()], Pace::default())
    }

    fn host_on(&self, bind: &str, sockets: &[PathBuf], pace: Pace) -> ContainerHost {
        let pace = Pace { reap: Duration::from_millis(200), ..pace };
        let machine = agis_machine::Config {
            data_dir: self.data.path().to_owned(),
            name: "here".to_owned(),
            public_address: "games.example.org".to_owned(),
            bind_address: bind.to_owned(),
            game_uids: 1_900_000_000..=1_999_999_999,
            disk_reserve: 0,
            trash_max: None,
        };
        let engines = sockets.iter().cloned().map(Address::Socket).collect();
        let slow = self.data.path().join("slow-shim");
        let shim = if slow.exists() { slow } else { program("agis-shim") };
        ContainerHost::new(Config { machine, engines, shim, pace }).expect("a host")
    }

    /// Lets the preparation of worlds wait until the file `go` is in the data directory; `waits` says that it waits.
    pub(crate) fn slow_down(&self) {
        let (shim, data) = (program("agis-shim"), self.data.path());
        let script = format!(
            "#!/bin/sh\ncd {}\ntouch waits\nwhile [ ! -e go ]; do sleep 0.05; done\nexec {} \"$@\"\n",
            data.display(),
            shim.display()
        );
        let file = data.join("slow-shim");
        fs::write(&file, script).expect("a script");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    /// The engine itself, for what somebody does by hand.
    pub(crate) fn docker(&self) -> Docker {
        Docker::connect_with_unix(&self.engine.socket().to_string_lossy(), 60, API_DEFAULT_VERSION).expect("a client")
    }

    pub(crate) fn world(&self, server: ServerId) -> PathBuf {
        self.data.path().join(format!("servers/{server}/world"))
    }

    /// Names of all containers.
    pub(crate) async fn containers(&self) -> Vec<String> {
        let docker = self.docker().negotiate_version().await.expect("an engine");
        let options = bollard::query_parameters::ListContainersOptionsBuilder::default().all(true).build();
        let found = docker.list_containers(Some(options)).await.expect("a list");
        found.into_iter().filter_map(|it| it.names?.into_iter().next()).collect()
    }

    /// Sends a signal to the container of this data directory.
    pub(crate) async fn signal(&self, signal: &str) {
        assert!(self.try_signal(signal).await, "a signal");
    }

    /// Stops the container of this data directory as `docker stop` does.
    pub(crate) async fn stop_by_hand(&self) {
        let docker = self.docker().negotiate_version().await.expect("an engine");
        let id = self.running(&docker).await.expect("a container");
        let options = bollard::query_parameters::StopContainerOptionsBuilder::default().t(20).build();
        docker.stop_container(&id, Some(options)).await.expect("a stop");
    }

    /// Sends a signal to the container of this data directory, if one runs. Returns whether it was sent.
    pub(crate) async fn try_signal(&self, signal: &str) -> bool {
        let docker = self.docker().negotiate_version().await.expect("an engine");
        let Some(id) = self.running(&docker).await else { return false };
        let options = bollard::query_parameters::KillContainerOptionsBuilder::default().signal(signal).build();
        docker.kill_container(&id, Some(options)).await.is_ok()
    }

    /// Returns the id of the container of this data directory that runs.
    async fn running(&self, docker: &bollard::Docker) -> Option<String> {
        let is_ours =
            std::collections::HashMap::from([("label", vec![format!("agis.directory={}", self.directory())])]);
        let options = bollard::query_parameters::ListContainersOptionsBuilder::default().filters(&is_ours).build();
        let found = docker.list_containers(Some(options)).await.expect("a list");
        found.into_iter().find_map(|it| it.id)
    }

    /// Names of the networks of AGIS.
    pub(crate) async fn networks(&self) -> Vec<String> {
        let docker = self.docker().negotiate_version().await.expect("an engine");
        let found = docker.list_networks(None).await.expect("a list");
        found.into_iter().filter_map(|it| it.name).filter(|name| name.starts_with("agis-")).collect()
    }

    /// Id of the data directory.
    pub(crate) fn directory(&self) -> String {
        std::fs::read_to_string(self.data.path().join("id")).expect("an id")
    }

    /// Removes the only container, as somebody does by hand.
    pub(crate) async fn remove_by_hand(&self) {
        let docker = self.docker().negotiate_version().await.expect("an engine");
        let name = self.containers().await.pop().expect("a container");
        let options = bollard::query_parameters::RemoveContainerOptionsBuilder::default().force(true).build();
        docker.remove_container(name.trim_start_matches('/'), Some(options)).await.expect("removed");
    }
}

pub(crate) async fn start(
    host: &ContainerHost,
    server: ServerId,
    generation: Generation,
    game: &Arc<Game>,
) -> Result<Endpoint, HostError> {
    match begin(host, server, generation, game).await? {
        Reached::Running(endpoint) => Ok(endpoint),
        other => panic!("a start led to {other:?}"),
    }
}

/// As [`start`], whatever it leads to.
pub(crate) async fn begin(
    host: &ContainerHost,
    server: ServerId,
    generation: Generation,
    game: &Arc<Game>,
) -> Result<Reached, HostError> {
    apply(host, server, generation, running(game)).await
}

pub(crate) async fn stop(host: &ContainerHost, server: ServerId, n: Generation) -> Result<Reached, HostError> {
    apply(host, server, n, Target::Stopped).await
}

pub(crate) async fn apply(
    host: &ContainerHost,
    server: ServerId,
    generation: Generation,
    target: Target,
) -> Result<Reached, HostError> {
    order(host, server, (generation, OperationId::new()), target).await
}

/// On behalf of that operation.
pub(crate) async fn order(
    host: &ContainerHost,
    server: ServerId,
    (generation, operation): (Generation, OperationId),
    target: Target,
) -> Result<Reached, HostError> {
    let order = Order { server, operation, generation, target, slot: Slot::default(), progress: Progress::default() };
    within(host.apply(&order)).await
}

/// The target of a start or a restart.
pub(crate) fn running(game: &Arc<Game>) -> Target {
    Target::Running(Launch {
        game: Arc::clone(game),
        server_name: "Friday {port} night; $(reboot)".to_owned(),
        owner: UserId::from_stored("1"),
        settings: SettingValues::new(),
        rcon_password: Default::default(),
    })
}

/// A program that a build of the workspace leaves beside the tests.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("our own path");
    let path = test.ancestors().nth(2).expect("target/debug").join(name);
    assert!(path.exists(), "build it first: cargo build -p {name}");
    path
}

/// The demo, with further arguments and settings.
pub(crate) fn demo(args: &[&str], settings: &str) -> Arc<Game> {
    let args: String = args.iter().map(|arg| format!(", '{arg}'")).collect();
    let ready = "ready = { when = { log = 'ready for players' }, within_s = 30 }";
    let ready = if settings.contains("ready =") { "" } else { ready };
    game(&format!(
        "{ready}\n{settings}\n[game.container]\nimage = '{IMAGE}'\nworld = '/data'\n\
         command = ['agis-shim', 'demo-game', '--bind', '{{bind}}', '--port', '{{port}}', '--name', '{{name}}'{args}]"
    ))
}

/// A shell script as a game.
pub(crate) fn script(script: &str, settings: &str, container: &str) -> Arc<Game> {
    game(&format!(
        "{settings}\n[game.container]\nimage = '{IMAGE}'\ncommand = ['sh', '-c', '''{script}''']\n{container}"
    ))
}

/// A script that says "up", in this image.
pub(crate) fn script_of(image: &str, script: &str) -> Arc<Game> {
    game(&format!(
        "ready = {{ when = {{ log = 'up' }} }}\n[game.container]\nimage = '{image}'\ncommand = ['sh', '-c', '{script}']"
    ))
}

/// A game at a port that was free a moment ago.
pub(crate) fn game(settings: &str) -> Arc<Game> {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    // A game of several ports names its first one so.
    let (free, settings) = (free.port(), settings.replace("FREE", &free.port().to_string()));
    let port = if settings.contains("ports = [") { String::new() } else { format!("port = {free}\n") };
    let text = format!("[game]\ntitle = 'Game'\n{port}cost_per_hour = 0\n{settings}");
    Arc::clone(Catalogue::parse(&text).expect("a catalogue").get("game").expect("the game"))
}

pub(crate) fn ended(generation: Generation, how: &str) -> Observed {
    Observed::Ended { generation, how: how.to_owned(), good: false }
}

/// The lines of a console.
pub(crate) async fn lines(host: &ContainerHost, server: ServerId) -> Vec<String> {
    let begin = Begin::Recent { tail: None, since: None };
    let piece = host.lines(server, &begin, 1000).await.expect("a console");
    piece.lines.into_iter().map(|line| line.text).collect()
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
        sleep(Duration::from_millis(50)).await;
    }
}

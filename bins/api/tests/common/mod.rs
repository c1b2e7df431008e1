//! The real program on a real database: what both test binaries stand on.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod a2s;
pub(crate) mod contract;
pub(crate) mod program;
pub(crate) mod rcon;

use std::{
    ops::Deref,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use agis_storage::DatabaseUrl;
use agis_test_support::{Database, clock, wait};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use self::program::Program;

/// The user whose key [`Stack::start`] makes.
pub(crate) const OWNER: &str = "100000000000000001";
/// Another one.
pub(crate) const STRANGER: &str = "100000000000000002";
/// For what takes a moment on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A database, a directory for games, and a key; any number of `agis-api` processes may be started on it.
pub(crate) struct Stack {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) client: reqwest::Client,
    data: tempfile::TempDir,
    games: PathBuf,
    host: String,
    // Dropped last: processes that still run would hold it.
    _database: Option<Database>,
}

impl Stack {
    pub(crate) async fn start() -> Self {
        let database = Database::create().await;
        Self::on(database.url().to_owned(), Some(database)).await
    }

    /// On a database of the test's own, not yet migrated.
    pub(crate) async fn on(url: String, database: Option<Database>) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(0o755)).expect("permissions");
        let games = data.path().join("games.toml");
        std::fs::write(&games, catalogue()).expect("a catalogue");
        let host = format!("host-{}", data.path().file_name().expect("a name").to_string_lossy());
        let client = reqwest::Client::builder().timeout(SOON).build().expect("a client");
        let mut stack = Self { url, key: String::new(), client, data, games, host, _database: database };
        stack.command(&["migrate", "up"]);
        stack.key = stack.make_key(OWNER, &["--rate-limit", "10000"]);
        stack
    }

    /// Runs a subcommand to its end and answers with what it printed.
    pub(crate) fn command(&self, args: &[&str]) -> String {
        let output = self.prepare(&[]).args(args).output().expect("agis-api runs");
        assert!(output.status.success(), "agis-api {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// Runs the program with these settings beside the usual ones to its end, however it ends.
    pub(crate) fn output(&self, settings: &[(&str, &str)], args: &[&str]) -> std::process::Output {
        self.prepare(settings).args(args).output().expect("agis-api runs")
    }

    /// Puts a game into the catalogue of the programs that are started from now on.
    pub(crate) fn add_game(&self, toml: &str) {
        self.change_games(|games| format!("{games}\n{toml}"));
    }

    /// Changes the catalogue of the programs that are started from now on.
    pub(crate) fn change_games(&self, change: impl FnOnce(String) -> String) {
        let games = std::fs::read_to_string(&self.games).expect("a catalogue");
        std::fs::write(&self.games, change(games)).expect("a catalogue");
    }

    /// A key by the operator's command.
    pub(crate) fn make_key(&self, user: &str, args: &[&str]) -> String {
        self.command(&[&["keys", "create", "--user", user], args].concat())
    }

    /// Starts a process with these settings beside the usual ones and waits until it listens.
    pub(crate) async fn api(&self, settings: &[(&str, &str)]) -> Api {
        Api::start(self, self.prepare(settings)).await
    }

    /// Starts a process as an ordinary account, or as the account of this test if that is one.
    pub(crate) async fn api_of_ordinary_account(&self) -> Api {
        const NOBODY: u32 = 65534;
        if std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() != 0) {
            return self.api(&[]).await;
        }
        // The account may not reach the folder of the build.
        let [program, _shim] = ["agis-api", "agis-shim"].map(|name| {
            let copy = self.data.path().join(name);
            std::fs::copy(program::path(name), &copy).expect("a copy");
            copy
        });
        std::fs::create_dir(self.data_dir()).expect("a folder");
        std::os::unix::fs::chown(self.data_dir(), Some(NOBODY), Some(NOBODY)).expect("another owner");
        let mut command = Command::new(&program);
        command.envs(self.prepare(&[]).get_envs().filter_map(|(key, value)| Some((key, value?))));
        command.current_dir("/").uid(NOBODY).gid(NOBODY);
        Api::start(self, command).await
    }

    /// The database's URL, for a store in the test's own process.
    pub(crate) fn database_url(&self) -> DatabaseUrl {
        DatabaseUrl::parse(&self.url).expect("a URL")
    }

    /// A connection to look at, or change, what is stored.
    pub(crate) async fn sql(&self) -> tokio_postgres::Client {
        let (client, connection) =
            tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await.expect("a connection");
        tokio::spawn(connection);
        client
    }

    /// The settings that every program of this stack has.
    pub(crate) fn settings(&self) -> Vec<(&'static str, std::ffi::OsString)> {
        vec![
            ("DATABASE_URL", self.url.clone().into()),
            ("AGIS_HOST_NAME", self.host.clone().into()),
            ("GAMES_FILE", self.games.clone().into()),
            ("BIND_ADDRESS", "127.0.0.1".into()),
            ("METRICS_PORT", "0".into()),
            ("LOG_FORMAT", "json".into()),
        ]
    }

    /// Returns the folder in which the host keeps its servers.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// The directory of a server on the host.
    pub(crate) fn server_dir(&self, server: i64) -> PathBuf {
        self.data_dir().join("servers").join(server.to_string())
    }

    /// Returns the host's status file of a server: `shim.pid`, `game.pid`, `generation`, `phase`.
    pub(crate) fn process_of(&self, server: i64) -> Option<Value> {
        let status = std::fs::read(self.server_dir(server).join("status.json")).ok()?;
        let mut status: Value = serde_json::from_slice(&status).ok()?;
        // The game is the first child of its shim.
        let shim = &status["shim"]["pid"];
        let children = std::fs::read_to_string(format!("/proc/{shim}/task/{shim}/children")).unwrap_or_default();
        let game: Option<i64> = children.split(' ').next().and_then(|pid| pid.parse().ok());
        status["game"] = serde_json::json!({ "pid": game });
        Some(status)
    }

    fn prepare(&self, settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(program::path("agis-api"));
        clock::clear_env(&mut command)
            .envs(self.settings())
            .env("AGIS_DATA_DIR", self.data_dir())
            .env("GAME_BIND_ADDRESS", "127.0.0.1")
            .env("PUBLIC_ADDRESS", "127.0.0.1")
            .env("API_PORT", "0")
            .env("SHUTDOWN_DRAIN_SECONDS", "5")
            // All tests come from one address, and many with keys that are none.
            .envs(settings.iter().copied());
        command
    }
}

impl Drop for Stack {
    /// Games outlive `agis-api` by design, not this test.
    fn drop(&mut self) {
        let servers = std::fs::read_dir(self.data_dir().join("servers")).into_iter().flatten().flatten();
        for server in servers {
            let status = std::fs::read(server.path().join("status.json")).unwrap_or_default();
            let status: Value = serde_json::from_slice(&status).unwrap_or_default();
            if let Some(pid) = status["shim"]["pid"].as_i64().filter(|pid| is_shim(*pid)) {
                signal(pid, "KILL");
            }
        }
    }
}

/// A number that the system has given to somebody else meanwhile is not killed.
fn is_shim(pid: i64) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"agis-shim"))
}

/// Sends a signal by the system's own `kill`.
pub(crate) fn signal(pid: i64, name: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Whether a process of this number lives; a zombie does not.
pub(crate) fn is_alive(pid: i64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Games for tests: ports differ between test processes, which run at the same time. Their servers stay down after a crash,
/// so that tests see it.
fn catalogue() -> String {
    let port = 10_000 + std::process::id() * 41 % 18_000;
    format!(
        r#"
        [demo]
        title = "Demo"
        command = ["{{agis}}", "demo-game", "--bind", "{{bind}}", "--port", "{{port}}", "--name", "{{name}}", "--greeting", "{{settings.greeting}}"]
        port = {port}
        restart = {{ on = "never" }}
        cost_per_hour = 0
        ready = {{ when = {{ log = "ready for players" }}, within_s = 30 }}
        stop = {{ how = {{ signal = "SIGTERM" }}, grace_s = 10 }}
        settings.greeting = {{ type = "text", title = "Greeting", default = "" }}

        [slow]
        title = "Never ready"
        command = ["{{agis}}", "demo-game", "--bind", "{{bind}}", "--port", "{{port}}", "--name", "{{name}}", "--never-ready"]
        port = {port}
        restart = {{ on = "never" }}
        cost_per_hour = 0
        ready = {{ when = {{ log = "ready for players" }}, within_s = 60 }}

        [unready]
        title = "Not ready in time"
        command = ["{{agis}}", "demo-game", "--bind", "{{bind}}", "--port", "{{port}}", "--name", "{{name}}", "--never-ready"]
        port = {port}
        restart = {{ on = "never" }}
        cost_per_hour = 5
        ready = {{ when = {{ log = "ready for players" }}, within_s = 1 }}

        [sleeper]
        title = "Sleeper"
        command = ["sleep", "100000"]
        port = {port}
        restart = {{ on = "never" }}
        cost_per_hour = 0
        ready = {{ when = {{ delay = 0 }}, within_s = 30 }}
        stop = {{ how = {{ signal = "SIGTERM" }}, grace_s = 5 }}
        "#
    )
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body of an answer that must be of this status.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }
}

/// A running `agis-api serve`.
pub(crate) struct Api {
    program: Program,
    pub(crate) base: String,
    pub(crate) metrics: String,
    key: String,
    client: reqwest::Client,
}

impl Api {
    async fn start(stack: &Stack, mut command: Command) -> Self {
        command.arg("serve");
        let (program, told) = Program::start(command, "API server listening").await;
        let url = |field: &str| format!("http://{}", told[field].as_str().expect("an address"));
        Self {
            program,
            base: url("address"),
            metrics: url("metrics_address"),
            key: stack.key.clone(),
            client: stack.client.clone(),
        }
    }

    /// A request with the owner's key.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call_as(Some(&self.key), method, path, body).await
    }

    /// A request with this key, or none. Its answer must be one that the contract promises.
    pub(crate) async fn call_as(&self, key: Option<&str>, method: &str, path: &str, body: Option<Value>) -> Answer {
        let verb: Method = method.parse().expect("a method");
        let mut request = self.client.request(verb, format!("{}{path}", self.base));
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = self.send(request).await.expect("an answer");
        contract::check(method, path, &answer);
        answer
    }

    /// A request of the test's own making.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, headers, body })
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    /// Creates a server of a game and answers with its id.
    pub(crate) async fn server(&self, name: &str, game: &str) -> i64 {
        let server = self.post("/api/v1/servers", json!({ "name": name, "game_type": game })).await.expect(201);
        server["id"].as_i64().expect("an id")
    }

    /// Asks for an action and answers with the operation's id.
    pub(crate) async fn ask(&self, server: i64, action: &str) -> String {
        let operation = self.call("POST", &format!("/api/v1/servers/{server}/{action}"), None).await.expect(202);
        operation["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until an operation has ended, and answers with it.
    pub(crate) async fn ended(&self, operation: &str) -> Value {
        wait::until(SOON, "an operation to end", async || {
            let operation = self.get(&format!("/api/v1/operations/{operation}")).await.body;
            (!operation["finished_at"].is_null() && operation["state"].is_string()).then_some(operation)
        })
        .await
    }

    /// Does an action and waits for its success.
    pub(crate) async fn act(&self, server: i64, action: &str) {
        let operation = self.ended(&self.ask(server, action).await).await;
        assert_eq!(operation["state"], "succeeded", "{operation}");
    }

    /// Waits until a server has a status, and answers with it.
    pub(crate) async fn until_status(&self, server: i64, status: &str) -> Value {
        wait::until(SOON, &format!("server {server} to be {status}"), async || {
            let server = self.get(&format!("/api/v1/servers/{server}")).await.body;
            (server["status"] == status).then_some(server)
        })
        .await
    }

    /// A sample of `/metrics`, by its name and labels as they are printed; zero where there is none.
    pub(crate) async fn metric(&self, sample: &str) -> f64 {
        let text = self.client.get(format!("{}/metrics", self.metrics)).send().await.expect("metrics");
        let text = text.text().await.expect("text");
        program::sample(&text, sample)
    }

    /// The lines of `/metrics` that begin so.
    pub(crate) async fn samples(&self, begin: &str) -> Vec<String> {
        let text = self.client.get(format!("{}/metrics", self.metrics)).send().await.expect("metrics");
        let text = text.text().await.expect("text");
        text.lines().filter(|line| line.starts_with(begin)).map(str::to_owned).collect()
    }

    pub(crate) async fn ready(&self) -> Answer {
        self.send(self.client.get(format!("{}/readyz", self.metrics))).await.expect("an answer")
    }

    /// How it ended, if it has.
    pub(crate) fn exit(&mut self) -> Option<ExitStatus> {
        self.program.exit()
    }

    /// SIGKILL.
    pub(crate) fn kill(self) {
        self.program.kill();
    }

    /// SIGTERM, and the end.
    pub(crate) async fn stop(self) -> ExitStatus {
        self.program.stop().await
    }
}

impl Deref for Api {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

/// Asks a game for its status over its own protocol.
pub(crate) async fn query_game(port: u16) -> std::io::Result<Value> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"status\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(serde_json::from_str(answer.lines().next().unwrap_or_default())?)
}

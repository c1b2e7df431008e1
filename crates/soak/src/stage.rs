//! PostgreSQL, Redis, Discord's stand-in and the programs: two `agis-api` and one `agis-bot`, on one clock.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use agis_discord_stand_in::Discord;
use agis_local_services::{
    postgres::{Cluster, Options},
    redis::Redis,
};

use crate::{
    Args,
    clock::Clock,
    error::Result,
    games,
    problems::{Problems, step},
    program::Program,
};

/// Credits for an hour of the game that players run.
const PRICE: u32 = 1;
/// Credits that each player is given, beside those that everybody begins with.
const GRANT: &str = "100000";

pub(crate) struct Stage {
    pub(crate) dir: PathBuf,
    // A program ends before the ones that it needs.
    pub(crate) bot: Program,
    pub(crate) apis: [Program; 2],
    pub(crate) addresses: [String; 2],
    pub(crate) discord: Discord,
    pub(crate) redis: Redis,
    pub(crate) cluster: Cluster,
    pub(crate) clock: Clock,
}

impl Stage {
    pub(crate) async fn open(args: &Args) -> Result<Self> {
        let dir = args.dir.clone();
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("data"))?;
        for folder in [&dir, &dir.join("data")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
        let clock = Clock::new(args.clock_library.clone(), dir.join("clock"))?;
        let options = Options::throwaway().fetch_into(&args.downloads).max_connections(100).env(clock.environment());
        step("starting PostgreSQL and Redis");
        let cluster = Cluster::start(options)?;
        cluster.create_database("soak")?;
        Redis::install();
        let redis = Redis::start()?;
        let discord = Discord::start().await;

        let catalogue = dir.join("games.toml");
        fs::write(&catalogue, GAMES.replace("{price}", &PRICE.to_string()))?;
        let mut shared: Vec<(String, OsString)> = SETTINGS.map(|(name, value)| (name.into(), value.into())).into();
        shared.extend([
            ("DATABASE_URL".into(), cluster.url("soak").into()),
            ("REDIS_URL".into(), redis.url().into()),
            ("GAMES_FILE".into(), catalogue.into()),
            ("AGIS_DATA_DIR".into(), dir.join("data").into()),
        ]);
        shared.extend(clock.environment().into_iter().map(|(name, value)| (name.to_owned(), value)));
        let program = |name, path: &Path, args, own: Vec<(&str, String)>| -> Result<Program> {
            let metrics = free_port()?;
            let mut environment = shared.clone();
            environment.push(("METRICS_PORT".into(), metrics.to_string().into()));
            environment.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
            Ok(Program {
                name,
                path: path.to_owned(),
                args,
                environment,
                metrics: format!("127.0.0.1:{metrics}"),
                log: dir.join(format!("{name}.log")),
                running: None,
            })
        };
        let ports = [free_port()?, free_port()?];
        let api = |name, port: u16| program(name, &args.api, &["serve"], vec![("API_PORT", port.to_string())]);
        let apis = [api("agis-api-1", ports[0])?, api("agis-api-2", ports[1])?];
        let token = vec![("DISCORD_TOKEN", discord.token().into()), ("DISCORD_API_URL", discord.url().into())];
        let bot = program("agis-bot", &args.bot, &[], token)?;
        let addresses = ports.map(|port| format!("http://127.0.0.1:{port}"));
        let mut stage = Self { dir, bot, apis, addresses, discord, redis, cluster, clock };
        stage.run(&["migrate", "up"])?;
        for program in stage.apis.iter_mut().chain([&mut stage.bot]) {
            step(&format!("starting {}", program.name));
            program.start()?;
            program.until_ready().await?;
        }
        Ok(stage)
    }

    /// Runs a subcommand of `agis-api` to its end, and answers with what it printed.
    pub(crate) fn run(&self, args: &[&str]) -> Result<String> {
        let output = self.apis[0].command(args).stdout(std::process::Stdio::piped()).output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Err(format!("agis-api {} failed ({})", args.join(" "), output.status).into())
    }

    /// A user with credits, and their key.
    pub(crate) fn player(&self, user: &str) -> Result<String> {
        let key = self.run(&["keys", "create", "--user", user, "--rate-limit", "1000000"])?;
        self.run(&["credits", "grant", "--user", user, "--amount", GRANT, "--reason", "soak"])?;
        Ok(key)
    }

    /// The folder of the games.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(crate) fn programs(&mut self) -> impl Iterator<Item = &mut Program> {
        self.apis.iter_mut().chain([&mut self.bot])
    }

    /// Ends everything in order.
    pub(crate) async fn close(&mut self, problems: &Problems) {
        for program in [&mut self.bot].into_iter().chain(&mut self.apis) {
            program.stop(problems).await;
        }
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

const SETTINGS: [(&str, &str); 13] = [
    ("BIND_ADDRESS", "127.0.0.1"),
    ("PUBLIC_ADDRESS", "127.0.0.1"),
    ("GAME_BIND_ADDRESS", "127.0.0.1"),
    ("AGIS_HOST_NAME", "soak"),
    ("LOG_FORMAT", "json"),
    ("BILLING", "on"),
    ("MAX_RATE_LIMIT", "1000000"),
    ("DISCORD_REQUESTS_PER_HOUR", "1000000"),
    ("SERVERS_PER_USER", "100"),
    ("OPERATION_LEASE_SECONDS", "10"),
    ("SHUTDOWN_DRAIN_SECONDS", "5"),
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("RUST_BACKTRACE", "1"),
];

/// The demo game as it comes, and one that may be waited for.
const GAMES: &str = r#"
[demo]
title = "Demo"
command = ["{agis}", "demo-game", "--bind", "{bind}", "--port", "{port}", "--name", "{name}"]
port = 28500
cost_per_hour = {price}
ready = { when = { log = "ready for players" }, within_s = 60 }
stop = { how = { signal = "SIGTERM" }, grace_s = 20 }
"#;

impl Drop for Stage {
    fn drop(&mut self) {
        self.programs().for_each(Program::kill);
        games::end(&self.data());
    }
}

//! An `agis-api` of a check's own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use agis_local_services::postgres::Cluster;

use crate::failure::Result;
use crate::program::{Program, Stop, free_port, output};
use crate::run::{run, step};
use crate::signals::Interrupts;
use crate::state::{State, make_enterable};

/// A user whom Discord does not know.
pub(crate) const USER: &str = "100000000000000001";
/// The id of the key of the requests; the keys before it are there to be read, changed and revoked.
pub(crate) const KEY_ID: u32 = 4;
/// A stop includes the games.
const STOP: Stop = Stop { limit: Duration::from_secs(90), killed: "" };

/// An `agis-api` on a database and a folder of its own, without the limits that would end a long run, and a key that may
/// do everything.
pub(crate) struct Api<'a> {
    dir: PathBuf,
    host: String,
    metrics: String,
    key: String,
    settings: Vec<(&'static str, OsString)>,
    _program: Program<'a>,
}

impl<'a> Api<'a> {
    /// Starts one with these settings beside the usual ones. Its folder and its database have this name.
    pub(crate) fn start(
        name: &str,
        program: PathBuf,
        cluster: &Cluster,
        more: &[(&'static str, OsString)],
        interrupts: &'a Interrupts,
    ) -> Result<Self> {
        let dir = State::locate()?.dir().join(name);
        let _ = fs::remove_dir_all(&dir);
        make_enterable(&dir)?;
        cluster.create_database(name)?;
        let (api, metrics) = (free_port()?, free_port()?);
        let mut settings: Vec<_> = SETTINGS.iter().map(|(name, value)| (*name, OsString::from(value))).collect();
        settings.push(("DATABASE_URL", cluster.url(name).into()));
        settings.push(("AGIS_DATA_DIR", dir.join("data").into()));
        settings.extend_from_slice(more);
        let command = |args: &[&str]| {
            let mut command = Command::new(&program);
            command.args(args).env_clear().stdin(Stdio::null());
            command.envs(settings.iter().map(|(name, value)| (name, value)));
            command.env("API_PORT", api.to_string()).env("METRICS_PORT", metrics.to_string());
            command
        };
        run(&mut command(&["migrate", "up"]), interrupts)?;
        let mut key = String::new();
        for _ in 0..KEY_ID {
            key = output(&mut command(&["keys", "create", "--user", USER, "--rate-limit", "3600000"]))?;
        }

        let log = dir.join("agis-api.log");
        step(format_args!("starting agis-api; its log is {}", log.display()));
        let [host, metrics] = [api, metrics].map(|port| format!("127.0.0.1:{port}"));
        let mut serve = command(&["serve"]);
        serve.stdout(Stdio::null()).stderr(File::create(log)?);
        let mut program = Program::start("agis-api", &mut serve, STOP, interrupts)?;
        program.wait_until_ready(&metrics)?;
        Ok(Self { dir, host, metrics, key, settings, _program: program })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    /// Returns the address of REST, `host:port`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the address of its metrics, `host:port`.
    pub(crate) fn metrics(&self) -> &str {
        &self.metrics
    }

    /// Returns the settings with which another program works on the same database and the same games.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &OsString)> {
        self.settings.iter().map(|(name, value)| (*name, value))
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Returns the folder of its log and its data.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

const SETTINGS: [(&str, &str); 12] = [
    ("BIND_ADDRESS", "127.0.0.1"),
    ("PUBLIC_ADDRESS", "127.0.0.1"),
    ("GAME_BIND_ADDRESS", "127.0.0.1"),
    ("AGIS_HOST_NAME", "checked"),
    ("GAMES_ON_SHUTDOWN", "stop"),
    ("LOG_FORMAT", "json"),
    ("SERVERS_PER_USER", "100000"),
    ("SCHEDULES_PER_SERVER", "100000"),
    ("SCHEDULES_PER_USER", "1000000"),
    ("KEYS_PER_USER", "100000"),
    ("DEFAULT_RATE_LIMIT", "3600000"),
    ("MAX_RATE_LIMIT", "3600000"),
];

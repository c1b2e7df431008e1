//! An `agis-api` of a check's own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agis_local_services::account::Account;
use agis_local_services::leash::Leash;
use agis_local_services::postgres::Cluster;
use rustix::process::Signal;

use crate::failure::{Failure, Result};
use crate::http;
use crate::run::{run, signal, step};
use crate::signals::Interrupts;
use crate::state::{State, make_enterable};

/// Somebody whom Discord does not know.
pub(crate) const USER: &str = "100000000000000001";
/// The key that asks; those before it are there to be looked at, changed and revoked.
pub(crate) const KEY_ID: u32 = 4;
const READY: Duration = Duration::from_secs(60);
/// Games that were started are stopped meanwhile.
const STOP: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(50);

/// An `agis-api` on a database and a folder of its own, without the limits that would end a long run, and a key that may
/// do everything.
pub(crate) struct Api {
    dir: PathBuf,
    host: String,
    metrics: String,
    key: String,
    settings: Vec<(&'static str, OsString)>,
    process: Child,
    _leash: Leash,
}

impl Api {
    /// One of this name, with these settings beside the usual ones. It has a folder and a database that are called so.
    pub(crate) fn start(
        name: &str,
        program: PathBuf,
        cluster: &Cluster,
        more: &[(&'static str, OsString)],
        interrupts: &Interrupts,
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
            key = made_key(&mut command(&["keys", "create", "--user", USER, "--rate-limit", "3600000"]))?;
        }

        step("starting agis-api");
        let log = File::create(dir.join("agis-api.log"))?;
        let process = command(&["serve"]).stdout(Stdio::null()).stderr(log).spawn()?;
        let leash = Leash::tie(&Account::Ours, r#"kill -TERM "$1""#, &[&process.id().to_string()])?;
        let [host, metrics] = [api, metrics].map(|port| format!("127.0.0.1:{port}"));
        let mut started = Self { dir, host, metrics, key, settings, process, _leash: leash };
        started.wait_until_ready(interrupts)?;
        Ok(started)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    /// Where it is scraped.
    pub(crate) fn metrics(&self) -> &str {
        &self.metrics
    }

    /// What another program needs to work on the same database and the same games.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &OsString)> {
        self.settings.iter().map(|(name, value)| (*name, value))
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Where its log is, and whatever else is written meanwhile.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn wait_until_ready(&mut self, interrupts: &Interrupts) -> Result {
        let deadline = Instant::now() + READY;
        while !matches!(http::get(&self.metrics, "/readyz", None), Ok(200)) {
            if self.process.try_wait()?.is_some() || Instant::now() > deadline {
                let log = self.dir.join("agis-api.log");
                return Err(Failure::new(format!("agis-api was not ready; {} says why", log.display())));
            }
            if interrupts.wait(PAUSE).is_some() {
                return Err(Failure::Interrupted);
            }
        }
        Ok(())
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

fn made_key(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(Failure::Status(output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A port that nobody has.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Drop for Api {
    fn drop(&mut self) {
        signal(&self.process, Signal::TERM);
        let deadline = Instant::now() + STOP;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.process.kill();
            }
            std::thread::sleep(PAUSE);
        }
    }
}

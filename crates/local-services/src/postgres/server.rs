use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::layout::Layout;
use crate::account::Account;
use crate::error::{Error, Result};
use crate::leash::Leash;

/// A start under load takes long; longer than this it is broken.
const START: Duration = Duration::from_secs(60);
const FAST_STOP: Duration = Duration::from_secs(60);
const IMMEDIATE_STOP: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// A running `postgres`, stopped when dropped.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    leash: Option<Leash>,
}

/// Requirements of a cluster's programs.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) bin: PathBuf,
    pub(super) account: Account,
    pub(super) env: Vec<(&'static str, OsString)>,
}

impl Programs {
    /// A program of the installation, run as the account, in the cluster's folder, free of the caller's `PG*`
    /// variables, and in a process group that Ctrl-C in the terminal does not reach.
    pub(super) fn command(&self, program: &str, layout: &Layout) -> Command {
        let mut command = Command::new(self.bin.join(program));
        self.account.apply(&mut command);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value))).env("LC_ALL", "C").env("HOME", layout.dir());
        command.current_dir(layout.dir()).process_group(0).stdin(Stdio::null());
        command
    }
}

impl Server {
    /// Starts the server and waits until it accepts connections.
    pub(super) fn start(programs: &Programs, layout: &Layout, port: u16, settings: &[String]) -> Result<Self> {
        let mut command = programs.command("postgres", layout);
        command.arg("-D").arg(layout.data()).arg("-p").arg(port.to_string());
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        let log = layout.open_log()?;
        let errors = log.try_clone().map_err(|error| Error::new(format!("cannot share the log: {error}")))?;
        let process = command.stdout(log).stderr(errors).spawn();
        let process = process.map_err(|error| Error::new(format!("cannot run postgres: {error}")))?;
        let mut server = Self { process, leash: None };
        server.wait_until_ready(layout, port)?;
        Ok(server)
    }

    /// Ends the server (and removes `remove`) when this process dies without a word.
    pub(super) fn tie(&mut self, programs: &Programs, layout: &Layout, remove: Option<&Path>) -> Result<()> {
        // By then the next run may have put a server of its own on the same folder: that one is not ours to stop.
        let script = r#"[ "$(head -n 1 "$2/postmaster.pid")" != "$3" ] || "$1" stop -D "$2" -m fast -t 60
                        [ -z "$4" ] || rm -rf "$4""#;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let (pg_ctl, data) = (text(&programs.bin.join("pg_ctl")), text(&layout.data()));
        let (pid, remove) = (self.process.id().to_string(), remove.map(text).unwrap_or_default());
        self.leash = Some(Leash::tie(&programs.account, script, &[&pg_ctl, &data, &pid, &remove])?);
        Ok(())
    }

    fn wait_until_ready(&mut self, layout: &Layout, port: u16) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = self.exited()? {
                return Err(Error::new(format!("PostgreSQL ended at once ({status}):\n{}", layout.log_tail())));
            }
            if self.is_ready(layout, port) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let log = layout.log_tail();
                return Err(Error::new(format!("PostgreSQL was not ready after {} s:\n{log}", START.as_secs())));
            }
            sleep(PAUSE);
        }
    }

    /// Asks the pid file in our data folder, not the port: only our own process writes its pid there, and it holds
    /// the port by then, so that no other server can be the one that answers.
    fn is_ready(&self, layout: &Layout, port: u16) -> bool {
        let Ok(file) = fs::read_to_string(pid_file(&layout.data())) else { return false };
        let lines: Vec<&str> = file.lines().map(str::trim).collect();
        lines.first() == Some(&self.process.id().to_string().as_str())
            && lines.get(3) == Some(&port.to_string().as_str())
            && lines.get(7) == Some(&"ready")
    }

    fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.process.try_wait().map_err(|error| Error::new(format!("cannot watch postgres: {error}")))
    }

    fn wait(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if !matches!(self.exited(), Ok(None)) {
                return true;
            }
            sleep(PAUSE);
        }
        false
    }
}

impl Drop for Server {
    /// A fast shutdown (clients are disconnected, data is written), and harsher ones where it does not come.
    fn drop(&mut self) {
        self.leash = None;
        for (signal, limit) in [(Signal::INT, FAST_STOP), (Signal::QUIT, IMMEDIATE_STOP)] {
            if matches!(self.exited(), Ok(Some(_))) {
                return;
            }
            let _ = kill_process(Pid::from_child(&self.process), signal);
            if self.wait(limit) {
                return;
            }
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Stops the server that an earlier, killed run left behind, if it still serves this very folder.
pub(super) fn stop_leftover(data: &Path) -> Result<()> {
    let deadline = Instant::now() + FAST_STOP;
    let Some(pid) = leftover(data) else { return Ok(()) };
    let _ = kill_process(pid, Signal::INT);
    while leftover(data) == Some(pid) {
        if Instant::now() > deadline {
            let (pid, data) = (pid.as_raw_nonzero(), data.display());
            return Err(Error::new(format!(
                "the PostgreSQL that an earlier run left in {data} (process {pid}) does not stop"
            )));
        }
        sleep(PAUSE);
    }
    Ok(())
}

/// The process that the pid file names, if it lives and works in our data folder: a bare number may by now be
/// anybody's.
fn leftover(data: &Path) -> Option<Pid> {
    let pid: i32 = fs::read_to_string(pid_file(data)).ok()?.lines().next()?.trim().parse().ok()?;
    let works_in = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    let ours = works_in == fs::canonicalize(data).ok()?;
    Pid::from_raw(pid).filter(|_| ours)
}

fn pid_file(data: &Path) -> PathBuf {
    data.join("postmaster.pid")
}

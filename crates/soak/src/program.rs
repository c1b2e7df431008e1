//! A program of the soak: its process, its log, its memory and descriptors.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use agis_local_services::{account::Account, leash::Leash};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::{error::Result, problems::Problems};

const READY: Duration = Duration::from_secs(60);
/// How long a program may take to end: its drain, and the end of its loops.
const STOP: Duration = Duration::from_secs(45);
const PAUSE: Duration = Duration::from_millis(50);

/// How a program is started, again and again, on the same ports and with the same log.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) args: &'static [&'static str],
    pub(crate) environment: Vec<(String, std::ffi::OsString)>,
    /// `127.0.0.1:port` of `/readyz` and `/metrics`.
    pub(crate) metrics: String,
    pub(crate) log: PathBuf,
    pub(crate) running: Option<Running>,
}

pub(crate) struct Running {
    child: Child,
    _leash: Leash,
}

impl Program {
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(args).env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Starts it without waiting.
    pub(crate) fn start(&mut self) -> Result {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let child = self.command(self.args).stderr(log).process_group(0).spawn()?;
        let leash = Leash::tie(&Account::Ours, r#"kill -TERM "$1""#, &[&child.id().to_string()])?;
        self.running = Some(Running { child, _leash: leash });
        Ok(())
    }

    /// Waits until it takes part.
    pub(crate) async fn until_ready(&mut self) -> Result {
        let deadline = Instant::now() + READY;
        let url = format!("http://{}/readyz", self.metrics);
        while !reqwest::get(&url).await.is_ok_and(|answer| answer.status() == 200) {
            if let Some(status) = self.exited() {
                return Err(format!("{} ended by itself ({status})", self.name).into());
            }
            if Instant::now() > deadline {
                return Err(format!("{} was not ready after {READY:?}", self.name).into());
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// How it ended, if it has, although nobody asked it to.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.running.as_mut()?.child.try_wait().ok().flatten()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }

    /// SIGTERM; a program that does not end well in time is a problem, and is killed.
    pub(crate) async fn stop(&mut self, problems: &Problems) {
        let Some(mut running) = self.running.take() else { return };
        let _ = kill_process(Pid::from_child(&running.child), Signal::TERM);
        let deadline = Instant::now() + STOP;
        let mut ended = None;
        while ended.is_none() && Instant::now() < deadline {
            sleep(PAUSE).await;
            ended = running.child.try_wait().ok().flatten();
        }
        let how = match ended {
            Some(status) if status.success() => return,
            Some(status) => format!("{} ended with {status}", self.name),
            None => format!("{} did not end within {STOP:?}", self.name),
        };
        problems.found("a program that did not end as it should", how);
        let _ = running.child.kill();
        let _ = running.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// KiB of memory that a process has in use.
pub(crate) fn rss_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// Files and connections that a process has open.
pub(crate) fn descriptors(pid: u32) -> Option<u64> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64)
}

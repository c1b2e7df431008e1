//! Processes of a game that outlived their shim. They exist only where no kernel object holds a run (`holder`).
//! An account of the server's own finds all of them, and kill(2) ends all processes of an account at once. Without such
//! accounts their environment finds most.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use agis_base::ServerId;
use agis_machine::{account::Account, dir::Gate};
use agis_servers::host::{Generation, HostError};
use nix::sys::signal::{Signal, kill};
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use crate::{SWEEP, holder::Holder, setup::HostSetup, status::Status};

/// Time for which the kernel may take to end killed processes.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// Ends what is left of a run that is over at this generation. Leaves every other run alone.
pub(crate) fn clear(setup: &HostSetup, server: ServerId, generation: Generation) -> Result<(), HostError> {
    if setup.holder != Holder::ProcessGroup {
        return Ok(());
    }
    let dir = setup.machine.dir(server);
    let gate = dir.gate()?;
    if dir.seen()?.is_some_and(|seen| seen > generation) || Status::is_held(&gate)? {
        return Ok(());
    }
    sweep(&gate, setup, server)
}

/// Ends what is left of earlier runs. The gate is held, and no run of the server is alive.
///
/// # Errors
/// Fails if something of them is left.
pub(crate) fn sweep(_gate: &Gate<'_>, setup: &HostSetup, server: ServerId) -> Result<(), HostError> {
    if setup.holder != Holder::ProcessGroup {
        return Ok(());
    }
    let left = |why: String| HostError::Unavailable(format!("processes of an earlier run cannot be ended: {why}"));
    let Some(account) = setup.machine.account(server) else {
        let world = setup.machine.dir(server).world();
        return end_by_environment(&world).map_err(|error| left(error.to_string()));
    };
    let mut command = setup.holder.command(&setup.shim);
    command.args([SWEEP, &account.uid().to_string()]).env_clear().current_dir("/");
    let swept = command.stdin(Stdio::null()).output().map_err(|error| left(error.to_string()))?;
    if swept.status.success() {
        return Ok(());
    }
    Err(left(String::from_utf8_lossy(&swept.stderr).trim().to_owned()))
}

/// Ends the processes that have the environment of the server's game, where all games share one account. A game that
/// changes its environment is not found; `containment` says that nothing contains games there.
fn end_by_environment(world: &Path) -> io::Result<()> {
    let home = [b"HOME=", world.as_os_str().as_bytes()].concat();
    let is_left = |pid: i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == home)
    };
    let until = Instant::now() + PATIENCE;
    loop {
        let all = fs::read_dir("/proc")?.flatten().filter_map(|it| it.file_name().to_str()?.parse().ok());
        let left: Vec<i32> = all.filter(|pid| is_left(*pid)).collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(io::Error::other(format!("process {} does not end, although it was killed", left[0])));
        }
        for pid in left {
            let Some(process) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
                continue;
            };
            // The number may have passed to another process before it was opened.
            if is_left(pid) {
                let _ = pidfd_send_signal(&process, rustix::process::Signal::KILL);
            }
        }
        thread::sleep(POLL);
    }
}

/// Ends all other processes of the account that the argument names. Errors go to standard error.
pub fn main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let account = args.next().and_then(|text| serde_json::from_str(text.to_str()?).ok());
    match account.ok_or_else(|| io::Error::other("the account is missing")).and_then(end_all) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn end_all(account: Account) -> io::Result<()> {
    account.become_it()?;
    let until = Instant::now() + PATIENCE;
    loop {
        // The kernel signals all processes of the account, and a fork in progress begins again. So none escapes. Root is
        // gone, so none of another account is meant.
        kill(nix::unistd::Pid::from_raw(-1), Signal::SIGKILL)?;
        if !others_live(account.uid())? {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(io::Error::other("one does not end, although it was killed"));
        }
        thread::sleep(POLL);
    }
}

/// Checks whether another process of the account is alive; proc(5), `status`.
fn others_live(uid: u32) -> io::Result<bool> {
    let own = std::process::id().to_string();
    for entry in fs::read_dir("/proc")?.flatten() {
        let is_process = entry.file_name().to_str().is_some_and(|name| name != own && name.parse::<u32>().is_ok());
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
        let is_ours = field("Uid:").and_then(|text| text.parse().ok()) == Some(uid);
        if is_process && is_ours && !matches!(field("State:"), Some("Z" | "X")) {
            return Ok(true);
        }
    }
    Ok(false)
}

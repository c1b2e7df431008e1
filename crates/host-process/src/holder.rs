//! Kernel object that holds a run: a PID namespace, whose first process is the shim.
//!
//! When the first process of a PID namespace ends, for whatever reason, the kernel kills every other process in it, and
//! the first one counts as ended only when all are gone (`pid_namespaces(7)`). So a run lives exactly as long as its shim,
//! and no game can leave the run, whatever it forks, unlocks or closes.
//!
//! A cgroup with `cgroup.kill` would do as well, but needs a delegated cgroup v2. `bwrap` and `unshare --fork` would each
//! keep one more process per server. `nix` wraps unshare(2) safely.

use std::{
    io::{self, Write},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use agis_machine::account::Account;
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Access, Mode, OFlags, access, open};
use serde::{Deserialize, Serialize};
use tokio::{process::Child, runtime::Handle};

use crate::{GAME_EXEC, game_exec::GameOrders, view::View};

/// Kernel object that holds a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Holder {
    /// PID namespace, made by root.
    Namespace,
    /// PID namespace within a user namespace, made by an ordinary account.
    UserNamespace,
    /// No namespace: the kernel refuses them. The shim kills each process that it can find.
    ProcessGroup,
}

impl Holder {
    /// Tries the strongest holder that this account may use, with the mounts of a game. Returns it, or the reason why
    /// runs are not contained.
    pub(crate) fn probe(shim: &ShimProgram, account: Option<Account>) -> Result<Self, String> {
        let holder = if rustix::process::geteuid().is_root() { Self::Namespace } else { Self::UserNamespace };
        let orders = GameOrders { account, view: Some(View::default()), world: "/".into(), ..GameOrders::default() };
        holder.try_out(shim, &orders).map(|()| holder)
    }

    fn try_out(self, shim: &ShimProgram, orders: &GameOrders) -> Result<(), String> {
        let orders = serde_json::to_vec(orders).map_err(|error| error.to_string())?;
        let mut command = self.command(shim);
        command.args([GAME_EXEC.to_owned(), orders.len().to_string()]);
        command.env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let run = self.within(move || {
            let mut child = command.spawn()?;
            if let Some(mut input) = child.stdin.take() {
                // A program that has ended already gives the reason on its standard error.
                let _ = input.write_all(&orders);
            }
            child.wait_with_output()
        });
        match run {
            Ok(run) if run.status.success() => Ok(()),
            Ok(run) => Err(String::from_utf8_lossy(&run.stderr).trim().to_owned()),
            Err(error) => Err(format!("a PID namespace cannot be made: {error}")),
        }
    }

    /// Returns the command that runs the program as the first process in the holder. Complete it, and spawn it by
    /// [`Self::spawn`].
    pub(crate) fn command(self, shim: &ShimProgram) -> Command {
        match self {
            Self::Namespace | Self::ProcessGroup => Command::new(shim.path()),
            // A process with several threads cannot enter a user namespace.
            Self::UserNamespace => {
                let mut command = Command::new("unshare");
                command.args(["--user", "--map-current-user", "--keep-caps", "--pid", "--ipc", "--fork", "--"]);
                command.arg(shim.path());
                command
            }
        }
    }

    /// Checks whether the kernel counts the processes of a run apart from all others: the run has an account of its own, or
    /// a user namespace, in which the kernel counts anew.
    pub(crate) fn counts_alone(self, account: Option<Account>) -> bool {
        account.is_some() || self == Self::UserNamespace
    }

    /// Spawns the command. The child is collected by the runtime of `handle`.
    pub(crate) fn spawn(self, command: Command, handle: &Handle) -> io::Result<Child> {
        let handle = handle.clone();
        self.within(move || {
            let _runtime = handle.enter();
            tokio::process::Command::from(command).spawn()
        })
    }

    /// Runs the work in a thread whose next child is the first process of a new PID namespace. A thread keeps that for
    /// its life, so this one ends with its work.
    fn within<T: Send + 'static>(self, work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
        if self != Self::Namespace {
            return work();
        }
        let thread = thread::Builder::new().name("namespace".to_owned()).spawn(move || {
            unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC)?;
            work()
        })?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    }
}

/// Program of the supervisors, held open: a run begins with the program of this version, even if an upgrade has replaced
/// its file.
#[derive(Debug)]
pub(crate) struct ShimProgram(OwnedFd);

impl ShimProgram {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        access(path, Access::EXEC_OK)?;
        // Children inherit the descriptor, and the shim closes it. This program may not be looked into
        // (`PR_SET_DUMPABLE`), so the members of a user namespace cannot reach its own list of descriptors.
        Ok(Self(open(path, OFlags::PATH, Mode::empty())?))
    }

    /// Returns a path at which a child finds the program.
    fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

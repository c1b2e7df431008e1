//! Processes of a game and their pipes, as the shim holds them.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Command, ExitStatus},
    time::Duration,
};

use agis_servers::game::{StopHow, StopSignal};
use nix::sys::signal::kill as signal_each;
use rustix::{
    fs::fchown,
    io::Errno,
    process::{Gid, Pid, Signal, Uid, WaitOptions, kill_process, kill_process_group, wait},
};
use tokio::{io::AsyncWriteExt, net::unix::pipe::Sender, time::timeout};

use crate::{
    GAME_EXEC, game_exec::GameOrders, game_output::GameOutput, holder::Holder, limits::KernelLimits,
    program::OWN_PROGRAM, pty::Pty, spec::Spec,
};

/// Time for which a game may leave its console unread while a line is written to it.
pub(crate) const CONSOLE_PATIENCE: Duration = Duration::from_secs(2);

/// Children of this thread, which is the only one of a shim; proc(5).
const CHILDREN: &str = "/proc/thread-self/children";

#[derive(Debug)]
pub(crate) struct GameProcess {
    /// Text that the game writes, to either output.
    pub(crate) output: GameOutput,
    /// Main process, which leads a process group. Its number passes to no other process before [`GameProcess::reap`].
    main: Pid,
    exit: Option<ExitStatus>,
    holder: Holder,
    /// Keyboard of the game's console.
    pub(crate) console: Sender,
}

impl GameProcess {
    /// Starts the game in a process group of its own. The game inherits its pipes and no other descriptor.
    pub(crate) async fn start(spec: &Spec) -> io::Result<Self> {
        let ConsoleEnds { input, output, read, keyboard, orders: mut orders_pipe } = ConsoleEnds::open(spec.pty)?;
        if let Some(account) = spec.account {
            // The game may open them again, as /dev/stdin and /dev/stderr.
            let (uid, gid) = (Uid::from_raw(account.uid()), Gid::from_raw(account.gid()));
            fchown(&input, Some(uid), Some(gid))?;
            fchown(&output, Some(uid), Some(gid))?;
        }
        let orders = serde_json::to_vec(&GameOrders {
            shim: std::process::id(),
            command: spec.command.clone(),
            account: spec.account,
            view: spec.view.clone(),
            world: spec.dir.join("world"),
            cgroup: spec.cgroup.clone(),
            limits: if spec.cgroup.is_some() {
                KernelLimits::default()
            } else {
                KernelLimits::of(&spec.limits, spec.holder.counts_alone(spec.account))
            },
            files: spec.files.clone(),
            pty: spec.pty,
        })?;
        let mut command = Command::new(OWN_PROGRAM);
        command
            .arg0("agis-game-exec")
            .args([GAME_EXEC.to_owned(), orders.len().to_string()])
            .env_clear()
            .envs(&spec.env)
            .stdin(input)
            .stdout(output.try_clone()?)
            .stderr(output);
        if !spec.pty {
            // With a terminal, the game begins a session, and with that a group.
            command.process_group(0);
        }
        let child = command.spawn()?;
        // The shim closes the game's ends here. Otherwise it would never see the end of the game's output.
        drop(command);
        let main = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::other("no pid"))?;
        let mut game = Self {
            output: GameOutput::new(read, spec.limits.console)?,
            main,
            exit: None,
            holder: spec.holder,
            console: keyboard,
        };
        match &mut orders_pipe {
            Some(pipe) => type_into(pipe, &orders).await,
            None => game.type_in(&orders).await,
        }
        Ok(game)
    }

    /// Asks the game to end.
    pub(crate) async fn ask_to_end(&mut self, how: &StopHow) {
        match how {
            StopHow::Signal(StopSignal::Term) => self.signal(Signal::TERM),
            StopHow::Signal(StopSignal::Int) => self.signal(Signal::INT),
            StopHow::Console(line) => self.type_in(format!("{line}\n").as_bytes()).await,
        }
    }

    /// Collects the processes that have ended: children of this process, and processes whose parents have ended. Returns
    /// how the main process ended, once it has.
    pub(crate) fn reap(&mut self) -> Option<ExitStatus> {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.main {
                self.exit = Some(ExitStatus::from_raw(status.as_raw()));
            }
        }
        self.exit
    }

    /// Returns the names of the processes whose parent is this process: those of the game whose own parents have ended.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |pid: i32| fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim().to_owned());
        children().into_iter().filter_map(name).collect()
    }

    /// Sends a signal to every process of the game.
    ///
    /// In a PID namespace, the kernel signals all of its processes at once, and none can fork meanwhile. Otherwise these are
    /// the main process' group, and the children that other processes left to the shim.
    pub(crate) fn signal_all(&self, signal: Signal) {
        // Number 1 is the first process of a namespace. Elsewhere, -1 means every process of the account.
        if self.holder != Holder::ProcessGroup && std::process::id() == 1 {
            let _ =
                signal_each(nix::unistd::Pid::from_raw(-1), nix::sys::signal::Signal::try_from(signal.as_raw()).ok());
            return;
        }
        self.signal(signal);
        for pid in children().into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Returns whether no process is left. Collects those that have ended.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.reap();
        matches!(wait(WaitOptions::NOHANG), Err(Errno::CHILD))
    }

    fn signal(&self, signal: Signal) {
        // The group exists until the main process is collected, and then for as long as it has other processes.
        if self.exit.is_none() {
            let is_sent = kill_process_group(self.main, signal).is_ok();
            // A game with a terminal has no group yet when it begins.
            let _ = is_sent || kill_process(self.main, signal).is_ok();
        }
    }

    /// Types a line. The deadlines of start and end deal with a game that does not read, or has ended.
    async fn type_in(&mut self, bytes: &[u8]) {
        type_into(&mut self.console, bytes).await;
    }
}

/// Ends of a game's console, of the game and of the shim.
struct ConsoleEnds {
    input: OwnedFd,
    output: OwnedFd,
    read: OwnedFd,
    keyboard: Sender,
    /// Pipe to the game's first input, for the orders; `None` if that is its console. A terminal would change them.
    orders: Option<Sender>,
}

impl ConsoleEnds {
    fn open(pty: bool) -> io::Result<Self> {
        let (input, typed) = io::pipe()?;
        let typed = Sender::from_owned_fd(typed.into())?;
        if pty {
            let Pty { ours, games } = Pty::open().map_err(|error| {
                io::Error::new(error.kind(), format!("a pseudo-terminal could not be opened: {error}"))
            })?;
            // A sender writes to any descriptor that does not wait.
            let keyboard = Sender::from_owned_fd_unchecked(ours.try_clone()?)?;
            return Ok(Self { input: input.into(), output: games, read: ours, keyboard, orders: Some(typed) });
        }
        let (read, output) = io::pipe()?;
        Ok(Self { input: input.into(), output: output.into(), read: read.into(), keyboard: typed, orders: None })
    }
}

async fn type_into(pipe: &mut Sender, bytes: &[u8]) {
    let _ = timeout(CONSOLE_PATIENCE, pipe.write_all(bytes)).await;
}

/// Returns the children of this process, by their numbers in `/proc`. Empty where the kernel does not list them.
pub(crate) fn children() -> Vec<i32> {
    let text = fs::read_to_string(CHILDREN).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Describes an exit: "exited with status 1", "killed by signal 9".
pub(crate) fn describe(exit: ExitStatus) -> String {
    match (exit.code(), exit.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => exit.to_string(),
    }
}

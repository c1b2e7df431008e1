//! Process of a game and its pipes, as the shim holds them.

use std::{
    io,
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use agis_servers::game::{StopHow, StopSignal};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::{
    io::{AsyncWriteExt, unix::AsyncFd},
    net::unix::pipe::{Receiver, Sender},
    time::timeout,
};

use crate::{
    GAME_EXEC,
    identity::{self, Process},
    line_reader::LineReader,
    spec::{OWN_PROGRAM, Spec},
};

/// Time for which a game may leave its console unread while a line is written to it.
pub(crate) const CONSOLE_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct GameProcess {
    /// Lines that the game writes, to either output.
    pub(crate) lines: LineReader,
    /// Descriptor that is readable once the main process has ended. [`GameProcess::end`] reaps the process, so its
    /// number, which is also its group's, cannot pass to another process before.
    pub(crate) ended: AsyncFd<OwnedFd>,
    child: Child,
    group: Pid,
    /// Pipe to the game's console.
    pub(crate) console: Sender,
}

impl GameProcess {
    /// Starts the game in a process group of its own. The game inherits every descriptor of the shim that is not
    /// close-on-exec: its pipes, and the lock.
    pub(crate) async fn start(spec: &Spec) -> io::Result<Self> {
        let (input, console) = io::pipe()?;
        let (lines, output) = io::pipe()?;
        let files = serde_json::to_vec(&spec.files)?;
        let mut command = Command::new(OWN_PROGRAM);
        command
            .arg0("agis-game-exec")
            .args([GAME_EXEC.to_owned(), std::process::id().to_string(), files.len().to_string()])
            .args(&spec.command)
            .env_clear()
            .envs(&spec.env)
            .current_dir(spec.dir.join("world"))
            .process_group(0)
            .stdin(input)
            .stdout(output.try_clone()?)
            .stderr(output);
        if let Some(account) = spec.account {
            // This also clears the supplementary groups.
            command.uid(account.uid).gid(account.gid);
        }
        let child = command.spawn()?;
        // The shim closes the game's ends of the pipes here. Otherwise it would never see the end of the game's output.
        drop(command);
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::other("no pid"))?;
        let mut game = Self {
            lines: LineReader::new(Receiver::from_owned_fd(lines.into())?),
            ended: identity::watch(pidfd_open(group, PidfdFlags::empty())?)?,
            child,
            group,
            console: Sender::from_owned_fd(console.into())?,
        };
        game.type_in(&files).await;
        Ok(game)
    }

    /// Returns the identity of the main process.
    pub(crate) fn process(&self) -> io::Result<Process> {
        Process::of(self.child.id())
    }

    /// Asks the game to end.
    pub(crate) async fn ask_to_end(&mut self, how: &StopHow) {
        match how {
            StopHow::Signal(StopSignal::Term) => self.signal(Signal::TERM),
            StopHow::Signal(StopSignal::Int) => self.signal(Signal::INT),
            StopHow::Console(line) => self.type_in(format!("{line}\n").as_bytes()).await,
        }
    }

    /// Kills every process of the game's group.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Reaps the main process, which has ended.
    pub(crate) fn end(mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    fn signal(&self, signal: Signal) {
        // The process may have ended meanwhile.
        let _ = kill_process_group(self.group, signal);
    }

    /// Types a line. The deadlines of start and end deal with a game that does not read, or has ended.
    async fn type_in(&mut self, bytes: &[u8]) {
        let _ = timeout(CONSOLE_PATIENCE, self.console.write_all(bytes)).await;
    }
}

/// Describes an exit: "exited with status 1", "killed by signal 9".
pub(crate) fn describe(exit: ExitStatus) -> String {
    match (exit.code(), exit.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => exit.to_string(),
    }
}

//! Supervises a run from its start to its end.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitStatus,
    time::Duration,
};

use agis_machine::{dir::ServerDir, ready};
use agis_servers::game::{ReadyWhen, is_sign};
use rustix::process::Signal;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use crate::{
    commands::Commands,
    console_writer::{ConsoleWriter, FILE_BYTES},
    game::{GameProcess, children, describe},
    game_output::Heard,
    limits,
    shim::Signals,
    spec::Spec,
    status::{Phase, Status},
};

/// Time between two looks for an open port.
const TICK: Duration = Duration::from_millis(100);
/// Time for which the pipes are read after the game's end. Only a process that left the game's group can keep them
/// open.
const DRAIN: Duration = Duration::from_millis(500);
/// Maximum time between two looks for processes that were killed and have not ended.
const GONE: Duration = Duration::from_millis(20);
/// Time for which processes of the game may outlive it without counting as left behind.
const LINGER: Duration = Duration::from_millis(300);
/// Maximum number of left processes that are named.
const NAMED: usize = 3;

/// Runs the game and writes its progress into the status.
pub(crate) async fn supervise(spec: Spec, status: Status, commands: Commands, signals: Signals) -> io::Result<()> {
    let console = ConsoleWriter::open(&spec.dir.join("console.log"), FILE_BYTES)?;
    let mut record = Record { path: spec.dir.join("status.json"), status };
    match GameProcess::start(&spec).await {
        Ok(game) => {
            let deadline = Some(Instant::now() + spec.ready.within());
            let stage = Stage::Starting { since: Instant::now() };
            Supervisor { spec, record, console, stage, deadline }.run(game, commands, signals).await
        }
        Err(error) => {
            record.enter(Phase::Ended { how: format!("could not be started: {error}"), good: false, crashed: false })
        }
    }
}

struct Record {
    path: PathBuf,
    status: Status,
}

impl Record {
    fn enter(&mut self, phase: Phase) -> io::Result<()> {
        self.status.phase = phase;
        let written = self.status.write(&self.path);
        // A program that waits for the start looks at the status now. Nobody may be there.
        let _ = io::stdout().write_all(b".").and_then(|()| io::stdout().flush());
        written
    }
}

enum Stage {
    Starting {
        since: Instant,
    },
    Ready,
    /// The game was asked to end.
    Stopping {
        /// Reason, for people.
        how: String,
        killed: bool,
        /// Whether the processes that outlive the main one were asked.
        others_asked: bool,
    },
}

struct Supervisor {
    spec: Spec,
    record: Record,
    console: ConsoleWriter,
    stage: Stage,
    /// Time at which the stage has taken too long.
    deadline: Option<Instant>,
}

impl Supervisor {
    async fn run(mut self, mut game: GameProcess, mut commands: Commands, mut signals: Signals) -> io::Result<()> {
        let mut tick = interval(TICK);
        let mut look = interval(limits::LOOK);
        let mut writes = true;
        let [hangup, interrupt, quit] = &mut signals.ignored;
        let exit = loop {
            let deadline = self.deadline.unwrap_or_else(Instant::now);
            tokio::select! {
                heard = game.output.next(), if writes => match heard {
                    Some(heard) => self.hear(&heard)?,
                    None => writes = false,
                },
                _ = signals.child.recv() => if let Some(exit) = self.ended(&mut game) { break exit },
                said = commands.pass_on(&mut game.console), if commands.are_taken() => {
                    said.iter().for_each(|said| self.console.note(said));
                }
                _ = signals.terminate.recv() => self.stop(&mut game, "stopped".to_owned()).await,
                _ = tick.tick(), if matches!(self.stage, Stage::Starting { .. }) => self.look()?,
                _ = signals.world_full.recv() => {
                    let limit = self.spec.limits.disk.map(|limit| limit.to_string()).unwrap_or_default();
                    self.stop(&mut game, format!("its world grew beyond its limit of {limit}")).await;
                }
                _ = signals.world_near.recv() => self.console.note("> (the world has 90 % of the space that it may take)"),
                _ = look.tick(), if self.is_measured() => {
                    if let Some(how) = limits::beyond_memory(children(), self.spec.limits.memory) {
                        self.stage = Stage::Stopping { how, killed: false, others_asked: true };
                        self.deadline = None;
                        game.signal_all(Signal::KILL);
                    }
                }
                () = sleep_until(deadline), if self.deadline.is_some() => self.overdue(&mut game).await,
                _ = hangup.recv() => {}
                _ = interrupt.recv() => {}
                _ = quit.recv() => {}
            }
        };
        let asked = matches!(self.stage, Stage::Stopping { .. });
        let left = if asked { vec![] } else { left_behind(&mut game).await };
        // A run that is reported as ended has no process left.
        while !game.is_gone() {
            game.signal_all(Signal::KILL);
            let _ = timeout(GONE, signals.child.recv()).await;
        }
        game.output.let_end();
        let _ = timeout(DRAIN, async {
            while let Some(heard) = game.output.next().await {
                self.console.hear(&heard);
            }
        })
        .await;
        let is_over = matches!(self.stage, Stage::Ready) && left.is_empty();
        let good = is_over && exit.code().is_some_and(|it| self.spec.good_exits.include(it));
        let out_of_memory = if asked || good { None } else { self.out_of_memory() };
        let how = out_of_memory.unwrap_or_else(|| self.tell(exit, &left));
        if let Some(cgroup) = &self.spec.cgroup {
            cgroup.remove();
        }
        if matches!(self.stage, Stage::Stopping { killed: true, .. })
            && let Err(error) = ServerDir::new(self.spec.dir.clone()).note_kill(self.spec.operation)
        {
            self.console.note(&format!("> (the record that the game was killed could not be written: {error})"));
        }
        let crashed = !good && matches!(self.stage, Stage::Ready);
        self.record.enter(Phase::Ended { how, good, crashed })
    }

    /// Returns whether the memory is measured, since no cgroup limits it.
    fn is_measured(&self) -> bool {
        self.spec.limits.memory.is_some() && self.spec.cgroup.is_none()
    }

    /// Returns the reason of an end by itself, if the game used up its memory.
    fn out_of_memory(&self) -> Option<String> {
        match &self.spec.cgroup {
            Some(cgroup) => self.spec.limits.memory.filter(|_| cgroup.is_out_of_memory()).map(limits::out_of_memory),
            None => limits::ended_beyond_memory(self.spec.limits.memory),
        }
    }

    /// Returns how the main process ended, once the run is over. A launcher may end before the server that it started has
    /// saved, so a stop lets the others end too, within the game's grace.
    fn ended(&mut self, game: &mut GameProcess) -> Option<ExitStatus> {
        let exit = game.reap()?;
        match &mut self.stage {
            Stage::Stopping { others_asked, .. } if !game.is_gone() => {
                if !std::mem::replace(others_asked, true) {
                    game.signal_all(Signal::TERM);
                }
                None
            }
            _ => Some(exit),
        }
    }

    fn hear(&mut self, heard: &Heard) -> io::Result<()> {
        self.console.hear(heard);
        match (&self.stage, &self.spec.ready.when, heard) {
            (Stage::Starting { .. }, ReadyWhen::Log(sign), Heard::Line(it)) if is_sign(it.line(), sign) => {
                self.become_ready()
            }
            _ => Ok(()),
        }
    }

    fn look(&mut self) -> io::Result<()> {
        let Stage::Starting { since } = self.stage else { return Ok(()) };
        let ready = match self.spec.ready.when {
            // The catalogue allows the last three for other kinds of hosts only.
            ReadyWhen::Log(_) | ReadyWhen::Ready | ReadyWhen::Pod | ReadyWhen::Health => false,
            ReadyWhen::Port => ready::is_open(self.spec.port, self.spec.protocol),
            ReadyWhen::Delay(seconds) => since.elapsed() >= Duration::from_secs(seconds.into()),
        };
        if ready { self.become_ready() } else { Ok(()) }
    }

    fn become_ready(&mut self) -> io::Result<()> {
        self.stage = Stage::Ready;
        self.deadline = None;
        // A disk that takes no status ends no game.
        if let Err(error) = self.record.enter(Phase::Ready) {
            self.console.note(&format!("> (the status of the server could not be written: {error})"));
        }
        Ok(())
    }

    async fn stop(&mut self, game: &mut GameProcess, how: String) {
        if !matches!(self.stage, Stage::Stopping { .. }) {
            self.stage = Stage::Stopping { how, killed: false, others_asked: false };
            self.deadline = Some(Instant::now() + self.spec.stop.grace());
            game.output.let_end();
            game.ask_to_end(&self.spec.stop.how).await;
        }
    }

    async fn overdue(&mut self, game: &mut GameProcess) {
        match &mut self.stage {
            Stage::Starting { .. } => {
                let late = format!("not ready within {} s", self.spec.ready.within_s);
                let how = self.with_last_words(late);
                self.stop(game, how).await;
            }
            Stage::Stopping { killed, .. } => {
                *killed = true;
                self.deadline = None;
                game.signal_all(Signal::KILL);
            }
            Stage::Ready => {}
        }
    }

    /// Returns how the game ended, for people.
    fn tell(&self, exit: ExitStatus, left: &[String]) -> String {
        let is_in_background = exit.success() && !left.is_empty();
        let exit = describe(exit);
        match &self.stage {
            Stage::Starting { .. } | Stage::Ready if is_in_background => format!(
                "its script ended and left the game in the background ({}), where nothing supervises it; let the \
                 script end with 'exec' and the game",
                left.join(", ")
            ),
            Stage::Starting { .. } => self.with_last_words(format!("{exit} before it was ready")),
            Stage::Ready => exit,
            Stage::Stopping { how, killed: false, .. } => how.clone(),
            Stage::Stopping { how, killed: true, .. } => {
                format!("{how} (killed: it did not end within {} s)", self.spec.stop.grace_s)
            }
        }
    }

    fn with_last_words(&self, how: String) -> String {
        match self.console.last_words() {
            Some(words) => format!("{how}; its last words: {words}"),
            None => how,
        }
    }
}

/// Returns the names of processes that outlive the main process. Processes that end a moment later do not count.
async fn left_behind(game: &mut GameProcess) -> Vec<String> {
    if game.is_gone() {
        return vec![];
    }
    sleep(LINGER).await;
    game.reap();
    game.names().into_iter().take(NAMED).collect()
}

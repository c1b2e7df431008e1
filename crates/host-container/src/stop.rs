//! Ends the container of a server.

use std::time::{Duration, Instant};

use agis_base::{OperationId, ServerId};
use agis_machine::dir::blocking;
use agis_servers::{
    console::ConsoleError,
    game::{StopHow, StopSignal},
    host::{Generation, HostError, Slot},
};
use bollard::query_parameters::{KillContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use tokio::time::sleep;

use crate::{
    console,
    ending::End,
    engine::Trouble,
    host::Setup,
    record::{self, Run},
    seen::{Seen, State},
};

/// Time that an engine may take to end a killed container.
const KILL_PATIENCE: Duration = Duration::from_secs(15);
/// Times between two looks at a container that is asked to end.
const POLL: Duration = Duration::from_millis(50);
const POLL_MAX: Duration = Duration::from_secs(1);
const POLL_SHARE: u32 = 20;

/// Order to end what runs below a generation.
#[derive(Clone, Copy)]
pub(crate) struct Ending<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) server: ServerId,
    /// Generation of the order, which a newer order overtakes.
    pub(crate) generation: Generation,
    /// Operation of the order; `None` if AGIS ends the run for a reason of its own.
    pub(crate) operation: Option<OperationId>,
    /// Reason, for people.
    pub(crate) why: &'a str,
}

impl Ending<'_> {
    /// Ends each run of a generation below `below`. The ended container stays, with its log.
    ///
    /// Asks the game first and waits for its grace. Then kills the container.
    ///
    /// # Errors
    /// Fails with [`HostError::Stale`] if a newer order has come meanwhile, with [`HostError::Failed`] if even SIGKILL did
    /// not end the run.
    pub(crate) async fn bring_down(&self, below: Generation, slot: &Slot) -> Result<(), HostError> {
        let Some((seen, run)) = self.remains(below).await? else { return Ok(()) };
        if let Some(run) = &run {
            let asked = run.asked.clone().unwrap_or_else(|| self.why.to_owned());
            self.note(seen.generation, move |run| run.asked = Some(asked)).await?;
            self.note_asked().await?;
        }
        let (State::Running(live), Some(run)) = (&seen.state, &run) else {
            // Nothing has run yet, and a late call must not start it.
            remove(self.setup, &seen.id).await?;
            return self.settle_absent(below).await;
        };
        if live.is_paused {
            // A frozen program hears nothing.
            let _ = self.setup.engine.call(async |docker| docker.unpause_container(&seen.id).await).await;
        }
        self.ask(&seen, run).await;
        slot.leave();
        if self.done_within(below, run.stop.grace()).await? {
            return Ok(());
        }
        self.note(seen.generation, |run| run.was_killed = true).await?;
        if let Some(operation) = self.operation {
            let dir = self.setup.machine.dir(self.server);
            if let Err(error) =
                blocking(move || dir.note_kill(operation).map_err(|error| dir.unavailable(&error))).await
            {
                tracing::warn!(%error, "kill record of a game could not be written");
            }
        }
        kill(self.setup, &seen.id, "SIGKILL").await?;
        if self.done_within(below, KILL_PATIENCE).await? {
            return Ok(());
        }
        Err(HostError::Failed("the container of this server does not end, although it was killed".to_owned()))
    }

    /// Returns the container that must end, and its record; `None` if none is left. Records the end of one that has ended.
    async fn remains(&self, below: Generation) -> Result<Option<(Seen, Option<Run>)>, HostError> {
        let (dir, generation) = (self.setup.machine.dir(self.server), self.generation);
        blocking(move || {
            let gate = dir.gate()?;
            gate.up_to_date(generation).map(drop)
        })
        .await?;
        let Some(seen) = self.setup.look(self.server).await? else {
            self.settle_absent(below).await?;
            return Ok(None);
        };
        if seen.generation >= below {
            return Ok(None);
        }
        let run = self.setup.record(self.server).await?.filter(|run| run.generation == seen.generation);
        match (&seen.state, &run) {
            (State::Ended(_), Some(run)) => {
                self.setup.settle(run, Some(&seen), self.server).await?;
                Ok(None)
            }
            // Nothing has run, and nothing will: the container is removed.
            _ => Ok(Some((seen, run))),
        }
    }

    /// Records the end of a run whose container is gone.
    async fn settle_absent(&self, below: Generation) -> Result<(), HostError> {
        if let Some(run) = self.setup.record(self.server).await?.filter(|run| run.generation < below) {
            self.setup.settle(&run, None, self.server).await?;
        }
        Ok(())
    }

    async fn done_within(&self, below: Generation, patience: Duration) -> Result<bool, HostError> {
        let began = Instant::now();
        loop {
            match self.remains(below).await? {
                None => return Ok(true),
                Some(_) if began.elapsed() >= patience => return Ok(false),
                Some(_) => {
                    let poll = (began.elapsed() / POLL_SHARE).clamp(POLL, POLL_MAX);
                    sleep(poll.min(patience.saturating_sub(began.elapsed()))).await;
                }
            }
        }
    }

    /// Asks the game to end. The wait for its end deals with a game that does not hear.
    async fn ask(&self, seen: &Seen, run: &Run) {
        let asked = match (&run.stop.how, &seen.state) {
            (StopHow::Console(line), State::Running(live)) => {
                console::type_line(self.setup, seen, live, run.pty, line).await
            }
            (StopHow::Signal(signal), _) => {
                let signal = match signal {
                    StopSignal::Term => "SIGTERM",
                    StopSignal::Int => "SIGINT",
                };
                kill(self.setup, &seen.id, signal).await.map_err(ConsoleError::from)
            }
            (StopHow::Console(_), _) => Ok(()),
        };
        if let Err(error) = asked {
            tracing::debug!(server = %self.server, %error, "game could not be asked to end");
        }
    }

    async fn note(
        &self,
        generation: Generation,
        change: impl FnOnce(&mut Run) + Send + 'static,
    ) -> Result<(), HostError> {
        let dir = self.setup.machine.dir(self.server);
        blocking(move || record::change(&dir, generation, change).map(drop)).await
    }

    async fn note_asked(&self) -> Result<(), HostError> {
        let (dir, operation) = (self.setup.machine.dir(self.server), self.operation);
        let Some(operation) = operation else { return Ok(()) };
        blocking(move || dir.gate()?.note_asked(Some(operation))).await
    }
}

/// Sends a signal to the first process of a container, which passes it on.
///
/// # Errors
/// Fails if the engine does not answer. A container that has ended needs no signal.
async fn kill(setup: &Setup, id: &str, signal: &str) -> Result<(), Trouble> {
    let options = KillContainerOptionsBuilder::default().signal(signal).build();
    match setup.engine.call(async |docker| docker.kill_container(id, Some(options)).await).await {
        Err(Trouble::Refused { why, .. }) => {
            tracing::debug!(why, "container has ended already");
            Ok(())
        }
        other => other,
    }
}

/// Removes a container, whatever its state.
pub(crate) async fn remove(setup: &Setup, id: &str) -> Result<(), Trouble> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match setup.engine.work(async |docker| docker.remove_container(id, Some(options)).await).await {
        // 409: somebody else is about to remove it.
        Err(Trouble::Refused { code: 404 | 409, .. }) => Ok(()),
        other => other,
    }
}

impl Setup {
    /// Records the end of a run, and returns it. The first program that sees an end decides what it was.
    pub(crate) async fn settle(&self, run: &Run, seen: Option<&Seen>, server: ServerId) -> Result<End, HostError> {
        if let Some(end) = &run.end {
            return Ok(end.clone());
        }
        let exit = match seen {
            Some(seen) if seen.id == run.container => match &seen.state {
                State::Ended(exit) => Some((exit.clone(), console::last_words(self, seen).await)),
                State::Created | State::Running(_) => None,
            },
            _ => None,
        };
        let (dir, generation) = (self.machine.dir(server), run.generation);
        let settled = blocking(move || {
            record::change(&dir, generation, |run| {
                run.end = Some(match exit {
                    Some((exit, words)) => End::of(run, &exit, words),
                    None => End::removed(run),
                });
            })
        });
        let end = settled.await?.and_then(|run| run.end);
        Ok(end.unwrap_or_else(|| End::removed(run)))
    }
}

//! Ends all runs of a server below a generation.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use agis_base::OperationId;
use agis_servers::host::{Generation, HostError, Slot};
use rustix::{
    io::Errno,
    process::{Signal, pidfd_send_signal},
};
use tokio::time::sleep;

use crate::{
    dir::{Gate, ServerDir, blocking},
    identity::Process,
    lock,
    status::{Phase, Status},
};

/// Time that a shim needs beside the game's grace: to notice, to drain the console, and to write its last status.
const SLACK: Duration = Duration::from_secs(5);
/// Time for which the kernel may take to end a killed process.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// Ends each run of a generation below `below`, for an order of `generation`.
///
/// Asks the shim first and waits for the game's grace. Then kills every process that holds the run's lock.
///
/// # Errors
/// Fails with [`HostError::Stale`] if a newer order has come meanwhile, with [`HostError::Failed`] if even SIGKILL did
/// not end the run.
pub(crate) async fn bring_down(
    dir: &ServerDir,
    order: (Generation, OperationId),
    below: Generation,
    slot: &Slot,
) -> Result<(), HostError> {
    let (generation, operation) = order;
    let ending = Ending { dir: dir.clone(), generation, operation, below };
    let asking = ending.clone();
    let asked = match blocking(move || asking.ask()).await? {
        Asked::Nobody => return Ok(()),
        Asked::Nothing => None,
        Asked::Shim(shim, grace) => Some((shim, grace)),
    };
    slot.leave();
    if let Some((shim, grace)) = asked
        && ending.done_within(grace + SLACK, Some(&shim)).await?
    {
        return Ok(());
    }
    let killing = ending.clone();
    blocking(move || killing.kill()).await?;
    if ending.done_within(KILL_PATIENCE, None).await? {
        return Ok(());
    }
    Err(HostError::Failed("a process of this server does not end, although it was killed".to_owned()))
}

#[derive(Clone)]
struct Ending {
    dir: ServerDir,
    generation: Generation,
    operation: OperationId,
    below: Generation,
}

/// Processes of a run that are still alive.
struct Remains {
    /// Last status that the shim wrote; `None` if there is none.
    status: Option<Status>,
}

/// Answer to the request that a run should end.
enum Asked {
    /// No game was running.
    Nobody,
    /// Processes of a run outlive their supervisor.
    Nothing,
    /// The shim ends the game within this time.
    Shim(Process, Duration),
}

impl Ending {
    fn remains(&self, gate: &Gate<'_>) -> Result<Option<Remains>, HostError> {
        gate.up_to_date(self.generation)?;
        let status = gate.status()?;
        let newer = status.as_ref().is_some_and(|status| status.generation >= self.below);
        Ok((!newer && gate.is_held()?).then_some(Remains { status }))
    }

    async fn look(&self) -> Result<Option<Remains>, HostError> {
        let ending = self.clone();
        blocking(move || ending.remains(&ending.dir.gate()?)).await
    }

    /// Waits until no process remains. Gives up after a while, or when the shim has ended and left processes behind.
    async fn done_within(&self, patience: Duration, shim: Option<&Process>) -> Result<bool, HostError> {
        let until = Instant::now() + patience;
        loop {
            // The check comes before the look at the lock, which a shim releases before it ends.
            let gone = shim.is_some_and(|shim| matches!(shim.open(), Ok(None)));
            if self.look().await?.is_none() {
                return Ok(true);
            }
            if gone || Instant::now() > until {
                return Ok(false);
            }
            sleep(POLL).await;
        }
    }

    /// Asks the shim to end the game.
    fn ask(&self) -> Result<Asked, HostError> {
        let gate = self.dir.gate()?;
        let Some(found) = self.remains(&gate)? else { return Ok(Asked::Nobody) };
        let Some(status) = found.status else { return Ok(Asked::Nothing) };
        let Some(shim) = self.open(&status)? else { return Ok(Asked::Nothing) };
        gate.note_asked(Some(self.operation))?;
        match pidfd_send_signal(&shim, Signal::TERM) {
            Ok(()) | Err(Errno::SRCH) => Ok(Asked::Shim(status.shim, Duration::from_secs(status.grace_s.into()))),
            Err(error) => {
                Err(HostError::Failed(format!("the supervisor of this server cannot be asked to stop: {error}")))
            }
        }
    }

    fn open(&self, status: &Status) -> Result<Option<OwnedFd>, HostError> {
        status.shim.open().map_err(|error| self.dir.unavailable(&error))
    }

    /// The gate is held, so no newer run can have taken the lock.
    fn kill(&self) -> Result<(), HostError> {
        let wrong = |error| self.dir.unavailable(&error);
        let gate = self.dir.gate()?;
        let Some(found) = self.remains(&gate)? else { return Ok(()) };
        // A living shim was asked, and had more than the time of its game.
        if let Some(status) = &found.status
            && self.open(status)?.is_some()
        {
            self.dir.note_kill(self.operation).map_err(wrong)?;
        }
        lock::kill_holders(&self.dir.run_lock()).map_err(wrong)?;
        match found.status {
            Some(status) if !matches!(status.phase, Phase::Ended { .. }) => {
                let how = "killed: it did not end when it was asked to".to_owned();
                Status { phase: Phase::Ended { how, good: false }, ..status }.write(&self.dir.status()).map_err(wrong)
            }
            _ => Ok(()),
        }
    }
}

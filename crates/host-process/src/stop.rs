//! Ends all runs of a server below a generation.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use agis_base::OperationId;
use agis_machine::dir::{Gate, ServerDir, blocking};
use agis_servers::host::{Generation, HostError, Slot};
use rustix::{
    io::Errno,
    process::{Signal, pidfd_send_signal},
};
use tokio::time::timeout;

use crate::{
    identity,
    status::{Phase, Status},
};

/// Time that a shim needs beside the game's grace: to notice, to drain the console, and to write its last status.
const SLACK: Duration = Duration::from_secs(5);
/// Maximum time between two looks for a newer order.
const LOOK: Duration = Duration::from_secs(1);
/// Time for which the kernel may take to end a killed process.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Ends each run of a generation below `below`, for an order of `generation`.
///
/// Asks the shim first and waits for the game's grace. Then kills the shim, and the kernel ends the run with it.
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
    let Some(grace) = blocking(move || asking.ask()).await? else { return Ok(()) };
    slot.leave();
    if ending.done_within(grace + SLACK).await? {
        return Ok(());
    }
    let killing = ending.clone();
    blocking(move || killing.kill()).await?;
    if ending.done_within(KILL_PATIENCE).await? {
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

impl Ending {
    /// Returns the status and the shim of the run that must end; `None` if none is left.
    fn remains(&self, gate: &Gate<'_>) -> Result<Option<(Status, OwnedFd)>, HostError> {
        gate.up_to_date(self.generation)?;
        let Some(status) = Status::behind(gate)?.filter(|status| status.generation < self.below) else {
            return Ok(None);
        };
        let shim = status.shim.open().map_err(|error| self.dir.unavailable(&error))?;
        Ok(shim.map(|shim| (status, shim)))
    }

    /// Waits until nothing remains. Gives up after a while.
    async fn done_within(&self, patience: Duration) -> Result<bool, HostError> {
        let until = Instant::now() + patience;
        loop {
            let ending = self.clone();
            let shim = blocking(move || Ok(ending.remains(&ending.dir.gate()?)?.map(|(_, shim)| shim))).await?;
            let Some(shim) = shim else { return Ok(true) };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            ended_within(shim, left.min(LOOK)).await?;
        }
    }

    /// Asks the shim to end the game, and returns the time that the game has for it; `None` if no game was running.
    fn ask(&self) -> Result<Option<Duration>, HostError> {
        let gate = self.dir.gate()?;
        let Some((status, shim)) = self.remains(&gate)? else { return Ok(None) };
        if let Err(error) = gate.note_asked(Some(self.operation)) {
            tracing::warn!(%error, "order to end a game could not be recorded");
        }
        match pidfd_send_signal(&shim, Signal::TERM) {
            Ok(()) | Err(Errno::SRCH) => Ok(Some(Duration::from_secs(status.grace_s.into()))),
            Err(error) => {
                Err(HostError::Failed(format!("the supervisor of this server cannot be asked to stop: {error}")))
            }
        }
    }

    /// Kills the shim, which was asked, and had more than the time of its game. The gate is held, so no newer run has
    /// begun.
    fn kill(&self) -> Result<(), HostError> {
        let gate = self.dir.gate()?;
        let Some((status, shim)) = self.remains(&gate)? else { return Ok(()) };
        let killed = pidfd_send_signal(&shim, Signal::KILL);
        // A run ends without a write. A disk without room loses the record only.
        if let Err(error) = self.dir.note_kill(self.operation) {
            tracing::warn!(%error, "kill record of a game could not be written");
        }
        let how = "killed: it did not end when it was asked to".to_owned();
        if !matches!(status.phase, Phase::Ended { .. })
            && let Err(error) = (Status { phase: Phase::Ended { how, good: false, crashed: false }, ..status })
                .write(&self.dir.status())
        {
            tracing::warn!(%error, "end of a game could not be written");
        }
        match killed {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(HostError::Failed(format!("the supervisor of this server cannot be killed: {error}"))),
        }
    }
}

/// Waits until the process has ended, or until the time is over.
async fn ended_within(process: OwnedFd, patience: Duration) -> Result<(), HostError> {
    let watched = identity::watch(process).map_err(|error| HostError::Unavailable(format!("a supervisor: {error}")))?;
    let _ = timeout(patience, watched.readable()).await;
    Ok(())
}

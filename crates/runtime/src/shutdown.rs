//! Signals that end the process, and the time that the end may take.
//!
//! A pod's `terminationGracePeriodSeconds` has to be longer; `cargo xtask k8s check` compares the two.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long agis-api waits for its background jobs, after the delay and the drain of its settings.
pub const API_JOBS: Duration = Duration::from_secs(15);
/// How long agis-bot waits for the answers that it is giving; with [`BOT_JOBS`] less than the 30 s of Kubernetes.
pub const BOT_ANSWERS: Duration = Duration::from_secs(20);
/// How long agis-bot waits for its background jobs, after its answers.
pub const BOT_JOBS: Duration = Duration::from_secs(5);

/// SIGTERM (Kubernetes, `systemctl stop`) and SIGINT (Ctrl-C). From here on they do nothing by themselves, and none is
/// missed: a signal that comes while nobody waits goes to the next caller.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen. A program calls this first: until then a signal ends it as it stands, or is lost if the
    /// program is the first process of a container.
    ///
    /// # Errors
    /// Fails if the handlers cannot be installed.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Resolves at the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

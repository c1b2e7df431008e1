//! Signals that end the process.

use tokio::signal::unix::{Signal, SignalKind, signal};

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

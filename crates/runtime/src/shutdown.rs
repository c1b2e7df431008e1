//! The signals that end everything.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM (Kubernetes, `systemctl stop`) and SIGINT (Ctrl-C). From here on they do nothing by themselves, and none is
/// missed: one that comes while nobody waits is told to whoever waits next.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen. A program does so first of all: until then a signal ends it as it stands, or, where it is the
    /// first process of a container, is lost.
    ///
    /// # Errors
    /// Where the handlers cannot be installed.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Resolves at the next of them.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

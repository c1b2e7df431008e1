use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Result;

/// A wish that this program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// Ctrl-C: the terminal sends it to everything in our process group.
    Terminal,
    /// SIGTERM, or the terminal is gone.
    Alone,
}

/// The wishes that came in: from now on they no longer end this program by themselves.
#[derive(Debug)]
pub(crate) struct Interrupts(Receiver<Interrupt>);

impl Interrupts {
    pub(crate) fn listen() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let (mut terminal, mut terminate, mut hangup) = {
            let _context = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
        };
        let (sender, receiver) = channel();
        thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    let interrupt = tokio::select! {
                        _ = terminal.recv() => Interrupt::Terminal,
                        _ = terminate.recv() => Interrupt::Alone,
                        _ = hangup.recv() => Interrupt::Alone,
                    };
                    if sender.send(interrupt).is_err() {
                        return;
                    }
                }
            });
        });
        Ok(Self(receiver))
    }

    /// Sleeps for `pause`, or less where an interrupt comes.
    pub(crate) fn wait(&self, pause: Duration) -> Option<Interrupt> {
        match self.0.recv_timeout(pause) {
            Ok(interrupt) => Some(interrupt),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Interrupt::Alone),
        }
    }
}

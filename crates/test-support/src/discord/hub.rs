//! What all parts of the stand-in share: one state behind one lock, and a bell that rings when it changes.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::schema::Schema;
use super::state::State;

/// Formed as Discord's are: the application's id, a time, a signature.
pub(super) const TOKEN: &str = "NDAwMDAwMDAwMDAwMDAwMDAx.stand.in";

#[derive(Debug)]
pub(super) struct Hub {
    pub(super) url: String,
    pub(super) gateway_url: String,
    pub(super) schema: Option<Schema>,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

impl Hub {
    pub(super) fn new(rest: SocketAddr, gateway: SocketAddr) -> Self {
        Self {
            url: format!("http://{rest}"),
            gateway_url: format!("ws://{gateway}"),
            schema: Schema::load(),
            state: Mutex::new(State::default()),
            changes: watch::Sender::new(0),
        }
    }

    /// Reads.
    pub(super) fn look<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.lock())
    }

    /// Changes, and rings the bell.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let outcome = change(&mut self.lock());
        self.changes.send_modify(|version| *version += 1);
        outcome
    }

    /// Waits until `probe` has an answer, which may be never.
    pub(super) async fn wait<T>(&self, limit: Duration, mut probe: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let mut changes = self.changes.subscribe();
        let poll = async {
            loop {
                changes.borrow_and_update();
                if let Some(answer) = self.look(&mut probe) {
                    return Some(answer);
                }
                changes.changed().await.ok()?;
            }
        };
        timeout(limit, poll).await.ok().flatten()
    }

    /// How often something changed.
    pub(super) fn version(&self) -> u64 {
        *self.changes.borrow()
    }

    pub(super) fn complain(&self, complaint: impl Into<String>) {
        self.change(|state| state.complain(complaint.into()));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

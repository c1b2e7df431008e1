//! What all parts of the stand-in share: one world behind one lock, and a bell that rings when it changes.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::schema::Schemas;
use super::state::World;

#[derive(Debug)]
pub(super) struct Hub {
    pub(super) url: String,
    pub(super) schemas: &'static Schemas,
    world: Mutex<World>,
    changes: watch::Sender<u64>,
}

impl Hub {
    pub(super) fn new(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            url: format!("http://{address}"),
            schemas: Schemas::load()?,
            world: Mutex::default(),
            changes: watch::Sender::new(0),
        })
    }

    /// Reads.
    pub(super) fn look<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        read(&self.lock())
    }

    /// Changes, and rings the bell.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let outcome = change(&mut self.lock());
        self.ring();
        outcome
    }

    /// Changes without a sound; who does so rings, if need be.
    pub(super) fn quietly<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.lock())
    }

    pub(super) fn ring(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    /// Hears the bell.
    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits until `probe` has an answer, for as long as `limit`.
    pub(super) async fn wait<T>(&self, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
        let mut changes = self.listen();
        let poll = async {
            loop {
                changes.borrow_and_update();
                if let Some(answer) = probe() {
                    return Some(answer);
                }
                changes.changed().await.ok()?;
            }
        };
        timeout(limit, poll).await.ok().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

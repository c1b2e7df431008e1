//! The middle of a stand-in: one state behind one lock, and a bell that rings when it changes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// The state `S`, which its parts share, beside facts `F` that never change.
#[derive(Debug)]
pub struct Hub<F, S> {
    /// The facts.
    pub facts: F,
    state: Mutex<S>,
    changes: watch::Sender<u64>,
}

impl<F, S: Default> Hub<F, S> {
    /// Begins with the default state.
    pub fn new(facts: F) -> Self {
        Self { facts, state: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// Reads the state.
    pub fn look<T>(&self, read: impl FnOnce(&S) -> T) -> T {
        read(&self.lock())
    }

    /// Changes the state, and rings the bell.
    pub fn change<T>(&self, change: impl FnOnce(&mut S) -> T) -> T {
        let outcome = self.quietly(change);
        self.ring();
        outcome
    }

    /// Changes the state without a sound; the caller rings if need be.
    pub fn quietly<T>(&self, change: impl FnOnce(&mut S) -> T) -> T {
        change(&mut self.lock())
    }

    /// Rings the bell.
    pub fn ring(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    /// Returns an ear for the bell.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Counts how often the bell rang.
    pub fn version(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Asks `probe` after each change until it has an answer, for as long as `limit`.
    pub async fn wait<T>(&self, limit: Duration, mut probe: impl FnMut(&Self) -> Option<T>) -> Option<T> {
        let mut changes = self.listen();
        let poll = async {
            loop {
                changes.borrow_and_update();
                if let Some(answer) = probe(self) {
                    return Some(answer);
                }
                changes.changed().await.ok()?;
            }
        };
        timeout(limit, poll).await.ok().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, S> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Notices the end of a shim, even of one that an earlier program began.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agis_base::ServerId;
use tokio::{sync::Notify, task::JoinHandle};

use crate::identity::{self, Process};

/// Watches of shims that were seen alive: one task for each.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    fired: Arc<Notify>,
    of: Mutex<HashMap<ServerId, Watch>>,
}

#[derive(Debug)]
struct Watch {
    shim: Process,
    task: JoinHandle<()>,
}

impl Watches {
    /// Resolves once a watched shim has ended since the last call.
    pub(crate) async fn fired(&self) {
        self.fired.notified().await;
    }

    /// Watches the server's shim, in place of an earlier one.
    pub(crate) fn keep(&self, server: ServerId, shim: &Process, pidfd: OwnedFd) {
        let mut of = self.lock();
        if of.get(&server).is_some_and(|watch| watch.shim == *shim) {
            return;
        }
        let fired = Arc::clone(&self.fired);
        let task = tokio::spawn(async move {
            match identity::watch(pidfd) {
                Ok(shim) => drop(shim.readable().await),
                Err(error) => tracing::warn!(%server, %error, "server is polled instead of watched"),
            }
            fired.notify_one();
        });
        of.insert(server, Watch { shim: shim.clone(), task });
    }

    /// Stops watching the server's shim.
    pub(crate) fn forget(&self, server: ServerId) {
        self.lock().remove(&server);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ServerId, Watch>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

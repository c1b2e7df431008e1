//! Operations are carried out on hosts.
//!
//! - `lane`: takes what waits on one host, fairly, as places are free
//! - `slots`: the places among the orders that keep a host busy
//! - `attempt`: one try at one operation
//! - `leases`: keeps the leases of all attempts
//! - `progress`: stores how an attempt goes on
//! - `shared`: what all attempts of a process share
//!
//! A place is for what keeps a host busy. An attempt that only waits for its server takes none: it is a task, which
//! keeps its lease. Starts have places apart from stops and deletes, and so does each host.

mod attempt;
mod lane;
mod leases;
mod progress;
mod shared;
mod slots;

use std::{sync::Arc, time::Duration};

use agis_base::StoreError;
use agis_servers::{
    Action, State,
    game::Catalogue,
    host::Host,
    operation,
    store::{Billing, LeaseStore},
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::{lane::Lane, leases::Leases, shared::Shared};

/// How many ends are written at once: servers get ready in swarms, and others need connections too.
const WRITES: usize = 4;
/// Actions by lane. No operation waits behind one of another lane.
const LANES: [&[Action]; 2] = [&[Action::Start, Action::Restart], &[Action::Stop, Action::Delete]];

/// The loops that carry out operations.
pub struct Workers {
    /// Operations.
    pub store: Arc<dyn LeaseStore>,
    /// The hosts that this process serves.
    pub hosts: Vec<Arc<dyn Host>>,
    /// Games that can be started.
    pub catalogue: Arc<Catalogue>,
    /// How many starts and restarts keep a host busy at once, and how many stops and deletes.
    pub concurrency: usize,
    /// For how long one is ours without a sign of life.
    pub lease: Duration,
    /// Whether servers have to be paid for.
    pub billing: Billing,
    /// Rings when an operation may wait or was interrupted.
    pub bell: watch::Receiver<()>,
}

/// Counts operations that ended without a worker.
pub(crate) fn count_ended(operations: &[agis_servers::Operation], state: State) {
    for ended in operations {
        operation::count(ended.action, state);
    }
}

impl Workers {
    /// Runs until `stop`. What runs then is handed back: its next worker goes on with it. `beat` is called whenever the
    /// store was asked for work, or every place is taken.
    pub async fn run(self, stop: CancellationToken, beat: impl Fn(Result<(), &StoreError>) + Send + Sync + 'static) {
        let shared = Arc::new(Shared {
            leases: Leases::new(self.store.clone(), self.lease),
            store: self.store,
            billing: self.billing,
            catalogue: self.catalogue,
            writes: Semaphore::new(WRITES),
            tells: Semaphore::new(1),
            beat: Box::new(beat),
        });
        let mut lanes = JoinSet::new();
        for host in &self.hosts {
            for actions in LANES {
                let lane = Lane::new(shared.clone(), host.clone(), actions, self.concurrency);
                lanes.spawn(lane.run(self.bell.clone(), stop.clone()));
            }
        }
        let ended = CancellationToken::new();
        let end = async {
            while lanes.join_next().await.is_some() {}
            ended.cancel();
        };
        tokio::join!(end, shared.leases.keep(self.bell, &ended));
    }
}

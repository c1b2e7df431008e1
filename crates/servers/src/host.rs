//! What a host of game servers promises. `host-process` and `host-agones` keep it.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agis_base::{OperationId, ServerId, UserId};
use async_trait::async_trait;
use thiserror::Error;

use crate::game::Game;

/// How often what a server should be doing has changed. The transaction that accepts an operation decides it; a host
/// persists the highest it saw and refuses less, so what a worker says after it lost its lease has no effect.
pub type Generation = i64;

/// A place where game servers run: this machine, or a cluster.
#[async_trait]
pub trait Host: Send + Sync {
    /// The name that `game_servers.host` holds for servers that live here.
    fn name(&self) -> &str;

    /// Brings a server to what the order says and returns once it is there.
    ///
    /// Idempotent: the same order again waits for, or confirms, the same effect. A start that has already ended at this
    /// generation is not begun again. Dropping the future gives up the waiting, never the server.
    async fn apply(&self, order: &Order) -> Result<Reached, HostError>;

    /// Whether a run had to be killed on behalf of this operation, since it did not end within the grace of its game. None
    /// where the host cannot know.
    async fn had_to_kill(&self, _server: ServerId, _operation: OperationId) -> Option<bool> {
        None
    }

    /// Why this game cannot be run here at the moment; none where nothing is known against it.
    async fn unfit(&self, _game: &Arc<Game>) -> Option<Unfit> {
        None
    }

    /// What stands here for a server now.
    async fn observe(&self, server: ServerId) -> Result<Observed, HostError>;

    /// Takes away what is left of a run that ended by itself at this generation, so that nobody plays on what is published
    /// as over. It need not wait until that is gone, and leaves alone what runs. Most hosts have nothing left then.
    async fn clear(&self, _server: ServerId, _generation: Generation) -> Result<(), HostError> {
        Ok(())
    }

    /// Resolves when a server here may have changed without an order since the last call. It may resolve for nothing,
    /// and it may miss a change: callers look again after a while all the same.
    async fn changed(&self);
}

/// "Be at generation n in state s."
#[derive(Debug, Clone)]
pub struct Order {
    /// Which server.
    pub server: ServerId,
    /// On whose behalf; hosts label what they create with it.
    pub operation: OperationId,
    /// n
    pub generation: Generation,
    /// s
    pub target: Target,
    /// The place that the order takes; a host gives it up where it only waits from then on.
    pub slot: Slot,
}

/// A place among the orders that keep a host busy at once. There are few, so an order that only waits (until a server is
/// ready, or has ended) gives its place up: a server that never gets ready must not hold up another. Before it goes on to
/// work, it takes a place again.
#[derive(Clone, Default)]
pub struct Slot {
    held: Arc<Mutex<Option<Permit>>>,
    again: Option<Arc<Again>>,
}

/// A place that is held. Dropping it makes the place free.
type Permit = Box<dyn Any + Send>;
type Again = dyn Fn() -> Pin<Box<dyn Future<Output = Permit> + Send>> + Send + Sync;

impl Slot {
    /// A place that is free again once `permit` is dropped; `again` waits for another. The default is a place that nobody
    /// waits for.
    pub fn held<P, F>(permit: P, again: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        P: Send + 'static,
        F: Future<Output = P> + Send + 'static,
    {
        let again = move || -> Pin<Box<dyn Future<Output = Permit> + Send>> {
            let taken = again();
            Box::pin(async move { Box::new(taken.await) as Permit })
        };
        Self { held: Arc::new(Mutex::new(Some(Box::new(permit)))), again: Some(Arc::new(again)) }
    }

    /// Gives the place up. The order only waits from now on.
    pub fn leave(&self) {
        drop(self.permit().take());
    }

    /// Waits for a place, unless the order has one.
    pub async fn take_again(&self) {
        let Some(again) = self.again.as_ref().filter(|_| self.permit().is_none()) else { return };
        let permit = again().await;
        *self.permit() = Some(permit);
    }

    fn permit(&self) -> MutexGuard<'_, Option<Permit>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

/// The state that an order asks for.
#[derive(Debug, Clone)]
pub enum Target {
    /// Ready for players. What runs at a lower generation is stopped first.
    Running(Launch),
    /// Nothing runs; the world is kept.
    Stopped,
    /// Nothing runs, the address is given back, and the world goes to where it is kept for seven days.
    Deleted,
}

/// What is needed to start a server.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The game it plays.
    pub game: Arc<Game>,
    /// Its name, as its owner typed it: one argument or a piece of a file, never part of a shell line.
    pub server_name: String,
    /// Whose it is.
    pub owner: UserId,
}

/// What an order has led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// Ready for players, at this address.
    Running(Endpoint),
    /// It was ready for players at this generation, and has come to a good end by itself since; how, for people.
    Ended(String),
    /// Nothing runs.
    Stopped,
    /// Nothing runs, and nothing is left but the kept world.
    Deleted,
}

/// Where players connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or an address.
    pub address: String,
    /// The port.
    pub port: u16,
}

/// What stands on a host for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// Begun, not yet ready for players.
    Starting {
        /// The generation it was started at.
        generation: Generation,
    },
    /// Ready for players.
    Running {
        /// The generation it was started at.
        generation: Generation,
        /// Where players connect.
        endpoint: Endpoint,
    },
    /// It ran and ended.
    Ended {
        /// The generation it was started at.
        generation: Generation,
        /// How it ended, for people: "exited with status 1", "killed by signal 9".
        how: String,
        /// Whether it was ready, and ended by itself in a way that its game calls good ([`GoodExits`](crate::game::GoodExits)).
        good: bool,
    },
    /// The host knows nothing of it.
    Absent,
}

/// Why a game cannot be run on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// For everybody: in the words of the catalogue, without what else the machine has.
    pub reason: String,
    /// For the operator: with the paths and modes of the machine.
    pub detail: String,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HostError {
    /// The host has seen a newer generation: whoever gave this order has been overtaken.
    #[error("overtaken: the host has seen generation {seen}")]
    Stale {
        /// The highest generation that the host saw.
        seen: Generation,
    },
    /// It cannot be done, and trying again will not help; the text says why, to people.
    #[error("{0}")]
    Failed(String),
    /// The host cannot be reached or lacks something for the moment; the same order may be given again.
    #[error("{0}")]
    Unavailable(String),
    /// The host has no room for one more at this moment, and is making some: the same order is to be given again soon.
    #[error("{0}")]
    Full(String),
}

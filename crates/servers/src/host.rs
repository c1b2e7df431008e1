//! The trait of hosts of game servers. `host-process` and `host-agones` implement it.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agis_base::{OperationId, ServerId, UserId};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

pub use self::ability::{Abilities, Ability, Inability};
pub use self::progress::{IMAGE_MAX, PROGRESS_MAX, Progress, Told};
pub use self::report::{Boundary, Contained, Containment, HostReport, Room, Uncontained};
use crate::{
    console::ConsoleError,
    game::{Game, Protocol, RunsOn, SettingValues},
    rcon::RconPassword,
};

mod ability;
mod progress;
mod report;

/// Number of changes of a server's desired state. The transaction that accepts an operation decides it. A host persists
/// the highest generation that it saw and refuses any lower one, so a worker that lost its lease has no effect.
pub type Generation = i64;

/// Place where game servers run: this machine, or a cluster.
#[async_trait]
pub trait Host: Send + Sync {
    /// Returns the name that `game_servers.host` holds for servers of this host.
    fn name(&self) -> &str;

    /// Returns the kind of host.
    fn kind(&self) -> RunsOn;

    /// Returns the id of the data directory that holds the servers of this host; `None` if any process of this kind
    /// finds the servers.
    fn directory(&self) -> Option<Uuid> {
        None
    }

    /// Declares what this host can do, of that in which kinds differ.
    fn abilities(&self) -> Abilities;

    /// Reports the boundaries around games here, and the room that is left.
    async fn report(&self) -> HostReport;

    /// Brings a server to the state of the order and returns once it is there.
    ///
    /// Idempotent: the same order again waits for, or confirms, the same effect. A start that has ended at this
    /// generation does not begin again. Dropping the future gives up the waiting, never the server.
    async fn apply(&self, order: &Order) -> Result<Reached, HostError>;

    /// Returns whether this operation had to kill a run that outlasted the grace of its game. `None` if the host cannot
    /// know.
    async fn had_to_kill(&self, _server: ServerId, _operation: OperationId) -> Option<bool> {
        None
    }

    /// Returns the reason why this game cannot run here at the moment; `None` if there is none.
    async fn unfit(&self, _game: &Arc<Game>) -> Option<Unfit> {
        None
    }

    /// Returns the reason why nothing begins here for now: its disk has no room; `None` if there is none.
    async fn why_no_room(&self) -> Option<String> {
        None
    }

    /// Returns the address at which AGIS itself reaches a game that players reach at `public`.
    fn reached_at(&self, public: &str) -> String {
        public.to_owned()
    }

    /// Returns the address on this machine at which the games of this host listen; `None` if they run elsewhere.
    fn listens_at(&self) -> Option<String> {
        None
    }

    /// Returns the address at which AGIS reaches the ports that a game keeps from players
    /// ([`Game::keeps_private`]), if players reach the others at `public`.
    fn reached_privately_at(&self, public: &str) -> String {
        self.reached_at(public)
    }

    /// Observes a server.
    async fn observe(&self, server: ServerId) -> Result<Observed, HostError>;

    /// Removes the remains of a run that ended by itself at this generation, so that nobody plays on a server that is
    /// published as over. It need not wait until they are gone, and leaves running servers alone. Most hosts have no
    /// remains.
    async fn clear(&self, _server: ServerId, _generation: Generation) -> Result<(), HostError> {
        Ok(())
    }

    /// Resolves when a server here may have changed without an order since the last call. It may resolve for no reason,
    /// and it may miss a change: callers also look again after a while.
    async fn changed(&self);
}

/// "Be at generation n in state s."
#[derive(Debug, Clone)]
pub struct Order {
    /// Server to act on.
    pub server: ServerId,
    /// Owner of the server; hosts label what they create with it.
    pub operation: OperationId,
    /// The generation n.
    pub generation: Generation,
    /// The state s.
    pub target: Target,
    /// Slot that the order occupies; a host gives it up once it only waits.
    pub slot: Slot,
    /// Listener to whom the host says how the order goes on.
    pub progress: Progress,
}

/// Slot among the orders that keep a host busy at once. There are few, so an order that only waits (until a server is
/// ready, or has ended) gives its slot up: a server that never gets ready must not hold up another. The order takes a
/// slot again before it continues to work.
#[derive(Clone, Default)]
pub struct Slot {
    held: Arc<Mutex<Option<Permit>>>,
    again: Option<Arc<Again>>,
}

/// Occupied slot. Dropping it makes the slot free.
type Permit = Box<dyn Any + Send>;
type Again = dyn Fn() -> Pin<Box<dyn Future<Output = Permit> + Send>> + Send + Sync;

impl Slot {
    /// Creates a slot that is free once `permit` is dropped; `again` waits for another. The default is a slot that
    /// nobody waits for.
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

    /// Gives the slot up. The order only waits from now on.
    pub fn leave(&self) {
        drop(self.permit().take());
    }

    /// Waits for a slot, unless the order has one.
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

/// State that an order asks for.
#[derive(Debug, Clone)]
pub enum Target {
    /// Ready for players. A run at a lower generation is stopped first.
    Running(Launch),
    /// Nothing runs; the world is kept.
    Stopped,
    /// Nothing runs, the address is free, and the world moves to where it is kept for seven days.
    Deleted,
}

/// Facts for the start of a server.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Game of the server.
    pub game: Arc<Game>,
    /// Name of the server, as its owner typed it: one argument or a piece of a file, never part of a shell line.
    pub server_name: String,
    /// Owner of the server.
    pub owner: UserId,
    /// Value of each setting of the game.
    pub settings: SettingValues,
    /// Password of its RCON.
    pub rcon_password: RconPassword,
}

impl Launch {
    /// Returns the server's name on one line. A control character could end a line of a configuration file, or a C
    /// string. Names of earlier versions may hold some.
    pub fn name_on_one_line(&self) -> String {
        let breaks = |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
        self.server_name.replace(breaks, " ").trim().to_owned()
    }
}

/// Result of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// Ready for players, at this address.
    Running(Endpoint),
    /// The server was ready for players at this generation, and has ended well by itself since; the text says how, for
    /// people.
    Ended(String),
    /// Nothing runs.
    Stopped,
    /// Nothing runs, and only the kept world is left.
    Deleted,
}

/// Address that players connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or IP address.
    pub address: String,
    /// Port number.
    pub port: u16,
    /// Every port of the server, the one above first; empty if the host did not tell, or an earlier version asked it.
    pub ports: Vec<OpenPort>,
}

impl Endpoint {
    /// Returns the port of this name. A server that an earlier version started has told its first port alone.
    pub fn port_named(&self, name: &str) -> Option<u16> {
        let named = self.ports.iter().find(|port| port.name == name).map(|port| port.port);
        named.or_else(|| self.ports.is_empty().then_some(self.port))
    }

    /// Returns the ports that people may know: all but those that the game keeps private.
    pub fn public_ports(&self, game: Option<&Game>) -> impl Iterator<Item = &OpenPort> {
        self.ports.iter().filter(move |port| game.is_none_or(|game| !game.keeps_private(&port.name)))
    }
}

/// Port that a server has open.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct OpenPort {
    /// Name in the catalogue, or in the GameServer.
    pub name: String,
    /// Port number.
    pub port: u16,
    /// Protocol; `None` if the host does not know.
    pub protocol: Option<Protocol>,
}

/// Observation of a server on its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// The server has begun and is not ready for players.
    Starting {
        /// Generation of the start.
        generation: Generation,
    },
    /// Ready for players.
    Running {
        /// Generation of the start.
        generation: Generation,
        /// Address that players connect to.
        endpoint: Endpoint,
    },
    /// The server ran and ended.
    Ended {
        /// Generation of the start.
        generation: Generation,
        /// Kind of end, for people: "exited with status 1", "killed by signal 9".
        how: String,
        /// Whether the server was ready, and ended by itself in a way that its game calls good
        /// ([`GoodExits`](crate::game::GoodExits)).
        good: bool,
    },
    /// The host knows nothing of the server.
    Absent,
}

/// Reason why a game cannot run on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// For everybody: in the words of the catalogue, without details of the machine.
    pub reason: String,
    /// For the operator: with the paths and modes of the machine.
    pub detail: String,
}

/// Reason why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HostError {
    /// The host has seen a newer generation: a newer order has overtaken this one.
    #[error("overtaken: the host has seen generation {seen}")]
    Stale {
        /// Highest generation that the host saw.
        seen: Generation,
    },
    /// The order cannot succeed, now or later; the text says why, to people.
    #[error("{0}")]
    Failed(String),
    /// The run of this order has crashed: it was ready for players before, or its machine restarted while it loaded. The
    /// text says how, for people.
    #[error("{0}")]
    Crashed(String),
    /// The host cannot be reached or lacks something for the moment; the caller may repeat the order.
    #[error("{0}")]
    Unavailable(String),
    /// The host has no room at this moment, and is making some; the caller repeats the order soon.
    #[error("{0}")]
    Full(String),
}

impl From<HostError> for ConsoleError {
    fn from(error: HostError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

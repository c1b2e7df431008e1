//! Gates of servers that sleep: a player who joins wakes the server.
//!
//! Every process of a machine would open the gate of a server; its port decides who has it. So the gate of a process that dies
//! is opened by another one. A start that is accepted anywhere rings for all of them, and closes it: the host waits a moment
//! for the port.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use agis_base::{ServerId, StoreError};
use agis_servers::{
    Action, Origin, Request, Servers,
    gate::{Door, GATES_MAX, Gatekeeper},
    host::Host,
    operation::Identity,
    store::{IdleStore, Sleeper, Sleepers},
};
use async_trait::async_trait;
use tokio::{
    task::{AbortHandle, JoinSet},
    time::Instant,
};

/// Longest pause between two rounds.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Shortest pause: operations are accepted in swarms.
pub const PAUSE: Duration = Duration::from_millis(100);
/// Time after which a gate that could not be opened is tried again: mostly another process has it. Less than [`PERIOD`], so
/// that each round of that pace tries.
const RETRY: Duration = Duration::from_secs(4);

/// Sleeping servers that have no gate, since there are too many of them.
const MISSING: &str = "agis_bot_gates_missing";

/// Wakes of servers by players.
const WAKES: &str = "agis_bot_gate_wakes_total";

/// Keeps the gates of a host, round by round.
pub struct Gates {
    store: Arc<dyn IdleStore>,
    host: Arc<dyn Host>,
    servers: Servers,
    gatekeeper: Arc<dyn Gatekeeper>,
    open: BTreeMap<ServerId, Gate>,
    tasks: JoinSet<()>,
    /// Number of sleeping servers without a gate, as the last round saw them.
    missing: u64,
}

/// Gate that was opened, or could not be.
struct Gate {
    sleeper: SharedSleeper,
    task: AbortHandle,
    since: Instant,
}

/// Sleeper whose name and list may change while its gate is open.
type SharedSleeper = Arc<RwLock<Sleeper>>;

impl Gate {
    /// Returns whether it stays for a server as it is now, with its new name and list. One that has ended found its port taken:
    /// it is opened anew after a while.
    fn stays_for(&self, now: &Sleeper) -> bool {
        if self.task.is_finished() && self.since.elapsed() >= RETRY {
            return false;
        }
        let mut sleeper = self.sleeper.write().unwrap_or_else(PoisonError::into_inner);
        let is_there = sleeper.endpoint == now.endpoint && sleeper.game_type == now.game_type;
        if is_there {
            sleeper.clone_from(now);
        }
        is_there
    }
}

impl Gates {
    /// Creates the loop over the servers of this host.
    pub fn new(
        store: Arc<dyn IdleStore>,
        host: Arc<dyn Host>,
        servers: Servers,
        gatekeeper: Arc<dyn Gatekeeper>,
    ) -> Self {
        // A counter that begins with its first event hides that event from rates and alerts.
        for outcome in ["woken", "refused"] {
            metrics::counter!(WAKES, "outcome" => outcome).increment(0);
        }
        metrics::gauge!(MISSING).set(0);
        Self { store, host, servers, gatekeeper, open: BTreeMap::new(), tasks: JoinSet::new(), missing: 0 }
    }

    /// Closes the gates of servers that do not sleep any more, and opens those of others.
    ///
    /// # Errors
    /// Fails if the store does; the gates stay as they are.
    pub async fn round(&mut self) -> Result<(), StoreError> {
        let Some(address) = self.host.listens_at() else { return Ok(()) };
        let Sleepers { latest, all } = self.store.asleep(self.host.name(), GATES_MAX).await?;
        self.tell(all.saturating_sub(GATES_MAX.into()));
        let mut asleep: BTreeMap<_, _> = latest.into_iter().map(|sleeper| (sleeper.server, sleeper)).collect();
        while self.tasks.try_join_next().is_some() {}
        let stays = |id: &ServerId, gate: &mut Gate| {
            let stays = asleep.get(id).is_some_and(|sleeper| gate.stays_for(sleeper));
            if !stays {
                gate.task.abort();
            }
            stays
        };
        self.open.retain(stays);
        asleep.retain(|id, _| !self.open.contains_key(id));
        for (id, sleeper) in asleep {
            let shared = Arc::new(RwLock::new(sleeper.clone()));
            let kept = self.keep(address.clone(), sleeper, shared.clone());
            let task = self.tasks.spawn(kept);
            self.open.insert(id, Gate { sleeper: shared, task, since: Instant::now() });
        }
        Ok(())
    }

    /// Tells how many sleeping servers have no gate.
    fn tell(&mut self, missing: u64) {
        metrics::gauge!(MISSING).set(f64::from(u32::try_from(missing).unwrap_or(u32::MAX)));
        if missing > 0 && self.missing == 0 {
            tracing::warn!(host = self.host.name(), missing, gates = GATES_MAX, "sleeping servers have no gate");
        }
        self.missing = missing;
    }

    fn keep(
        &self,
        address: String,
        sleeper: Sleeper,
        shared: SharedSleeper,
    ) -> impl Future<Output = ()> + Send + use<> {
        let gatekeeper = self.gatekeeper.clone();
        let server = sleeper.server.0;
        let game = self.servers.catalogue().get(&sleeper.game_type);
        let port = game.and_then(|game| game.gate_port()).and_then(|name| sleeper.endpoint.port_named(name));
        let door = ServerDoor { sleeper: shared, servers: self.servers.clone() };
        async move {
            let Some(port) = port else { return };
            // Mostly another process of this machine has it.
            if let Err(error) = gatekeeper.keep(&address, port, &door).await {
                tracing::debug!(server_id = server, port, %error, "gate of a sleeping server cannot be opened");
            }
        }
    }
}

/// Door of a sleeping server.
struct ServerDoor {
    sleeper: SharedSleeper,
    servers: Servers,
}

impl ServerDoor {
    fn read<T>(&self, read: impl FnOnce(&Sleeper) -> T) -> T {
        read(&self.sleeper.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Door for ServerDoor {
    fn sign(&self) -> String {
        self.read(|sleeper| format!("{}: asleep, join to start", sleeper.name))
    }

    fn admits(&self, player: &str) -> bool {
        self.read(|sleeper| sleeper.wake.admits(player))
    }

    async fn join(&self, player: &str) -> Result<String, String> {
        let (server, owner) = self.read(|sleeper| (sleeper.server, sleeper.owner.clone()));
        let request = Request {
            server,
            action: Action::Start,
            origin: Origin::Join,
            actor: owner,
            channel: None,
            identity: Identity::None,
            trace: None,
        };
        let (outcome, answer) = match self.servers.request(request).await {
            Ok(operation) => {
                let id = operation.id;
                tracing::info!(server_id = server.0, player, operation_id = %id, "sleeping server is woken by a player");
                ("woken", Ok("This server was asleep and is being started. Join again in a minute."))
            }
            Err(error) => {
                tracing::warn!(server_id = server.0, player, %error, "sleeping server could not be woken by a player");
                ("refused", Err("This server is asleep, and cannot be started now. Ask its owner."))
            }
        };
        metrics::counter!(WAKES, "outcome" => outcome).increment(1);
        answer.map(str::to_owned).map_err(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use agis_base::UserId;
    use agis_servers::{host::Endpoint, idle::WakeOnJoin};

    use super::*;

    fn sleeper(name: &str, port: u16) -> Sleeper {
        Sleeper {
            server: ServerId(7),
            owner: UserId::from_stored("1"),
            name: name.to_owned(),
            game_type: "minecraft".to_owned(),
            endpoint: Endpoint { address: "127.0.0.1".to_owned(), port, ports: vec![] },
            wake: WakeOnJoin { players: None },
        }
    }

    fn gate(task: AbortHandle, age: Duration) -> Gate {
        let since = Instant::now().checked_sub(age).expect("a time");
        Gate { sleeper: Arc::new(RwLock::new(sleeper("Castle", 1))), task, since }
    }

    #[tokio::test]
    async fn open_gate_takes_a_new_name() {
        let gate = gate(tokio::spawn(std::future::pending::<()>()).abort_handle(), RETRY * 2);
        assert!(gate.stays_for(&sleeper("Keep", 1)));
        assert_eq!(gate.sleeper.read().expect("no panic").name, "Keep");
        assert!(!gate.stays_for(&sleeper("Keep", 2)), "it listens at another port");
    }

    #[tokio::test]
    async fn gate_of_another_process_is_tried_at_its_pace() {
        let task = tokio::spawn(async {});
        let ended = task.abort_handle();
        task.await.expect("no panic");
        let castle = sleeper("Castle", 1);
        assert!(gate(ended.clone(), Duration::ZERO).stays_for(&castle), "a bell does not try it again");
        assert!(!gate(ended, RETRY).stays_for(&castle));
    }
}

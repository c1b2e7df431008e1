//! Gates of servers that sleep: a player who joins wakes the server.
//!
//! Every process of a machine would open the gate of a server; its port decides who has it. So the gate of a process that dies
//! is opened by another one. A start that is accepted anywhere rings for all of them, and closes it: the host waits a moment
//! for the port.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use agis_base::{ServerId, StoreError};
use agis_servers::{
    Action, Origin, Request, Servers,
    gate::{Door, Gatekeeper},
    host::Host,
    operation::Identity,
    store::{IdleStore, Sleeper},
};
use async_trait::async_trait;
use tokio::task::{AbortHandle, JoinSet};

/// Longest pause between two rounds.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Shortest pause: operations are accepted in swarms.
pub const PAUSE: Duration = Duration::from_millis(100);
/// Gates of a host in one process.
const GATES_MAX: u32 = 500;

/// Wakes of servers by players.
const WAKES: &str = "agis_bot_gate_wakes_total";

/// Keeps the gates of a host, round by round.
pub struct Gates {
    store: Arc<dyn IdleStore>,
    host: Arc<dyn Host>,
    servers: Servers,
    gatekeeper: Arc<dyn Gatekeeper>,
    open: BTreeMap<ServerId, (Sleeper, AbortHandle)>,
    tasks: JoinSet<()>,
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
        Self { store, host, servers, gatekeeper, open: BTreeMap::new(), tasks: JoinSet::new() }
    }

    /// Closes the gates of servers that do not sleep any more, and opens those of others.
    ///
    /// # Errors
    /// Fails if the store does; the gates stay as they are.
    pub async fn round(&mut self) -> Result<(), StoreError> {
        let Some(address) = self.host.listens_at() else { return Ok(()) };
        let asleep = self.store.asleep(self.host.name(), GATES_MAX).await?;
        let mut asleep: BTreeMap<_, _> = asleep.into_iter().map(|sleeper| (sleeper.server, sleeper)).collect();
        while self.tasks.try_join_next().is_some() {}
        // A gate that has ended found its port taken, or could not wake its server. It is opened anew.
        let stays = |id: &ServerId, (sleeper, task): &mut (Sleeper, AbortHandle)| {
            let stays = asleep.get(id) == Some(&*sleeper) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        };
        self.open.retain(stays);
        asleep.retain(|id, _| !self.open.contains_key(id));
        for (id, sleeper) in asleep {
            let task = self.keep(address.clone(), sleeper.clone());
            self.open.insert(id, (sleeper, self.tasks.spawn(task)));
        }
        Ok(())
    }

    fn keep(&self, address: String, sleeper: Sleeper) -> impl Future<Output = ()> + Send + use<> {
        let gatekeeper = self.gatekeeper.clone();
        let server = sleeper.server.0;
        let game = self.servers.catalogue().get(&sleeper.game_type);
        let port = game.and_then(|game| game.gate_port()).and_then(|name| sleeper.endpoint.port_named(name));
        let door = ServerDoor { sleeper, servers: self.servers.clone() };
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
    sleeper: Sleeper,
    servers: Servers,
}

#[async_trait]
impl Door for ServerDoor {
    fn sign(&self) -> String {
        format!("{}: asleep, join to start", self.sleeper.name)
    }

    fn admits(&self, player: &str) -> bool {
        self.sleeper.wake.admits(player)
    }

    async fn join(&self, player: &str) -> Result<String, String> {
        let Sleeper { server, owner, .. } = &self.sleeper;
        let request = Request {
            server: *server,
            action: Action::Start,
            origin: Origin::Join,
            actor: owner.clone(),
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

//! Asks running servers who plays.

mod log;

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agis_base::StoreError;
use agis_servers::{
    console::{Console, Dispatcher},
    game::{Catalogue, Query, QueryProtocol, RconQuery},
    host::{Endpoint, Host},
    platform::PlayerCount,
    players::{GameQuery, Players, Unanswered},
    store::{Counted, PlayerStore, Probe},
};

use self::log::LogCounts;

/// Time between two rounds. The limit of probes counts by the second.
pub const PERIOD: Duration = Duration::from_secs(1);
/// Time for one probe, whatever the game does.
const DEADLINE: Duration = Duration::from_secs(2);

/// Probes of all processes, by outcome.
const PROBES: &str = "agis_bot_player_probes_total";

/// Parts of a [`Prober`].
pub struct Probing {
    /// Rows of the claims and the answers.
    pub store: Arc<dyn PlayerStore>,
    /// Host whose servers are asked.
    pub host: Arc<dyn Host>,
    /// Consoles of its servers.
    pub console: Arc<dyn Console>,
    /// Protocols of the games.
    pub query: Arc<dyn GameQuery>,
    /// Platform of its servers; `None` if it counts no players.
    pub platform: Option<Arc<dyn PlayerCount>>,
    /// RCON of the games.
    pub rcon: Dispatcher,
    /// Games, which say how they are asked.
    pub catalogue: Arc<Catalogue>,
    /// Maximum number of probes in a second, of all processes together.
    pub per_second: u32,
}

/// Asks the servers of a host, round by round.
pub struct Prober {
    asker: Arc<Asker>,
    /// Keys of the games that can be asked.
    games: Vec<String>,
}

/// Part of a prober that the probes under way share.
struct Asker {
    parts: Probing,
    /// Answers that are not stored yet.
    counted: Mutex<Vec<Counted>>,
    logs: LogCounts,
}

impl Prober {
    /// Creates the prober of a host.
    pub fn new(parts: Probing) -> Self {
        for outcome in ["answered", "unanswered"] {
            metrics::counter!(PROBES, "outcome" => outcome).increment(0);
        }
        let asked = parts.catalogue.games().filter(|game| game.query.is_some() && game.runs_on(parts.host.kind()));
        let games = asked.map(|game| game.key.clone()).collect();
        Self { asker: Arc::new(Asker { parts, counted: Mutex::default(), logs: LogCounts::default() }), games }
    }

    /// Stores the answers that came since the last round, and begins the probes that are due. No probe is waited for, so a
    /// game that hangs holds up none of the others.
    ///
    /// # Errors
    /// Fails if the store does. Answers that could not be stored are lost: the next ones are due soon.
    pub async fn round(&self) -> Result<(), StoreError> {
        let Probing { store, host, per_second, .. } = &self.asker.parts;
        if self.games.is_empty() || *per_second == 0 {
            return Ok(());
        }
        let counted = mem::take(&mut *self.asker.counted.lock().unwrap_or_else(PoisonError::into_inner));
        if !counted.is_empty() {
            store.store_players(&counted).await?;
        }
        for probe in store.claim_probes(host.name(), &self.games, *per_second).await? {
            tokio::spawn(self.asker.clone().probe(probe));
        }
        Ok(())
    }
}

impl Asker {
    async fn probe(self: Arc<Self>, probe: Probe) {
        let asked = tokio::time::timeout(DEADLINE, self.ask(&probe)).await;
        let asked = asked.unwrap_or_else(|_| Err(Unanswered("no answer in time".to_owned())));
        let outcome = if asked.is_ok() { "answered" } else { "unanswered" };
        metrics::counter!(PROBES, "outcome" => outcome).increment(1);
        let Probe { server, at, generation, .. } = probe;
        match asked {
            Ok(players) => {
                let counted = Counted { server, at, generation, players };
                self.counted.lock().unwrap_or_else(PoisonError::into_inner).push(counted);
            }
            // Mostly the game still loads, or has other ports than its entry says. Its players become unknown.
            Err(why) => tracing::debug!(server_id = server.0, %why, "game did not tell who plays"),
        }
    }

    async fn ask(&self, probe: &Probe) -> Result<Players, Unanswered> {
        let game = self.parts.catalogue.get(&probe.game_type);
        match game.and_then(|game| game.query.as_ref()) {
            Some(Query::Network { protocol, port }) => self.ask_network(*protocol, port, &probe.endpoint).await,
            Some(Query::Log(query)) => self.logs.count(&*self.parts.console, query, probe).await,
            Some(Query::Rcon(query)) => self.ask_rcon(query, probe).await,
            Some(Query::Agones) => match &self.parts.platform {
                Some(platform) => platform.players(probe.server, probe.generation).await,
                None => Err(Unanswered("its host is no Agones".to_owned())),
            },
            None => Err(Unanswered("its game has no query any more".to_owned())),
        }
    }

    /// Asks by RCON. Nobody sent this command, so it is not recorded.
    async fn ask_rcon(&self, query: &RconQuery, probe: &Probe) -> Result<Players, Unanswered> {
        let sent = self.parts.rcon.ask(self.parts.host.name(), probe.server, query.command.clone()).await;
        let answer = sent.map_err(|error| Unanswered(error.to_string()))?.reply();
        let answer = answer.ok_or_else(|| Unanswered("no answer by RCON in time".to_owned()))?;
        query.players(&answer).ok_or_else(|| Unanswered("the answer by RCON is not understood".to_owned()))
    }

    async fn ask_network(
        &self,
        protocol: QueryProtocol,
        name: &str,
        endpoint: &Endpoint,
    ) -> Result<Players, Unanswered> {
        let port = endpoint.port_named(name).ok_or_else(|| Unanswered(format!("it has no port '{name}'")))?;
        self.parts.query.ask(protocol, &self.parts.host.reached_at(&endpoint.address), port).await
    }
}

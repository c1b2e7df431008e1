//! Catalogue of games: which games can be played, and how each runs. TOML files, read once at start.

use std::{collections::BTreeMap, io, path::Path, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::restart::{RestartChoice, RestartPolicy};

mod about;
mod built_in;
mod container;
mod file;
mod filled;
mod format;
mod kinds;
mod limits;
mod pattern;
mod query;
mod rcon;
mod reading;
mod say;
mod setting;
mod sign;
mod template;

pub use about::{About, Tried};
pub use container::{Container, ContainerUser, Mount};
pub use file::{GameFile, Kind, Setting};
pub use filled::Unheld;
pub use format::Format;
pub use limits::{Cpus, Limits, Rate, Size};
pub use pattern::Pattern;
pub use query::{LogQuery, Query, QueryProtocol, RconQuery};
pub use rcon::{Rcon, RconProtocol};
pub use reading::{CatalogueError, FIELDS, GameRule, Mistake};
pub use say::{SAID_MAX, Say};
pub use setting::{
    GameSetting, SETTING_PORTS_MAX, SettingBy, SettingChoice, SettingForm, SettingProblem, SettingType, SettingValue,
    SettingValues, TextForm,
};
pub use sign::is_sign;
pub use template::{Placeholder, fill_plainly};

/// A game as the catalogue describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Game {
    /// Key in the catalogue, as in `game_servers.game_type`.
    pub key: String,
    /// Name that people read.
    pub title: String,
    /// How the game runs.
    pub runs: Runs,
    /// Ports, at least one on a machine. The first is the one that players connect to. A server on a machine gets these
    /// ports, or all of them moved up by as much. Agones assigns its own ones.
    pub ports: Vec<GamePort>,
    /// Whether the game has a terminal as its console, not pipes. Agones' template says so itself.
    pub pty: bool,
    /// Most that a run may use. Agones' template says so itself.
    pub limits: Limits,
    /// Price in credits per hour.
    pub cost_per_hour: i32,
    /// Sign that players can join.
    pub ready: Ready,
    /// Way to ask the game to end.
    pub stop: Stop,
    /// Exit statuses of a game that has ended well. On Agones, a game that shuts itself down by the SDK has also ended well.
    pub good_exits: GoodExits,
    /// Rule by which a server of this game is started again, unless its owner chose another one.
    pub restart: RestartPolicy,
    /// Environment variables, whose values may hold [`Placeholder`]s. A game inherits no others, but gets `HOME` (its
    /// working directory), `PATH` and `LANG`.
    pub env: BTreeMap<String, String>,
    /// Files in the working directory, by path.
    pub files: BTreeMap<String, GameFile>,
    /// Settings of its servers, in the order of the catalogue.
    pub settings: Vec<GameSetting>,
    /// Way to learn who plays; `None` if the catalogue names none.
    pub query: Option<Query>,
    /// RCON; `None` if the game has none.
    pub rcon: Option<Rcon>,
    /// Command that announces something to players; `None` if the game has none.
    pub say: Option<Say>,
    /// Facts about the entry.
    pub about: About,
    /// Whether the entry is AGIS' own, and no operator's file changes it.
    pub is_built_in: bool,
}

/// How a game runs. The catalogue says so by exactly one of `command`, `container`, `gameserver` and `fleet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// As a process on a machine.
    Process(Process),
    /// As a container: of a machine's engine, or of a GameServer that is made from it.
    Container(Container),
    /// On Agones, in a GameServer of its own.
    GameServer {
        /// GameServer as YAML, as `kubectl create -f` takes it. Its containers get the server's name as
        /// `AGIS_SERVER_NAME` and its id as `AGIS_SERVER_ID`.
        yaml: String,
        /// Volume for the server's world, which outlives the GameServers; `None` for no volume.
        world: Option<World>,
    },
    /// On Agones, in a GameServer that a start allocates from the Fleet of this name.
    Fleet(String),
}

/// A game that runs as a process. No shell reads its command. The program and the arguments may hold [`Placeholder`]s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Program. The host looks for one without a slash in `/usr/local/bin`, `/usr/bin`, `/bin`, `/usr/local/games` and
    /// `/usr/games`.
    pub program: String,
    /// Arguments of the program.
    pub arguments: Vec<String>,
}

/// Port of a game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GamePort {
    /// Name, as in the placeholder `{port.query}`.
    pub name: String,
    /// Number to try first.
    pub number: u16,
    /// Protocol of the port.
    pub protocol: Protocol,
}

impl GamePort {
    /// Name of a game's only port.
    pub const ONLY: &str = "game";
}

/// Volume for a server's world.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct World {
    /// Size, as Kubernetes writes it: `5Gi`.
    pub size: String,
    /// Path at which the game's container mounts it.
    pub mount: String,
    /// Storage class; `None` for the cluster's default.
    #[serde(default)]
    pub storage_class: Option<String>,
}

agis_base::words! {
    /// Kind of host on which a game runs.
    RunsOn {
        /// Machine that runs games as processes.
        Process = "process",
        /// Machine whose engine, Docker or Podman, runs games as containers.
        Container = "container",
        /// Cluster with Agones.
        Agones = "agones",
    }
}

/// Protocol of a game's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// Returns the word that the catalogue and the REST API use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Sign that players can join, and the time to wait for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// Sign to wait for.
    pub when: ReadyWhen,
    /// Seconds to wait for it. A server that is not ready by then is taken down.
    #[serde(default = "Ready::default_within_s")]
    pub within_s: u32,
}

/// Sign that players can join.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadyWhen {
    /// A line on the console contains this text.
    Log(String),
    /// The server's port is open, by its protocol.
    Port,
    /// The game has run for this many seconds.
    Delay(u32),
    /// The game has told Agones' SDK.
    Ready,
    /// The game's pod is ready. For a game that does not know Agones' SDK.
    Pod,
    /// The health check of the container's image succeeds.
    Health,
}

/// Way to ask a game to end, and the time to wait before it is killed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Way to ask.
    #[serde(default = "Stop::default_how")]
    pub how: StopHow,
    /// Seconds until SIGKILL.
    #[serde(default = "Stop::default_grace_s")]
    pub grace_s: u32,
}

/// Way to ask a game to end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StopHow {
    /// Signal to the game.
    Signal(StopSignal),
    /// Line that is typed on the console.
    Console(String),
}

/// Signals that games take as "end now, and save".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum StopSignal {
    /// Usual signal.
    #[serde(rename = "SIGTERM")]
    Term,
    /// Signal that Ctrl-C sends.
    #[serde(rename = "SIGINT")]
    Int,
}

/// Exit statuses with which a game that was ready ends well, since a match is over, or somebody typed `/stop`. Its
/// server is stopped then. Every other end by itself is a crash.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct GoodExits(Vec<u8>);

impl GoodExits {
    /// Checks whether this status is among them.
    pub fn include(&self, status: i32) -> bool {
        self.0.iter().any(|good| i32::from(*good) == status)
    }
}

impl Default for GoodExits {
    fn default() -> Self {
        Self(vec![0])
    }
}

impl Ready {
    fn default_within_s() -> u32 {
        120
    }

    /// Returns the time to wait for the sign.
    pub fn within(&self) -> Duration {
        Duration::from_secs(self.within_s.into())
    }
}

impl Default for Ready {
    fn default() -> Self {
        Self { when: ReadyWhen::Ready, within_s: Self::default_within_s() }
    }
}

impl Stop {
    fn default_how() -> StopHow {
        StopHow::Signal(StopSignal::Term)
    }

    fn default_grace_s() -> u32 {
        30
    }

    /// Returns the time to wait before SIGKILL.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_s.into())
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self { how: Self::default_how(), grace_s: Self::default_grace_s() }
    }
}

/// Games that can be played here, in the order of their keys.
#[derive(Debug, Clone, Default)]
pub struct Catalogue(BTreeMap<String, Arc<Game>>);

impl Game {
    /// Returns how the game runs as a process; `None` if it runs in another way.
    pub fn process(&self) -> Option<&Process> {
        match &self.runs {
            Runs::Process(process) => Some(process),
            Runs::Container(_) | Runs::GameServer { .. } | Runs::Fleet(_) => None,
        }
    }

    /// Returns how the game runs as a container; `None` if it runs in another way.
    pub fn container(&self) -> Option<&Container> {
        match &self.runs {
            Runs::Container(container) => Some(container),
            Runs::Process(_) | Runs::GameServer { .. } | Runs::Fleet(_) => None,
        }
    }

    /// Returns the number of the first port, which the list of games shows; `None` if the catalogue names none.
    pub fn port(&self) -> Option<u16> {
        self.ports.first().map(|port| port.number)
    }

    /// Returns the name of the port at which a gate can listen in place of the game; `None` if there is no gate for it.
    pub fn gate_port(&self) -> Option<&str> {
        match &self.query {
            Some(Query::Network { protocol: QueryProtocol::Minecraft, port }) => Some(port),
            _ => None,
        }
    }

    /// Checks whether a port of this name is for AGIS alone: that of the RCON, unless players use it too.
    pub fn keeps_private(&self, port: &str) -> bool {
        let is_first = self.ports.first().is_some_and(|first| first.name == port);
        !is_first && self.rcon.as_ref().is_some_and(|rcon| rcon.port == port)
    }

    /// Returns the protocol of the first port.
    pub fn protocol(&self) -> Protocol {
        self.ports.first().map(|port| port.protocol).unwrap_or_default()
    }
}

impl Catalogue {
    /// Reads the catalogue that comes with AGIS.
    ///
    /// # Errors
    /// Returns every mistake in it, as [`Self::parse`] does.
    pub fn built_in() -> Result<Self, CatalogueError> {
        reading::read_built_in().map(Self)
    }

    /// Reads an operator's file, and the files that it includes.
    ///
    /// # Errors
    /// Fails if the file cannot be read; else returns every mistake, as [`Self::parse`] does.
    pub fn load(path: &Path) -> io::Result<Result<Self, CatalogueError>> {
        Self::load_with(path, &|_| None)
    }

    /// Reads an operator's file as [`Self::load`] does, and holds every game to a further rule.
    ///
    /// # Errors
    /// Fails as [`Self::load`] does.
    pub fn load_with(path: &Path, rule: GameRule<'_>) -> io::Result<Result<Self, CatalogueError>> {
        Ok(reading::read_file(path, rule)?.map(Self))
    }

    /// Parses a catalogue: one table per game, under the game's key.
    ///
    /// # Errors
    /// Returns every mistake: where the text has another form, and where a game could never run.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        reading::read(text).map(Self)
    }

    /// Returns the restart policy of a server of this game, whose owner chose this. A game that has left the catalogue has
    /// AGIS' default.
    pub fn restart_policy(&self, game: &str, choice: RestartChoice) -> RestartPolicy {
        choice.of(self.get(game).map(|game| game.restart).unwrap_or_default())
    }

    /// Keeps the games that can run on one of these kinds of hosts.
    #[must_use]
    pub fn only(self, kinds: &[RunsOn]) -> Self {
        let can_run = |game: &Game| kinds.iter().any(|kind| game.runs_on(*kind));
        Self(self.0.into_iter().filter(|(_, game)| can_run(game)).collect())
    }

    /// Gives each game that runs as a process or a container the default limits in place of those that it does not name.
    ///
    /// Limits of a built-in game are advice, so those above the maximum are cut.
    ///
    /// # Errors
    /// Returns each limit of any other game that is above the maximum.
    pub fn within(self, default: Limits, max: Limits) -> Result<Self, Vec<String>> {
        let mut beyond = vec![];
        let within = |(key, game): (String, Arc<Game>)| {
            let mut game = Arc::unwrap_or_clone(game);
            if game.process().is_some() || game.container().is_some() {
                let problems = game.limits.beyond(&max).into_iter().filter(|_| !game.is_built_in);
                beyond.extend(problems.map(|(field, problem)| format!("{key}.limits.{field}: {problem}")));
                game.limits = game.limits.or(default).at_most(max);
            }
            (key, Arc::new(game))
        };
        let games = self.0.into_iter().map(within).collect();
        if beyond.is_empty() { Ok(Self(games)) } else { Err(beyond) }
    }

    /// Returns the game of that key.
    pub fn get(&self, key: &str) -> Option<&Arc<Game>> {
        self.0.get(key)
    }

    /// Iterates over all games.
    pub fn games(&self) -> impl Iterator<Item = &Arc<Game>> {
        self.0.values()
    }
}

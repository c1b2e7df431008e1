//! The catalogue: which games can be played, and how each is run. One TOML file, read once at start.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The catalogue that the program carries; an operator's own file replaces it.
pub const BUILT_IN: &str = include_str!("../games.toml");

/// A game as the catalogue describes it.
///
/// `command`, and the texts in `files`, may hold placeholders, replaced when a server is started:
/// `{name}` the server's name, `{port}` its port, `{bind}` the address to listen on, `{agis}` this program itself.
/// Nothing passes through a shell.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Game {
    /// The key in the catalogue, which `game_servers.game_type` holds.
    #[serde(skip)]
    pub key: String,
    /// The name that people read.
    pub title: String,
    /// The program and its arguments. A program without a slash is looked for in `/usr/local/bin`, `/usr/bin`, `/bin`,
    /// `/usr/local/games` and `/usr/games`.
    pub command: Vec<String>,
    /// The port that a server gets if nobody else on its host has it; the next free one above otherwise.
    pub port: u16,
    /// What the port speaks.
    #[serde(default)]
    pub protocol: Protocol,
    /// Credits per hour.
    pub cost_per_hour: i32,
    /// How to tell that players can join.
    pub ready: Ready,
    /// How to ask it to end.
    #[serde(default)]
    pub stop: Stop,
    /// Environment variables; nothing else is inherited but `HOME` (the working directory), `PATH` and `LANG`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Files put into the working directory where they are not there yet: path to text.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// What a game's port speaks.
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

    /// The word that the catalogue and REST use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// How to tell that players can join.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// The sign to wait for.
    pub when: ReadyWhen,
    /// Seconds to wait for it; a server that is not ready by then is taken down.
    #[serde(default = "Ready::default_within_s")]
    pub within_s: u32,
}

/// The sign that players can join.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadyWhen {
    /// A line on the console that contains this text.
    Log(String),
    /// The server's port is open, by its protocol.
    Port,
    /// It has run for so many seconds.
    Delay(u32),
}

/// How to ask a server to end, and how long to wait before it is killed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// The way to ask.
    pub how: StopHow,
    /// Seconds until SIGKILL.
    #[serde(default = "Stop::default_grace_s")]
    pub grace_s: u32,
}

/// The way to ask a server to end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StopHow {
    /// A signal.
    Signal(StopSignal),
    /// A line typed on the console.
    Console(String),
}

/// The signals that games take as "end now, and save".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum StopSignal {
    /// The usual one.
    #[serde(rename = "SIGTERM")]
    Term,
    /// As Ctrl-C would send.
    #[serde(rename = "SIGINT")]
    Int,
}

impl Ready {
    fn default_within_s() -> u32 {
        120
    }

    /// How long to wait for the sign.
    pub fn within(&self) -> Duration {
        Duration::from_secs(self.within_s.into())
    }
}

impl Stop {
    fn default_grace_s() -> u32 {
        30
    }

    /// How long to wait before SIGKILL.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_s.into())
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self { how: StopHow::Signal(StopSignal::Term), grace_s: Self::default_grace_s() }
    }
}

/// Every game that can be played here, in the order of their keys.
#[derive(Debug, Clone, Default)]
pub struct Catalogue(BTreeMap<String, Arc<Game>>);

/// The catalogue cannot be used.
#[derive(Debug, Error)]
pub enum CatalogueError {
    /// It is not TOML, or not of the catalogue's form; the text names the line.
    #[error("{0}")]
    Form(#[from] toml::de::Error),
    /// A game breaks a rule.
    #[error("game '{game}': {rule}")]
    Rule {
        /// The game's key.
        game: String,
        /// The rule.
        rule: &'static str,
    },
}

impl Catalogue {
    /// Reads a catalogue: a table per game, its key the game's key.
    ///
    /// # Errors
    /// Where the text has another form, and where a game could never be run.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        let games: BTreeMap<String, Game> = toml::from_str(text)?;
        games
            .into_iter()
            .map(|(key, game)| {
                let rule = |rule| CatalogueError::Rule { game: key.clone(), rule };
                if key.is_empty() || key.len() > 50 {
                    return Err(rule("the key has 1 to 50 characters"));
                }
                if game.command.first().is_none_or(String::is_empty) {
                    return Err(rule("the command is empty"));
                }
                if game.port == 0 || game.cost_per_hour < 0 {
                    return Err(rule("the port is 1 to 65535, and the cost is not negative"));
                }
                if matches!(&game.ready.when, ReadyWhen::Log(text) if text.is_empty()) || game.ready.within_s == 0 {
                    return Err(rule("the ready line is not empty, and the wait is not zero"));
                }
                if matches!(game.ready.when, ReadyWhen::Delay(delay) if delay >= game.ready.within_s) {
                    return Err(rule("the ready delay is shorter than the wait"));
                }
                let outside = |path: &String| {
                    std::path::Path::new(path).components().any(|part| !matches!(part, std::path::Component::Normal(_)))
                };
                if game.files.keys().any(|path| path.is_empty() || outside(path)) {
                    return Err(rule("files stay inside the working directory"));
                }
                Ok((key.clone(), Arc::new(Game { key, ..game })))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The game of that key.
    pub fn get(&self, key: &str) -> Option<&Arc<Game>> {
        self.0.get(key)
    }

    /// All games.
    pub fn games(&self) -> impl Iterator<Item = &Arc<Game>> {
        self.0.values()
    }
}

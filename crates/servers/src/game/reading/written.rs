//! Games as the catalogue writes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};

use super::{
    super::{
        About, Format, Game, GameFile, GamePort, GoodExits, Kind, Limits, Process, Protocol, Ready, Runs, Setting,
        Stop, World,
        template::{Placeholder, placeholders},
    },
    query::WrittenQuery,
    settings::WrittenSettings,
};
use super::{
    console::{WrittenConsole, WrittenRcon, WrittenSay},
    container::WrittenContainer,
};
use crate::restart::RestartPolicy;

/// Fields of a game as the catalogue writes them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) title: String,
    /// Read by [`Entry::is_enabled`](super::Entry), before any other field.
    #[serde(default, rename = "enabled")]
    _enabled: Option<bool>,
    #[serde(default)]
    pub(super) command: Vec<String>,
    #[serde(default)]
    pub(super) container: Option<WrittenContainer>,
    #[serde(default)]
    pub(super) gameserver: Option<String>,
    #[serde(default)]
    pub(super) fleet: Option<String>,
    #[serde(default)]
    pub(super) world: Option<World>,
    #[serde(default)]
    pub(super) port: Option<u16>,
    #[serde(default)]
    pub(super) protocol: Option<Protocol>,
    #[serde(default)]
    pub(super) ports: Option<Vec<WrittenPort>>,
    pub(super) cost_per_hour: i32,
    #[serde(default)]
    pub(super) ready: Ready,
    #[serde(default)]
    pub(super) stop: Stop,
    #[serde(default)]
    pub(super) good_exits: GoodExits,
    #[serde(default)]
    pub(super) restart: RestartPolicy,
    #[serde(default)]
    pub(super) console: Option<WrittenConsole>,
    #[serde(default)]
    pub(super) say: Option<WrittenSay>,
    #[serde(default)]
    pub(super) limits: Option<Limits>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) files: BTreeMap<String, WrittenFile>,
    #[serde(default)]
    pub(super) settings: WrittenSettings,
    /// Names of the settings that could not be read.
    #[serde(skip)]
    pub(super) unread_settings: BTreeSet<String>,
    #[serde(default)]
    pub(super) query: Option<WrittenQuery>,
    #[serde(default)]
    pub(super) about: About,
}

/// Port as the catalogue writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenPort {
    pub(super) name: String,
    #[serde(default)]
    pub(super) port: Option<u16>,
    /// Distance from the first port.
    #[serde(default)]
    pub(super) offset: Option<u16>,
    #[serde(default)]
    pub(super) protocol: Protocol,
}

impl WrittenPort {
    /// Returns the number among these ports; `None` if it is none.
    pub(super) fn number(&self, ports: &[Self]) -> Option<u16> {
        match self.offset {
            None => self.port,
            Some(offset) => ports.first()?.port?.checked_add(offset),
        }
    }
}

/// File as the catalogue writes it: a text, or a table.
#[derive(Default)]
pub(super) struct WrittenFile {
    pub(super) text: Option<String>,
    pub(super) format: Option<Format>,
    pub(super) kind: Option<Kind>,
    pub(super) set: Map<String, Value>,
}

/// Table of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTable {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    format: Option<Format>,
    #[serde(default)]
    kind: Option<Kind>,
    #[serde(default)]
    set: Map<String, Value>,
}

impl<'de> Deserialize<'de> for WrittenFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrTable;

        impl<'de> Visitor<'de> for TextOrTable {
            type Value = WrittenFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a table")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<WrittenFile, E> {
                Ok(WrittenFile { text: Some(text.to_owned()), ..WrittenFile::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WrittenFile, A::Error> {
                let FileTable { text, format, kind, set } = FileTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(WrittenFile { text, format, kind, set })
            }
        }

        deserializer.deserialize_any(TextOrTable)
    }
}

impl WrittenFile {
    pub(super) fn format(&self, path: &str) -> Format {
        self.format.unwrap_or_else(|| Format::of(path))
    }

    /// Returns the kind that is written, or the one that follows from the content.
    pub(super) fn kind(&self) -> Kind {
        let changes = self.text.as_deref().is_some_and(|text| placeholders(text).next().is_some());
        let default = if changes || !self.set.is_empty() { Kind::Managed } else { Kind::Initial };
        self.kind.unwrap_or(default)
    }

    /// Returns the keys to set. A reader whom a typed text misleads reads everything behind it as something else, so
    /// names and settings come first.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let mut settings = vec![];
        flatten(&mut vec![], &self.set, &mut settings);
        settings.sort_by_key(|setting| !has_typed(&setting.value));
        settings
    }

    fn file(self, path: &str) -> GameFile {
        let (format, kind, set) = (self.format(path), self.kind(), self.settings());
        GameFile { text: self.text, format, kind, set }
    }
}

fn flatten(path: &mut Vec<String>, table: &Map<String, Value>, settings: &mut Vec<Setting>) {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Object(below) if !below.is_empty() => flatten(path, below, settings),
            value => settings.push(Setting { path: path.clone(), value: value.clone() }),
        }
        path.pop();
    }
}

fn has_typed(value: &Value) -> bool {
    let is_typed = |placeholder| matches!(placeholder, Placeholder::Name | Placeholder::Setting(_));
    value.as_str().is_some_and(|text| placeholders(text).any(|(_, placeholder)| is_typed(placeholder)))
}

impl Written {
    /// Returns the names of the fields that say how the game runs. A game needs exactly one of them.
    pub(super) fn ways(&self) -> Vec<&'static str> {
        let ways = [
            ("command", !self.command.is_empty()),
            ("container", self.container.is_some()),
            ("gameserver", self.gameserver.is_some()),
            ("fleet", self.fleet.is_some()),
        ];
        ways.into_iter().filter_map(|(way, has)| has.then_some(way)).collect()
    }

    /// Checks whether AGIS itself gives the game its ports, limits and console. Agones' templates say these themselves.
    pub(super) fn is_ours(&self) -> bool {
        !self.command.is_empty() || self.container.is_some()
    }

    /// Returns the ports; `None` if these fields break a rule about them.
    fn game_ports(&self) -> Option<Vec<GamePort>> {
        let Some(ports) = &self.ports else {
            let protocol = self.protocol.unwrap_or_default();
            let only = |number| GamePort { name: GamePort::ONLY.to_owned(), number, protocol };
            return Some(self.port.map(only).into_iter().collect());
        };
        let port = |port: &WrittenPort| {
            Some(GamePort { name: port.name.clone(), number: port.number(ports)?, protocol: port.protocol })
        };
        ports.iter().map(port).collect()
    }

    pub(super) fn port_names(&self) -> Vec<&str> {
        match &self.ports {
            Some(ports) => ports.iter().map(|port| port.name.as_str()).collect(),
            None => vec![GamePort::ONLY],
        }
    }

    /// Returns the game; `None` if these fields break a rule about how it runs.
    pub(super) fn game(self, key: &str, is_built_in: bool) -> Option<Game> {
        let (ports, settings) = (self.game_ports()?, self.game_settings());
        let first = self.port_names().first().copied().unwrap_or(GamePort::ONLY).to_owned();
        let Self { title, cost_per_hour, ready, stop, good_exits, restart, say, mut env, files, query, about, .. } =
            self;
        let mut command = self.command.into_iter();
        let runs = match (command.next(), self.container, self.gameserver, self.fleet) {
            (Some(program), None, None, None) => Runs::Process(Process { program, arguments: command.collect() }),
            (None, Some(container), None, None) => {
                let runs = Runs::Container(container.container()?);
                env = container.env;
                runs
            }
            (None, None, Some(yaml), None) => Runs::GameServer { yaml, world: self.world },
            (None, None, None, Some(fleet)) => Runs::Fleet(fleet),
            _ => return None,
        };
        let WrittenConsole { pty, rcon } = self.console.unwrap_or_default();
        let (rcon, limits) = (rcon.map(WrittenRcon::rcon), self.limits.unwrap_or_default());
        let files = files.into_iter().map(|(path, file)| (path.clone(), file.file(&path))).collect();
        let query = query.and_then(|query| query.query(first));
        let key = key.to_owned();
        Some(Game {
            key,
            title,
            runs,
            ports,
            pty,
            limits,
            cost_per_hour,
            ready,
            stop,
            good_exits,
            restart,
            env,
            files,
            settings,
            rcon,
            say: say.and_then(|say| say.say()),
            query,
            about,
            is_built_in,
        })
    }
}

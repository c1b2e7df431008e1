//! Query as the catalogue writes it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    super::{LogQuery, Pattern, Query, QueryProtocol, RconQuery},
    rules::Rules,
    written::Written,
};
use crate::console::COMMAND_MAX;

/// Query as the catalogue writes it: a word, or a table.
pub(super) enum WrittenQuery {
    /// Protocol, and the name of its port; `None` for the first one.
    Network(QueryProtocol, Option<String>),
    Log(WrittenLog),
    Rcon(WrittenRconQuery),
    Agones,
}

/// Table of a query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryTable {
    kind: Option<WrittenKind>,
    port: Option<String>,
    log: Option<WrittenLog>,
    rcon: Option<WrittenRconQuery>,
}

/// Word of a query.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenKind {
    A2s,
    Minecraft,
    Bedrock,
    Quake3,
    Luanti,
    Agones,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenLog {
    join: String,
    leave: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenRconQuery {
    command: String,
    sign: String,
    player: String,
}

impl WrittenQuery {
    fn new(kind: WrittenKind, port: Option<String>) -> Self {
        let protocol = match kind {
            WrittenKind::A2s => QueryProtocol::A2s,
            WrittenKind::Minecraft => QueryProtocol::Minecraft,
            WrittenKind::Bedrock => QueryProtocol::Bedrock,
            WrittenKind::Quake3 => QueryProtocol::Quake3,
            WrittenKind::Luanti => {
                let (join, leave) = LogQuery::LUANTI;
                return Self::Log(WrittenLog { join: join.to_owned(), leave: leave.to_owned() });
            }
            WrittenKind::Agones => return Self::Agones,
        };
        Self::Network(protocol, port)
    }

    /// Returns the query; `first` is the name of the first port. `None` if a pattern cannot be used.
    pub(super) fn query(self, first: String) -> Option<Query> {
        Some(match self {
            Self::Network(protocol, port) => Query::Network { protocol, port: port.unwrap_or(first) },
            Self::Log(WrittenLog { join, leave }) => {
                Query::Log(LogQuery { join: Pattern::new(&join).ok()?, leave: Pattern::new(&leave).ok()? })
            }
            Self::Rcon(WrittenRconQuery { command, sign, player }) => {
                let (sign, player) = (Pattern::new(&sign).ok()?, Pattern::new(&player).ok()?);
                Query::Rcon(RconQuery { command, sign, player })
            }
            Self::Agones => Query::Agones,
        })
    }
}

/// Adds the broken rules of the query.
pub(super) fn check(rules: &mut Rules, game: &Written) {
    match &game.query {
        Some(WrittenQuery::Network(_, Some(port))) => {
            let names = game.port_names();
            let problem = format!("must be the name of a port of this game, which has {}", names.join(", "));
            rules.check(!names.contains(&port.as_str()), &["query", "port"], &problem);
        }
        Some(WrittenQuery::Log(WrittenLog { join, leave })) => {
            check_name(rules, &["query", "log", "join"], join);
            check_name(rules, &["query", "log", "leave"], leave);
        }
        Some(WrittenQuery::Rcon(WrittenRconQuery { command, sign, player })) => {
            let has_rcon = game.console.as_ref().is_some_and(|console| console.rcon.is_some());
            rules.check(!has_rcon, &["query", "rcon"], "must not be there without `console.rcon`");
            let is_line = (1..=COMMAND_MAX).contains(&command.chars().count()) && !command.contains(char::is_control);
            rules.check(!is_line, &["query", "rcon", "command"], "must be one line");
            if let Err(problem) = Pattern::new(sign) {
                rules.check(true, &["query", "rcon", "sign"], &problem);
            }
            check_name(rules, &["query", "rcon", "player"], player);
        }
        Some(WrittenQuery::Agones) => {
            let problem = "must be another one: `agones` counts the players that a game tells Agones by its SDK, so it is for a \
                           game with a `gameserver` or a `fleet`";
            rules.check(game.is_ours(), &["query"], problem);
        }
        Some(WrittenQuery::Network(_, None)) | None => {}
    }
}

/// Checks a pattern whose group is the name of a player.
fn check_name(rules: &mut Rules, path: &[&str], pattern: &str) {
    match Pattern::new(pattern) {
        Err(problem) => rules.check(true, path, &problem),
        Ok(pattern) => {
            let problem = "must have a group that is the player's name, as in `(\\S+) joined`";
            rules.check(!pattern.has_group(), path, problem);
        }
    }
}

impl<'de> Deserialize<'de> for WrittenQuery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrTable;

        impl<'de> Visitor<'de> for WordOrTable {
            type Value = WrittenQuery;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a table")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<WrittenQuery, E> {
                Ok(WrittenQuery::new(WrittenKind::deserialize(word.into_deserializer())?, None))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WrittenQuery, A::Error> {
                match QueryTable::deserialize(MapAccessDeserializer::new(map))? {
                    QueryTable { kind: None, port: None, log: Some(log), rcon: None } => Ok(WrittenQuery::Log(log)),
                    QueryTable { kind: None, port: None, log: None, rcon: Some(rcon) } => Ok(WrittenQuery::Rcon(rcon)),
                    QueryTable { log: Some(_), .. } => Err(A::Error::custom("`log` stands alone")),
                    QueryTable { rcon: Some(_), .. } => Err(A::Error::custom("`rcon` stands alone")),
                    QueryTable { kind: Some(WrittenKind::Luanti), port: Some(_), .. } => {
                        Err(A::Error::custom("`luanti` is read from the console, and needs no `port`"))
                    }
                    QueryTable { kind: Some(WrittenKind::Agones), port: Some(_), .. } => {
                        Err(A::Error::custom("`agones` is read from the cluster, and needs no `port`"))
                    }
                    QueryTable { kind: Some(kind), port, .. } => Ok(WrittenQuery::new(kind, port)),
                    QueryTable { kind: None, .. } => Err(A::Error::missing_field("kind")),
                }
            }
        }

        deserializer.deserialize_any(WordOrTable)
    }
}

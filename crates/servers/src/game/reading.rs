//! Reads a catalogue, and finds every mistake that can be found without a host.

pub(crate) mod console;
mod container;
mod files;
mod ports;
mod query;
mod rules;
mod settings;
mod sources;
mod texts;
mod written;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::Path,
    sync::Arc,
};

use agis_base::name;
use serde::{Deserialize, de::IntoDeserializer};
use thiserror::Error;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Deserializer},
};

use self::{rules::broken_rules, sources::Sources, written::Written};
use super::Game;

/// Rule of each field, as in `docs/guides/games.md`. A dot leads into a table, and `*` is any field of it.
pub const FIELDS: &[(&str, &str)] = &[
    ("title", "a text of 1 to 100 characters on one line, unlike any other title"),
    ("command", "a list of texts: the program and its arguments"),
    ("container", "a table: an image, and how it runs"),
    ("container.image", "an image with a tag or a digest"),
    ("container.entrypoint", "a list of texts"),
    ("container.command", "a list of texts"),
    ("container.env", "a table: the value of each environment variable"),
    ("container.env.*", "a text"),
    ("container.user", "a text such as `\"1000:1000\"`"),
    ("container.world", "an absolute path in the container, or a table of folders and their paths"),
    ("container.world.*", "an absolute path in the container"),
    ("container.capabilities", "a list of capabilities such as `SYS_NICE`"),
    ("container.read_only", "`true` or `false`"),
    ("container.tmp", "a list of absolute paths in the container"),
    ("container.public_ports", "`true` or `false`"),
    ("gameserver", "a GameServer of Agones, as YAML"),
    ("fleet", "the name of a Fleet of Agones"),
    ("world", "a table: a volume for the world of a `gameserver`"),
    ("world.size", "a size as Kubernetes writes it"),
    ("world.mount", "an absolute path in the game's container"),
    ("world.storage_class", "the name of a storage class"),
    ("port", "a whole number from 1 to 65535; a `command` or a `container` needs one, or `ports`"),
    ("protocol", "`tcp` or `udp`"),
    ("ports", "a list of tables: every port of a process or a container, the one for players first"),
    ("ports.*.name", "1 to 20 small letters, digits, `_` and `-`"),
    ("ports.*.port", "a whole number from 1 to 65535"),
    ("ports.*.offset", "a whole number"),
    ("ports.*.protocol", "`tcp` or `udp`"),
    ("enabled", "`true` or `false`"),
    ("cost_per_hour", "a whole number of credits from 0 to 2147483647"),
    ("ready", "a table: the sign that players can join"),
    (
        "ready.when",
        "`port`, `{ log = \"…\" }` or `{ delay = seconds }`; of a container also `health`; on Agones `ready` or `pod`",
    ),
    ("ready.within_s", "a whole number of seconds, at least 1"),
    ("stop", "a table: the way to ask a game to end"),
    ("stop.how", "`{ signal = \"SIGTERM\" }`, `{ signal = \"SIGINT\" }` or `{ console = \"…\" }`"),
    ("stop.grace_s", "a whole number of seconds"),
    ("good_exits", "a list of whole numbers from 0 to 255"),
    ("restart", "a table: the rule by which a server is started again after it ended by itself"),
    ("restart.on", "`crash`, `always` or `never`"),
    ("restart.max", "a whole number of restarts from 1 to 50"),
    ("restart.within", "a time such as `\"10m\"`, from 1 s to 24 h"),
    ("restart.stable_after", "a time such as `\"5m\"`, from 1 s to 24 h"),
    ("console", "a table: the console of a `command` or a `container`"),
    ("console.pty", "`true` or `false`"),
    ("console.rcon", "a table: the RCON of the game"),
    ("console.rcon.port", "the name of a port of this game"),
    ("console.rcon.protocol", "`source` or `quake3`"),
    ("say", "a command with `{text}`, or a table"),
    ("say.command", "a command with `{text}`"),
    ("say.space", "a letter, a digit, `_`, `-` or `.`"),
    ("limits", "a table: the most that a run of a `command` or a `container` may use"),
    ("limits.memory", "a size such as `\"4GiB\"`"),
    ("limits.cpu", "a number of processors, such as 2 or 0.5"),
    ("limits.pids", "a whole number of processes and threads, at least 1"),
    ("limits.disk", "a size such as `\"20GiB\"`"),
    ("limits.console", "a rate such as `\"1MiB/s\"`"),
    ("env", "a table: the value of each environment variable"),
    ("env.*", "a text"),
    ("files", "a table: each file by its path"),
    ("files.*", "a text, or a table"),
    ("files.*.text", "a text"),
    ("files.*.format", "`ini`, `properties`, `toml`, `json`, `yaml`, `xml`, `cfg` or `text`"),
    ("files.*.kind", "`managed` or `initial`"),
    ("files.*.set", "a table: the value of each key, a text, a number, `true` or `false`"),
    ("settings", "a table: each setting by its name of 1 to 20 small letters, digits, `_` and `-`"),
    ("settings.*", "a table: a setting"),
    ("settings.*.type", "`text`, `int`, `float`, `bool`, `choice`, `secret` or `ports`"),
    ("settings.*.title", "a text of 1 to 45 characters on one line"),
    ("settings.*.help", "a text of at most 200 characters on one line"),
    ("settings.*.default", "a value of the type; for a `secret` `\"\"` or nothing"),
    ("settings.*.pattern", "a regular expression of at most 200 bytes"),
    ("settings.*.min_length", "a whole number of characters"),
    ("settings.*.max_length", "a whole number of characters, at most 1000"),
    ("settings.*.min", "a number"),
    ("settings.*.max", "a number"),
    ("settings.*.choices", "a list of 1 to 25 texts, or tables with a `value` and a `title`"),
    ("settings.*.by", "`owner` or `operator`"),
    ("query", "`a2s`, `minecraft`, `bedrock`, `quake3`, `luanti` or `agones`, or a table"),
    ("query.kind", "`a2s`, `minecraft`, `bedrock`, `quake3`, `luanti` or `agones`"),
    ("query.port", "the name of a port of this game"),
    ("query.log", "a table: the lines of the console that tell who comes and goes"),
    ("query.log.join", "a regular expression of at most 200 bytes with a group"),
    ("query.log.leave", "a regular expression of at most 200 bytes with a group"),
    ("query.rcon", "a table: a command of the game's RCON whose answer names the players"),
    ("query.rcon.command", "one line"),
    ("query.rcon.sign", "a regular expression of at most 200 bytes"),
    ("query.rcon.player", "a regular expression of at most 200 bytes with a group"),
    ("about", "a table: facts about the entry"),
    ("about.documentation", "an address that begins with `https://`"),
    ("about.eula", "an address that begins with `https://`"),
    ("about.tried", "`run` or `untried`"),
];

type Value = fn() -> DeValue<'static>;

/// Fields that every game has, with values of the right form. Another field can be tried beside them alone.
const NEEDED: [(&str, Value); 2] =
    [("title", || DeValue::String("".into())), ("cost_per_hour", || DeValue::Integer(Default::default()))];

/// Fields that say how a game runs, beside `command`.
const WAYS: [&str; 3] = ["container", "gameserver", "fleet"];

/// Mistake in a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// File that has it; empty for the one that an operator names.
    pub file: String,
    /// Line number, from 1.
    pub line: usize,
    /// Key of the game, and the field after a dot; empty if the text is not TOML.
    pub field: String,
    /// Description, for people.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, field, problem } = self;
        let comma = if file.is_empty() { "" } else { ", " };
        let colon = if field.is_empty() { "" } else { ": " };
        write!(f, "{file}{comma}line {line}: {field}{colon}{problem}")
    }
}

/// Error: a catalogue cannot be used.
#[derive(Debug, Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n    "))]
pub struct CatalogueError(
    /// Mistakes, in the order of the lines.
    pub Vec<Mistake>,
);

/// Rule for games of which another crate knows more. Returns the field, and its mistake.
pub type GameRule<'a> = &'a dyn Fn(&Game) -> Option<(&'static str, String)>;

/// Games by their keys.
pub(super) type Games = BTreeMap<String, Arc<Game>>;

pub(super) fn read(text: &str) -> Result<Games, CatalogueError> {
    games(Sources::of_text(text), &|_| None)
}

pub(super) fn read_built_in() -> Result<Games, CatalogueError> {
    games(Sources::built_in(), &|_| None)
}

pub(super) fn read_file(path: &Path, rule: GameRule<'_>) -> io::Result<Result<Games, CatalogueError>> {
    Sources::of_file(path).map(|sources| games(sources, rule))
}

fn games(sources: Sources, rule: GameRule<'_>) -> Result<Games, CatalogueError> {
    let (document, mut mistakes) = sources.games();
    let texts = &sources.texts;
    let mut games = BTreeMap::new();
    // In a text that is not TOML, the parser's guesses would cause further mistakes.
    if mistakes.is_empty() {
        let mut titles: Vec<(String, usize)> = vec![];
        let mut entries: Vec<_> = document.iter().map(|(key, value)| Entry { sources: &sources, key, value }).collect();
        entries.retain(Entry::is_enabled);
        entries.sort_by_key(|entry| entry.place(&["title"]));
        for entry in entries {
            let (written, found) = entry.read();
            mistakes.extend(found);
            let title = written.title.clone();
            if let Some((other, place)) = titles.iter().find(|(other, _)| name::look_alike(other, &title)) {
                let place = texts.name(*place);
                let problem = format!("looks like {other:?} in {place}: people choose games by their titles");
                mistakes.push(entry.mistake(&["title"], &problem));
            } else if !title.is_empty() {
                titles.push((title, entry.place(&["title"])));
            }
            let is_built_in = sources.is_built_in(entry.place(&[]));
            let Some(game) = written.game(entry.key(), is_built_in) else { continue };
            mistakes.extend(rule(&game).map(|(field, problem)| entry.mistake(&[field], &problem)));
            games.insert(game.key.clone(), Arc::new(game));
        }
    }
    texts.sort(&mut mistakes);
    if mistakes.is_empty() { Ok(games) } else { Err(CatalogueError(mistakes)) }
}

type Name<'i> = Spanned<std::borrow::Cow<'i, str>>;

/// Game as it stands in the text.
struct Entry<'a, 'i> {
    sources: &'a Sources,
    key: &'a Name<'i>,
    value: &'a Spanned<DeValue<'i>>,
}

impl Entry<'_, '_> {
    fn is_enabled(&self) -> bool {
        let enabled = self.value.get_ref().as_table().and_then(|fields| fields.get("enabled"));
        enabled.is_none_or(|enabled| enabled.get_ref().as_bool() != Some(false))
    }

    /// Returns the fields that could be read, and every mistake.
    fn read(&self) -> (Written, Vec<Mistake>) {
        let nothing = DeTable::new();
        let fields = self.value.get_ref().as_table();
        let mut mistakes = vec![];
        if fields.is_none() {
            mistakes.push(self.mistake(&[], "must be a table: `[name]`, and the fields of the game below it"));
        }
        let (mut good, mut bad) = (self.needed(), BTreeSet::new());
        let mut unread_settings = BTreeSet::new();
        for (name, value) in fields.unwrap_or(&nothing) {
            let field = name.get_ref().as_ref();
            let mut kept = DeTable::new();
            let parts = parts(field, value);
            for (below, part) in &parts {
                let mut alone = self.needed();
                alone.insert(name.clone(), part.clone());
                let Err(error) = written(self.value, alone) else {
                    kept.extend(part.get_ref().as_table().cloned().unwrap_or_default());
                    continue;
                };
                match below {
                    Some(below) if field == "settings" => drop(unread_settings.insert((*below).to_owned())),
                    _ => drop(bad.insert(field.to_owned())),
                }
                let at = error.span().filter(|span| span.start > 0).map_or(name.span().start, |span| span.start);
                let (path, problem) = told(path_to(name, value, at).unwrap_or(vec![field]), error.message());
                mistakes.push(self.sources.texts.mistake(at, &self.field(&path), &problem));
            }
            if parts.iter().any(|(below, _)| below.is_some()) {
                good.insert(name.clone(), Spanned::new(value.span(), DeValue::Table(kept)));
            } else if !bad.contains(field) {
                good.insert(name.clone(), value.clone());
            }
        }
        for (field, _) in NEEDED {
            if fields.is_some_and(|fields| fields.iter().all(|(name, _)| name.get_ref() != field)) {
                bad.insert(field.to_owned());
                mistakes.push(self.mistake(&[field], "is missing"));
            }
        }
        let mut read = written(self.value, good).unwrap_or_default();
        read.unread_settings = unread_settings;
        if bad.contains("settings") {
            read.unread_settings.extend(read.used_settings());
        }
        if !self.sources.is_built_in(self.key.span().start) {
            read.drop_unused_settings(|place| self.sources.is_built_in(place));
        }
        if fields.is_some() {
            let broken = broken_rules(self.key(), &read);
            // Ports that could not be read are not missing, nor is a way to run.
            let is_known = |field: &String| {
                bad.contains(field)
                    || field == "port" && bad.contains("ports")
                    || field == "command" && WAYS.iter().any(|way| bad.contains(*way))
            };
            let news = broken.into_iter().filter(|(path, _)| !path.first().is_some_and(is_known));
            mistakes.extend(news.map(|(path, problem)| {
                let path: Vec<_> = path.iter().map(String::as_str).collect();
                self.mistake(&path, &problem)
            }));
        }
        (read, mistakes)
    }

    fn key(&self) -> &str {
        self.key.get_ref()
    }

    fn needed(&self) -> DeTable<'static> {
        let span = self.value.span();
        NEEDED
            .iter()
            .map(|(name, value)| (Spanned::new(span.clone(), (*name).into()), Spanned::new(span.clone(), value())))
            .collect()
    }

    fn mistake(&self, path: &[&str], problem: &str) -> Mistake {
        self.sources.texts.mistake(self.place(path), &self.field(path), problem)
    }

    fn field(&self, path: &[&str]) -> String {
        let quoted = |name: &&str| {
            let bare =
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            if bare { (*name).to_owned() } else { format!("{name:?}") }
        };
        let all: Vec<_> = [self.key()].iter().chain(path).map(quoted).collect();
        all.join(".")
    }

    /// Returns the place of the last part of the path that exists.
    fn place(&self, path: &[&str]) -> usize {
        let (mut at, mut value) = (self.key.span().start, self.value.get_ref());
        for part in path {
            let next = match value {
                DeValue::Table(table) => {
                    table.iter().find(|(name, _)| name.get_ref() == part).map(|(name, value)| (name.span(), value))
                }
                DeValue::Array(items) => {
                    part.parse().ok().and_then(|place: usize| items.get(place)).map(|item| (item.span(), item))
                }
                _ => None,
            };
            let Some((span, next)) = next else { break };
            (at, value) = (span.start, next.get_ref());
        }
        at
    }
}

/// Returns the parts of a field that are read one by one, so that a mistake in one hides none in the others: each
/// setting with its name; else the whole field.
fn parts<'a, 'i>(field: &str, value: &'a Spanned<DeValue<'i>>) -> Vec<(Option<&'a str>, Spanned<DeValue<'i>>)> {
    let settings = value.get_ref().as_table().filter(|table| field == "settings" && !table.is_empty());
    let Some(settings) = settings else { return vec![(None, value.clone())] };
    let alone = |(name, setting): (&'a Name<'i>, &Spanned<DeValue<'i>>)| {
        let table = DeTable::from_iter([(name.clone(), setting.clone())]);
        (Some(name.get_ref().as_ref()), Spanned::new(value.span(), DeValue::Table(table)))
    };
    settings.iter().map(alone).collect()
}

/// Returns the names that lead from this field to the field at a place.
fn path_to<'a>(name: &'a Name<'_>, value: &'a Spanned<DeValue<'_>>, at: usize) -> Option<Vec<&'a str>> {
    let mut below = value.get_ref().as_table().into_iter().flat_map(|table| table.iter());
    match below.find_map(|(name, value)| path_to(name, value, at)) {
        Some(mut path) => {
            path.insert(0, name.get_ref());
            Some(path)
        }
        None => (name.span().contains(&at) || value.span().contains(&at)).then(|| vec![name.get_ref().as_ref()]),
    }
}

/// Returns the field and the mistake that a message of the parser is about. A wrong value below a listed field counts
/// as a mistake of that field.
fn told<'a>(mut path: Vec<&'a str>, message: &'a str) -> (Vec<&'a str>, String) {
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    if let Some(field) = missing {
        path.push(field);
        return (path, "is missing".to_owned());
    }
    if message.starts_with("unknown field") {
        return (path, message.to_owned());
    }
    let fits = |listed: &str, path: &[&str]| {
        listed.split('.').count() == path.len()
            && listed.split('.').zip(path).all(|(listed, name)| listed == "*" || listed == *name)
    };
    let must = |path: &[&str]| FIELDS.iter().find(|(listed, _)| fits(listed, path)).map(|(_, must)| must);
    match (1..=path.len()).rev().find_map(|length| Some((length, must(&path[..length])?))) {
        Some((length, must)) => {
            path.truncate(length);
            (path, format!("must be {must} ({message})"))
        }
        None => (path, message.to_owned()),
    }
}

fn written(of: &Spanned<DeValue<'_>>, fields: DeTable<'_>) -> Result<Written, toml::de::Error> {
    // `Written::deserialize(fields)` would lose the place of an error.
    Written::deserialize(Deserializer::from(Spanned::new(of.span(), fields)).into_deserializer())
}

#[cfg(test)]
mod tests;

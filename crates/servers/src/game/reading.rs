//! Reads a catalogue, and finds every mistake in it that can be found without a host.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Component, Path},
    sync::Arc,
};

use serde::{Deserialize, de::IntoDeserializer};
use thiserror::Error;
use toml::{
    Spanned,
    de::{DeTable, DeValue, Deserializer},
};

use super::{Game, ReadyWhen, RunsOn, StopHow};
use crate::console::COMMAND_MAX;

/// What each field must be, as `docs/guides/games.md` says it too; a dot leads into a table.
pub const FIELDS: &[(&str, &str)] = &[
    ("title", "a text of 1 to 100 characters on one line"),
    ("command", "a list of texts: the program and its arguments"),
    ("gameserver", "a GameServer of Agones, as YAML"),
    ("fleet", "the name of a Fleet of Agones"),
    ("world", "a table: a volume for the world of a `gameserver`"),
    ("world.size", "a size as Kubernetes writes it"),
    ("world.mount", "an absolute path in the game's container"),
    ("world.storage_class", "the name of a storage class"),
    ("port", "a whole number from 1 to 65535; a `command` needs one"),
    ("protocol", "`tcp` or `udp`"),
    ("cost_per_hour", "a whole number of credits from 0 to 2147483647"),
    ("ready", "a table: the sign that players can join"),
    ("ready.when", "`port`, `{ log = \"…\" }` or `{ delay = seconds }`; on Agones `ready` or `pod`"),
    ("ready.within_s", "a whole number of seconds, at least 1"),
    ("stop", "a table: the way to ask a game to end"),
    ("stop.how", "`{ signal = \"SIGTERM\" }`, `{ signal = \"SIGINT\" }` or `{ console = \"…\" }`"),
    ("stop.grace_s", "a whole number of seconds"),
    ("good_exits", "a list of whole numbers from 0 to 255"),
    ("env", "a table: the value of each environment variable"),
    ("files", "a table: the text of each file"),
];

type Value = fn() -> DeValue<'static>;

/// The fields that every game has, with values that break no form: beside them a field can be tried alone.
const NEEDED: [(&str, Value); 2] =
    [("title", || DeValue::String("".into())), ("cost_per_hour", || DeValue::Integer(Default::default()))];

/// The longest name of a file on Linux, in bytes.
const FILE_NAME_MAX: usize = 255;
/// The most characters of a title: a choice that Discord offers has no more.
const TITLE_MAX: usize = 100;
/// What `game_servers.game_type` can hold.
const KEY_MAX: usize = 50;

/// A mistake in a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The game's key, and the field behind a dot; empty where the text is no TOML.
    pub field: String,
    /// What is wrong, for people.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, field, problem } = self;
        if field.is_empty() {
            write!(f, "line {line}: {problem}")
        } else {
            write!(f, "line {line}: {field}: {problem}")
        }
    }
}

/// The catalogue cannot be used.
#[derive(Debug, Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n    "))]
pub struct CatalogueError(
    /// Every mistake that was found, in the order of the lines.
    pub Vec<Mistake>,
);

/// A place in a game's table, and what is wrong there.
type Broken = (Vec<String>, String);

pub(super) fn read(text: &str) -> Result<BTreeMap<String, Arc<Game>>, CatalogueError> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut mistakes: Vec<_> = errors
        .iter()
        .map(|error| Mistake {
            line: line(text, error.span().map_or(0, |span| span.start)),
            field: String::new(),
            problem: error.message().to_owned(),
        })
        .collect();
    let mut games = BTreeMap::new();
    // What a parser makes of a text that is no TOML would be a mistake of its own.
    if mistakes.is_empty() {
        for (key, value) in document.get_ref() {
            let entry = Entry { text, key, value };
            let (game, found) = entry.read();
            mistakes.extend(found);
            games.insert(game.key.clone(), Arc::new(game));
        }
    }
    mistakes.sort_by_key(|mistake| mistake.line);
    if mistakes.is_empty() { Ok(games) } else { Err(CatalogueError(mistakes)) }
}

/// The line of a place, from 1.
fn line(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

/// A game as it stands in the text.
struct Entry<'a, 'i> {
    text: &'a str,
    key: &'a Spanned<std::borrow::Cow<'i, str>>,
    value: &'a Spanned<DeValue<'i>>,
}

impl Entry<'_, '_> {
    /// What could be read of it, and every mistake in it.
    fn read(&self) -> (Game, Vec<Mistake>) {
        let nothing = DeTable::new();
        let fields = self.value.get_ref().as_table();
        let mut mistakes = vec![];
        if fields.is_none() {
            mistakes.push(self.mistake(&[], "must be a table: `[name]`, and the fields of the game below it"));
        }
        let (mut good, mut bad) = (self.needed(), BTreeSet::new());
        for (name, value) in fields.unwrap_or(&nothing) {
            let field = name.get_ref().as_ref();
            let mut alone = self.needed();
            alone.insert(name.clone(), value.clone());
            match game(self.value, alone) {
                Ok(_) => drop(good.insert(name.clone(), value.clone())),
                Err(error) => {
                    bad.insert(field.to_owned());
                    let must = FIELDS.iter().find(|(path, _)| *path == field).map(|(_, must)| must);
                    let problem = match must {
                        Some(must) => format!("must be {must} ({})", error.message()),
                        None => error.message().to_owned(),
                    };
                    let at = error.span().filter(|span| span.start > 0).map_or(name.span().start, |span| span.start);
                    mistakes.push(Mistake { line: line(self.text, at), field: self.field(&[field]), problem });
                }
            }
        }
        for (field, _) in NEEDED {
            if fields.is_some_and(|fields| fields.iter().all(|(name, _)| name.get_ref() != field)) {
                bad.insert(field.to_owned());
                mistakes.push(self.mistake(&[field], "is missing"));
            }
        }
        let read = game(self.value, good).unwrap_or_else(|_| Game::nothing());
        let read = Game { key: self.key.get_ref().as_ref().to_owned(), ..read };
        if fields.is_some() {
            let broken = broken_rules(&read);
            let news = broken.into_iter().filter(|(path, _)| path.first().is_none_or(|field| !bad.contains(field)));
            mistakes.extend(news.map(|(path, problem)| {
                let path: Vec<_> = path.iter().map(String::as_str).collect();
                self.mistake(&path, &problem)
            }));
        }
        (read, mistakes)
    }

    fn needed(&self) -> DeTable<'static> {
        let span = self.value.span();
        NEEDED
            .iter()
            .map(|(name, value)| (Spanned::new(span.clone(), (*name).into()), Spanned::new(span.clone(), value())))
            .collect()
    }

    fn mistake(&self, path: &[&str], problem: &str) -> Mistake {
        Mistake { line: line(self.text, self.place(path)), field: self.field(path), problem: problem.to_owned() }
    }

    fn field(&self, path: &[&str]) -> String {
        let quoted = |name: &&str| {
            let bare =
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            if bare { (*name).to_owned() } else { format!("{name:?}") }
        };
        let all: Vec<_> = [self.key.get_ref().as_ref()].iter().chain(path).map(quoted).collect();
        all.join(".")
    }

    /// Where the last part of the path stands that is there.
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

fn game(of: &Spanned<DeValue<'_>>, fields: DeTable<'_>) -> Result<Game, toml::de::Error> {
    // Not `Game::deserialize(fields)`: errors would not know their place.
    Game::deserialize(Deserializer::from(Spanned::new(of.span(), fields)).into_deserializer())
}

/// Every rule that a game breaks, however it was written.
fn broken_rules(game: &Game) -> Vec<Broken> {
    let mut broken: Vec<Broken> = vec![];
    let mut rule = |is_broken: bool, path: &[&str], problem: &str| {
        if is_broken {
            broken.push((path.iter().map(|part| (*part).to_owned()).collect(), problem.to_owned()));
        }
    };
    let on_one_line = |text: &str| !text.chars().any(char::is_control);
    rule(
        !(1..=KEY_MAX).contains(&game.key.chars().count()) || !on_one_line(&game.key),
        &[],
        "the name of a game must have 1 to 50 characters on one line",
    );
    let has_title = (1..=TITLE_MAX).contains(&game.title.trim().chars().count()) && on_one_line(&game.title);
    rule(!has_title, &["title"], "must have 1 to 100 characters on one line");
    rule(game.cost_per_hour < 0, &["cost_per_hour"], "must not be negative");

    let ways = [
        ("command", !game.command.is_empty()),
        ("gameserver", game.gameserver.is_some()),
        ("fleet", game.fleet.is_some()),
    ];
    let has: Vec<_> = ways.iter().filter(|(_, has)| *has).map(|(way, _)| *way).collect();
    match has.as_slice() {
        [_] => {}
        [] => rule(true, &["command"], "must be there and not be empty, or else a `gameserver` or a `fleet`"),
        [_, rest @ ..] => rest.iter().for_each(|way| {
            rule(true, &[way], "must not be there: a game has a `command`, a `gameserver` or a `fleet`, one of them");
        }),
    }
    rule(game.fleet.as_ref().is_some_and(|fleet| fleet.trim().is_empty()), &["fleet"], "must not be empty");
    for (place, part) in game.command.iter().enumerate() {
        let place = place.to_string();
        rule(part.contains('\0'), &["command", &place], "must not contain a NUL: no program can be given one");
        rule(place == "0" && part.is_empty(), &["command", &place], "must name a program");
    }
    let is_process = game.runs_on() == RunsOn::Process;
    rule(game.port == Some(0), &["port"], "must be 1 to 65535");
    rule(
        is_process && !game.command.is_empty() && game.port.is_none(),
        &["port"],
        "is missing: a game with a `command` needs one",
    );
    if let Some(world) = &game.world {
        rule(game.gameserver.is_none(), &["world"], "must not be there without a `gameserver`");
        rule(world.size.trim().is_empty(), &["world", "size"], "must not be empty");
        rule(!world.mount.starts_with('/'), &["world", "mount"], "must be an absolute path");
    }

    let fits = game.ready.when.seen_on() == game.runs_on();
    let signs = if is_process { "must be `port`, a `log` or a `delay`" } else { "must be `ready` or `pod`, on Agones" };
    rule(!fits && !has.is_empty(), &["ready", "when"], signs);
    rule(game.ready.within_s == 0, &["ready", "within_s"], "must be at least 1");
    match &game.ready.when {
        ReadyWhen::Log(text) => {
            rule(text.is_empty(), &["ready", "when", "log"], "must not be empty");
            rule(!on_one_line(&text.replace('\t', " ")), &["ready", "when", "log"], "must be a part of one line");
        }
        ReadyWhen::Delay(delay) => {
            rule(*delay >= game.ready.within_s, &["ready", "when", "delay"], "must be shorter than `within_s`");
        }
        ReadyWhen::Port | ReadyWhen::Ready | ReadyWhen::Pod => {}
    }
    if let StopHow::Console(line) = &game.stop.how {
        let path = ["stop", "how", "console"];
        rule(
            line.trim().is_empty() || !on_one_line(line) || line.chars().count() > COMMAND_MAX,
            &path,
            "must be a line of 1 to 1000 characters that the game takes as \"end now\"",
        );
        rule(
            is_caret_notation(line.trim()),
            &path,
            "would be typed as these characters, not as a key: for Ctrl-C say `how = { signal = \"SIGINT\" }`",
        );
    }
    for (name, value) in &game.env {
        rule(
            name.is_empty() || name.contains(['=', '\0']),
            &["env", name],
            "must be the name of an environment variable, without `=`: `NAME = \"value\"`",
        );
        rule(value.contains('\0'), &["env", name], "must not contain a NUL: no program can be given one");
    }
    let mut paths: BTreeMap<Vec<Component<'_>>, &str> = BTreeMap::new();
    for path in game.files.keys() {
        let parts: Vec<_> = Path::new(path).components().collect();
        let is_inside = !parts.is_empty() && parts.iter().all(|part| matches!(part, Component::Normal(_)));
        rule(
            !is_inside || path.ends_with('/') || path.contains('\0'),
            &["files", path],
            "must be the path of a file inside the server's directory",
        );
        let is_long = parts.iter().any(|part| part.as_os_str().len() > FILE_NAME_MAX);
        rule(is_long, &["files", path], "must not have a name of more than 255 bytes");
        let meets = |(other, _): &(&Vec<Component<'_>>, &&str)| other.starts_with(&parts) || parts.starts_with(other);
        let above = paths.iter().find(meets).map(|(_, other)| *other);
        if let Some(above) = above {
            rule(
                true,
                &["files", path],
                &format!("cannot be there beside {above:?}: one would be a directory, or they are the same"),
            );
        }
        paths.insert(parts, path);
    }
    broken
}

/// `^C`: how a terminal shows a control key.
fn is_caret_notation(line: &str) -> bool {
    let key = line.strip_prefix('^').unwrap_or_default();
    let key = key.strip_prefix('^').unwrap_or(key);
    matches!(key.as_bytes(), [b'?' | b'@'..=b'_' | b'a'..=b'z'])
}

#[cfg(test)]
mod tests;

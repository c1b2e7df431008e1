//! Rules that a catalogue's game can break, however it was written.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use agis_base::name;

use super::{
    super::{About, Placeholder, ReadyWhen, StopHow},
    console, container,
    ports::{self, unknown_port},
    query,
    settings::{self, unknown_setting},
    written::Written,
};
use crate::{console::COMMAND_MAX, restart::InvalidPolicy};

/// Maximum length of a file's name on Linux, in bytes.
const FILE_NAME_MAX: usize = 255;
/// Maximum length of an address, in bytes.
const ADDRESS_MAX: usize = 500;
/// Maximum length of `game_servers.game_type`, in characters.
const KEY_MAX: usize = 50;

/// Path of a field in a game's table, and its mistake.
pub(super) type Broken = (Vec<String>, String);

/// Returns every rule that a game breaks.
pub(super) fn broken_rules(key: &str, game: &Written) -> Vec<Broken> {
    let mut rules = Rules::default();
    rules.names(key, game);
    rules.ways(game);
    rules.0.extend(container::broken_rules(game));
    rules.0.extend(ports::broken_rules(game));
    rules.start(game);
    rules.stop(game);
    if let Err(InvalidPolicy { field, rule }) = game.restart.check() {
        rules.check(true, &["restart", field], rule);
    }
    for (name, value) in &game.env {
        rules.environment(&["env", name], name, value);
        if let Some(problem) = unknown_value(game, value) {
            rules.check(true, &["env", name], &problem);
        }
    }
    rules.paths(game);
    rules.about(game);
    console::check(&mut rules, game);
    query::check(&mut rules, game);
    rules.0.extend(super::files::broken_rules(game));
    rules.0.extend(settings::broken_rules(game));
    rules.0
}

/// Broken rules of a game, in the order of their fields.
#[derive(Default)]
pub(super) struct Rules(pub(super) Vec<Broken>);

impl Rules {
    pub(super) fn check(&mut self, is_broken: bool, path: &[&str], problem: &str) {
        if is_broken {
            self.0.push((path.iter().map(|part| (*part).to_owned()).collect(), problem.to_owned()));
        }
    }

    fn names(&mut self, key: &str, game: &Written) {
        self.check(
            !(1..=KEY_MAX).contains(&key.chars().count()) || !is_on_one_line(key),
            &[],
            "the name of a game must have 1 to 50 characters on one line",
        );
        if let Err(why) = name::checked(&game.title) {
            self.check(true, &["title"], &format!("cannot be used: a title {why}"));
        }
        self.check(game.cost_per_hour < 0, &["cost_per_hour"], "must not be negative");
    }

    fn ways(&mut self, game: &Written) {
        match game.ways().as_slice() {
            [_] => {}
            [] => self.check(
                true,
                &["command"],
                "must be there and not be empty, or else a `container`, a `gameserver` or a `fleet`",
            ),
            [_, rest @ ..] => {
                let problem = "must not be there: a game has a `command`, a `container`, a `gameserver` or a `fleet`, one of them";
                rest.iter().for_each(|way| self.check(true, &[way], problem));
            }
        }
        let is_empty = game.fleet.as_ref().is_some_and(|fleet| fleet.trim().is_empty());
        self.check(is_empty, &["fleet"], "must not be empty");
        for (place, part) in game.command.iter().enumerate() {
            self.part_of_command(game, place, part);
        }
        let problem = "must be there with a `command` or a `container` only; on Agones set `resources.limits` in the `gameserver`";
        let is_ours = game.is_ours();
        self.check(!is_ours && game.limits.is_some() && !game.ways().is_empty(), &["limits"], problem);
        let problem = "must be there with a `command` or a `container` only; on Agones set `tty` in the `gameserver`";
        self.check(!is_ours && game.console.is_some() && !game.ways().is_empty(), &["console"], problem);
        if let Some(world) = &game.world {
            self.check(game.gameserver.is_none(), &["world"], "must not be there without a `gameserver`");
            self.check(world.size.trim().is_empty(), &["world", "size"], "must not be empty");
            self.check(!world.mount.starts_with('/'), &["world", "mount"], "must be an absolute path");
        }
    }

    fn part_of_command(&mut self, game: &Written, place: usize, part: &str) {
        let number = place.to_string();
        let path = ["command", number.as_str()];
        self.check(part.contains('\0'), &path, "must not contain a NUL: no program can be given one");
        if let Some(problem) = unknown_value(game, part) {
            self.check(true, &path, &problem);
        }
        for word in unknown_placeholders(part) {
            let problem = format!(
                "`{word}` is not a placeholder; use `{{name}}`, `{{port}}`, `{{bind}}`, `{{agis}}`. Braces with a space in \
                 them stay"
            );
            self.check(true, &path, &problem);
        }
        self.check(place == 0 && part.is_empty(), &path, "must name a program");
    }

    fn start(&mut self, game: &Written) {
        let sign = &game.ready.when;
        let is_plain = matches!(sign, ReadyWhen::Log(_) | ReadyWhen::Port | ReadyWhen::Delay(_));
        let (fits, signs) = match game.ways().first() {
            Some(&"command") => (is_plain, "must be `port`, a `log` or a `delay`"),
            Some(&"container") => {
                (is_plain || *sign == ReadyWhen::Health, "must be `port`, `health`, a `log` or a `delay`")
            }
            Some(_) => (matches!(sign, ReadyWhen::Ready | ReadyWhen::Pod), "must be `ready` or `pod`, on Agones"),
            None => (true, ""),
        };
        self.check(!fits, &["ready", "when"], signs);
        self.check(game.ready.within_s == 0, &["ready", "within_s"], "must be at least 1");
        match &game.ready.when {
            ReadyWhen::Log(text) => {
                let path = ["ready", "when", "log"];
                self.check(text.is_empty(), &path, "must not be empty");
                self.check(!is_on_one_line(&text.replace('\t', " ")), &path, "must be a part of one line");
            }
            ReadyWhen::Delay(delay) => {
                let is_long = *delay >= game.ready.within_s;
                self.check(is_long, &["ready", "when", "delay"], "must be shorter than `within_s`");
            }
            ReadyWhen::Port | ReadyWhen::Ready | ReadyWhen::Pod | ReadyWhen::Health => {}
        }
    }

    fn stop(&mut self, game: &Written) {
        let StopHow::Console(line) = &game.stop.how else { return };
        let path = ["stop", "how", "console"];
        self.check(
            line.trim().is_empty() || !is_on_one_line(line) || line.chars().count() > COMMAND_MAX,
            &path,
            "must be a line of 1 to 1000 characters that the game takes as \"end now\"",
        );
        self.check(
            is_caret_notation(line.trim()),
            &path,
            "would be typed as these characters, not as a key: for Ctrl-C say `how = { signal = \"SIGINT\" }`",
        );
    }

    pub(super) fn environment(&mut self, path: &[&str], name: &str, value: &str) {
        self.check(
            name.is_empty() || name.contains(['=', '\0']),
            path,
            "must be the name of an environment variable, without `=`: `NAME = \"value\"`",
        );
        self.check(value.contains('\0'), path, "must not contain a NUL: no program can be given one");
    }

    fn about(&mut self, game: &Written) {
        let About { documentation, eula, .. } = &game.about;
        for (field, address) in [("documentation", documentation), ("eula", eula)] {
            let is_address = address.as_deref().is_none_or(is_address);
            self.check(
                !is_address,
                &["about", field],
                "must be an address: `https://`, and at most 500 visible characters",
            );
        }
        self.check(
            eula.as_deref().is_some_and(is_address) && !game.has_setting("eula"),
            &["about", "eula"],
            "needs a setting `eula`, by which the owner of a server accepts the licence",
        );
    }

    fn paths(&mut self, game: &Written) {
        let mut paths: BTreeMap<Vec<Component<'_>>, &str> = BTreeMap::new();
        for path in game.files.keys() {
            let parts: Vec<_> = Path::new(path).components().filter(|part| *part != Component::CurDir).collect();
            let is_inside = !parts.is_empty() && parts.iter().all(|part| matches!(part, Component::Normal(_)));
            self.check(
                !is_inside || path.ends_with('/') || path.contains('\0'),
                &["files", path],
                "must be the path of a file inside the server's directory",
            );
            let is_long = parts.iter().any(|part| part.as_os_str().len() > FILE_NAME_MAX);
            self.check(is_long, &["files", path], "must not have a name of more than 255 bytes");
            let meets =
                |(other, _): &(&Vec<Component<'_>>, &&str)| other.starts_with(&parts) || parts.starts_with(other);
            if let Some((_, above)) = paths.iter().find(meets) {
                let problem =
                    format!("cannot be there beside {above:?}: one would be a directory, or they are the same");
                self.check(true, &["files", path], &problem);
            }
            paths.insert(parts, path);
        }
    }
}

fn is_address(text: &str) -> bool {
    text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty())
        && text.len() <= ADDRESS_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"`".contains(&byte))
}

/// Returns the reason why a placeholder in this text is no port or setting of the game; `None` if there is none.
pub(super) fn unknown_value(game: &Written, template: &str) -> Option<String> {
    unknown_port(game, template).or_else(|| unknown_setting(game, template))
}

fn is_on_one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Returns each `{word}` in a part of a command that is not a placeholder. `${word}` belongs to a shell.
pub(super) fn unknown_placeholders(part: &str) -> impl Iterator<Item = &str> {
    part.match_indices('{').filter_map(|(at, _)| {
        let end = at + part[at..].find('}')? + 1;
        let (word, name) = (&part[at..end], &part[at + 1..end - 1]);
        let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let is_known = Placeholder::of(name).is_some();
        (is_word && !is_known && !part[..at].ends_with('$')).then_some(word)
    })
}

/// Checks whether the line is a control key as a terminal shows it, like `^C`.
fn is_caret_notation(line: &str) -> bool {
    let key = line.strip_prefix('^').unwrap_or_default();
    let key = key.strip_prefix('^').unwrap_or(key);
    matches!(key.as_bytes(), [b'?' | b'@'..=b'_' | b'a'..=b'z'])
}

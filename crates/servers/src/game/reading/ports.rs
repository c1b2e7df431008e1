//! Rules for a game's ports.

use super::{
    super::template::{Placeholder, is_port_name, placeholders},
    rules::Broken,
    written::Written,
};

/// Maximum number of ports of a game. No game is known to have as many.
const PORTS_MAX: usize = 16;

/// Returns every rule that a game's ports break.
pub(super) fn broken_rules(game: &Written) -> Vec<Broken> {
    let mut broken = vec![];
    let mut say = |path: &[&str], problem: &str| {
        broken.push((path.iter().map(|part| (*part).to_owned()).collect(), problem.to_owned()));
    };
    let is_ours = game.is_ours();
    if game.port == Some(0) {
        say(&["port"], "must be 1 to 65535");
    }
    let Some(ports) = &game.ports else {
        if is_ours && game.port.is_none() {
            say(&["port"], "is missing: a game with a `command` or a `container` needs one, or `ports`");
        }
        return broken;
    };
    if !is_ours {
        say(&["ports"], "must not be there without a `command` or a `container`: a GameServer names its own ports");
    }
    if game.port.is_some() || game.protocol.is_some() {
        say(&["ports"], "must not be there beside `port` or `protocol`, which are short for a single port");
    }
    if !(1..=PORTS_MAX).contains(&ports.len()) {
        say(&["ports"], "must have 1 to 16 ports");
    }
    for (place, port) in ports.iter().enumerate() {
        let number = place.to_string();
        let at = ["ports", number.as_str()];
        let mistake = match (place, port.port, port.offset) {
            _ if !is_port_name(&port.name) => Some("must have a `name` of 1 to 20 small letters, digits, `_` and `-`"),
            _ if ports[..place].iter().any(|other| other.name == port.name) => {
                Some("must not have the name of another")
            }
            (0, Some(_), None) => None,
            (0, ..) => Some("must have a `port` and no `offset`: the others follow the first port"),
            (_, Some(_), None) | (_, None, Some(_)) => None,
            _ => Some("must have a `port` or an `offset` from the first port, one of them"),
        };
        mistake.into_iter().for_each(|problem| say(&at, problem));
    }
    let numbers: Vec<_> = ports.iter().map(|port| (port.number(ports), port.protocol)).collect();
    for (place, found) in numbers.iter().enumerate() {
        let number = place.to_string();
        let is_written = ports[place].port.is_some() != ports[place].offset.is_some() && ports[0].port.is_some();
        if is_written && matches!(found.0, Some(0) | None) {
            say(&["ports", number.as_str()], "must be a port from 1 to 65535");
        } else if numbers[..place].contains(found) {
            say(&["ports", number.as_str()], "must not be another port again, with the same protocol");
        }
    }
    broken
}

/// Returns the reason why a placeholder in this text names no port of the game; `None` if there is none.
pub(super) fn unknown_port(game: &Written, template: &str) -> Option<String> {
    let names = game.port_names();
    let unknown = placeholders(template).find_map(|(place, placeholder)| match placeholder {
        Placeholder::NamedPort(name) if !names.contains(&name) => Some(&template[place]),
        _ => None,
    })?;
    Some(format!("`{unknown}` names no port of this game, which has {}", names.join(", ")))
}

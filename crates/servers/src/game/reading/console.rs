//! Console as the catalogue writes it.

use serde::Deserialize;

use super::{
    super::{
        Rcon, RconProtocol,
        template::{Placeholder, placeholders},
    },
    rules::Rules,
    written::Written,
};
use crate::console::COMMAND_MAX;

/// Place of the text in the command that announces it.
pub(crate) const SAID: &str = "{text}";
/// Maximum length of the command around the text, in characters, so that there is room for a text.
const SAY_MAX: usize = COMMAND_MAX / 2;

/// Console of a game.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenConsole {
    pub(super) pty: bool,
    pub(super) rcon: Option<WrittenRcon>,
}

/// RCON of a game.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenRcon {
    port: String,
    #[serde(default = "source")]
    protocol: RconProtocol,
}

fn source() -> RconProtocol {
    RconProtocol::Source
}

impl WrittenRcon {
    pub(super) fn rcon(self) -> Rcon {
        Rcon { protocol: self.protocol, port: self.port }
    }
}

/// Adds the broken rules of the console, and of the command that announces something.
pub(super) fn check(rules: &mut Rules, game: &Written) {
    let rcon = game.console.as_ref().and_then(|console| console.rcon.as_ref());
    let gets_password = game.texts().any(has_password);
    if let Some(rcon) = rcon {
        let names = game.port_names();
        let problem = format!("must be the name of a port of this game, which has {}", names.join(", "));
        rules.check(!names.contains(&rcon.port.as_str()), &["console", "rcon", "port"], &problem);
        let problem = "has no effect: the game gets no password, as no `{rcon.password}` stands in its command, environment \
                       or files";
        rules.check(!gets_password, &["console", "rcon"], problem);
    }
    let problem = "is needed, since `{rcon.password}` stands in the command, the environment or a file";
    rules.check(rcon.is_none() && gets_password && game.is_ours(), &["console", "rcon"], problem);
    if let Some(say) = &game.say {
        let is_line = !say.chars().any(char::is_control) && say.chars().count() <= SAY_MAX;
        let problem = "must be a command of at most 500 characters on one line, with `{text}` in it once";
        rules.check(!is_line || say.matches(SAID).count() != 1, &["say"], problem);
    }
}

fn has_password(text: &str) -> bool {
    placeholders(text).any(|(_, placeholder)| placeholder == Placeholder::RconPassword)
}

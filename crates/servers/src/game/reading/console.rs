//! Console as the catalogue writes it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    super::{
        Rcon, RconProtocol, Say,
        template::{Placeholder, placeholders},
    },
    rules::Rules,
    written::Written,
};
use crate::console::COMMAND_MAX;

/// Maximum length of the command around the text, in characters, so that there is room for a text.
const SAY_MAX: usize = COMMAND_MAX / 2;

/// Console of a game.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenConsole {
    pub(super) pty: bool,
    pub(super) rcon: Option<WrittenRcon>,
}

/// Command that announces a text, as the catalogue writes it: the command, or a table.
pub(super) struct WrittenSay {
    command: String,
    space: char,
}

/// Table of a command that announces a text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SayTable {
    command: String,
    space: char,
}

impl WrittenSay {
    pub(super) fn say(&self) -> Option<Say> {
        Say::new(&self.command, self.space)
    }
}

impl<'de> Deserialize<'de> for WrittenSay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrTable;

        impl<'de> Visitor<'de> for TextOrTable {
            type Value = WrittenSay;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a table")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<WrittenSay, E> {
                Ok(WrittenSay { command: text.to_owned(), space: ' ' })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WrittenSay, A::Error> {
                let SayTable { command, space } = SayTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(WrittenSay { command, space })
            }
        }

        deserializer.deserialize_any(TextOrTable)
    }
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
    if let Some(say) = &game.say {
        let WrittenSay { command, space } = say;
        let is_line = !command.chars().any(char::is_control) && command.chars().count() <= SAY_MAX;
        let problem = "must be a command of at most 500 characters on one line, with `{text}` in it once, behind the command's name";
        rules.check(!is_line || say.say().is_none(), &["say"], problem);
        let stays = *space == ' ' || space.is_ascii_alphanumeric() || "_-.".contains(*space);
        rules.check(!stays, &["say", "space"], "must be a letter, a digit, `_`, `-` or `.`");
    }
}

fn has_password(text: &str) -> bool {
    placeholders(text).any(|(_, placeholder)| placeholder == Placeholder::RconPassword)
}

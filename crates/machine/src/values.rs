//! Fills the placeholders of the catalogue in, for one server on this machine.

use agis_servers::{
    game::{Format, Game, GameFile, Placeholder, Setting, fill, fill_plainly},
    host::{HostError, OpenPort},
};
use serde_json::Value;

use crate::files::FileOrder;

/// Values of the placeholders.
#[derive(Debug)]
pub struct Values<'a> {
    /// Name of the server on one line.
    name: String,
    ports: &'a [OpenPort],
    bind: &'a str,
    agis: &'a str,
}

impl<'a> Values<'a> {
    /// Returns the values for a server of this name with these ports. Its game listens on the address `bind`; `agis` is the
    /// program that has the demo game.
    pub fn new(name: &str, ports: &'a [OpenPort], bind: &'a str, agis: &'a str) -> Self {
        // A control character could end a line of a configuration file, or a C string. Names of earlier versions may
        // hold some.
        let name = name.replace(|letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}'), " ");
        Self { name: name.trim().to_owned(), ports, bind, agis }
    }

    /// Returns the port for players.
    pub fn port(&self) -> u16 {
        self.ports.first().map_or(0, |port| port.port)
    }

    fn port_of(&self, name: &str) -> u16 {
        self.ports.iter().find(|port| port.name == name).map_or(0, |port| port.port)
    }

    /// Fills in a text that is no part of a file.
    pub fn fill(&self, text: &str) -> String {
        fill_plainly(text, |placeholder| self.of_placeholder(placeholder))
    }

    /// Fills in the files of a game, in the order of their paths.
    ///
    /// # Errors
    /// Fails if a format cannot hold the server's name.
    pub fn files(&self, game: &Game) -> Result<Vec<FileOrder>, HostError> {
        game.files.iter().map(|(path, file)| self.file(path, file)).collect()
    }

    fn of_placeholder(&self, placeholder: Placeholder<'_>) -> String {
        match placeholder {
            Placeholder::Name => self.name.clone(),
            Placeholder::Port => self.port().to_string(),
            // The catalogue has no placeholder of a port that the game has not.
            Placeholder::NamedPort(name) => self.port_of(name).to_string(),
            Placeholder::Bind => self.bind.to_owned(),
            Placeholder::Agis => self.agis.to_owned(),
        }
    }

    fn file(&self, path: &str, file: &GameFile) -> Result<FileOrder, HostError> {
        let held = |placeholder: Placeholder<'_>, before: &str| match placeholder {
            Placeholder::Name => file.format.hold(before, &self.name),
            other => Ok(self.of_placeholder(other)),
        };
        let filled = || {
            let text = fill(file.text.as_deref().unwrap_or_default(), held)?;
            let set = file.set.iter().map(|setting| self.setting(file.format, setting)).collect::<Result<_, _>>()?;
            Ok(FileOrder { path: path.into(), text, format: file.format, kind: file.kind, set })
        };
        filled().map_err(|why: &str| {
            HostError::Failed(format!(
                "the server's name cannot be written into {path}, since it {why}; rename the server, and start it again"
            ))
        })
    }

    fn setting(&self, format: Format, setting: &Setting) -> Result<Setting, &'static str> {
        let value = match &setting.value {
            Value::String(template) => self.value(format, template)?,
            other => other.clone(),
        };
        Ok(Setting { path: setting.path.clone(), value })
    }

    /// Fills in a value, which is escaped as a whole when it is written. Only INI has no escapes.
    fn value(&self, format: Format, template: &str) -> Result<Value, &'static str> {
        let text = fill(template, |placeholder, before| match placeholder {
            Placeholder::Name if format == Format::Ini => format.hold(&format!("key = {before}"), &self.name),
            other => Ok(self.of_placeholder(other)),
        })?;
        let is_port = matches!(Placeholder::alone(template), Some(Placeholder::Port | Placeholder::NamedPort(_)));
        Ok(text.parse::<u16>().ok().filter(|_| is_port).map_or(Value::String(text), Value::from))
    }
}

#[cfg(test)]
mod tests;

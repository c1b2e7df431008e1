//! Fills the placeholders of the catalogue in, for one server on this machine.

use agis_servers::{
    game::{Format, Game, GameFile, Placeholder, Setting, SettingValue, SettingValues, fill, fill_plainly},
    host::{HostError, Launch, OpenPort},
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
    settings: &'a SettingValues,
}

/// Text that its format cannot hold.
struct Unheld {
    /// Text in words, for people.
    what: String,
    /// Reason. The words follow the name of the text.
    why: &'static str,
    /// Remedy, for people.
    remedy: &'static str,
}

impl<'a> Values<'a> {
    /// Returns the values for the start of a server with these ports. Its game listens on the address `bind`; `agis` is
    /// the program that has the demo game.
    pub fn new(launch: &'a Launch, ports: &'a [OpenPort], bind: &'a str, agis: &'a str) -> Self {
        Self { name: launch.name_on_one_line(), ports, bind, agis, settings: &launch.settings }
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
    /// Fails if a format cannot hold the server's name or a setting.
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
            // A start has a value for every setting of the catalogue.
            Placeholder::Setting(name) => self.settings.get(name).map(SettingValue::expose_text).unwrap_or_default(),
        }
    }

    /// Returns the value of a placeholder in the form in which the format holds it.
    fn held(&self, placeholder: Placeholder<'_>, format: Format, before: &str) -> Result<String, Unheld> {
        let text = self.of_placeholder(placeholder);
        let (what, remedy) = match placeholder {
            Placeholder::Name => ("the server's name".to_owned(), "rename the server"),
            // The catalogue lets only choices and numbers stand in plain text.
            Placeholder::Setting(_) if format == Format::Text => return Ok(text),
            Placeholder::Setting(name) => (format!("the setting '{name}'"), "change the setting"),
            _ => return Ok(text),
        };
        format.hold(before, &text).map_err(|why| Unheld { what, why, remedy })
    }

    fn file(&self, path: &str, file: &GameFile) -> Result<FileOrder, HostError> {
        let filled = || {
            let template = file.text.as_deref().unwrap_or_default();
            let text = fill(template, |placeholder, before| self.held(placeholder, file.format, before))?;
            let set = file.set.iter().map(|setting| self.setting(file.format, setting)).collect::<Result<_, _>>()?;
            Ok(FileOrder { path: path.into(), text, format: file.format, kind: file.kind, set })
        };
        filled().map_err(|Unheld { what, why, remedy }| {
            HostError::Failed(format!(
                "{what} cannot be written into {path}, since it {why}; {remedy}, and start it again"
            ))
        })
    }

    fn setting(&self, format: Format, setting: &Setting) -> Result<Setting, Unheld> {
        let value = match &setting.value {
            Value::String(template) => self.value(format, template)?,
            other => other.clone(),
        };
        Ok(Setting { path: setting.path.clone(), value })
    }

    /// Fills in a value, which is escaped as a whole when it is written. Only INI has no escapes.
    fn value(&self, format: Format, template: &str) -> Result<Value, Unheld> {
        let text = fill(template, |placeholder, before| match format {
            Format::Ini => self.held(placeholder, format, &format!("key = {before}")),
            _ => Ok(self.of_placeholder(placeholder)),
        })?;
        Ok(match Placeholder::alone(template) {
            Some(Placeholder::Port | Placeholder::NamedPort(_)) => {
                text.parse::<u16>().map_or(Value::String(text), Value::from)
            }
            Some(Placeholder::Setting(name)) => match self.settings.get(name).map(SettingValue::expose) {
                Some(value @ (Value::Number(_) | Value::Bool(_))) => value.clone(),
                _ => Value::String(text),
            },
            _ => Value::String(text),
        })
    }
}

#[cfg(test)]
mod tests;

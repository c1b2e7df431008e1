//! Fills the placeholders of the catalogue in, for one server on this machine.

use agis_servers::{
    game::{Game, GameFile, Placeholder, SettingValue, SettingValues, fill_plainly},
    host::{HostError, Launch, OpenPort},
    rcon::RconPassword,
};

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
    rcon_password: &'a RconPassword,
}

impl<'a> Values<'a> {
    /// Returns the values for the start of a server with these ports. Its game listens on the address `bind`; `agis` is
    /// the program that has the demo game.
    pub fn new(launch: &'a Launch, ports: &'a [OpenPort], bind: &'a str, agis: &'a str) -> Self {
        Self {
            name: launch.name_on_one_line(),
            ports,
            bind,
            agis,
            settings: &launch.settings,
            rcon_password: &launch.rcon_password,
        }
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
        let order = |(path, file): (&String, &GameFile)| {
            let filled = file.filled(path, self.settings, |placeholder| self.of_placeholder(placeholder));
            let GameFile { text, format, kind, set } = filled.map_err(|unheld| {
                let each: Vec<_> = unheld.iter().map(ToString::to_string).collect();
                HostError::Failed(each.join("; "))
            })?;
            Ok(FileOrder { path: path.into(), text: text.unwrap_or_default(), format, kind, set })
        };
        game.files.iter().map(order).collect()
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
            Placeholder::RconPassword => self.rcon_password.expose().to_owned(),
            Placeholder::Setting(name) => self.settings.get(name).map(SettingValue::expose_text).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;

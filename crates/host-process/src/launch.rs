//! Turns an entry of the catalogue into orders for a shim.

use std::{collections::BTreeMap, path::Path};

use agis_base::OperationId;
use agis_machine::{account::Account, dir::ServerDir, files::FileOrder};
use agis_servers::{
    game::{Format, Game, GameFile, Placeholder, Process, Setting, fill, fill_plainly},
    host::{Generation, HostError, Launch, OpenPort},
};
use serde_json::Value;

use crate::{
    holder::Holder,
    program::{self, OWN_PROGRAM, SEARCH_PATH},
    spec::Spec,
};

/// Place and time of a run.
pub(crate) struct Site<'a> {
    pub(crate) dir: &'a ServerDir,
    pub(crate) generation: Generation,
    pub(crate) operation: OperationId,
    /// Ports of the server, at least one.
    pub(crate) ports: Vec<OpenPort>,
    pub(crate) bind: &'a str,
    pub(crate) account: Option<Account>,
    pub(crate) holder: Holder,
}

impl Site<'_> {
    /// Returns the port for players.
    fn port(&self) -> u16 {
        self.ports.first().map_or(0, |port| port.port)
    }

    fn port_of(&self, name: &str) -> u16 {
        self.ports.iter().find(|port| port.name == name).map_or(0, |port| port.port)
    }
}

/// Fills the placeholders in and finds the program.
pub(crate) fn spec(launch: &Launch, process: &Process, site: &Site<'_>) -> Result<Spec, HostError> {
    let game = &launch.game;
    let values = Values::of(&launch.server_name, site);
    let fill = |text: &str| fill_plainly(text, |placeholder| values.of_placeholder(placeholder));
    let program = program::find(&fill(&process.program), site.account)
        .map_err(|why| HostError::Failed(format!("{} cannot be run on this host: {why}", game.key)))?;
    Ok(Spec {
        dir: site.dir.path().to_owned(),
        generation: site.generation,
        operation: site.operation,
        port: site.port(),
        protocol: game.protocol,
        ports: site.ports.clone(),
        command: [program].into_iter().chain(process.arguments.iter().map(|part| fill(part))).collect(),
        env: environment(game, process, &site.dir.world()),
        account: site.account,
        files: game.files.iter().map(|(path, file)| values.file(path, file)).collect::<Result<_, _>>()?,
        holder: site.holder,
        view: None,
        cgroup: None,
        ready: game.ready.clone(),
        stop: game.stop.clone(),
        good_exits: game.good_exits.clone(),
        pty: process.pty,
        limits: process.limits,
    })
}

/// Values of the placeholders.
struct Values<'a> {
    /// Name of the server on one line.
    name: String,
    site: &'a Site<'a>,
}

impl<'a> Values<'a> {
    fn of(name: &str, site: &'a Site<'a>) -> Self {
        // A control character could end a line of a configuration file, or a C string. Names of earlier versions may
        // hold some.
        let name = name.replace(|letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}'), " ");
        Self { name: name.trim().to_owned(), site }
    }

    fn of_placeholder(&self, placeholder: Placeholder<'_>) -> String {
        match placeholder {
            Placeholder::Name => self.name.clone(),
            Placeholder::Port => self.site.port().to_string(),
            // The catalogue has no placeholder of a port that the game has not.
            Placeholder::NamedPort(name) => self.site.port_of(name).to_string(),
            Placeholder::Bind => self.site.bind.to_owned(),
            Placeholder::Agis => OWN_PROGRAM.to_owned(),
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

fn environment(game: &Game, process: &Process, world: &Path) -> BTreeMap<String, String> {
    let own =
        [("HOME", world.to_string_lossy().into_owned()), ("PATH", SEARCH_PATH.into()), ("LANG", "C.UTF-8".into())];
    let mut env: BTreeMap<_, _> = own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    if process.pty {
        env.insert("TERM".to_owned(), "dumb".to_owned());
    }
    env.extend(game.env.clone());
    env
}

#[cfg(test)]
mod tests;

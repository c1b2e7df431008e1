//! Turns an entry of the catalogue into orders for a shim.

use std::{collections::BTreeMap, path::Path};

use agis_base::OperationId;
use agis_servers::{
    game::{Game, Placeholder, Process},
    host::{Generation, HostError, Launch},
};

use crate::{
    account::Account,
    dir::ServerDir,
    program,
    spec::{OWN_PROGRAM, SEARCH_PATH, Spec},
};

/// Place and time of a run.
pub(crate) struct Site<'a> {
    pub(crate) dir: &'a ServerDir,
    pub(crate) generation: Generation,
    pub(crate) operation: OperationId,
    pub(crate) port: u16,
    pub(crate) bind: &'a str,
    pub(crate) account: Option<Account>,
}

/// Fills the placeholders in and finds the program.
pub(crate) fn spec(launch: &Launch, process: &Process, site: &Site<'_>) -> Result<Spec, HostError> {
    let game = &launch.game;
    // A control character could end a line of a configuration file, or a C string.
    let name = launch.server_name.replace(char::is_control, " ");
    let port = site.port.to_string();
    let value = |placeholder| match placeholder {
        Placeholder::Name => name.as_str(),
        Placeholder::Port => &port,
        Placeholder::Bind => site.bind,
        Placeholder::Agis => OWN_PROGRAM,
    };
    let program = program::find(&fill(&process.program, value), site.account)
        .map_err(|why| HostError::Failed(format!("{} cannot be run on this host: {why}", game.key)))?;
    Ok(Spec {
        dir: site.dir.path().to_owned(),
        generation: site.generation,
        operation: site.operation,
        port: site.port,
        protocol: game.protocol,
        command: [program].into_iter().chain(process.arguments.iter().map(|part| fill(part, value))).collect(),
        env: environment(game, &site.dir.world()),
        account: site.account,
        files: game.files.iter().map(|(path, text)| (path.into(), fill(text, value))).collect(),
        ready: game.ready.clone(),
        stop: game.stop.clone(),
        good_exits: game.good_exits.clone(),
        limits: process.limits,
    })
}

fn environment(game: &Game, world: &Path) -> BTreeMap<String, String> {
    let own =
        [("HOME", world.to_string_lossy().into_owned()), ("PATH", SEARCH_PATH.into()), ("LANG", "C.UTF-8".into())];
    let mut env: BTreeMap<_, _> = own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    env.extend(game.env.clone());
    env
}

/// Replaces each placeholder once. A placeholder in a value stays.
fn fill<'a>(template: &str, value: impl Fn(Placeholder) -> &'a str) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = Placeholder::ALL.into_iter().find_map(|it| Some((it, rest.strip_prefix(it.as_str())?)));
        (filled, rest) = match known {
            Some((placeholder, after)) => (filled + value(placeholder), after),
            None => (filled + "{", &rest[1..]),
        };
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once() {
        let value = |placeholder| match placeholder {
            Placeholder::Name => "{port} {",
            Placeholder::Port => "7",
            Placeholder::Bind | Placeholder::Agis => "",
        };
        assert_eq!(fill("{name}:{port} {other} {", value), "{port} {:7 {other} {");
        assert_eq!(fill("{{port}}", value), "{7}");
    }
}

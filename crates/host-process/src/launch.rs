//! From an entry of the catalogue to what is run.

use std::{collections::BTreeMap, path::Path};

use agis_base::OperationId;
use agis_servers::{
    game::Game,
    host::{Generation, HostError, Launch},
};

use crate::{
    account::Account,
    dir::ServerDir,
    program,
    spec::{OWN_PROGRAM, SEARCH_PATH, Spec},
};

/// Where a run takes place.
pub(crate) struct Site<'a> {
    pub(crate) dir: &'a ServerDir,
    pub(crate) generation: Generation,
    pub(crate) operation: OperationId,
    pub(crate) port: u16,
    pub(crate) bind: &'a str,
    pub(crate) account: Option<Account>,
}

/// Fills the placeholders in and finds the program.
pub(crate) fn spec(launch: &Launch, site: &Site<'_>) -> Result<Spec, HostError> {
    let game = &launch.game;
    // A control character could end a line of a configuration file, or a C string.
    let name = launch.server_name.replace(char::is_control, " ");
    let port = site.port.to_string();
    let values = [("name", name.as_str()), ("port", &port), ("bind", site.bind), ("agis", OWN_PROGRAM)];
    let mut command: Vec<_> = game.command.iter().map(|part| fill(part, &values)).collect();
    let program = command.first_mut().ok_or_else(|| HostError::Failed(format!("{} has no command", game.key)))?;
    *program = program::find(program, site.account)
        .map_err(|why| HostError::Failed(format!("{} cannot be run on this host: {why}", game.key)))?;
    Ok(Spec {
        dir: site.dir.path().to_owned(),
        generation: site.generation,
        operation: site.operation,
        port: site.port,
        protocol: game.protocol,
        command,
        env: environment(game, &site.dir.world()),
        account: site.account,
        files: game.files.iter().map(|(path, text)| (path.into(), fill(text, &values))).collect(),
        ready: game.ready.clone(),
        stop: game.stop.clone(),
        good_exits: game.good_exits.clone(),
    })
}

fn environment(game: &Game, world: &Path) -> BTreeMap<String, String> {
    let own =
        [("HOME", world.to_string_lossy().into_owned()), ("PATH", SEARCH_PATH.into()), ("LANG", "C.UTF-8".into())];
    let mut env: BTreeMap<_, _> = own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    env.extend(game.env.clone());
    env
}

/// Replaces each `{key}` once; what a value brings in is not looked at again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let known = values.iter().find_map(|(key, value)| Some((value, rest.strip_prefix(key)?.strip_prefix('}')?)));
        match known {
            Some((value, after)) => {
                filled.push_str(value);
                rest = after;
            }
            None => filled.push('{'),
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn placeholders_are_filled_once_and_other_braces_stay() {
        let values = [("name", "{port} {"), ("port", "7")];
        assert_eq!(fill("{name}:{port} {other} {", &values), "{port} {:7 {other} {");
        assert_eq!(fill("{{port}}", &values), "{7}");
    }
}

//! Turns an entry of the catalogue into orders for a shim.

use std::{collections::BTreeMap, path::Path};

use agis_base::OperationId;
use agis_machine::{account::Account, dir::ServerDir, values::Values};
use agis_servers::{
    game::{Game, Process},
    host::{Generation, HostError, Launch, OpenPort},
};

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
    /// Returns the values of the placeholders.
    fn values<'a>(&'a self, launch: &'a Launch) -> Values<'a> {
        Values::new(launch, &self.ports, self.bind, OWN_PROGRAM)
    }
}

/// Fills the placeholders in and finds the program.
pub(crate) fn spec(launch: &Launch, process: &Process, site: &Site<'_>) -> Result<Spec, HostError> {
    let game = &launch.game;
    let values = site.values(launch);
    let program = program::find(&values.fill(&process.program), site.account)
        .map_err(|why| HostError::Failed(format!("{} cannot be run on this host: {why}", game.key)))?;
    Ok(Spec {
        dir: site.dir.path().to_owned(),
        generation: site.generation,
        operation: site.operation,
        port: values.port(),
        protocol: game.protocol(),
        ports: site.ports.clone(),
        command: [program].into_iter().chain(process.arguments.iter().map(|part| values.fill(part))).collect(),
        env: environment(game, &site.dir.world(), &values),
        account: site.account,
        files: values.files(game)?,
        holder: site.holder,
        view: None,
        cgroup: None,
        ready: game.ready.clone(),
        stop: game.stop.clone(),
        good_exits: game.good_exits.clone(),
        pty: game.pty,
        limits: game.limits,
    })
}

fn environment(game: &Game, world: &Path, values: &Values<'_>) -> BTreeMap<String, String> {
    let own =
        [("HOME", world.to_string_lossy().into_owned()), ("PATH", SEARCH_PATH.into()), ("LANG", "C.UTF-8".into())];
    let mut env: BTreeMap<_, _> = own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    if game.pty {
        env.insert("TERM".to_owned(), "dumb".to_owned());
    }
    env.extend(game.env.iter().map(|(name, value)| (name.clone(), values.fill(value))));
    env
}

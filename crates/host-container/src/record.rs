//! The last run of a server, in the file `run.json` of its directory. The record is written before the container starts,
//! so a container that is gone has left a trace. A program changes it behind the server's gate only.

use std::{fs, io};

use agis_base::OperationId;
use agis_machine::{
    dir::{Gate, ServerDir},
    replace::replace,
};
use agis_servers::{
    game::{GoodExits, Ready, Size, Stop},
    host::{Endpoint, Generation, HostError, OpenPort},
};
use serde::{Deserialize, Serialize};

use crate::{ending::End, host::Setup};

/// Run of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Generation of the order that began the run. No other run has it.
    pub(crate) generation: Generation,
    /// Operation of that order.
    pub(crate) operation: OperationId,
    /// Id of the container.
    pub(crate) container: String,
    /// Reference of the image, by its digest.
    pub(crate) image: String,
    /// Every port that players can use, the first one first.
    pub(crate) ports: Vec<OpenPort>,
    /// Number of the first port in the container.
    pub(crate) inner_port: u16,
    pub(crate) ready: Ready,
    pub(crate) stop: Stop,
    pub(crate) good_exits: GoodExits,
    /// Whether the game has a terminal.
    pub(crate) pty: bool,
    /// Limit of its memory.
    pub(crate) memory: Option<Size>,
    /// Limit of its files.
    pub(crate) disk: Option<Size>,
    /// Whether the game can write outside of its world. An earlier version did not note it.
    #[serde(default)]
    pub(crate) has_layer: bool,
    /// Boot in which the container was started; `None` before, and in a record of an earlier version.
    #[serde(default)]
    pub(crate) boot: Option<String>,
    /// Whether players could join.
    pub(crate) was_ready: bool,
    /// Whether somebody had the engine tell the game to end. An engine does that itself when it is stopped.
    #[serde(default)]
    pub(crate) was_told_to_end: bool,
    /// Reason for which AGIS asked the run to end; `None` if it did not.
    pub(crate) asked: Option<String>,
    /// Whether the run had to be killed.
    pub(crate) was_killed: bool,
    /// End of the run; `None` until somebody has seen it.
    pub(crate) end: Option<End>,
}

impl Run {
    /// Reads the record; `None` if the server never ran in a container.
    pub(crate) fn read(dir: &ServerDir) -> Result<Option<Self>, HostError> {
        match fs::read(dir.file("run.json")) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
                let remedy = "remove the file once no container of this server runs";
                HostError::Unavailable(format!("{}/run.json: {error}; {remedy}", dir.path().display()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(dir.unavailable(&error)),
        }
    }

    /// Replaces the record.
    pub(crate) fn write(&self, gate: &Gate<'_>) -> Result<(), HostError> {
        let text = serde_json::to_vec(self).map_err(|error| gate.dir().unavailable(&error.into()))?;
        replace(&gate.dir().file("run.json"), &text).map_err(|error| gate.dir().unavailable(&error))
    }

    /// Returns the address of the server.
    pub(crate) fn endpoint(&self, setup: &Setup) -> Endpoint {
        let port = self.ports.first().map_or(0, |port| port.port);
        setup.machine.endpoint(port, self.ports.clone())
    }
}

/// Changes the record of the run of this generation, unless it has ended; `None` if there is no such record.
pub(crate) fn change(
    dir: &ServerDir,
    generation: Generation,
    change: impl FnOnce(&mut Run),
) -> Result<Option<Run>, HostError> {
    let gate = dir.gate()?;
    let Some(mut run) = Run::read(dir)?.filter(|run| run.generation == generation) else { return Ok(None) };
    if run.end.is_none() {
        let before = run.clone();
        change(&mut run);
        if run != before {
            run.write(&gate)?;
        }
    }
    Ok(Some(run))
}

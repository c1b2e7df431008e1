//! Last status that a shim wrote about its server.

use std::{fs, io, os::fd::OwnedFd, path::Path};

use agis_machine::{dir::Gate, replace::replace};
use agis_servers::{
    game::Size,
    host::{Generation, HostError, OpenPort},
};
use serde::{Deserialize, Serialize};

use crate::identity::Process;

/// End of a server whose shim could not report it.
const UNOBSERVED: &str = "ended unobserved (the machine restarted, or its supervisor was killed)";

/// Addition where nothing contained the run.
const LOOSE: &str = "; its processes may run on, since nothing contains a game here";

/// Status of a run. A server has one such file, and a new run replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Generation of the order that began the run. No other run has it.
    pub(crate) generation: Generation,
    /// Phase of the run.
    pub(crate) phase: Phase,
    /// Port that players use.
    pub(crate) port: u16,
    /// Every port of the server; empty in a status of an earlier version.
    #[serde(default)]
    pub(crate) ports: Vec<OpenPort>,
    /// Seconds that the game has to end when it is asked.
    pub(crate) grace_s: u32,
    /// Process of the supervisor. The run lives exactly as long ([`crate::holder`]).
    pub(crate) shim: Process,
    /// Whether processes of the run may outlive its shim, and no account tells them from others.
    #[serde(default)]
    pub(crate) is_loose: bool,
    /// Limit of the world, of which the shim is told by a signal ([`crate::world_watch`]); `None` for no limit, or a shim
    /// of an older version.
    #[serde(default)]
    pub(crate) disk: Option<Size>,
}

/// Phase of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// The run has begun, and players cannot join yet.
    Starting,
    /// Players can join.
    Ready,
    /// The run has ended.
    Ended {
        /// Description of the end, for people.
        how: String,
        /// Whether the game was ready, and ended by itself with a good exit status.
        #[serde(default)]
        good: bool,
        /// Whether it was a crash: the game was ready, or nobody saw its end.
        #[serde(default)]
        crashed: bool,
    },
}

impl Status {
    /// Reads the file; `None` if it is absent.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
                let remedy = "remove the file once no process of this server runs";
                io::Error::other(format!("{}: {error}; {remedy}", path.display()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the file, and corrects it if the shim died without a last status. Returns the shim too, if it is alive.
    pub(crate) fn standing(path: &Path) -> io::Result<Option<(Self, Option<OwnedFd>)>> {
        let mut before = None;
        loop {
            let Some(mut status) = Self::read(path)? else { return Ok(None) };
            if matches!(status.phase, Phase::Ended { .. }) {
                return Ok(Some((status, None)));
            }
            if let Some(shim) = status.shim.open()? {
                return Ok(Some((status, Some(shim))));
            }
            // The shim may have written its last status between our reading and its death, so a second reading counts.
            if before.as_ref() == Some(&status) {
                let how = if status.is_loose { [UNOBSERVED, LOOSE].concat() } else { UNOBSERVED.to_owned() };
                status.phase = Phase::Ended { how, good: false, crashed: true };
                return Ok(Some((status, None)));
            }
            before = Some(status);
        }
    }

    /// Returns the last status of the latest shim. The gate is held, so no other run begins meanwhile.
    pub(crate) fn behind(gate: &Gate<'_>) -> Result<Option<Self>, HostError> {
        Self::read(&gate.dir().status()).map_err(|error| gate.dir().unavailable(&error))
    }

    /// Checks whether a run is alive: its shim is.
    pub(crate) fn is_held(gate: &Gate<'_>) -> Result<bool, HostError> {
        let Some(status) = Self::behind(gate)? else { return Ok(false) };
        status.shim.open().map(|shim| shim.is_some()).map_err(|error| gate.dir().unavailable(&error))
    }

    /// Replaces the file.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        replace(path, &serde_json::to_vec(self)?)
    }
}

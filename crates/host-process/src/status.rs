//! What a shim last said about its server.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::fd::OwnedFd,
    path::Path,
};

use agis_servers::host::Generation;
use serde::{Deserialize, Serialize};

use crate::identity::Process;

/// How a server ended whose shim could not say.
const UNOBSERVED: &str = "ended unobserved (the machine restarted, or its supervisor was killed)";

/// A run of a server. There is one file of it per server; a new run replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The generation of the order that began the run. No other run has it.
    pub(crate) generation: Generation,
    /// Where it stands.
    pub(crate) phase: Phase,
    /// The port that players use.
    pub(crate) port: u16,
    /// Seconds that the game has to end when it is asked.
    pub(crate) grace_s: u32,
    /// The supervisor.
    pub(crate) shim: Process,
    /// The game's main process.
    pub(crate) game: Option<Process>,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// Begun, no sign yet that players can join.
    Starting,
    /// Players can join.
    Ready,
    /// Over.
    Ended {
        /// For people.
        how: String,
        /// Whether it was ready, and ended by itself in a way that its game calls good.
        #[serde(default)]
        good: bool,
    },
}

impl Status {
    /// What the file says; nothing where there is none.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the file says, put right where the shim died without a word; with the shim if it lives.
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
            // The shim may have written its last word between our reading and its death: believe a second reading.
            if before.as_ref() == Some(&status) {
                status.phase = Phase::Ended { how: UNOBSERVED.to_owned(), good: false };
                return Ok(Some((status, None)));
            }
            before = Some(status);
        }
    }

    /// Replaces the file.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        write_atomically(path, &serde_json::to_vec(self)?)
    }
}

/// Replaces a file so that every reader, and the next boot, sees the old text or the new one.
pub(crate) fn write_atomically(path: &Path, text: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = File::create(&fresh)?;
    file.write_all(text)?;
    file.sync_data()?;
    fs::rename(&fresh, path)
}

//! Gives access to the consoles of the servers of a data directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use agis_base::ServerId;
use agis_machine::{
    dir::{ServerDir, blocking},
    host_file, server_dir,
};
use agis_servers::console::{Begin, Console, ConsoleError, Piece};
use async_trait::async_trait;

use crate::{commands, console_reader, status::Status};

/// Consoles of another program's host, for a program of the same machine that runs no servers itself.
#[derive(Debug)]
pub struct Consoles {
    host: String,
    root: PathBuf,
}

impl Consoles {
    /// Returns the consoles of the host to which this data directory belongs. Changes nothing there.
    ///
    /// # Errors
    /// Fails if the directory is no host's data directory, or cannot be read.
    pub fn of(data_dir: &Path) -> io::Result<Self> {
        Ok(Self { host: fs::read_to_string(host_file(data_dir))?, root: data_dir.to_owned() })
    }

    fn dir(&self, server: ServerId) -> ServerDir {
        server_dir(&self.root, server)
    }
}

#[async_trait]
impl Console for Consoles {
    fn host(&self) -> &str {
        &self.host
    }

    async fn lines(&self, server: ServerId, begin: &Begin, limit: u32) -> Result<Piece, ConsoleError> {
        lines(self.dir(server), begin.clone(), limit).await
    }

    async fn tell(&self, server: ServerId, command: &str) -> Result<(), ConsoleError> {
        tell(self.dir(server), command.to_owned()).await
    }
}

pub(crate) async fn lines(dir: ServerDir, begin: Begin, limit: u32) -> Result<Piece, ConsoleError> {
    blocking(move || Ok(console_reader::read(&dir.console(), &begin, limit as usize))).await?
}

pub(crate) async fn tell(dir: ServerDir, command: String) -> Result<(), ConsoleError> {
    blocking(move || {
        let standing = Status::standing(&dir.status()).map_err(|error| dir.unavailable(&error))?;
        // A shim keeps its run for as long as it lives.
        let runs = standing.is_some_and(|(_, shim)| shim.is_some());
        Ok(if runs { commands::send(&dir.commands(), &command) } else { Err(ConsoleError::NotRunning) })
    })
    .await?
}

use std::{io, path::PathBuf};

use thiserror::Error;

/// Configuration of the host. The composing program fills it from its environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// Configuration that the hosts of a machine share.
    pub machine: agis_machine::Config,
    /// Path of `agis-shim`, the program with the three subcommands. The host holds its file open, so it runs the same
    /// program after the file is replaced or removed.
    pub shim: PathBuf,
}

/// Reason why the host cannot work with this configuration.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The data directory, the address or the accounts cannot be used.
    #[error(transparent)]
    Machine(#[from] agis_machine::SetupError),
    /// The program that supervises games cannot be opened.
    #[error("the supervisor of game servers, {path}: {source}; install agis-shim beside agis-api")]
    Shim {
        /// Path of the program.
        path: PathBuf,
        /// Reason.
        source: io::Error,
    },
}

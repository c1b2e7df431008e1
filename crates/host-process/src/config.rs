use std::{io, path::PathBuf};

use thiserror::Error;

/// Configuration of the host. The composing program fills it from its environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory that holds the servers' directories; created if absent. Several programs may share it. The games'
    /// account must be able to enter it.
    pub data_dir: PathBuf,
    /// Name of the host, as in `game_servers.host`.
    pub name: String,
    /// Host name or address that players are told.
    pub public_address: String,
    /// Address on which games listen: the placeholder `{bind}`.
    pub bind_address: String,
    /// Account of the games if this program is root: a name in `/etc/passwd`, or `uid:gid`. Otherwise unused, and games
    /// run as this program's account.
    pub game_user: String,
    /// Absolute path of the program with the hidden subcommands. `/proc/self/exe` survives a rebuilt or removed binary.
    pub exe: PathBuf,
}

/// Reason why the host cannot work with this configuration.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The data directory cannot be used.
    #[error("the data directory {path}: {source}")]
    Directory {
        /// Path of the directory.
        path: PathBuf,
        /// Reason.
        source: io::Error,
    },
    /// The data directory belongs to another host.
    #[error(
        "the data directory {path} belongs to the host '{owner}', and this is '{name}': set AGIS_HOST_NAME={owner}, or \
         another AGIS_DATA_DIR"
    )]
    Owner {
        /// Path of the directory.
        path: PathBuf,
        /// Name of the host that owns it.
        owner: String,
        /// Name of this host.
        name: String,
    },
    /// Games cannot listen on the configured address.
    #[error("the address for games, '{address}': {source}")]
    Address {
        /// Configured address.
        address: String,
        /// Reason.
        source: io::Error,
    },
    /// Games cannot run as the configured account.
    #[error("the account for games, '{user}': {why}")]
    Account {
        /// Configured account.
        user: String,
        /// Reason.
        why: String,
    },
}

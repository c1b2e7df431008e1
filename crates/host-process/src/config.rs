use std::{io, path::PathBuf};

use thiserror::Error;

/// Where and as whom games run. The program that composes the house fills it from its environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds the servers' directories; made if absent. Several programs may share it. The account that games run as
    /// must be able to enter it.
    pub data_dir: PathBuf,
    /// The host's name, as `game_servers.host` holds it.
    pub name: String,
    /// The host name or address that players are told.
    pub public_address: String,
    /// The address that games listen on: the placeholder `{bind}`.
    pub bind_address: String,
    /// The account that games run as when this program is root: a name in `/etc/passwd`, or `uid:gid`. Not looked at
    /// otherwise; games then run as whoever runs this program.
    pub game_user: String,
    /// The absolute path of the program that has the hidden subcommands. `/proc/self/exe` survives a rebuilt or removed binary.
    pub exe: PathBuf,
}

/// The host cannot work with this configuration.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The data directory cannot be used.
    #[error("the data directory {path}: {source}")]
    Directory {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The data directory is another host's.
    #[error(
        "the data directory {path} belongs to the host '{owner}', and this is '{name}': set AGIS_HOST_NAME={owner}, or \
         another AGIS_DATA_DIR"
    )]
    Owner {
        /// Which one.
        path: PathBuf,
        /// Whose it is.
        owner: String,
        /// Who wants it.
        name: String,
    },
    /// Games cannot listen on the configured address.
    #[error("the address for games, '{address}': {source}")]
    Address {
        /// Which one.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Games cannot run as the configured account.
    #[error("the account for games, '{user}': {why}")]
    Account {
        /// Which one.
        user: String,
        /// Why.
        why: String,
    },
}

use std::{io, ops::RangeInclusive, path::PathBuf};

use thiserror::Error;

/// Configuration that the hosts of a machine share. The composing program fills it from its environment.
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
    /// Accounts of the games if this program is root: one for each server. Otherwise unused, and games run as this
    /// program's account.
    pub game_uids: RangeInclusive<u32>,
    /// Free bytes of the disk below which nothing starts.
    pub disk_reserve: u64,
    /// Bytes that the worlds of deleted servers may take together; `None` for no limit.
    pub trash_max: Option<u64>,
}

/// Reason why no host can work with this configuration.
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
    /// Games cannot run as the configured accounts.
    #[error(
        "the accounts for games, GAME_UIDS={first}-{last}: {source}; set a range of user ids that this machine, or this \
         container, has"
    )]
    Accounts {
        /// First user id of the range.
        first: u32,
        /// Last user id of the range.
        last: u32,
        /// Reason.
        source: io::Error,
    },
}

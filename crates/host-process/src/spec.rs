//! What a shim is told to run. It crosses a pipe, so the shim needs no catalogue and no configuration.

use std::{collections::BTreeMap, path::PathBuf};

use agis_base::OperationId;
use agis_servers::{
    game::{GoodExits, Protocol, Ready, Stop},
    host::Generation,
};
use serde::{Deserialize, Serialize};

use crate::account::Account;

/// One run of one server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The server's directory.
    pub(crate) dir: PathBuf,
    /// The order's generation: the shim gives way where a newer one has been seen.
    pub(crate) generation: Generation,
    /// The order's operation.
    pub(crate) operation: OperationId,
    /// The port of the server, and what it speaks.
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    /// The program's path and its arguments.
    pub(crate) command: Vec<String>,
    /// The whole environment.
    pub(crate) env: BTreeMap<String, String>,
    /// Whom to run it as; the shim's own account where none is named.
    pub(crate) account: Option<Account>,
    /// Files for the working directory, written where nothing is there: path to text.
    pub(crate) files: BTreeMap<PathBuf, String>,
    pub(crate) ready: Ready,
    pub(crate) stop: Stop,
    pub(crate) good_exits: GoodExits,
}

/// This program, whatever becomes of its file.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";

/// Where a program without a slash is looked for, and the `PATH` that games get.
pub(crate) const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";

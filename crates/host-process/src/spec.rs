//! Orders for a shim. They cross a pipe, so the shim needs neither catalogue nor configuration.

use std::{collections::BTreeMap, path::PathBuf};

use agis_base::OperationId;
use agis_machine::{account::Account, files::FileOrder};
use agis_servers::{
    game::{GoodExits, Limits, Protocol, Ready, Stop},
    host::{Generation, OpenPort},
};
use serde::{Deserialize, Serialize};

use crate::{cgroup::RunCgroup, holder::Holder, view::View};

/// Orders for one run of one server.
// Holds secrets of settings, so it cannot be printed.
#[derive(Serialize, Deserialize)]
pub(crate) struct Spec {
    /// Directory of the server.
    pub(crate) dir: PathBuf,
    /// Generation of the order. The shim gives way if a newer one has been seen.
    pub(crate) generation: Generation,
    /// Operation of the order.
    pub(crate) operation: OperationId,
    /// Kernel object that holds the run.
    pub(crate) holder: Holder,
    /// Mounts of the game; `None` for those of the machine.
    pub(crate) view: Option<View>,
    /// Cgroup of the game, with its limits; `None` for that of the shim.
    #[serde(default)]
    pub(crate) cgroup: Option<RunCgroup>,
    /// Port of the server, and its protocol.
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    /// Every port of the server.
    pub(crate) ports: Vec<OpenPort>,
    /// Path of the program, and its arguments.
    pub(crate) command: Vec<String>,
    /// Complete environment.
    pub(crate) env: BTreeMap<String, String>,
    /// Account of the game; `None` for the shim's own account.
    pub(crate) account: Option<Account>,
    /// Files in the working directory.
    pub(crate) files: Vec<FileOrder>,
    pub(crate) ready: Ready,
    pub(crate) stop: Stop,
    pub(crate) good_exits: GoodExits,
    /// Whether the game has a terminal.
    #[serde(default)]
    pub(crate) pty: bool,
    /// Most that the run may use.
    #[serde(default)]
    pub(crate) limits: Limits,
}

//! Prepares the world of a server for its container.

use std::io::ErrorKind;

use agis_machine::{
    files::FileOrder,
    within::{self, WorldOrders},
};
use agis_servers::{game::Container, host::HostError};

use crate::{host::Setup, user::RunAs};

/// Makes the world and its folders, and writes the files of the game. No container of the server runs.
pub(crate) fn prepare(
    setup: &Setup,
    dir: &agis_machine::dir::ServerDir,
    container: &Container,
    run_as: &RunAs,
    files: Vec<FileOrder>,
) -> Result<(), HostError> {
    dir.make_world(run_as.owner).map_err(|error| dir.unavailable(&error))?;
    let folders: Vec<_> =
        container.mounts.iter().filter(|it| !it.folder.is_empty()).map(|it| it.folder.clone()).collect();
    if folders.is_empty() && files.is_empty() {
        return Ok(());
    }
    let orders = WorldOrders { world: dir.world(), account: run_as.owner, folders, files };
    within::prepare(&setup.shim, &orders).map_err(|error| match error.kind() {
        // Somebody may make room.
        ErrorKind::StorageFull => dir.unavailable(&error),
        _ => HostError::Failed(error.to_string()),
    })
}

//! Deletes a server's directory.

use std::{fs, io};

use agis_base::ServerId;
use agis_servers::host::{Generation, HostError};

use crate::{dir::ServerDir, leftovers, setup::HostSetup};

/// Files that outlive the server.
const KEPT: [&str; 5] = ["generation", "generation.lock", "generation.spare", "killed", "killed.spare"];

/// Releases the ports, moves the world away and deletes the other files. The fence stays, since an order from before the
/// deletion must never revive the server. The record of a kill stays too. No process of the server runs.
pub(crate) fn delete(setup: &HostSetup, server: ServerId, generation: Generation) -> Result<(), HostError> {
    let dir = setup.dir(server);
    let gate = dir.gate()?;
    gate.up_to_date(generation)?;
    leftovers::sweep(&gate, setup, server)?;
    remove(setup, server, &dir).map_err(|error| dir.unavailable(&error))?;
    drop(gate);
    setup.trash.sweep();
    Ok(())
}

fn remove(setup: &HostSetup, server: ServerId, dir: &ServerDir) -> io::Result<()> {
    for port in dir.ports()? {
        setup.ports.release(server, port)?;
    }
    setup.trash.take(server, &dir.world())?;
    for entry in fs::read_dir(dir.path())? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| KEPT.contains(&name)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

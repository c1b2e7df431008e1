//! Deletes a server's directory.

use agis_base::ServerId;
use agis_servers::host::{Generation, HostError};

use crate::{leftovers, setup::HostSetup};

/// Deletes all but the fence and the record of a kill. No process of the server's run is alive.
pub(crate) fn delete(setup: &HostSetup, server: ServerId, generation: Generation) -> Result<(), HostError> {
    let dir = setup.machine.dir(server);
    let world = dir.hold_world()?;
    let gate = dir.gate()?;
    gate.up_to_date(generation)?;
    leftovers::sweep(&gate, setup, server)?;
    setup.machine.delete(server, &gate, &world)?;
    drop((gate, world));
    setup.machine.trash.sweep();
    Ok(())
}

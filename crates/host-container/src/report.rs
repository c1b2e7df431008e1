//! Boundaries that this host draws around each game.

use std::sync::Arc;

use agis_machine::{dir::blocking, room};
use agis_servers::host::{Boundary, Containment, HostError, HostReport};
use bollard::models::SystemInfo;

use crate::{
    engine::{Brand, is_rootless},
    host::Setup,
};

/// Returns what holds on this machine, and why other boundaries do not.
pub(crate) async fn report(setup: &Arc<Setup>) -> HostReport {
    let containment = match (setup.engine.brand().await, setup.engine.info().await) {
        (Ok(brand), Ok(info)) => containment(brand, setup.machine.some_account().is_some(), &info),
        (Err(trouble), _) | (_, Err(trouble)) => unknown(&HostError::from(trouble).to_string()),
    };
    let machine = Arc::clone(setup);
    let rooms = blocking(move || Ok((room::disk(&machine.machine.root).ok(), room::memory().ok())));
    let (disk, memory) = rooms.await.unwrap_or_default();
    HostReport { containment, disk, memory, ..HostReport::default() }
}

fn unknown(why: &str) -> Containment {
    [Boundary::Processes, Boundary::Files, Boundary::Memory, Boundary::Cpu, Boundary::Pids]
        .into_iter()
        .fold(Containment::default(), |report, boundary| report.without(boundary, why))
}

fn containment(brand: Brand, is_root: bool, info: &SystemInfo) -> Containment {
    let report = Containment::default()
        .with(Boundary::Processes, "a container for each run")
        .with(Boundary::Files, "a container with its own world alone, and a network of its own");
    let report = match (is_rootless(info), is_root, brand) {
        (false, true, _) => report.with(Boundary::Account, "GAME_UIDS, or the user that the catalogue names"),
        (true, _, _) => report.without(Boundary::Account, "the engine is rootless, so games run under its account"),
        (false, false, _) => report.without(Boundary::Account, "AGIS is not root, so games run under its account"),
    };
    let limits = [
        (Boundary::Memory, info.memory_limit, "memory"),
        (Boundary::Cpu, info.cpu_cfs_quota, "cpu"),
        (Boundary::Pids, info.pids_limit, "pids"),
    ];
    let report = limits.into_iter().fold(report, |report, (boundary, holds, controller)| match holds {
        Some(true) => report.with(boundary, "a cgroup of the engine"),
        _ => report.without(boundary, format!("the engine has no cgroup controller '{controller}'")),
    });
    report
        .with(
            Boundary::Disk,
            "the world, and what the game writes elsewhere, measured every minute, or less often where that takes long",
        )
        .without(Boundary::Console, "the engine reads at any rate, and keeps the last 18 MB")
}

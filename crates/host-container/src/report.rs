//! Boundaries that this host draws around each game.

use std::sync::Arc;

use agis_machine::{dir::blocking, room};
use agis_servers::host::{Boundary, Containment, HostError, HostReport};
use bollard::models::{SystemInfo, SystemInfoCgroupVersionEnum};

use crate::{
    engine::{Brand, Trouble},
    host::Setup,
};

/// Returns what holds on this machine, and why other boundaries do not.
pub(crate) async fn report(setup: &Arc<Setup>) -> HostReport {
    let asked = async {
        let info = setup.engine.info().await?;
        Ok::<_, Trouble>((setup.engine.brand().await?, setup.engine.is_rootless().await?, info))
    };
    let containment = match asked.await {
        Ok((brand, is_rootless, info)) => {
            containment(brand, is_rootless, setup.machine.some_account().is_some(), &info)
        }
        Err(trouble) => unknown(&HostError::from(trouble).to_string()),
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

fn containment(brand: Brand, is_rootless: bool, is_root: bool, info: &SystemInfo) -> Containment {
    let report = Containment::default()
        .with(Boundary::Processes, "a container for each run")
        .with(Boundary::Files, "a container with its own world alone, and a network of its own");
    let report = match (is_rootless, is_root, brand) {
        (false, true, _) => report.with(Boundary::Account, "GAME_UIDS, or the user that the catalogue names"),
        (true, _, _) => report.without(Boundary::Account, "the engine is rootless, so games run under its account"),
        (false, false, _) => report.without(Boundary::Account, "AGIS is not root, so games run under its account"),
    };
    let limits = [
        (Boundary::Memory, info.memory_limit, "memory"),
        (Boundary::Cpu, info.cpu_cfs_quota, "cpu"),
        (Boundary::Pids, info.pids_limit, "pids"),
    ];
    // Podman names controllers all the same.
    let has_none = is_rootless && info.cgroup_version == Some(SystemInfoCgroupVersionEnum::_1);
    let report = limits.into_iter().fold(report, |report, (boundary, holds, controller)| match holds {
        _ if has_none => report.without(boundary, "a rootless engine has no limits with cgroups of version 1"),
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

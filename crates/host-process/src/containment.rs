//! Boundaries that this host draws around each game.

use agis_servers::host::{Boundary, Containment};

use crate::{holder::Holder, setup::HostSetup};

/// Returns the boundaries that hold on this machine, and the reasons why others do not.
pub(crate) fn containment(setup: &HostSetup) -> Containment {
    let loose = setup.loose.as_deref().unwrap_or("the kernel refuses namespaces");
    let shared = "AGIS is not root, so games run under its account";
    let report = Containment::default();
    let report = match setup.holder {
        Holder::Namespace | Holder::UserNamespace => report.with(Boundary::Processes, "a PID namespace for each run"),
        Holder::ProcessGroup => report.without(Boundary::Processes, loose),
    };
    let is_root = setup.machine.some_account().is_some();
    let report = match setup.holder {
        Holder::Namespace => report.with(Boundary::Files, "mounts and a user id of its own"),
        Holder::UserNamespace => report.without(Boundary::Files, "a game can read what the account of AGIS can read"),
        Holder::ProcessGroup => report.without(Boundary::Files, if is_root { loose } else { shared }),
    };
    let report =
        if is_root { report.with(Boundary::Account, "GAME_UIDS") } else { report.without(Boundary::Account, shared) };
    let report = match &setup.cgroups {
        Ok(_) => {
            let kernel = [Boundary::Memory, Boundary::Cpu, Boundary::Pids];
            kernel.into_iter().fold(report, |report, boundary| report.with(boundary, "a cgroup of its own"))
        }
        Err(why) => measured(report, setup, shared).without(Boundary::Cpu, why),
    };
    report
        .with(Boundary::Disk, "measured at each start and every minute, or less often where that takes long")
        .with(Boundary::Console, "AGIS reads no faster")
}

/// Adds the limits that hold without a cgroup.
fn measured(report: Containment, setup: &HostSetup, shared: &str) -> Containment {
    let report = report.with(
        Boundary::Memory,
        "measured every 5 s without files in memory, and RLIMIT_DATA of twice the limit for each process",
    );
    match setup.holder.counts_alone(setup.machine.some_account()) {
        true => report.with(Boundary::Pids, "RLIMIT_NPROC"),
        false => report.without(Boundary::Pids, shared),
    }
}

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
    let is_root = setup.some_account().is_some();
    let report = match setup.holder {
        Holder::Namespace => report.with(Boundary::Files, "mounts and a user id of its own"),
        Holder::UserNamespace => report.without(Boundary::Files, "a game can read what the account of AGIS can read"),
        Holder::ProcessGroup => report.without(Boundary::Files, if is_root { loose } else { shared }),
    };
    if is_root { report.with(Boundary::Account, "GAME_UIDS") } else { report.without(Boundary::Account, shared) }
}

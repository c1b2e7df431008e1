//! Boundaries that this host draws around each game.

use agis_servers::host::{Boundary, Containment};

use crate::account::Account;

/// Returns the boundaries that hold on this machine, and the reasons why others do not.
pub(crate) fn containment(account: Option<Account>) -> Containment {
    let shared = match account {
        Some(_) => "all games share GAME_USER",
        None => "AGIS is not root, so games run under its account",
    };
    Containment::default()
        .without(Boundary::Processes, "a process that leaves the game's group and drops its files outlives a stop")
        .without(Boundary::Files, shared)
        .without(Boundary::Account, shared)
}

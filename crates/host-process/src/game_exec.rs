//! Takes the last step before a game: mounts, rights, and files. The game cannot undo it.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use agis_machine::{
    account::Account,
    files::{self, FileOrder},
};
use rustix::{
    fs::Mode,
    process::{Signal, geteuid, getppid, getuid, set_parent_process_death_signal, umask},
};
use serde::{Deserialize, Serialize};

use crate::{
    cgroup::RunCgroup,
    limits::KernelLimits,
    program::{self, OWN_PROGRAM},
    pty,
    view::View,
};

/// Orders for the last step before a game.
// Holds secrets of settings, so it cannot be printed.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct GameOrders {
    /// Process id of the shim, as its child sees it; 0 for a parent in another PID namespace.
    pub(crate) shim: u32,
    /// Path of the program, and its arguments; empty for an attempt without a game.
    pub(crate) command: Vec<String>,
    /// Account of the game; `None` for the shim's own account.
    pub(crate) account: Option<Account>,
    /// Mounts of the game; `None` for those of the machine.
    pub(crate) view: Option<View>,
    /// Working directory.
    pub(crate) world: PathBuf,
    /// Cgroup of the game; `None` for that of the shim.
    #[serde(default)]
    pub(crate) cgroup: Option<RunCgroup>,
    /// Limits of the kernel without a cgroup.
    #[serde(default)]
    pub(crate) limits: KernelLimits,
    /// Files to write into the working directory.
    pub(crate) files: Vec<FileOrder>,
    /// Whether the game has a terminal, which is standard output here.
    #[serde(default)]
    pub(crate) pty: bool,
}

/// Becomes the game. Takes the length of the orders (`GameOrders`), which stand at the beginning of standard input.
/// The rest of standard input is the game's console, unless that is a terminal.
///
/// Returns on failure only. The reason goes to standard error, which is the server's log.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match become_game(args.into_iter().next()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "the game was not begun: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns without an error only if the orders name no game.
fn become_game(length: Option<OsString>) -> io::Result<()> {
    let length = length.and_then(|text| text.to_str()?.parse().ok());
    let orders = read(length.ok_or_else(|| io::Error::other("the length of the orders is missing"))?)?;
    // The mount points and the files of the game do not depend on the operator's mask.
    umask(Mode::WGRP | Mode::WOTH);
    if let Some(cgroup) = &orders.cgroup {
        cgroup.enter()?;
    }
    if let Some(view) = &orders.view {
        view.enter()?;
    }
    drop_rights(&orders)?;
    let Some((program, arguments)) = orders.command.split_first() else { return Ok(()) };
    std::env::set_current_dir(&orders.world).map_err(|error| {
        let world = orders.world.display();
        io::Error::new(
            error.kind(),
            format!("{world}: {error} (its account must be able to enter every directory above)"),
        )
    })?;
    files::write(&orders.files)?;
    if orders.pty {
        pty::take_over()?;
    }
    let mut game = Command::new(program);
    if program == OWN_PROGRAM {
        game.arg0("agis-game");
    }
    let error = game.args(arguments).exec();
    // The check before a start uses the same words. A program in the server's own directory does not exist before this
    // step.
    let why = program::check(Path::new(program), None).err();
    Err(io::Error::new(error.kind(), why.map_or_else(|| format!("{program}: {error}"), |why| why.to_string())))
}

/// Reads the orders to their last byte and no further. The following bytes are typed for the game.
fn read(length: u32) -> io::Result<GameOrders> {
    let mut console = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut text = vec![0; length as usize];
    console.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Drops root and every capability for good, and ties the process to the shim's life.
fn drop_rights(orders: &GameOrders) -> io::Result<()> {
    KernelLimits::offer_to_kernel();
    if let Some(account) = orders.account {
        account.become_it()?;
    }
    if getuid().is_root() || geteuid().is_root() {
        return Err(io::Error::other("games never run as root"));
    }
    orders.limits.set()?;
    rustix::thread::set_no_new_privs(true)?;
    // The capabilities of a user namespace pass to the next program as ambient ones.
    rustix::thread::clear_ambient_capability_set()?;
    // A change of account clears this setting, so the shim cannot set it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The shim may have died before the signal was arranged.
    let parent = getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
    if parent == orders.shim { Ok(()) } else { Err(io::Error::other("the supervisor is gone")) }
}

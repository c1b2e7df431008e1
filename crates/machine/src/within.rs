//! Prepares a world as a child process that can reach nothing else: for a host whose games run in another view of the
//! machine. A game may leave links that mean something else outside of its view, so the child makes the world its root.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use nix::sched::{CloneFlags, unshare};
use rustix::{
    fs::Mode,
    process::{chroot, geteuid, umask},
};
use serde::{Deserialize, Serialize};

use crate::{
    account::Account,
    files::{self, FileOrder},
};

/// Exit status of a child that found the disk full: the number of that error.
const FULL: i32 = 28;

/// Subcommand of `agis-shim` that runs [`main`].
pub const PREPARE: &str = "prepare-world";
/// Maximum size of the orders, in bytes. No catalogue's files reach it.
const ORDERS_BYTES: u64 = 16 * 1024 * 1024;

/// Orders for a world.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorldOrders {
    /// Path of the world.
    pub world: PathBuf,
    /// Account of its files; `None` for this program's own one.
    pub account: Option<Account>,
    /// Names of the folders that it has at least.
    pub folders: Vec<String>,
    /// Files to write.
    pub files: Vec<FileOrder>,
}

/// Prepares a world by a child process. `shim` is the path of `agis-shim`.
///
/// # Errors
/// Fails with a sentence that names the step or the file, and says what is wrong with it. The kind is
/// [`io::ErrorKind::StorageFull`] if the disk is full.
pub fn prepare(shim: &Path, orders: &WorldOrders) -> io::Result<()> {
    let mut command = Command::new(shim);
    command
        .arg(PREPARE)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(in_step(&shim.display().to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // A child that has ended already gives the reason on its standard error.
        let _ = input.write_all(&serde_json::to_vec(orders)?);
    }
    let done = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    match done.status.code() {
        Some(0) => Ok(()),
        Some(FULL) => Err(io::Error::new(io::ErrorKind::StorageFull, said)),
        _ if said.is_empty() => Err(io::Error::other(format!("the preparation of its world ended ({})", done.status))),
        _ => Err(io::Error::other(said)),
    }
}

/// Names the step in which an error came up.
fn in_step(step: &str) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{step}: {error}"))
}

/// Reads its orders from standard input, and carries them out. Errors go to standard error.
///
/// Call this before any thread starts.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ExitCode::from(FULL as u8),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run() -> io::Result<()> {
    let mut text = Vec::new();
    io::stdin().take(ORDERS_BYTES).read_to_end(&mut text)?;
    let orders = serde_json::from_slice(&text).map_err(|error| in_step("the orders for its world")(error.into()))?;
    let WorldOrders { world, account, folders, files } = orders;
    umask(Mode::WGRP | Mode::WOTH);
    if !geteuid().is_root() {
        // An ordinary account may change its root in a user namespace of its own.
        let step = "a user namespace for the preparation of its world";
        unshare(CloneFlags::CLONE_NEWUSER).map_err(|error| in_step(step)(error.into()))?;
    }
    std::env::set_current_dir(&world)
        .and_then(|()| Ok(chroot(".")?))
        .and_then(|()| std::env::set_current_dir("/"))
        .map_err(in_step("the entry into its world"))?;
    if let Some(account) = account {
        account.become_it()?;
    }
    for folder in folders {
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(in_step(&format!("the folder '{folder}' of its world"))(error));
            }
            _ => {}
        }
    }
    files::write(&files)
}

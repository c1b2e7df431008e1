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
/// Fails with a sentence that names the file, and says what is wrong with it.
pub fn prepare(shim: &Path, orders: &WorldOrders) -> io::Result<()> {
    let mut command = Command::new(shim);
    command
        .arg(PREPARE)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A child that has ended already gives the reason on its standard error.
        let _ = input.write_all(&serde_json::to_vec(orders)?);
    }
    let done = child.wait_with_output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&done.stderr).trim().to_owned()))
}

/// Reads its orders from standard input, and carries them out. Errors go to standard error.
///
/// Call this before any thread starts.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let mut text = Vec::new();
    io::stdin().take(ORDERS_BYTES).read_to_end(&mut text)?;
    let WorldOrders { world, account, folders, files } = serde_json::from_slice(&text)?;
    umask(Mode::WGRP | Mode::WOTH);
    if !geteuid().is_root() {
        // An ordinary account may change its root in a user namespace of its own.
        unshare(CloneFlags::CLONE_NEWUSER).map_err(io::Error::from)?;
    }
    std::env::set_current_dir(&world)?;
    chroot(".")?;
    std::env::set_current_dir("/")?;
    if let Some(account) = account {
        account.become_it()?;
    }
    for folder in folders {
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io::Error::new(error.kind(), format!("the folder '{folder}' of its world: {error}")));
            }
            _ => {}
        }
    }
    files::write(&files)
}

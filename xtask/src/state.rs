//! The folders: the checkout, cargo's output, and the state of `cargo xtask dev`.

use std::env;
use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use agis_local_services::account::Account;

use crate::failure::{Failure, Result};

/// Returns the root of the checkout.
pub(crate) fn checkout() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Returns the folder of the programs that cargo built as it built this one.
pub(crate) fn programs() -> Result<PathBuf> {
    let program = env::current_exe()?;
    program.parent().map(Path::to_path_buf).ok_or_else(|| Failure::new("cannot tell the folder of this program"))
}

/// Returns cargo's output folder: the one that this very program was built into, whatever the configuration calls it.
pub(crate) fn target() -> Result<PathBuf> {
    let programs = programs()?;
    let above = programs.ancestors().skip(1).find(|folder| !folder.ends_with(triple()));
    above.map(Path::to_path_buf).ok_or_else(|| Failure::new("cannot tell cargo's output folder"))
}

/// Returns the target of static programs. Cargo gives the output for a named target a folder of that name.
pub(crate) fn triple() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

/// The folder that holds the dev database, the games and a fetched PostgreSQL.
#[derive(Debug)]
pub(crate) struct State {
    dir: PathBuf,
    /// `AGIS_STATE_DIR` named it.
    is_named: bool,
}

impl State {
    /// `AGIS_STATE_DIR`, else `.agis` in the checkout, else, where the account that PostgreSQL and the games run as
    /// may not enter the checkout, a folder of the system's.
    pub(crate) fn locate() -> Result<Self> {
        let account = Account::unprivileged()?;
        let inside = checkout().join(".agis");
        let named = env::var_os("AGIS_STATE_DIR");
        let is_named = named.is_some();
        let dir = match named {
            Some(named) => std::path::absolute(named)?,
            None if account.may_enter(&inside) => inside,
            None => PathBuf::from(format!("/var/lib/agis-dev-{:08x}", hash(checkout()))),
        };
        if !account.may_enter(&dir) {
            return Err(Failure::new(format!(
                "PostgreSQL and games do not run as root, and the account that they run as may not enter {}. Set \
                 AGIS_STATE_DIR to a folder that everybody may enter.",
                dir.display()
            )));
        }
        make_enterable(&dir)?;
        Ok(Self { dir, is_named })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the file that a shell sources. It lies in `.agis` of the checkout, wherever the checkout's own state is; a state
    /// that `AGIS_STATE_DIR` names holds its own.
    pub(crate) fn dev_env(&self) -> PathBuf {
        let dir = if self.is_named { self.dir.clone() } else { checkout().join(".agis") };
        dir.join("dev.env")
    }

    pub(crate) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    /// Returns the folder of a PostgreSQL that was downloaded because the machine has none.
    pub(crate) fn downloads(&self) -> PathBuf {
        self.dir.join("postgresql")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Takes the state for ourselves until the file is closed; nothing where another process has it. The kernel
    /// lets go of it when we die.
    pub(crate) fn try_lock(&self) -> Result<Option<File>> {
        let path = self.dir.join("dev.lock");
        let named = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
        let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(named)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(named(error)),
        }
    }

    pub(crate) fn lock(&self) -> Result<File> {
        self.try_lock()?.ok_or_else(|| {
            Failure::new(format!(
                "`cargo xtask dev` (or `migrate`, or `db`) already runs on {}. End it first, or set AGIS_STATE_DIR to \
                 another folder for a second one.",
                self.dir.display()
            ))
        })
    }

    /// Removes the dev database and the games; a fetched PostgreSQL stays. The caller holds the lock.
    pub(crate) fn wipe(&self) -> Result {
        let holders = holders(&self.data());
        if !holders.is_empty() {
            return Err(Failure::new(format!(
                "these processes still work in {}: {}. An earlier `agis-api` was killed and its game servers run on: \
                 `cargo xtask dev` without --fresh takes them over and stops them on Ctrl-C.",
                self.data().display(),
                holders.join(", ")
            )));
        }
        agis_local_services::postgres::Cluster::remove(self.postgres())?;
        match fs::remove_dir_all(self.data()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Makes a folder that other accounts may enter, whatever our umask. What exists stays as its owner wants it.
pub(crate) fn make_enterable(dir: &Path) -> Result {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        make_enterable(parent)?;
    }
    let made = fs::create_dir(dir).and_then(|()| fs::set_permissions(dir, Permissions::from_mode(0o755)));
    made.map_err(|error| Failure::new(format!("{}: {error}", dir.display())))
}

/// The processes that have `dir` as their working folder or a file in it open, as "pid (name)".
fn holders(dir: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .map(|process| process.path())
        .filter(|process| process.join("comm").exists() && holds(process, dir))
        .map(|process| {
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            format!("{} ({})", process.file_name().unwrap_or_default().to_string_lossy(), name.trim())
        })
        .collect()
}

fn holds(process: &Path, dir: &Path) -> bool {
    let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten().map(|file| file.path());
    open.chain([process.join("cwd")]).any(|link| fs::read_link(link).is_ok_and(|place| place.starts_with(dir)))
}

/// FNV-1a: tells checkouts apart, the same in every release.
fn hash(path: &Path) -> u32 {
    let bytes = path.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_named_state_has_its_own_dev_env() {
        let of = |dir: &str, is_named| State { dir: PathBuf::from(dir), is_named }.dev_env();
        let own = checkout().join(".agis/dev.env");
        assert_eq!(of("/elsewhere/one", true), Path::new("/elsewhere/one/dev.env"));
        assert_ne!(of("/elsewhere/one", true), of("/elsewhere/two", true));
        assert_eq!([of("/var/lib/agis-dev-1", false), of("/work/.agis", false)], [own.clone(), own]);
    }
}

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::fetch;
use crate::account::Account;
use crate::error::{Error, Result};

/// The programs without which a folder is no PostgreSQL installation.
const NEEDED: [&str; 3] = ["initdb", "postgres", "pg_ctl"];

/// The folder with PostgreSQL's programs: `PG_BIN_DIR`, the PATH, the newest of the system's packages, or, where
/// `downloads` allows to fetch one, a fresh one.
pub(super) fn find(account: &Account, downloads: Option<&Path>) -> Result<PathBuf> {
    if let Some(named) = env::var_os("PG_BIN_DIR") {
        return named_by_hand(Path::new(&named), account);
    }
    let found = on_path(account).or_else(|| packaged(account));
    match (found, downloads) {
        (Some(found), _) => Ok(found),
        (None, Some(downloads)) => fetch::fetch(account, downloads),
        (None, None) => Err(Error::new(fetch::ADVICE)),
    }
}

fn named_by_hand(named: &Path, account: &Account) -> Result<PathBuf> {
    usable(named, account).ok_or_else(|| {
        Error::new(format!(
            "PG_BIN_DIR is {}, which holds no usable initdb, postgres and pg_ctl. Set it to a folder such as \
             /usr/lib/postgresql/15/bin, or unset it.",
            named.display()
        ))
    })
}

fn on_path(account: &Account) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).find_map(|dir| {
        // A link such as /usr/local/bin/initdb leads to the folder that has all of them.
        let initdb = fs::canonicalize(dir.join("initdb")).ok()?;
        usable(initdb.parent()?, account)
    })
}

/// The newest of Debian's `/usr/lib/postgresql/<version>/bin`.
pub(super) fn packaged(account: &Account) -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .filter_map(|entry| Some((version(&entry.file_name())?, entry.path().join("bin"))))
        .collect();
    versions.sort_unstable();
    versions.into_iter().rev().find_map(|(_, bin)| usable(&bin, account))
}

fn version(folder: &OsStr) -> Option<u32> {
    folder.to_str()?.parse().ok()
}

/// The folder, if it holds all that is needed where the account can reach it.
pub(super) fn usable(bin: &Path, account: &Account) -> Option<PathBuf> {
    let bin = fs::canonicalize(bin).ok()?;
    let complete = NEEDED.iter().all(|program| bin.join(program).is_file());
    (complete && account.may_enter(&bin)).then_some(bin)
}

//! The account that a helper process runs as: ours, or an unprivileged one when we are root.
//!
//! `initdb` and `postgres` refuse root, so root lends them the account `postgres`, or `nobody`.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::error::{Error, Result};

const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// Account that a helper process runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// We are not root: helpers run as we do.
    Ours,
    /// We are root: helpers run as this account.
    Lent {
        /// The account's user id.
        uid: u32,
        /// The account's group id.
        gid: u32,
    },
}

impl Account {
    /// Ours, or the first of `postgres` and `nobody` that exists when we are root.
    pub fn unprivileged() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ours);
        }
        let passwd = Path::new("/etc/passwd");
        let users = fs::read_to_string(passwd).map_err(Error::at(passwd))?;
        CANDIDATES.iter().find_map(|name| lookup(&users, name)).ok_or_else(|| {
            Error::new(
                "PostgreSQL refuses to run as root, and neither of the accounts `postgres` and `nobody` exists. \
                 Run this as an ordinary user, or create one of them: useradd --system postgres",
            )
        })
    }

    /// Makes `command` run as this account.
    pub fn apply(&self, command: &mut Command) {
        if let Self::Lent { uid, gid } = *self {
            command.uid(uid).gid(gid);
        }
    }

    /// Makes this account the owner of `path`.
    pub fn give(&self, path: &Path) -> Result<()> {
        match *self {
            Self::Ours => Ok(()),
            Self::Lent { uid, gid } => chown(path, Some(uid), Some(gid)).map_err(Error::at(path)),
        }
    }

    /// Whether this account may reach what lies in `path`; folders that do not exist yet count as open.
    pub fn may_enter(&self, path: &Path) -> bool {
        match *self {
            Self::Ours => true,
            Self::Lent { uid, gid } => path
                .ancestors()
                .filter_map(|folder| fs::metadata(folder).ok())
                .all(|folder| grants_entry(&folder, uid, gid)),
        }
    }
}

fn grants_entry(folder: &fs::Metadata, uid: u32, gid: u32) -> bool {
    let class = match () {
        () if folder.uid() == uid => 0o100,
        () if folder.gid() == gid => 0o010,
        () => 0o001,
    };
    folder.mode() & class != 0
}

fn lookup(passwd: &str, name: &str) -> Option<Account> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut ids = line.split(':').skip(2).map(str::parse);
    match (ids.next()?, ids.next()?) {
        // A second name for root would be no gain.
        (Ok(uid), Ok(gid)) if uid != 0 => Some(Account::Lent { uid, gid }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_an_account_by_its_whole_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres2:x:5:5::/:/bin/sh\npostgres:x:101:104:a,b:/:/bin/sh\n";
        assert_eq!(lookup(passwd, "postgres"), Some(Account::Lent { uid: 101, gid: 104 }));
        assert_eq!(lookup(passwd, "nobody"), None);
        assert_eq!(lookup(passwd, "root"), None);
    }
}

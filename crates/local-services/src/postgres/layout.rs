use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Options;
use crate::account::Account;
use crate::error::{Error, Result};
use crate::random;

/// The files of one cluster, in a folder that belongs to the account that PostgreSQL runs as.
#[derive(Debug)]
pub(super) struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Makes the cluster's folder where it is missing.
    pub(super) fn prepare(options: &Options, account: &Account) -> Result<Self> {
        let dir = match &options.dir {
            Some(dir) => std::path::absolute(dir).map_err(Error::at(dir))?,
            None => temporary(account)?,
        };
        let parent = dir.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).map_err(Error::at(parent))?;
        if !account.may_enter(parent) {
            return Err(Error::new(format!(
                "PostgreSQL refuses to run as root, and the account that it would run as may not enter {}. Make the \
                 folder and those above it enterable (chmod o+x), or choose another place.",
                parent.display()
            )));
        }
        if !dir.is_dir() {
            DirBuilder::new().mode(0o700).create(&dir).map_err(Error::at(&dir))?;
            account.give(&dir)?;
        }
        Ok(Self { dir })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub(super) fn password_file(&self) -> PathBuf {
        self.dir.join("password")
    }

    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    pub(super) fn password(&self) -> Result<String> {
        let path = self.password_file();
        fs::read_to_string(&path).map_err(Error::at(&path))
    }

    pub(super) fn create_password(&self, account: &Account) -> Result<()> {
        self.create("password", &random::hex()?, account)
    }

    /// A file of the server's own.
    pub(super) fn create(&self, name: &str, content: &str, account: &Account) -> Result<()> {
        self.write(name, content)?;
        account.give(&self.dir.join(name))
    }

    /// The port of the last run: keeping it keeps the URLs that people have noted.
    pub(super) fn last_port(&self) -> Option<u16> {
        fs::read_to_string(self.dir.join("port")).ok()?.parse().ok()
    }

    pub(super) fn keep_port(&self, port: u16) -> Result<()> {
        self.write("port", &port.to_string())
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        let path = self.dir.join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(Error::at(&path))
    }

    pub(super) fn clear_log(&self) -> Result<()> {
        self.write("log", "")
    }

    pub(super) fn open_log(&self) -> Result<File> {
        let path = self.log();
        OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(Error::at(&path))
    }

    /// The last lines of the server's log, for an error message.
    pub(super) fn log_tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

/// A folder that nobody else can have prepared: its name is random and creating it fails where it exists.
fn temporary(account: &Account) -> Result<PathBuf> {
    let chosen = std::env::temp_dir();
    // A private TMPDIR of root's is of no use to the account.
    let parent = if account.may_enter(&chosen) { chosen } else { PathBuf::from("/tmp") };
    let dir = parent.join(format!("agis-postgres-{}", random::hex()?));
    DirBuilder::new().mode(0o700).create(&dir).map_err(Error::at(&dir))?;
    account.give(&dir)?;
    Ok(dir)
}

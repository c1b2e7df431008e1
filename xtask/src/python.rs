//! Tools from PyPI, in a folder of their own among cargo's output.

use std::path::PathBuf;
use std::process::Command;

use crate::failure::{Failure, Result};
use crate::run::{run, step};
use crate::signals::Interrupts;
use crate::state;

/// Returns the folder of the programs of these packages, `name==version` each, and installs them if they are not there. A new
/// version finds new faults, so an upgrade is a change of its own.
pub(crate) fn install(packages: &[&str], interrupts: &Interrupts) -> Result<PathBuf> {
    let dir = state::target()?.join("tools").join(packages.join("-"));
    let (programs, complete) = (dir.join("bin"), dir.join("complete"));
    if complete.exists() {
        return Ok(programs);
    }
    step(format_args!("installing {} into {}", packages.join(", "), dir.display()));
    let made = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir), interrupts);
    made.map_err(|failure| match failure {
        Failure::Interrupted => failure,
        _ => Failure::new("this needs Python 3 with venv: apt-get install python3-venv"),
    })?;
    let mut pip = Command::new(programs.join("pip"));
    run(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages), interrupts)?;
    std::fs::write(complete, "")?;
    Ok(programs)
}

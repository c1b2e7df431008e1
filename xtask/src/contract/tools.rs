use std::path::PathBuf;
use std::process::Command;

use crate::failure::{Failure, Result};
use crate::run::{run, step};
use crate::signals::Interrupts;
use crate::state;

/// What is fetched from PyPI. A new version finds new things: it comes in by a change of its own.
const PACKAGES: [&str; 2] = ["schemathesis==4.32.5", "openapi-spec-validator==0.9.0"];

/// The folder of the tools' programs; installs them where they are not.
pub(super) fn install(interrupts: &Interrupts) -> Result<PathBuf> {
    let dir = state::target()?.join("tools").join(PACKAGES.join("-"));
    let (programs, complete) = (dir.join("bin"), dir.join("complete"));
    if complete.exists() {
        return Ok(programs);
    }
    step(format_args!("installing {} into {}", PACKAGES.join(", "), dir.display()));
    let made = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir), interrupts);
    made.map_err(|failure| match failure {
        Failure::Interrupted => failure,
        _ => Failure::new("schemathesis needs Python 3 with venv: apt-get install python3-venv"),
    })?;
    let mut pip = Command::new(programs.join("pip"));
    run(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES), interrupts)?;
    std::fs::write(complete, "")?;
    Ok(programs)
}

use std::fs;
use std::process::Stdio;

use crate::build;
use crate::failure::{Failure, Result};
use crate::run::step;
use crate::signals::Interrupts;
use crate::state::checkout;

/// Write the API's OpenAPI document to docs/openapi.json; a test fails where that one is old
#[derive(clap::Args)]
pub(crate) struct Args;

pub(crate) fn run(_: &Args, interrupts: &Interrupts) -> Result {
    let program = build::agis_api(false, interrupts)?;
    let printed = std::process::Command::new(program).arg("openapi").stderr(Stdio::inherit()).output()?;
    if !printed.status.success() {
        return Err(Failure::Status(printed.status));
    }
    let path = checkout().join("docs/openapi.json");
    fs::write(&path, printed.stdout)?;
    step(format_args!("wrote {}", path.display()));
    Ok(())
}

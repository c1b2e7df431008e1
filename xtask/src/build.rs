use std::path::PathBuf;

use crate::failure::Result;
use crate::run::{cargo, run as run_command, step};
use crate::signals::Interrupts;
use crate::state;

/// Build the whole workspace
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Optimised, as it is shipped
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    step("building the workspace");
    let mut build = cargo();
    build.args(["build", "--workspace"]).args(args.release.then_some("--release"));
    run_command(&mut build, interrupts)
}

/// Builds `agis-api` and tells where it is.
pub(crate) fn agis_api(release: bool, interrupts: &Interrupts) -> Result<PathBuf> {
    step("building agis-api");
    let mut build = cargo();
    build.args(["build", "--package", "agis-api"]).args(release.then_some("--release"));
    run_command(&mut build, interrupts)?;
    Ok(state::target()?.join(if release { "release" } else { "debug" }).join("agis-api"))
}

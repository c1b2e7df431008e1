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
    program("agis-api", &["--package", "agis-api"], release, interrupts)
}

/// Builds `agis-bot` and tells where it is.
pub(crate) fn agis_bot(release: bool, interrupts: &Interrupts) -> Result<PathBuf> {
    program("agis-bot", &["--package", "agis-bot"], release, interrupts)
}

/// Builds `agis-soak`, which only drives the others, and tells where it is.
pub(crate) fn agis_soak(interrupts: &Interrupts) -> Result<PathBuf> {
    program("agis-soak", &["--package", "agis-soak"], false, interrupts)
}

/// Builds the stand-in for Discord and tells where it is; nobody waits for it, so it is never optimised.
pub(crate) fn discord_stand_in(interrupts: &Interrupts) -> Result<PathBuf> {
    let args = ["--package", "agis-test-support", "--features", "discord", "--bin", "discord-stand-in"];
    program("discord-stand-in", &args, false, interrupts)
}

fn program(name: &str, args: &[&str], release: bool, interrupts: &Interrupts) -> Result<PathBuf> {
    step(format_args!("building {name}"));
    let mut build = cargo();
    build.arg("build").args(args).args(release.then_some("--release"));
    run_command(&mut build, interrupts)?;
    Ok(state::target()?.join(if release { "release" } else { "debug" }).join(name))
}

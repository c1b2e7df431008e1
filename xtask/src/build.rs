use std::path::PathBuf;

use crate::failure::Result;
use crate::run::{cargo, run as run_command, step};
use crate::signals::Interrupts;
use crate::state;

/// Build the whole workspace, the tests included unless it is optimised
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Optimised, as it is shipped
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    if !args.release {
        return everything(interrupts);
    }
    step("building the workspace, optimised");
    run_command(cargo().args(["build", "--workspace", "--release"]), interrupts)
}

/// Builds all programs and all tests.
pub(crate) fn everything(interrupts: &Interrupts) -> Result {
    step("building the workspace");
    run_command(cargo().args(["build", "--workspace", "--all-targets"]), interrupts)
}

/// Builds `agis-api`, and `agis-shim` beside it. Returns the path of the first.
pub(crate) fn agis_api(release: bool, interrupts: &Interrupts) -> Result<PathBuf> {
    programs(&["agis-api", "agis-shim"], release, interrupts)
}

/// Builds `agis-bot` and returns its path.
pub(crate) fn agis_bot(release: bool, interrupts: &Interrupts) -> Result<PathBuf> {
    programs(&["agis-bot"], release, interrupts)
}

/// Builds `agis-soak` and returns its path. It only drives the other programs, so it is never optimised.
pub(crate) fn agis_soak(interrupts: &Interrupts) -> Result<PathBuf> {
    programs(&["agis-soak"], false, interrupts)
}

/// Builds the stand-in for Discord and returns its path. Nobody waits for it, so it is never optimised.
pub(crate) fn discord_stand_in(interrupts: &Interrupts) -> Result<PathBuf> {
    programs(&["discord-stand-in"], false, interrupts)
}

/// Builds programs and returns the path of the first.
fn programs(names: &[&str], release: bool, interrupts: &Interrupts) -> Result<PathBuf> {
    step(format_args!("building {}", names.join(", ")));
    run_command(cargo().args(selection(names, release)), interrupts)?;
    let first = names.first().copied().unwrap_or_default();
    Ok(state::programs()?.with_file_name(if release { "release" } else { "debug" }).join(first))
}

/// Returns cargo's arguments that build these programs.
///
/// A program that ships has the features that it needs itself. All others have those of a build of all tests, so that programs
/// and tests are one build: with `--examples` cargo counts the tests' dependencies.
pub(crate) fn selection(programs: &[&str], release: bool) -> Vec<String> {
    let (scope, flag): (&[_], _) =
        if release { (&["--release"], "--package") } else { (&["--workspace", "--examples"], "--bin") };
    let named = programs.iter().flat_map(|program| [flag, program]);
    ["build"].into_iter().chain(scope.iter().copied()).chain(named).map(str::to_owned).collect()
}

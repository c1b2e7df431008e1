use std::fs;

use crate::failure::Result;
use crate::run::{cargo, run as run_command, step};
use crate::signals::Interrupts;
use crate::state::State;

/// Remove what cargo built
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Remove the state of `cargo xtask dev` instead: its database, its games and its key
    #[arg(long)]
    state: bool,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    if !args.state {
        step("cargo clean");
        return run_command(cargo().arg("clean"), interrupts);
    }
    let state = State::locate()?;
    step(format_args!("removing {}", state.dir().display()));
    let _lock = state.lock()?;
    state.wipe()?;
    let _ = fs::remove_file(state.dev_env());
    Ok(fs::remove_dir_all(state.dir())?)
}

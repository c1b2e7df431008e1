//! `agis-bot`: Discord. What each part does stands in its crate; this one reads the configuration, composes, and runs.

mod config;
mod run;

use std::{io::Write, process::ExitCode};

use clap::Parser;

/// The Discord bot of AGIS. Configured by the environment; see docs/CONFIGURATION.md.
#[derive(Parser)]
#[command(name = "agis-bot", version)]
struct Cli;

fn main() -> ExitCode {
    let Cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    match runtime.block_on(run::run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(&why),
    }
}

fn failed(why: &str) -> ExitCode {
    // Nobody is left to hear that this failed.
    let _ = writeln!(std::io::stderr(), "agis-bot: {why}");
    ExitCode::FAILURE
}

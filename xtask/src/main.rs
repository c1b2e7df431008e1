//! Everything a contributor runs: `cargo xtask <command>`.

mod alerts;
mod api;
mod bench;
mod build;
mod ci;
mod clean;
mod contract;
mod coverage;
mod database;
mod db;
mod deny;
mod dev;
mod dev_env;
mod docs;
mod failure;
mod fmt;
mod grafana;
mod http;
mod image;
mod k8s;
mod lint;
mod migrate;
mod openapi;
mod operator;
mod program;
mod python;
mod run;
mod series;
mod signals;
mod slowest;
mod soak;
mod state;
mod test;
#[cfg(test)]
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Result;
use crate::signals::Interrupts;

/// Everything a contributor runs
///
/// `cargo xtask dev` brings AGIS up on this machine, `cargo xtask test` runs every test; both bring up the
/// PostgreSQL that they need.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Dev(dev::Args),
    Build(build::Args),
    Bench(bench::Args),
    Test(test::Args),
    Soak(soak::Args),
    /// Check what a change must pass: build, test, fmt, deny, k8s, contract, grafana, image, lint, docs
    ///
    /// fmt, deny and k8s run beside the build, the other steps beside the tests.
    Ci,
    Openapi(openapi::Args),
    Contract(contract::Args),
    K8s(k8s::Args),
    Alerts(alerts::Args),
    Grafana(grafana::Args),
    Image(image::Args),
    /// Run clippy on everything, warnings are errors
    Lint,
    /// Build the documentation of the code, warnings are errors
    Docs,
    Fmt(fmt::Args),
    Migrate(migrate::Args),
    Db(db::Args),
    Deny(deny::Args),
    Coverage(coverage::Args),
    Clean(clean::Args),
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(command: Command) -> Result {
    std::env::set_current_dir(state::checkout())?;
    let interrupts = Interrupts::listen()?;
    match command {
        Command::Dev(args) => dev::run(&args, &interrupts),
        Command::Bench(args) => bench::run(&args, &interrupts),
        Command::Build(args) => build::run(&args, &interrupts),
        Command::Test(args) => test::run(&args, &interrupts),
        Command::Soak(args) => soak::run(&args, &interrupts),
        Command::Ci => ci::run(&interrupts),
        Command::Openapi(args) => openapi::run(&args, &interrupts),
        Command::Contract(args) => contract::run(&args, &interrupts),
        Command::Image(args) => image::run(&args, &interrupts),
        Command::K8s(args) => k8s::run(&args, &interrupts),
        Command::Alerts(args) => alerts::run(&args),
        Command::Grafana(args) => grafana::run(&args, &interrupts),
        Command::Lint => lint::run(&interrupts),
        Command::Docs => docs::run(&interrupts),
        Command::Fmt(args) => fmt::run(&args, &interrupts),
        Command::Migrate(args) => migrate::run(&args, &interrupts),
        Command::Db(args) => db::run(&args),
        Command::Deny(args) => deny::run(&args, &interrupts),
        Command::Coverage(args) => coverage::run(&args, &interrupts),
        Command::Clean(args) => clean::run(&args, &interrupts),
    }
}

//! `cargo xtask alerts`: the rules by which Prometheus tells people that something is wrong.

use std::process::Command;

use crate::failure::Result;
use crate::run::{run as run_command, step};
use crate::signals::Interrupts;
use crate::test::provide;
use crate::{python, state};

/// What reads the rules.
pub(crate) const PACKAGES: [&str; 1] = ["PyYAML==6.0.3"];
const SCRIPT: &str = "xtask/grafana/alerts.py";

/// Print the rules for a Prometheus without the operator, or check them
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Subcommand,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    /// Print k8s/base/alerts.yaml as a file for Prometheus' rule_files
    Print,
    /// Hold each alert to its page in docs/operations/alerts, and let promtool try when it is told and when not
    Check,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    match args.command {
        Subcommand::Print => script("print", interrupts),
        Subcommand::Check => check(interrupts),
    }
}

/// Checks them.
pub(crate) fn check(interrupts: &Interrupts) -> Result {
    install_prometheus()?;
    step("checking the alerts");
    script("check", interrupts)
}

/// Makes sure that there are a Prometheus and its promtool, which are one package.
pub(crate) fn install_prometheus() -> Result {
    provide(&["prometheus"])
}

fn script(what: &str, interrupts: &Interrupts) -> Result {
    let tools = python::install(&PACKAGES, interrupts)?;
    let mut script = Command::new(tools.join("python"));
    script.args(["-B", SCRIPT, what]).arg(state::target()?.join("grafana"));
    run_command(&mut script, interrupts)
}

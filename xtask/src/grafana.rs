//! `cargo xtask grafana`: the dashboards of grafana/, held against programs that run.

mod scene;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use scene::Scene;

use crate::failure::Result;
use crate::run::{run as run_command, step};
use crate::signals::Interrupts;
use crate::{alerts, python, state};

const SCRIPT: &str = "xtask/grafana";
/// What knows the form of a dashboard.
const SCHEMA: [&str; 2] = ["@grafana/schema@12.4.11", "typescript@7.0.2"];

/// Check the dashboards and the alerts, on a real Prometheus that scrapes real programs
///
/// Brings up PostgreSQL, Redis, agis-api, agis-bot with a stand-in for Discord, and a Prometheus; has them do a little of
/// everything for a minute; then asks what every panel and every alert asks. A preview of each dashboard is left in
/// target/grafana. It is not what Grafana draws.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Subcommand,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    /// Check everything
    Check,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    match args.command {
        Subcommand::Check => check(interrupts),
    }
}

/// Checks the alerts by themselves, then dashboards and alerts on what the programs tell.
pub(crate) fn check(interrupts: &Interrupts) -> Result {
    alerts::check(interrupts)?;
    let tools = python::install(&alerts::PACKAGES, interrupts)?;
    let out = state::target()?.join("grafana");
    let schema = schema(interrupts)?;
    step("checking the form of the dashboards");
    let script = |what: &str| {
        let mut script = Command::new(tools.join("python"));
        script.args(["-B", SCRIPT, what]).arg(&out);
        script
    };
    run_command(script("form").args(schema), interrupts)?;
    let scene = Scene::start(&out, interrupts)?;
    step("checking the dashboards and alerts on a Prometheus, for a minute");
    run_command(script("data").envs(scene.told()), interrupts)
}

/// Where npm has put Grafana's schema; nothing where there is no npm, which is said.
fn schema(interrupts: &Interrupts) -> Result<Option<PathBuf>> {
    let dir = state::target()?.join("tools").join(SCHEMA.join("-").replace('/', "-"));
    if dir.join("complete").exists() {
        return Ok(Some(dir));
    }
    if !has_npm() {
        step("there is no npm here: the dashboards are not held to Grafana's own schema");
        return Ok(None);
    }
    step(format_args!("installing {} into {}", SCHEMA.join(", "), dir.display()));
    std::fs::create_dir_all(&dir)?;
    run_command(npm(&dir).args(["install", "--silent", "--no-audit", "--no-fund"]).args(SCHEMA), interrupts)?;
    std::fs::write(dir.join("complete"), "")?;
    Ok(Some(dir))
}

fn npm(dir: &Path) -> Command {
    let mut npm = Command::new("npm");
    npm.arg("--prefix").arg(dir);
    npm
}

fn has_npm() -> bool {
    let mut probe = Command::new("npm");
    probe.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

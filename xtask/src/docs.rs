use crate::failure::Result;
use crate::run::{cargo, run as run_command, step};
use crate::signals::Interrupts;

pub(crate) fn run(interrupts: &Interrupts) -> Result {
    step("building the documentation of the code");
    let mut doc = cargo();
    // The targets are named so that cargo selects the features that clippy had, and checks no dependency again.
    doc.args(["doc", "--workspace", "--no-deps", "--lib", "--bins", "--examples"]);
    run_command(doc.env("RUSTDOCFLAGS", "-D warnings"), interrupts)
}

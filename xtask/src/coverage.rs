use crate::failure::{Failure, Result};
use crate::run::{cargo, has_cargo, run as run_command, step};
use crate::signals::Interrupts;
use crate::test::{start_postgres, with_postgres};

/// Run the tests and tell which lines they reach
///
/// Needs cargo-llvm-cov.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to cargo-llvm-cov, such as `--html`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    if !has_cargo("llvm-cov") {
        return Err(Failure::new(
            "coverage needs cargo-llvm-cov: `cargo install cargo-llvm-cov --locked`, then \
             `rustup component add llvm-tools`",
        ));
    }
    let cluster = start_postgres()?;
    step("running tests with coverage");
    let mut coverage = cargo();
    coverage.arg("llvm-cov").args(has_cargo("nextest").then_some("nextest"));
    run_command(with_postgres(coverage.arg("--workspace").args(&args.args), &cluster), interrupts)
}

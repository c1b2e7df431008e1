//! `cargo xtask contract`: checks the API against its OpenAPI document.

use std::process::Command;

use crate::api::{self, Api};
use crate::build;
use crate::failure::Result;
use crate::python;
use crate::run::{run as run_command, step};
use crate::signals::Interrupts;
use crate::state::checkout;
use crate::test::start_postgres;

/// The checker of the API, and the checker of the document.
const PACKAGES: [&str; 2] = ["schemathesis==4.32.5", "openapi-spec-validator==0.9.0"];
/// The configuration of schemathesis.
const CONFIG: &str = "xtask/contract.toml";
/// schemathesis takes hooks as Python alone.
const HOOKS: &str = "xtask/contract.py";

/// Check agis-api against its OpenAPI document, by schemathesis
///
/// Brings up a private PostgreSQL and an agis-api of its own, and fetches the tools from PyPI the first time.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Passed on to `schemathesis run`, such as `--include-operation-id createServer` or `--seed 7`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    let tools = python::install(&PACKAGES, interrupts)?;
    let program = build::agis_api(false, interrupts)?;

    step("checking that docs/openapi.json is OpenAPI");
    run_command(Command::new(tools.join("openapi-spec-validator")).arg("docs/openapi.json"), interrupts)?;

    let cluster = start_postgres()?;
    let api = Api::start("contract", program, &cluster, &[], interrupts)?;
    step("running schemathesis");
    let mut schemathesis = Command::new(tools.join("schemathesis"));
    schemathesis.arg("--config-file").arg(checkout().join(CONFIG)).arg("run").args(&args.args);
    schemathesis.arg(api.url("/api/openapi.json")).env("AGIS_API_KEY", api.key());
    schemathesis.env("AGIS_API_KEY_ID", api::KEY_ID.to_string()).env("SCHEMATHESIS_HOOKS", checkout().join(HOOKS));
    // schemathesis keeps earlier findings in its working folder.
    schemathesis.current_dir(api.dir());
    run_command(&mut schemathesis, interrupts)
}

//! `cargo xtask k8s`: the manifests of k8s/, rendered and checked.

use std::process::{Command, Stdio};

use crate::failure::{Failure, Result};
use crate::python;
use crate::run::{run as run_command, step};
use crate::signals::Interrupts;

/// What the check stands on; of Kubernetes it carries the schemas.
const PACKAGES: [&str; 1] = ["kubernetes-validate==1.37.0"];
const SCRIPT: &str = "xtask/k8s.py";

/// Render the Kubernetes manifests, or check them
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Subcommand,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    /// Print what an overlay is: `cargo xtask k8s render production`, or `production/migrate`
    Render {
        /// dev, staging or production
        #[arg(default_value = "dev")]
        overlay: String,
    },
    /// Hold every object of every overlay to the schemas of Kubernetes and Agones, and to the rules of this house
    Check,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    match &args.command {
        Subcommand::Render { overlay } => render(overlay, interrupts),
        Subcommand::Check => check(interrupts),
    }
}

fn render(overlay: &str, interrupts: &Interrupts) -> Result {
    need_kubectl()?;
    run_command(Command::new("kubectl").args(["kustomize", &format!("k8s/overlays/{overlay}")]), interrupts)
}

/// Renders and checks everything.
pub(crate) fn check(interrupts: &Interrupts) -> Result {
    need_kubectl()?;
    let tools = python::install(&PACKAGES, interrupts)?;
    step("checking the Kubernetes manifests");
    run_command(Command::new(tools.join("python")).arg(SCRIPT), interrupts)
}

/// No package of Debian brings one that is young enough.
fn need_kubectl() -> Result {
    let mut probe = Command::new("kubectl");
    probe.args(["version", "--client"]).stdout(Stdio::null()).stderr(Stdio::null());
    match probe.status() {
        Ok(status) if status.success() => Ok(()),
        _ => {
            Err(Failure::new("kubectl, 1.27 or later, renders the manifests: https://kubernetes.io/docs/tasks/tools/"))
        }
    }
}

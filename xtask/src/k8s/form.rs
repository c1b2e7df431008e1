//! Checks that an object has the form of its kind: no unknown field, none missing, none of another type.

use std::{collections::BTreeMap, fs, path::Path, process::Command, sync::LazyLock};

use agis_agones_stand_in::Schema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::object::{is, name, text};
use crate::failure::{Failure, Result};
use crate::operator::{PrometheusRule, ServiceMonitor, Text};
use crate::state::checkout;

pub(super) const KUBERNETES: &str = "1.35";
const CRDS: [(&str, &str, &str); 3] = [
    ("GameServer", "agones.dev/v1", "gameservers.agones.dev"),
    ("Fleet", "agones.dev/v1", "fleets.agones.dev"),
    ("FleetAutoscaler", "autoscaling.agones.dev/v1", "fleetautoscalers.autoscaling.agones.dev"),
];
const OPERATOR: &str = "monitoring.coreos.com/v1";

/// Checks objects of Kubernetes' own kinds by the program kubernetes-validate.
pub(super) struct Forms<'a> {
    pub(super) kubernetes_validate: &'a Path,
    /// A folder to leave files in.
    pub(super) dir: &'a Path,
}

impl Forms<'_> {
    /// Returns what is wrong with the form of the objects.
    pub(super) fn faults(&self, objects: &[Value]) -> Result<Vec<String>> {
        let (ours, kubernetes): (Vec<_>, Vec<_>) = objects.iter().partition(|object| has_local_form(object));
        let mut faults: Vec<_> = ours.into_iter().flat_map(local_faults).collect();
        faults.extend(self.kubernetes_faults(&kubernetes)?);
        Ok(faults)
    }

    fn kubernetes_faults(&self, objects: &[&Value]) -> Result<Vec<String>> {
        let file = self.dir.join("objects.yaml");
        // JSON is YAML too.
        fs::write(&file, objects.iter().map(|object| format!("---\n{object}\n")).collect::<String>())?;
        let mut validate = Command::new(self.kubernetes_validate);
        validate.args(["--strict", "--quiet", "--kubernetes-version", KUBERNETES]).arg(&file);
        let output = validate.output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let faults: Vec<_> = said.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        if !output.status.success() && faults.is_empty() {
            return Err(Failure::new(format!("kubernetes-validate: {}", String::from_utf8_lossy(&output.stderr))));
        }
        Ok(faults)
    }
}

fn has_local_form(object: &Value) -> bool {
    CRDS.iter().any(|(kind, ..)| is(object, kind)) || is(object, "ServiceMonitor") || is(object, "PrometheusRule")
}

fn local_faults(object: &Value) -> Vec<String> {
    let faults = match text(&object["kind"]) {
        "ServiceMonitor" => read::<ServiceMonitor>(object, OPERATOR),
        "PrometheusRule" => read::<PrometheusRule>(object, OPERATOR),
        _ => agones_faults(object),
    };
    faults.into_iter().map(|fault| format!("{}: {fault}", name(object))).collect()
}

fn agones_faults(object: &Value) -> Vec<String> {
    let Some((_, version, crd)) = CRDS.iter().find(|(kind, ..)| is(object, kind)) else { return vec![] };
    let mut faults = read::<Value>(object, version);
    match SCHEMAS.get(crd) {
        Some(Ok(schema)) => faults.extend(schema.faults(object)),
        Some(Err(error)) => faults.push(error.clone()),
        None => {}
    }
    faults
}

static SCHEMAS: LazyLock<BTreeMap<&str, std::result::Result<Schema, String>>> = LazyLock::new(|| {
    let file = |crd: &str| checkout().join(format!("k8s/schemas/agones/{crd}.yaml"));
    CRDS.iter().map(|(_, _, crd)| (*crd, Schema::read(&file(crd)))).collect()
});

/// Returns what keeps an object from being of this version, with this kind of spec.
fn read<Spec: DeserializeOwned>(object: &Value, version: &str) -> Vec<String> {
    match serde_path_to_error::deserialize::<_, Object<Spec>>(object) {
        Ok(object) if object.api_version == version => vec![],
        Ok(object) => vec![format!("apiVersion: {} is not {version}", object.api_version)],
        Err(error) => vec![error.to_string()],
    }
}

/// An object, with the metadata that is used here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "to read the fields is to check them")]
struct Object<Spec> {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "to read the fields is to check them")]
struct Metadata {
    name: Text,
    namespace: Option<Text>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

//! Lists the API's resources, as `kubectl` asks for them first.

use serde_json::{Value, json};

use crate::kind::Kind;

const ALLOCATION: &str = "allocation.agones.dev";

/// The answer to a path of discovery, if it is one.
pub(super) fn answer(path: &str) -> Option<Value> {
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    match &parts[..] {
        ["version"] => Some(json!({"major": "1", "minor": "33", "gitVersion": "v1.33.0", "platform": "linux/amd64"})),
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
        ["apis"] => {
            let groups = [Kind::GameServer.group(), ALLOCATION].map(group);
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["api", "v1"] => Some(resources("v1")),
        ["apis", "agones.dev", "v1"] => Some(resources("agones.dev/v1")),
        ["apis", ALLOCATION, "v1"] => {
            let resource = resource("gameserverallocations", "GameServerAllocation", &["gsa"], &["create"]);
            Some(list(&format!("{ALLOCATION}/v1"), vec![resource]))
        }
        _ => None,
    }
}

fn group(name: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn resources(version: &str) -> Value {
    const VERBS: [&str; 7] = ["create", "delete", "get", "list", "patch", "update", "watch"];
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.api_version() == version);
    list(version, kinds.map(|kind| resource(kind.plural(), kind.name(), short(kind), &VERBS)).collect())
}

fn short(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::ConfigMap => &["cm"],
        Kind::PersistentVolumeClaim => &["pvc"],
        Kind::Pod => &["po"],
        Kind::Secret => &[],
        Kind::GameServer => &["gs"],
        Kind::Fleet => &["flt"],
    }
}

fn resource(plural: &str, kind: &str, short: &[&str], verbs: &[&str]) -> Value {
    let singular = kind.to_lowercase();
    json!({
        "name": plural, "singularName": singular, "namespaced": true, "kind": kind, "shortNames": short, "verbs": verbs,
    })
}

fn list(version: &str, resources: Vec<Value>) -> Value {
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
}

//! The pod that Agones makes for a GameServer.

use serde_json::{Value, json};

use crate::meta;
use crate::pods::SIDECAR;

pub(super) fn of(object: &Value) -> Value {
    let template = &object["spec"]["template"];
    let (mut metadata, mut spec) = (template["metadata"].clone(), template["spec"].clone());
    let (name, container) = (meta::name(object), &object["spec"]["container"]);
    if let Some(fields) = metadata.as_object_mut() {
        ["generateName", "resourceVersion", "uid"].iter().for_each(|key| drop(fields.remove(*key)));
    }
    metadata["name"] = name.into();
    metadata["labels"]["agones.dev/role"] = "gameserver".into();
    metadata["labels"]["agones.dev/gameserver"] = name.into();
    metadata["annotations"]["agones.dev/container"] = container.clone();
    metadata["annotations"]["agones.dev/sdk-version"] = super::version().into();
    metadata["ownerReferences"] = json!([{
        "apiVersion": "agones.dev/v1", "kind": "GameServer", "name": name, "uid": meta::uid(object),
        "controller": true, "blockOwnerDeletion": true,
    }]);
    if spec["hostname"].is_null() {
        spec["hostname"] = name.replace('.', "-").into();
    }
    if spec["serviceAccountName"].as_str().is_none_or(str::is_empty) {
        hide_account(&mut spec, container);
    }
    open_ports(&mut spec, &object["spec"]["ports"]);
    let sidecar = json!({"name": SIDECAR, "image": "example.invalid/agones-sdk", "env": [
        {"name": "GAMESERVER_NAME", "value": name},
    ]});
    if let Some(containers) = spec["containers"].as_array_mut() {
        containers.insert(0, sidecar);
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// The sidecar speaks to the API server; the game does not.
fn hide_account(spec: &mut Value, game: &Value) {
    spec["serviceAccountName"] = "agones-sdk".into();
    push(&mut spec["volumes"], json!({"name": "empty", "emptyDir": {}}));
    let mount =
        json!({"name": "empty", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
    let containers = spec["containers"].as_array_mut().into_iter().flatten();
    containers.filter(|one| one["name"] == *game).for_each(|one| push(&mut one["volumeMounts"], mount.clone()));
}

fn open_ports(spec: &mut Value, ports: &Value) {
    for port in ports.as_array().into_iter().flatten().filter(|port| port["containerPort"].is_u64()) {
        let protocols = if port["protocol"] == "TCPUDP" {
            vec![json!("TCP"), json!("UDP")]
        } else {
            vec![port["protocol"].clone()]
        };
        let containers = spec["containers"].as_array_mut().into_iter().flatten();
        for container in containers.filter(|container| container["name"] == port["container"]) {
            for protocol in &protocols {
                let mut open = json!({"containerPort": port["containerPort"], "protocol": protocol});
                if port["hostPort"].is_u64() {
                    open["hostPort"] = port["hostPort"].clone();
                }
                push(&mut container["ports"], open);
            }
        }
    }
}

fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(list) => list.push(item),
        other => *other = json!([item]),
    }
}

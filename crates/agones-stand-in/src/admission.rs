//! Agones' webhooks for new GameServers and Fleets.

use serde_json::{Value, json};

use crate::kind::Kind;
use crate::meta;
use crate::status::{Cause, Result, Status};

/// Finalizer by which Agones' controller holds a GameServer.
pub(crate) const FINALIZER: &str = "agones.dev/controller";
/// The version of Agones that is played here.
pub(crate) const SDK_VERSION: &str = "1.49.0";

/// Fills in what Agones fills in. Where types are wrong nothing happens: the schema says so better.
pub(crate) fn fill(kind: Kind, object: &mut Value) {
    if !object["spec"].is_object() {
        return;
    }
    match kind {
        Kind::GameServer => game_server(object),
        Kind::Fleet => fleet(object),
        _ => {}
    }
}

fn game_server(object: &mut Value) {
    let metadata = &mut object["metadata"];
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = json!({});
    }
    metadata["annotations"]["agones.dev/sdk-version"] = SDK_VERSION.into();
    meta::add_finalizer(object, FINALIZER);
    spec(&mut object["spec"]);
    let given = object["status"]["state"].as_str().unwrap_or_default();
    if given.is_empty() {
        let needs_port = |port: &Value| port["portPolicy"] == "Dynamic" || port["portPolicy"] == "Passthrough";
        let first = if ports(&object["spec"]).iter().any(needs_port) { "PortAllocation" } else { "Creating" };
        if object["status"].is_null() || object["status"].is_object() {
            object["status"]["state"] = first.into();
        }
    }
    if object["status"].is_object() {
        object["status"]["eviction"] = object["spec"]["eviction"].clone();
    }
}

fn spec(spec: &mut Value) {
    let containers = spec.pointer("/template/spec/containers").and_then(Value::as_array);
    let only = containers.filter(|all| all.len() == 1).and_then(|all| all[0]["name"].as_str()).map(ToOwned::to_owned);
    if let Some(only) = only {
        spec["container"] = only.into();
    }
    let container = json!(spec["container"].as_str().unwrap_or_default());
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter(|port| port.is_object()) {
        default(port, "portPolicy", json!("Dynamic"));
        default(port, "protocol", json!("UDP"));
        default(port, "container", container.clone());
        default(port, "range", json!("default"));
    }
    let parts = [
        (
            "health",
            vec![("periodSeconds", json!(5)), ("failureThreshold", json!(3)), ("initialDelaySeconds", json!(5))],
        ),
        ("eviction", vec![("safe", json!("Never"))]),
        ("sdkServer", vec![("logLevel", json!("Info")), ("grpcPort", json!(9357)), ("httpPort", json!(9358))]),
    ];
    for (name, fields) in parts {
        let is_off = name == "health" && spec[name]["disabled"] == true;
        if !is_off && (spec[name].is_null() || spec[name].is_object()) {
            fields.into_iter().for_each(|(field, value)| default(&mut spec[name], field, value));
        }
    }
    default(spec, "scheduling", json!("Packed"));
}

fn fleet(object: &mut Value) {
    let spec = &mut object["spec"];
    default(spec, "scheduling", json!("Packed"));
    if spec["strategy"].is_null() || spec["strategy"].is_object() {
        default(&mut spec["strategy"], "type", json!("RollingUpdate"));
        if spec["strategy"]["type"] == "RollingUpdate"
            && (spec["strategy"]["rollingUpdate"].is_null() || spec["strategy"]["rollingUpdate"].is_object())
        {
            default(&mut spec["strategy"]["rollingUpdate"], "maxSurge", json!("25%"));
            default(&mut spec["strategy"]["rollingUpdate"], "maxUnavailable", json!("25%"));
        }
    }
}

fn default(object: &mut Value, field: &str, value: Value) {
    if object[field].is_null() || object[field] == "" || object[field] == 0 {
        object[field] = value;
    }
}

fn ports(spec: &Value) -> &[Value] {
    spec["ports"].as_array().map_or(&[], Vec::as_slice)
}

/// Refuses new objects that Agones refuses and the schema lets through.
pub(crate) fn check(kind: Kind, object: &Value) -> Result<()> {
    let mut causes = Vec::new();
    if meta::name(object).len() > 63 && kind.is_custom() {
        let why = "Length must be no more than 63 characters";
        causes.push(Cause::invalid("metadata.name", &object["metadata"]["name"], why));
    }
    match kind {
        Kind::GameServer => wrong_spec("spec", &object["spec"], &mut causes),
        Kind::Fleet => {
            // A Fleet's template has not been filled in yet.
            let mut template = object["spec"]["template"]["spec"].clone();
            spec(&mut template);
            causes.extend(meta::wrong_labels("spec.template.metadata", &object["spec"]["template"]["metadata"]));
            wrong_spec("spec.template.spec", &template, &mut causes);
        }
        _ => {}
    }
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(kind, meta::name(object), &causes).by_webhook()) }
}

fn wrong_spec(at: &str, spec: &Value, causes: &mut Vec<Cause>) {
    let template = &spec["template"]["spec"];
    let containers = template["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let exists = |name: &Value| name.is_string() && containers.iter().any(|container| container["name"] == *name);
    if spec["container"].as_str().is_none_or(str::is_empty) && containers.len() > 1 {
        let why = "Container is required when using multiple containers in the pod template";
        causes.push(Cause::required(format!("{at}.container"), why));
    }
    if !exists(&spec["container"]) {
        let why = format!("Could not find a container named {}", spec["container"].as_str().unwrap_or_default());
        causes.push(Cause::invalid(format!("{at}.container"), &spec["container"], &why));
    }
    for (index, port) in ports(spec).iter().enumerate() {
        let at = format!("{at}.ports[{index}]");
        let policy = port["portPolicy"].as_str().unwrap_or_default();
        let (inside, outside) = (&port["containerPort"], &port["hostPort"]);
        if matches!(policy, "Dynamic" | "Static") && inside.is_null() {
            let why = "ContainerPort must be defined for Dynamic and Static PortPolicies";
            causes.push(Cause::required(format!("{at}.containerPort"), why));
        }
        if policy == "Passthrough" && !inside.is_null() {
            let why = "ContainerPort cannot be specified with Passthrough PortPolicy";
            causes.push(Cause::invalid(format!("{at}.containerPort"), inside, why));
        }
        if matches!(policy, "Dynamic" | "Passthrough") && !outside.is_null() {
            let why = "HostPort cannot be specified with a Dynamic or Passthrough PortPolicy";
            causes.push(Cause::forbidden(format!("{at}.hostPort"), why));
        }
        if spec["container"].as_str().is_some_and(|name| !name.is_empty()) && !exists(&port["container"]) {
            let why = "Container must be empty or the name of a container in the pod template";
            causes.push(Cause::invalid(format!("{at}.container"), &port["container"], why));
        }
    }
    causes.extend(meta::wrong_labels(&format!("{at}.template.metadata"), &spec["template"]["metadata"]));
}

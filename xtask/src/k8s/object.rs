//! Parts of Kubernetes' objects that several rules look at. A part that is missing reads as null, as no text or as no list.

use std::sync::LazyLock;

use serde_json::Value;

/// Returns `kind/name`.
pub(super) fn name(object: &Value) -> String {
    format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// Returns `kind/name` without the hash that a generated ConfigMap has.
pub(super) fn plain(object: &Value) -> String {
    let name = name(object);
    match name.rsplit_once('-') {
        Some((plain, _)) if is(object, "ConfigMap") => plain.to_owned(),
        _ => name,
    }
}

pub(super) fn namespace(object: &Value) -> &str {
    text(&object["metadata"]["namespace"])
}

pub(super) fn is(object: &Value, kind: &str) -> bool {
    object["kind"] == kind
}

/// Returns whether our programs run in it. Every other object with pods makes those of games.
pub(super) fn is_ours(object: &Value) -> bool {
    is(object, "Deployment") || is(object, "Job")
}

/// Returns the template of the pods that an object makes, those of games included.
pub(super) fn pod(object: &Value) -> &Value {
    match text(&object["kind"]) {
        "Deployment" | "Job" | "GameServer" => &object["spec"]["template"],
        "Fleet" => &object["spec"]["template"]["spec"]["template"],
        _ => &Value::Null,
    }
}

pub(super) fn pod_spec(object: &Value) -> &Value {
    &pod(object)["spec"]
}

pub(super) fn containers(object: &Value) -> impl Iterator<Item = &Value> {
    let spec = pod_spec(object);
    list(&spec["initContainers"]).iter().chain(list(&spec["containers"]))
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().map(text).collect()
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn map(value: &Value) -> &serde_json::Map<String, Value> {
    static EMPTY: LazyLock<serde_json::Map<String, Value>> = LazyLock::new(serde_json::Map::new);
    value.as_object().unwrap_or(&EMPTY)
}

/// Returns whether a map has a field.
pub(super) fn has(value: &Value, field: &str) -> bool {
    value.get(field).is_some()
}

/// Returns the value of a setting or a quantity as it is written, be it a number or a text.
pub(super) fn written(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

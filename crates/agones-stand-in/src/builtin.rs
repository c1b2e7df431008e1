//! The kinds of Kubernetes' own, and what an API server makes of an object of theirs.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::serde::Serialize;
use k8s_openapi::serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::kind::Kind;
use crate::meta;
use crate::status::{Cause, Result, Status};

/// Reads an object by its type, and names the fields that the type does not have; they are taken out.
pub(crate) fn decode(kind: Kind, object: &mut Value) -> Result<Vec<String>> {
    let unknown = match kind {
        Kind::ConfigMap => through::<ConfigMap>(object),
        Kind::PersistentVolumeClaim => through::<PersistentVolumeClaim>(object),
        Kind::Pod => through::<Pod>(object),
        Kind::Secret => through::<Secret>(object),
        Kind::GameServer | Kind::Fleet => match object.get_mut("metadata") {
            Some(metadata) => through::<ObjectMeta>(metadata).map(|unknown| prefixed("metadata", unknown)),
            None => Ok(Vec::new()),
        },
    };
    let version = kind.api_version();
    unknown.map_err(|error| {
        let name = kind.name();
        Status::bad_request(format!("{name} in version {version:?} cannot be handled as a {name}: json: {error}"))
    })
}

fn prefixed(prefix: &str, fields: Vec<String>) -> Vec<String> {
    fields.into_iter().map(|field| format!("{prefix}.{field}")).collect()
}

fn through<T: DeserializeOwned + Serialize>(value: &mut Value) -> std::result::Result<Vec<String>, serde_json::Error> {
    let read = serde_json::to_value(serde_json::from_value::<T>(value.clone())?)?;
    let mut unknown = Vec::new();
    lost(value, &read, "", &mut unknown);
    *value = read;
    Ok(unknown)
}

/// Finds fields that are lost when an object is read as its type.
fn lost(before: &Value, after: &Value, path: &str, unknown: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match after.get(name) {
                    Some(after) => lost(value, after, &path, unknown),
                    None if is_nothing(value) => {}
                    None => unknown.push(path),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            let pairs = before.iter().zip(after).enumerate();
            pairs.for_each(|(index, (before, after))| lost(before, after, &format!("{path}[{index}]"), unknown));
        }
        _ => {}
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null()
        || value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(|map| map.is_empty())
}

/// Fills the server's defaults into a new object.
pub(crate) fn fill(kind: Kind, object: &mut Value) {
    match kind {
        Kind::PersistentVolumeClaim => {
            object["status"] = json!({"phase": "Pending"});
            let spec = &mut object["spec"];
            if spec["volumeMode"].is_null() {
                spec["volumeMode"] = "Filesystem".into();
            }
            if spec["storageClassName"].is_null() {
                spec["storageClassName"] = "standard".into();
            }
            meta::add_finalizer(object, "kubernetes.io/pvc-protection");
        }
        Kind::Pod => {
            object["status"] = json!({"phase": "Pending"});
            if object["spec"]["terminationGracePeriodSeconds"].is_null() {
                object["spec"]["terminationGracePeriodSeconds"] = 30.into();
            }
            if object["spec"]["restartPolicy"].is_null() {
                object["spec"]["restartPolicy"] = "Always".into();
            }
        }
        Kind::Secret => {
            if object["type"].is_null() {
                object["type"] = "Opaque".into();
            }
            fold_texts(object);
        }
        _ => {}
    }
}

/// Puts the texts of a Secret among its data, as the server does when it is written.
fn fold_texts(object: &mut Value) {
    let Some(texts) = object.as_object_mut().and_then(|object| object.remove("stringData")) else { return };
    for (key, text) in texts.as_object().into_iter().flatten() {
        let bytes = ByteString(text.as_str().unwrap_or_default().as_bytes().to_vec());
        object["data"][key] = json!(bytes);
    }
}

/// Checks an object beyond its types; `stored` is the object that an update replaces.
pub(crate) fn check(kind: Kind, stored: Option<&Value>, object: &Value) -> Result<()> {
    let causes = match kind {
        Kind::ConfigMap | Kind::Secret => config_map(stored, object),
        Kind::PersistentVolumeClaim => claim(stored, object),
        Kind::Pod => pod(stored, object),
        Kind::GameServer | Kind::Fleet => Vec::new(),
    };
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(kind, meta::name(object), &causes)) }
}

fn config_map(stored: Option<&Value>, object: &Value) -> Vec<Cause> {
    let is_key = |key: &str| {
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        !key.is_empty() && key.len() <= 253 && key != "." && !key.starts_with("..") && key.chars().all(is_letter)
    };
    let keys = ["data", "binaryData"].into_iter().flat_map(|part| object[part].as_object().into_iter().flatten());
    let size: usize = keys.clone().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    let why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
    let mut causes: Vec<_> = keys
        .filter(|(key, _)| !is_key(key))
        .map(|(key, _)| Cause::invalid(format!("data[{key}]"), &key.as_str().into(), why))
        .collect();
    if size > 1 << 20 {
        causes.push(Cause::invalid("data", &size.into(), "Too long: must have at most 1048576 bytes"));
    }
    if let Some(stored) = stored.filter(|stored| stored["immutable"] == true)
        && ["data", "binaryData", "immutable"].into_iter().any(|part| stored[part] != object[part])
    {
        causes.push(Cause::forbidden("data", "field is immutable when `immutable` is set"));
    }
    causes
}

fn claim(stored: Option<&Value>, object: &Value) -> Vec<Cause> {
    let (spec, mut causes) = (&object["spec"], Vec::new());
    let modes = json!(["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]);
    let given = spec["accessModes"].as_array().cloned().unwrap_or_default();
    if given.is_empty() {
        causes.push(Cause::required("spec.accessModes", "at least 1 access mode is required"));
    }
    let known = modes.as_array().cloned().unwrap_or_default();
    let bad = given.iter().filter(|mode| !known.contains(mode));
    causes.extend(bad.map(|mode| Cause::unsupported("spec.accessModes", mode, &modes)));
    match spec["resources"]["requests"]["storage"].as_str() {
        None => causes.push(Cause::required("spec.resources[storage]", "")),
        Some(size) if !is_quantity(size) => {
            let why = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
            causes.push(Cause::invalid("spec.resources.requests[storage]", &size.into(), why));
        }
        Some(_) => {}
    }
    let fixed = |spec: &Value| {
        let mut spec = spec.clone();
        spec["resources"]["requests"] = Value::Null;
        spec
    };
    if stored.is_some_and(|stored| fixed(&stored["spec"]) != fixed(spec)) {
        let why =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        causes.push(Cause::forbidden("spec", why));
    }
    causes
}

fn pod(stored: Option<&Value>, object: &Value) -> Vec<Cause> {
    let (spec, mut causes) = (&object["spec"], Vec::new());
    if spec["containers"].as_array().is_none_or(Vec::is_empty) {
        causes.push(Cause::required("spec.containers", ""));
    }
    if stored.is_some_and(|stored| stored["spec"] != *spec) {
        causes.push(Cause::forbidden("spec", "pod updates may not change fields other than the images of containers"));
    }
    let volumes: Vec<_> = spec["volumes"].as_array().into_iter().flatten().map(|volume| &volume["name"]).collect();
    for (index, container) in spec["containers"].as_array().into_iter().flatten().enumerate() {
        for (mount, wanted) in container["volumeMounts"].as_array().into_iter().flatten().enumerate() {
            if !volumes.contains(&&wanted["name"]) {
                let field = format!("spec.containers[{index}].volumeMounts[{mount}].name");
                causes.push(Cause::invalid(field, &wanted["name"], "Not found"));
            }
        }
    }
    causes
}

fn is_quantity(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['+', '-']);
    let number = unsigned.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = &unsigned[number.len()..];
    const UNITS: [&str; 17] =
        ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e"];
    UNITS.contains(&unit) && number.parse::<f64>().is_ok()
}

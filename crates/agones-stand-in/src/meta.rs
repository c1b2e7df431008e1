//! `metadata`: what a client may write there, and what the server does.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::kind::Kind;
use crate::status::{Cause, Result, Status};
use crate::store::timestamp;

/// Written by the server alone; an update carries them over.
const OURS: [&str; 5] = ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"];
/// Letters at the end of a generated name: no vowels, so that no words come out.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

pub(crate) fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

pub(crate) fn has_finalizers(object: &Value) -> bool {
    !finalizers(object).is_empty()
}

pub(crate) fn remove_finalizer(object: &mut Value, finalizer: &str) {
    let left: Vec<_> = finalizers(object).into_iter().filter(|one| *one != finalizer).map(Value::from).collect();
    object["metadata"]["finalizers"] = left.into();
}

pub(crate) fn add_finalizer(object: &mut Value, finalizer: &str) {
    let mut all: Vec<_> = finalizers(object).into_iter().map(Value::from).collect();
    if !all.contains(&finalizer.into()) {
        all.push(finalizer.into());
        object["metadata"]["finalizers"] = all.into();
    }
}

/// The uid of the owner that controls an object.
pub(crate) fn controller(object: &Value) -> Option<&str> {
    let mut owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.find(|owner| owner["controller"] == true)?["uid"].as_str()
}

/// Five letters to end a name with.
pub(crate) fn suffix() -> String {
    Uuid::new_v4()
        .as_bytes()
        .iter()
        .take(5)
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect()
}

/// Writes the server's metadata into a new object.
pub(crate) fn on_create(kind: Kind, namespace: &str, object: &mut Value) -> Result<()> {
    let metadata = metadata(object);
    if metadata.get("resourceVersion").is_some_and(|version| version != "") {
        return Err(Status::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    if metadata.get("namespace").is_some_and(|given| given != "" && given != namespace) {
        let why = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Status::bad_request(why));
    }
    let given = |metadata: &Map<String, Value>, key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
    metadata.entry("name").or_insert_with(|| "".into());
    metadata.entry("generateName").or_insert_with(|| "".into());
    if given(metadata, "name").is_empty() && !given(metadata, "generateName").is_empty() {
        let generated = format!("{}{}", given(metadata, "generateName"), suffix());
        metadata.insert("name".to_owned(), generated.into());
    }
    if given(metadata, "generateName").is_empty() {
        metadata.remove("generateName");
    }
    OURS.iter().for_each(|key| drop(metadata.remove(*key)));
    metadata.insert("namespace".to_owned(), namespace.into());
    metadata.insert("uid".to_owned(), Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".to_owned(), timestamp(0).into());
    if kind.is_custom() {
        metadata.insert("generation".to_owned(), 1.into());
    }
    if name(object).is_empty() {
        return Err(Status::invalid(kind, "", &[Cause::required("metadata.name", "name or generateName is required")]));
    }
    check(kind, object)
}

/// Holds an update against what is stored, and carries over what is not the client's to change.
pub(crate) fn on_update(kind: Kind, stored: &Value, object: &mut Value) -> Result<()> {
    let named = name(stored).to_owned();
    let metadata = metadata(object);
    match metadata.get("resourceVersion").and_then(Value::as_str).unwrap_or_default() {
        "" if kind.is_custom() => {
            let cause = Cause::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
            return Err(Status::invalid(kind, &named, &[cause]));
        }
        "" => {}
        version if stored["metadata"]["resourceVersion"] == version => {}
        _ => return Err(Status::modified(kind, &named)),
    }
    precondition(kind, stored, "UID", metadata.get("uid").unwrap_or(&Value::Null))?;
    metadata.remove("uid");
    let mut causes = Vec::new();
    for key in OURS {
        let kept = &stored["metadata"][key];
        let given = metadata.get(key).filter(|given| !given.is_null());
        if key != "generation" && given.is_some_and(|given| given != kept) {
            causes.push(Cause::invalid(format!("metadata.{key}"), &metadata[key], "field is immutable"));
        }
        if kept.is_null() { drop(metadata.remove(key)) } else { drop(metadata.insert(key.to_owned(), kept.clone())) }
    }
    metadata.insert("name".to_owned(), named.clone().into());
    metadata.insert("namespace".to_owned(), stored["metadata"]["namespace"].clone());
    let had = finalizers(stored);
    let new: Vec<_> = finalizers(object).into_iter().filter(|one| !had.contains(one)).collect();
    if is_deleting(stored) && !new.is_empty() {
        let why =
            format!("no new finalizers can be added if the object is being deleted, found new finalizers {new:?}");
        causes.push(Cause::forbidden("metadata.finalizers", &why));
    }
    if !causes.is_empty() {
        return Err(Status::invalid(kind, &named, &causes));
    }
    bump_generation(kind, stored, object);
    check(kind, object)
}

/// Custom objects count how often what is asked of them has changed.
pub(crate) fn bump_generation(kind: Kind, stored: &Value, object: &mut Value) {
    let asked = |object: &Value| {
        let mut object = object.clone();
        if let Some(fields) = object.as_object_mut() {
            fields.remove("metadata");
            // Agones' GameServers have no subresource for their status: it counts as all else.
            if kind == Kind::Fleet {
                fields.remove("status");
            }
        }
        object
    };
    if let Some(generation) = stored["metadata"]["generation"].as_u64().filter(|_| asked(stored) != asked(object)) {
        object["metadata"]["generation"] = (generation + 1).into();
    }
}

/// Refuses where an object is another one than who asks believes. Nothing is believed where `believed` is null.
pub(crate) fn precondition(kind: Kind, stored: &Value, what: &str, believed: &Value) -> Result<()> {
    let key = if what == "UID" { "uid" } else { "resourceVersion" };
    let is = &stored["metadata"][key];
    if believed.is_null() || believed == "" || believed == is {
        return Ok(());
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let why =
        format!("Precondition failed: {what} in precondition: {}, {what} in object meta: {}", text(believed), text(is));
    Err(Status::conflict(kind, name(stored), &why))
}

fn check(kind: Kind, object: &Value) -> Result<()> {
    let metadata = &object["metadata"];
    let mut causes = Vec::new();
    if !is_subdomain(name(object)) {
        let why = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
                   must start and end with an alphanumeric character";
        causes.push(Cause::invalid("metadata.name", &metadata["name"], why));
    }
    causes.extend(wrong_labels("metadata", metadata));
    for owner in metadata["ownerReferences"].as_array().into_iter().flatten() {
        let missing = ["apiVersion", "kind", "name", "uid"]
            .into_iter()
            .filter(|key| owner[*key].as_str().is_none_or(str::is_empty));
        causes
            .extend(missing.map(|key| Cause::required(format!("metadata.ownerReferences.{key}"), "must not be empty")));
    }
    let bad = finalizers(object).into_iter().filter(|one| !is_qualified_name(one));
    causes.extend(bad.map(|one| Cause::invalid("metadata.finalizers", &one.into(), "name part must be qualified")));
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(kind, name(object), &causes)) }
}

/// Finds faults of labels and annotations under `field`.
pub(crate) fn wrong_labels(field: &str, metadata: &Value) -> Vec<Cause> {
    const KEY: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
                       an alphanumeric character, at most 63 of them";
    const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
                         and must start and end with an alphanumeric character, at most 63 of them";
    let of = |key: &str| metadata[key].as_object().cloned().unwrap_or_default();
    let mut causes = Vec::new();
    for (key, value) in of("labels") {
        if !is_qualified_name(&key) {
            causes.push(Cause::invalid(format!("{field}.labels"), &key.into(), KEY));
        }
        if !value.as_str().is_some_and(is_label_value) {
            causes.push(Cause::invalid(format!("{field}.labels"), &value, VALUE));
        }
    }
    let annotations = of("annotations");
    let bad = annotations.keys().filter(|key| !is_qualified_name(&key.to_lowercase()));
    causes.extend(bad.map(|key| Cause::invalid(format!("{field}.annotations"), &key.as_str().into(), KEY)));
    let size: usize = annotations.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > 256 << 10 {
        causes.push(Cause::invalid(format!("{field}.annotations"), &size.into(), "must have at most 262144 bytes"));
    }
    causes
}

/// RFC 1123: names of objects.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|label| is_framed(label, |letter| letter == '-', char::is_ascii_lowercase))
}

/// Keys of labels and of annotations, names of finalizers.
pub(crate) fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && !name.is_empty() && is_label_value(name),
        None => !text.is_empty() && is_label_value(text),
    }
}

pub(crate) fn is_label_value(text: &str) -> bool {
    text.is_empty() || (text.len() <= 63 && is_framed(text, |letter| "-_.".contains(letter), char::is_ascii_alphabetic))
}

/// Letters and digits, with something else between them only.
fn is_framed(text: &str, between: impl Fn(char) -> bool, is_letter: impl Fn(&char) -> bool) -> bool {
    let is_solid = |letter: char| letter.is_ascii_digit() || is_letter(&letter);
    text.starts_with(is_solid)
        && text.ends_with(is_solid)
        && text.chars().all(|letter| is_solid(letter) || between(letter))
}

fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"].as_object_mut().expect("it is an object now")
}

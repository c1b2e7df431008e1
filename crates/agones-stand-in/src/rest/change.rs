//! Requests that change something.

use serde_json::Value;

use super::Call;
use super::answer::Answer;
use crate::hub::Hub;
use crate::kind::Kind;
use crate::state::World;
use crate::status::{Cause, Result, Status, deleted};
use crate::write::{self, Given};
use crate::{meta, patch as patches, pods};

pub(super) fn create(world: &mut World, hub: &Hub, call: &Call, kind: Kind) -> Result<Answer> {
    let object = call.object()?;
    // An existing object is a conflict before quotas are counted.
    let exists = world.store.get(kind, meta::name(&object)).is_some();
    if let Some(why) = world.exceeds_quota(kind).filter(|_| !exists) {
        return Err(Status::forbidden(kind, meta::name(&object), &why));
    }
    let written = write::create(world, hub.facts.schemas, kind, Given { object, strict: call.is_strict() })?;
    Ok(Answer::written(201, written))
}

pub(super) fn replace(world: &mut World, hub: &Hub, call: &Call, (kind, name): (Kind, &str)) -> Result<Answer> {
    let object = call.object()?;
    update(world, hub, call, (kind, name), object)
}

pub(super) fn patch(world: &mut World, hub: &Hub, call: &Call, (kind, name): (Kind, &str)) -> Result<Answer> {
    let object = patches::apply(&call.media_type, world.store.find(kind, name)?, &call.bytes)?;
    update(world, hub, call, (kind, name), object)
}

fn update(world: &mut World, hub: &Hub, call: &Call, (kind, name): (Kind, &str), object: Value) -> Result<Answer> {
    let given = meta::name(&object);
    if given != name {
        let words = format!("the name of the object ({given}) does not match the name on the URL ({name})");
        return Err(Status::bad_request(words));
    }
    let written = write::update(world, hub.facts.schemas, kind, Given { object, strict: call.is_strict() })?;
    Ok(Answer::written(200, written))
}

pub(super) fn delete(world: &mut World, call: &Call, kind: Kind, name: &str) -> Result<Answer> {
    let options = if call.bytes.is_empty() { Value::Null } else { call.object()? };
    let stored = world.store.find(kind, name)?.clone();
    meta::precondition(kind, &stored, "UID", &options["preconditions"]["uid"])?;
    meta::precondition(kind, &stored, "ResourceVersion", &options["preconditions"]["resourceVersion"])?;
    let option = |key: &str| options[key].as_str().unwrap_or_else(|| call.parameter(key)).to_owned();
    match option("propagationPolicy").as_str() {
        "" | "Background" | "Orphan" => {}
        "Foreground" => {
            let change = |object: &mut Value| meta::add_finalizer(object, "foregroundDeletion");
            if !meta::is_deleting(&stored) {
                world.store.modify(kind, name, change)?;
            }
        }
        other => {
            let supported = serde_json::json!(["Foreground", "Background", "Orphan"]);
            let cause = Cause::unsupported("propagationPolicy", &other.into(), &supported);
            return Err(Status::invalid_as(("meta.k8s.io", "DeleteOptions"), "", &[cause]));
        }
    }
    let grace = options["gracePeriodSeconds"].as_u64().or_else(|| call.parameter("gracePeriodSeconds").parse().ok());
    if kind == Kind::Pod && grace == Some(0) && !meta::has_finalizers(&stored) {
        pods::kill(world, name)?;
        return Ok(Answer::json(200, stored));
    }
    let gone = || match kind {
        // These two answer with what they were.
        Kind::Pod | Kind::PersistentVolumeClaim => stored.clone(),
        _ => deleted(kind, name, &stored["metadata"]["uid"]),
    };
    Ok(Answer::json(200, world.store.delete(kind, name)?.unwrap_or_else(gone)))
}

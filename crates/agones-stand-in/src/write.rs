//! How an object comes in: what a request, a test and a controller have in common.

use serde_json::Value;

use crate::kind::Kind;
use crate::schema::Schemas;
use crate::state::World;
use crate::status::{Result, Status};
use crate::{admission, builtin, meta};

/// An object as it is stored now, and the fields that nobody knows.
pub(crate) type Written = (Value, Vec<String>);

/// An object as it comes in.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) object: Value,
    /// Whether fields that nobody knows are refused; else they are taken out.
    pub(crate) strict: bool,
}

impl Given {
    pub(crate) fn leniently(object: Value) -> Self {
        Self { object, strict: false }
    }
}

/// Creates an object, or replaces the one that is there, whatever its version.
pub(crate) fn put(world: &mut World, schemas: &Schemas, mut object: Value) -> Result<Value> {
    let kind =
        Kind::of_object(&object).ok_or_else(|| Status::bad_request(format!("of no kind that is here: {object}")))?;
    let stored = world.store.get(kind, meta::name(&object)).cloned();
    let Some(stored) = stored else {
        return create(world, schemas, kind, Given::leniently(object)).map(|(object, _)| object);
    };
    if object["metadata"]["resourceVersion"].is_null() {
        object["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
    }
    update(world, schemas, kind, Given::leniently(object)).map(|(object, _)| object)
}

/// Creates an object; who counts quotas has done so before.
pub(crate) fn create(world: &mut World, schemas: &Schemas, kind: Kind, given: Given) -> Result<Written> {
    let (mut object, unknown) = read(schemas, kind, given)?;
    if let Some(fields) = object.as_object_mut().filter(|_| kind == Kind::Fleet) {
        fields.remove("status");
    }
    admission::fill(kind, &mut object);
    builtin::fill(kind, &mut object);
    meta::on_create(kind, world.store.namespace, &mut object)?;
    if world.store.get(kind, meta::name(&object)).is_some() {
        return Err(Status::already_exists(kind, meta::name(&object)));
    }
    check(schemas, kind, None, &object)?;
    admission::check(kind, &object)?;
    Ok((world.store.create(kind, object)?, unknown))
}

/// Replaces an object.
pub(crate) fn update(world: &mut World, schemas: &Schemas, kind: Kind, given: Given) -> Result<Written> {
    let (mut object, unknown) = read(schemas, kind, given)?;
    let stored = world.store.find(kind, meta::name(&object))?.clone();
    if matches!(kind, Kind::Fleet | Kind::Pod | Kind::PersistentVolumeClaim) {
        // The status has a subresource of its own, which is not here.
        keep_status(&stored, &mut object);
    }
    meta::on_update(kind, &stored, &mut object)?;
    check(schemas, kind, Some(&stored), &object)?;
    Ok((world.store.update(kind, object)?, unknown))
}

fn keep_status(stored: &Value, object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        if let Some(status) = stored.get("status") {
            fields.insert("status".to_owned(), status.clone());
        }
    }
}

fn read(schemas: &Schemas, kind: Kind, given: Given) -> Result<Written> {
    let mut object = given.object;
    name_kind(kind, &mut object)?;
    let mut unknown = builtin::decode(kind, &mut object)?;
    if let Some(schema) = schemas.of(kind) {
        unknown.extend(schema.coerce(&mut object));
    }
    if !given.strict || unknown.is_empty() {
        return Ok((object, unknown));
    }
    let fields: Vec<_> = unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
    let (name, fields) = (kind.name(), fields.join(", "));
    let words = format!("cannot be handled as a {name}: strict decoding error: {fields}");
    Err(Status::bad_request(format!("{name} in version {:?} {words}", kind.api_version())))
}

/// An object of Kubernetes' own need not say what it is; any other has to.
fn name_kind(kind: Kind, object: &mut Value) -> Result<()> {
    let fields = object.as_object_mut().ok_or_else(|| Status::bad_request("the body is no object"))?;
    for (key, is) in [("apiVersion", kind.api_version()), ("kind", kind.name())] {
        match fields.get(key).and_then(Value::as_str).unwrap_or_default() {
            "" if kind.is_custom() => return Err(Status::bad_request(format!("Object '{key}' is missing"))),
            "" => drop(fields.insert(key.to_owned(), is.into())),
            given if given == is => {}
            given => {
                let words = format!("{key} in the data ({given}) does not match the expected {key} ({is})");
                return Err(Status::bad_request(words));
            }
        }
    }
    Ok(())
}

fn check(schemas: &Schemas, kind: Kind, stored: Option<&Value>, object: &Value) -> Result<()> {
    let causes = schemas.of(kind).map(|schema| schema.check(object)).unwrap_or_default();
    if !causes.is_empty() {
        return Err(Status::invalid(kind, meta::name(object), &causes));
    }
    builtin::check(kind, stored, object)
}

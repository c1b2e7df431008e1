//! Objects, one by one and in lists.

use serde_json::Value;

use super::Call;
use super::answer::Answer;
use crate::kind::Kind;
use crate::selector::Selector;
use crate::state::World;
use crate::status::{Result, Status};
use crate::store::list_of;

pub(super) fn get(world: &World, kind: Kind, name: &str) -> Result<Answer> {
    Ok(Answer::json(200, world.store.find(kind, name)?.clone()))
}

pub(super) fn selector(call: &Call, kind: Kind) -> Result<Selector> {
    Selector::parse(kind, call.parameter("labelSelector"), call.parameter("fieldSelector"))
}

/// Reads a continue token: the version of all pages of a list, and the last name of the previous page.
fn continuation(token: &str) -> Result<Option<(u64, &str)>> {
    if token.is_empty() {
        return Ok(None);
    }
    let parts = token.split_once('.').and_then(|(version, name)| Some((version.parse().ok()?, name)));
    parts.map(Some).ok_or_else(|| Status::bad_request("continue key is not valid"))
}

pub(super) fn list(world: &World, call: &Call, kind: Kind) -> Result<Answer> {
    let (selector, limit) = (selector(call, kind)?, call.number("limit")?);
    let page = continuation(call.parameter("continue"))?;
    let asked = call.number("resourceVersion")?;
    if page.is_some() && asked != 0 {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    if asked > world.store.version() {
        return Err(Status::new(
            504,
            "Timeout",
            format!("Too large resource version: {asked}, current: {}", world.store.version()),
        ));
    }
    let exact = call.parameter("resourceVersionMatch") == "Exact";
    let version = page.map_or(if exact { asked } else { world.store.version() }, |(version, _)| version);
    let objects = world.store.at(kind, version).ok_or_else(|| {
        let why = "The provided continue parameter is too old to display a consistent list result. You can start a new \
                   list without the continue parameter.";
        Status::expired(why)
    })?;
    let start = page.map_or("", |(_, name)| name);
    let after = objects.into_iter().filter(|(name, object)| name.as_str() > start && selector.matches(object));
    let mut items: Vec<(String, Value)> = after.collect();
    let most = usize::try_from(limit).ok().filter(|most| *most > 0 && *most < items.len());
    let left = most.map_or_else(Vec::new, |most| items.split_off(most));
    let next = items.last().filter(|_| !left.is_empty()).map(|(name, _)| format!("{version}.{name}"));
    let mut list = list_of(kind, version, items.into_iter().map(|(_, object)| as_item(kind, object)).collect());
    if let Some(next) = next {
        list["metadata"]["continue"] = next.into();
        if selector.is_empty() {
            list["metadata"]["remainingItemCount"] = left.len().into();
        }
    }
    Ok(Answer::json(200, list))
}

/// In a list, objects of Kubernetes' own do not say what they are.
fn as_item(kind: Kind, mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut().filter(|_| !kind.is_custom()) {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    object
}

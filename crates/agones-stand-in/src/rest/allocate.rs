//! Allocations: Agones' own API server, which stores none of them.

use serde_json::{Value, json};

use super::Call;
use super::answer::Answer;
use crate::agones;
use crate::game_state::State;
use crate::kind::Kind;
use crate::selector::Selector;
use crate::state::World;
use crate::status::{Cause, Result, Status};
use crate::{NAMESPACE, meta};

const KIND: (&str, &str) = ("allocation.agones.dev", "GameServerAllocation");

/// The answer is 201 whatever comes of it: `status.state` says what did.
pub(super) fn answer(world: &mut World, call: &Call) -> Result<Answer> {
    let mut allocation = call.object()?;
    if allocation["kind"] != KIND.1 || allocation["apiVersion"] != "allocation.agones.dev/v1" {
        return Err(Status::bad_request("the body is no GameServerAllocation of allocation.agones.dev/v1"));
    }
    let selectors = selectors(&allocation["spec"]);
    check(&allocation, &selectors)?;
    allocation["metadata"]["namespace"] = NAMESPACE.into();
    allocation["metadata"]["creationTimestamp"] = Value::Null;
    let mut status = json!({"state": "UnAllocated", "gameServerName": ""});
    if world.knobs.contentions > 0 {
        world.knobs.contentions -= 1;
        status["state"] = "Contention".into();
    } else if let Some(name) = find(world, &selectors)?.filter(|_| !world.knobs.is_blind) {
        let taken = agones::allocate(world, &name, &allocation["spec"]["metadata"])?;
        allocation["metadata"]["name"] = name.into();
        status = told(&taken);
    }
    allocation["status"] = status;
    Ok(Answer::json(201, allocation))
}

/// All selectors, in their order; the two older fields say the same.
fn selectors(spec: &Value) -> Vec<Value> {
    let new = spec["selectors"].as_array().cloned().unwrap_or_default();
    if !new.is_empty() {
        return new;
    }
    let preferred = spec["preferred"].as_array().cloned().unwrap_or_default();
    let required = if spec["required"].is_object() { spec["required"].clone() } else { json!({}) };
    preferred.into_iter().chain([required]).collect()
}

fn check(allocation: &Value, selectors: &[Value]) -> Result<()> {
    let mut causes = meta::wrong_labels("spec.metadata", &allocation["spec"]["metadata"]);
    for (index, selector) in selectors.iter().enumerate() {
        let state = &selector["gameServerState"];
        if !state.is_null() && !["", "Ready", "Allocated"].contains(&state.as_str().unwrap_or("?")) {
            let field = format!("spec.selectors[{index}].gameServerState");
            causes.push(Cause::invalid(field, state, "GameServerState must be either Allocated or Ready"));
        }
    }
    let strategy = &allocation["spec"]["scheduling"];
    if !strategy.is_null() && strategy != "Packed" && strategy != "Distributed" {
        causes.push(Cause::unsupported("spec.scheduling", strategy, &json!(["Packed", "Distributed"])));
    }
    let name = meta::name(allocation);
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid_as(KIND, name, &causes)) }
}

/// The first GameServer that fits the first selector that any fits.
fn find(world: &World, selectors: &[Value]) -> Result<Option<String>> {
    for selector in selectors {
        let wanted = match selector["gameServerState"].as_str() {
            Some("Allocated") => State::Allocated,
            _ => State::Ready,
        };
        let labels = Selector::of_object(selector)?;
        let fits =
            |object: &&Value| State::of(object) == Some(wanted) && !meta::is_deleting(object) && labels.matches(object);
        if let Some(object) = world.store.list(Kind::GameServer).find(fits) {
            return Ok(Some(meta::name(object).to_owned()));
        }
    }
    Ok(None)
}

fn told(taken: &Value) -> Value {
    let (metadata, status) = (&taken["metadata"], &taken["status"]);
    json!({
        "state": "Allocated",
        "gameServerName": metadata["name"],
        "ports": status["ports"],
        "address": status["address"],
        "addresses": status["addresses"],
        "nodeName": status["nodeName"],
        "source": "local",
        "metadata": {"labels": metadata["labels"], "annotations": metadata["annotations"]},
    })
}

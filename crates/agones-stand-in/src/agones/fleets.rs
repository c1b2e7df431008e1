//! Fleets: so many GameServers of a kind.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::game_state::State;
use crate::kind::Kind;
use crate::meta;
use crate::schema::Schemas;
use crate::state::World;
use crate::write::{self, Given};

pub(super) fn step(world: &mut World, schemas: &Schemas) {
    for name in world.store.names(Kind::Fleet) {
        let Some(fleet) = world.store.get(Kind::Fleet, &name).cloned() else { continue };
        if meta::is_deleting(&fleet) {
            continue;
        }
        let make = || (format!("{name}-{}", meta::suffix()), Uuid::new_v4().to_string());
        let set = world.sets.entry(meta::uid(&fleet).to_owned()).or_insert_with(make).clone();
        fill_up(world, schemas, &fleet, &set);
        tell(world, &name, &set);
    }
}

fn members(world: &World, set: &str) -> Vec<Value> {
    world.store.list(Kind::GameServer).filter(|object| meta::controller(object) == Some(set)).cloned().collect()
}

/// Agones counts as up what is allocated, and what is or will be ready; the rest goes, and is replaced.
fn fill_up(world: &mut World, schemas: &Schemas, fleet: &Value, set: &(String, String)) {
    let wanted = usize::try_from(fleet["spec"]["replicas"].as_u64().unwrap_or_default()).unwrap_or_default();
    let mut members = members(world, &set.1);
    members.retain(|member| !meta::is_deleting(member));
    // GameServers with players stay, so they count first.
    let is_taken = |member: &Value| matches!(State::of(member), Some(State::Allocated | State::Reserved));
    members.sort_by_key(|member| !is_taken(member));
    let mut up = 0;
    for member in &members {
        let is_broken = matches!(State::of(member), Some(State::Error | State::Unhealthy));
        if !is_broken && (is_taken(member) || up < wanted) {
            up += 1;
        } else if State::of(member) != Some(State::Shutdown) {
            let _ = super::set_state(world, meta::name(member), State::Shutdown);
        }
    }
    for _ in up..wanted {
        let _ = write::create(world, schemas, Kind::GameServer, Given::leniently(member_of(fleet, set)));
    }
}

fn member_of(fleet: &Value, (set, uid): &(String, String)) -> Value {
    let template = &fleet["spec"]["template"];
    let mut labels = template["metadata"]["labels"].clone();
    labels["agones.dev/fleet"] = meta::name(fleet).into();
    labels["agones.dev/gameserverset"] = set.as_str().into();
    let mut spec = template["spec"].clone();
    spec["scheduling"] = fleet["spec"]["scheduling"].clone();
    json!({
        "apiVersion": "agones.dev/v1",
        "kind": "GameServer",
        "metadata": {
            "generateName": format!("{set}-"),
            "labels": labels,
            "annotations": template["metadata"]["annotations"],
            "ownerReferences": [{
                "apiVersion": "agones.dev/v1", "kind": "GameServerSet", "name": set, "uid": uid,
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": spec,
    })
}

fn tell(world: &mut World, name: &str, set: &(String, String)) {
    let members = members(world, &set.1);
    let count = |state| members.iter().filter(|member| State::of(member) == Some(state)).count();
    let status = json!({
        "replicas": members.len(),
        "readyReplicas": count(State::Ready),
        "reservedReplicas": count(State::Reserved),
        "allocatedReplicas": count(State::Allocated),
    });
    let _ = world.store.modify(Kind::Fleet, name, |fleet| fleet["status"] = status);
}

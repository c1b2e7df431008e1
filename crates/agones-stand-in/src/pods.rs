//! Runs and ends pods: a scheduler, a node, and the protection of claims.

use std::time::{Duration, Instant};

use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::game_state::State;
use crate::kind::Kind;
use crate::state::World;
use crate::status::Result;
use crate::store::timestamp;

/// Container that Agones adds to the pod of a game.
pub(crate) const SIDECAR: &str = "agones-gameserver-sidecar";
use crate::{GAME, meta};

/// The one node, and where players reach it.
pub(crate) const NODE: &str = "node-1";
pub(crate) const ADDRESS: &str = "203.0.113.7";

/// How long what protects claims takes to see that nobody uses one: a claim that is deleted is there for a moment.
const CLAIM_LEAVES: Duration = Duration::from_millis(50);

/// Deletes a pod as a client does.
pub(crate) fn delete(world: &mut World, name: &str) -> Result<Option<Value>> {
    world.store.delete(Kind::Pod, name)
}

/// Deletes a pod without waiting for its end.
pub(crate) fn kill(world: &mut World, name: &str) -> Result<()> {
    let pod = world.store.find(Kind::Pod, name)?.clone();
    world.store.remove(Kind::Pod, name, pod);
    Ok(())
}

/// A pod prints lines, with the time at which it did.
pub(crate) fn print(world: &mut World, name: &str, lines: &[&str]) -> Result<()> {
    let uid = meta::uid(world.store.find(Kind::Pod, name)?).to_owned();
    let at = Utc::now().to_rfc3339_opts(SecondsFormat::Nanos, true);
    world.logs.entry(uid).or_default().extend(lines.iter().map(|line| format!("{at} {line}")));
    Ok(())
}

/// Moves each pod and claim a step on; returns whether something changed.
pub(crate) fn step(world: &mut World) -> bool {
    let pods = world.store.names(Kind::Pod).into_iter().filter(|name| step_pod(world, name).is_some()).count();
    let claims = world.store.names(Kind::PersistentVolumeClaim).into_iter();
    let claims = claims.filter(|name| step_claim(world, name).is_some()).count();
    pods + claims > 0
}

/// When the next pod or claim ends.
pub(crate) fn next_end(world: &World) -> Option<Instant> {
    let takes = world.knobs.termination;
    let pods = world.ending.values().filter_map(|since| since.checked_add(takes?)).min();
    pods.into_iter().chain(world.leaving.values().map(|since| *since + CLAIM_LEAVES)).min()
}

fn step_pod(world: &mut World, name: &str) -> Option<()> {
    let pod = world.store.get(Kind::Pod, name)?;
    if meta::is_deleting(pod) {
        let pod = pod.clone();
        return end(world, name, pod);
    }
    let change = if pod["spec"]["nodeName"].is_null() {
        schedule(world, pod)
    } else if pod["status"]["phase"] == "Pending" {
        match secrets(pod).find(|name| world.store.get(Kind::Secret, name).is_none()) {
            Some(missing) => wait(pod, missing),
            None => run(pod, is_ready(world, pod)),
        }
    } else if !is_pod_ready(pod) && is_ready(world, pod) {
        run(pod, true)
    } else {
        return None;
    };
    let before = world.store.version();
    world.store.modify(Kind::Pod, name, |pod| json_patch::merge(pod, &change)).ok()?;
    (world.store.version() > before).then_some(())
}

fn end(world: &mut World, name: &str, pod: Value) -> Option<()> {
    let since = *world.ending.entry(meta::uid(&pod).to_owned()).or_insert_with(Instant::now);
    let over = match world.knobs.termination {
        None => true,
        Some(takes) => since.checked_add(takes).is_some_and(|end| end <= Instant::now()),
    };
    if !over || meta::has_finalizers(&pod) {
        return None;
    }
    world.ending.remove(meta::uid(&pod));
    world.store.remove(Kind::Pod, name, pod);
    Some(())
}

/// Returns the claims that a pod uses.
fn claims(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes.filter_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str())
}

/// Returns the secrets from which a pod takes variables.
fn secrets(pod: &Value) -> impl Iterator<Item = &str> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let variables = containers.flat_map(|container| container["env"].as_array().into_iter().flatten());
    variables.filter_map(|variable| variable["valueFrom"]["secretKeyRef"]["name"].as_str())
}

/// A container is not made before its variables are known.
fn wait(pod: &Value, missing: &str) -> Value {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let why = json!({"reason": "CreateContainerConfigError", "message": format!("secret {missing:?} not found")});
    let statuses: Vec<_> = containers
        .map(|container| {
            json!({
                "name": container["name"], "image": container["image"], "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": why},
            })
        })
        .collect();
    json!({"status": {"containerStatuses": statuses}})
}

fn schedule(world: &World, pod: &Value) -> Value {
    let is_there =
        |name: &&str| world.store.get(Kind::PersistentVolumeClaim, name).is_some_and(|claim| !meta::is_deleting(claim));
    let missing = claims(pod).find(|name| !is_there(name));
    match missing {
        Some(claim) => json!({"status": {"conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": format!("0/1 nodes are available: persistentvolumeclaim {claim:?} not found"),
        }]}}),
        None => json!({
            "spec": {"nodeName": NODE},
            "status": {"conditions": [{"type": "PodScheduled", "status": "True"}]},
        }),
    }
}

fn run(pod: &Value, ready: bool) -> Value {
    let started = pod["status"]["startTime"].as_str().map_or_else(|| timestamp(0), ToOwned::to_owned);
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let statuses: Vec<_> = containers
        .map(|container| {
            json!({
                "name": container["name"],
                "image": container["image"],
                "imageID": container["image"],
                "containerID": format!("containerd://{}-{}", meta::uid(pod), container["name"].as_str().unwrap_or_default()),
                "ready": ready || container["name"] == SIDECAR,
                "started": true,
                "restartCount": 0,
                "state": {"running": {"startedAt": started}},
            })
        })
        .collect();
    let word = if ready { "True" } else { "False" };
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
    json!({"status": {
        "phase": "Running",
        "hostIP": ADDRESS,
        "podIP": "10.0.0.7",
        "startTime": started,
        "containerStatuses": statuses,
        "conditions": [
            condition("PodScheduled", "True"),
            condition("Initialized", "True"),
            condition("ContainersReady", word),
            condition("Ready", word),
        ],
    }})
}

/// How the game of a pod behaves: see [`GAME`].
pub(crate) fn behaviour(pod: &Value) -> &str {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut variables = containers.flat_map(|container| container["env"].as_array().into_iter().flatten());
    variables
        .find(|variable| variable["name"] == GAME)
        .and_then(|variable| variable["value"].as_str())
        .unwrap_or_default()
}

pub(crate) fn is_pod_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Whether a pod that runs may be ready.
fn is_ready(world: &World, pod: &Value) -> bool {
    let state = world.store.get(Kind::GameServer, meta::name(pod)).and_then(State::of);
    let is_held = state.is_some_and(|state| state.is_starting() && world.knobs.held.contains(&state));
    !world.knobs.never_ready && behaviour(pod) != "stuck" && !is_held
}

fn step_claim(world: &mut World, name: &str) -> Option<()> {
    const PROTECTION: &str = "kubernetes.io/pvc-protection";
    let claim = world.store.get(Kind::PersistentVolumeClaim, name)?;
    if meta::is_deleting(claim) {
        let is_used = world.store.list(Kind::Pod).any(|pod| claims(pod).any(|used| used == name));
        if is_used || !meta::finalizers(claim).contains(&PROTECTION) {
            return None;
        }
        let uid = meta::uid(claim).to_owned();
        if world.leaving.entry(uid.clone()).or_insert_with(Instant::now).elapsed() < CLAIM_LEAVES {
            return None;
        }
        world.leaving.remove(&uid);
        let change = |claim: &mut Value| meta::remove_finalizer(claim, PROTECTION);
        return world.store.modify(Kind::PersistentVolumeClaim, name, change).ok().map(drop);
    }
    if claim["status"]["phase"] != "Pending" {
        return None;
    }
    let volume = format!("pvc-{}", meta::uid(claim));
    let change = json!({"spec": {"volumeName": volume}, "status": {
        "phase": "Bound", "accessModes": claim["spec"]["accessModes"], "capacity": claim["spec"]["resources"]["requests"],
    }});
    world.store.modify(Kind::PersistentVolumeClaim, name, |claim| json_patch::merge(claim, &change)).ok().map(drop)
}

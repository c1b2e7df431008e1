//! Agones' controllers: what becomes of a GameServer.

mod fleets;
mod garbage;
mod pod;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::{sleep, sleep_until};

use crate::admission::FINALIZER;
use crate::game_state::State;
use crate::hub::Hub;
use crate::kind::Kind;
use crate::pods::{self, ADDRESS, NODE};
use crate::state::World;
use crate::status::{Result, Status};
use crate::{admission, meta};

/// Ports that Agones assigns.
const PORTS: std::ops::RangeInclusive<u64> = 7000..=8000;

/// Runs all controllers, step by step, for as long as the cluster is there.
pub(crate) async fn run(hub: Arc<Hub>) {
    let mut changes = hub.listen();
    loop {
        changes.borrow_and_update();
        let began = Instant::now();
        let has_changed = hub.quietly(|world| step(world, &hub));
        if has_changed {
            hub.ring();
        }
        // Each step stands alone, so that requests come in between as they do in a cluster, however many objects there are.
        sleep(began.elapsed().max(Duration::from_millis(1))).await;
        if has_changed {
            continue;
        }
        let next = hub.look(pods::next_end);
        let alarm = async {
            match next {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = alarm => {}
        }
    }
}

fn step(world: &mut World, hub: &Hub) -> bool {
    let before = world.store.version();
    pods::step(world);
    for name in world.store.names(Kind::GameServer) {
        // A controller that fails tries again after the next change.
        let _ = sync(world, &name);
    }
    fleets::step(world, hub.facts.schemas);
    garbage::collect(world);
    world.store.version() > before
}

pub(crate) fn set_state(world: &mut World, name: &str, state: State) -> Result<Value> {
    world.store.modify(Kind::GameServer, name, |object| object["status"]["state"] = state.to_string().into())
}

/// Moves a GameServer a step on.
fn sync(world: &mut World, name: &str) -> Result<()> {
    let object = world.store.find(Kind::GameServer, name)?;
    if meta::is_deleting(object) {
        let object = object.clone();
        return end(world, name, &object);
    }
    let Some(state) = State::of(object) else { return Ok(()) };
    if lost_its_pod(world, name, state) {
        return set_state(world, name, State::Unhealthy).map(drop);
    }
    if world.knobs.held.contains(&state) {
        return Ok(());
    }
    if !state.is_starting() && state != State::Shutdown {
        return Ok(());
    }
    let object = world.store.find(Kind::GameServer, name)?.clone();
    match state {
        State::PortAllocation => allocate_ports(world, name),
        State::Creating => create_pod(world, name, &object),
        State::Starting => schedule(world, name, &object),
        State::Scheduled => play(world, name, &object),
        State::RequestReady => get_ready(world, name, &object),
        State::Shutdown => world.store.delete(Kind::GameServer, name).map(drop),
        _ => Ok(()),
    }
}

/// The pod of a GameServer; another one of the same name is none.
fn pod_of<'a>(world: &'a World, object: &Value) -> Option<&'a Value> {
    let pod = world.store.get(Kind::Pod, meta::name(object))?;
    (meta::controller(pod) == Some(meta::uid(object))).then_some(pod)
}

/// No finalizer goes before the pod is truly gone.
fn end(world: &mut World, name: &str, object: &Value) -> Result<()> {
    match pod_of(world, object) {
        Some(pod) if meta::is_deleting(pod) => Ok(()),
        Some(_) => pods::delete(world, name).map(drop),
        None if meta::finalizers(object).contains(&FINALIZER) => {
            let change = |object: &mut Value| meta::remove_finalizer(object, FINALIZER);
            world.store.modify(Kind::GameServer, name, change).map(drop)
        }
        None => Ok(()),
    }
}

/// Agones' health controller: a pod that ends by itself was not to.
fn lost_its_pod(world: &World, name: &str, state: State) -> bool {
    use State::{Creating, Error, PortAllocation, Shutdown, Unhealthy};
    let has_one = !matches!(state, PortAllocation | Creating | Error | Shutdown | Unhealthy);
    has_one && world.store.get(Kind::Pod, name).is_none()
}

fn allocate_ports(world: &mut World, name: &str) -> Result<()> {
    fn ports_of(object: &Value) -> &[Value] {
        object["spec"]["ports"].as_array().map_or(&[], Vec::as_slice)
    }
    let all = world.store.list(Kind::GameServer).flat_map(ports_of);
    let taken: HashSet<u64> = all.filter_map(|port| port["hostPort"].as_u64()).collect();
    let mut free = PORTS.filter(|port| !taken.contains(port));
    let mut ports = ports_of(world.store.find(Kind::GameServer, name)?).to_vec();
    for port in ports.iter_mut().filter(|port| port["portPolicy"] == "Dynamic" || port["portPolicy"] == "Passthrough") {
        let exhausted = || Status::new(500, "InternalError", "no ports are left");
        let given = free.next().ok_or_else(exhausted)?;
        port["hostPort"] = given.into();
        if port["portPolicy"] == "Passthrough" {
            port["containerPort"] = given.into();
        }
    }
    let change = |object: &mut Value| {
        object["spec"]["ports"] = ports.into();
        object["status"]["state"] = State::Creating.to_string().into();
    };
    world.store.modify(Kind::GameServer, name, change).map(drop)
}

fn create_pod(world: &mut World, name: &str, object: &Value) -> Result<()> {
    if world.store.get(Kind::Pod, name).is_some_and(|pod| meta::controller(pod) != Some(meta::uid(object))) {
        // The pod of an earlier GameServer of this name has to end first.
        return Ok(());
    }
    if world.store.get(Kind::Pod, name).is_none() {
        if world.exceeds_quota(Kind::Pod).is_some() {
            return set_state(world, name, State::Error).map(drop);
        }
        let mut pod = pod::of(object);
        let made = super::builtin::decode(Kind::Pod, &mut pod).and_then(|_| {
            super::builtin::fill(Kind::Pod, &mut pod);
            meta::on_create(Kind::Pod, world.store.namespace, &mut pod)?;
            super::builtin::check(Kind::Pod, None, &pod)?;
            world.store.create(Kind::Pod, pod)
        });
        if made.is_err() {
            return set_state(world, name, State::Error).map(drop);
        }
    }
    set_state(world, name, State::Starting).map(drop)
}

fn schedule(world: &mut World, name: &str, object: &Value) -> Result<()> {
    if !pod_of(world, object).is_some_and(|pod| pod["spec"]["nodeName"].is_string()) {
        return Ok(());
    }
    let change = |object: &mut Value| {
        reach(object);
        object["status"]["state"] = State::Scheduled.to_string().into();
    };
    world.store.modify(Kind::GameServer, name, change).map(drop)
}

/// Writes down where a GameServer can be reached.
fn reach(object: &mut Value) {
    let ports = object["spec"]["ports"].as_array().into_iter().flatten();
    let port = |port: &Value| json!({"name": port["name"].as_str().unwrap_or_default(), "port": port["hostPort"]});
    let ports: Vec<_> = ports.filter(|port| port["hostPort"].is_u64()).map(port).collect();
    let status = &mut object["status"];
    status["address"] = ADDRESS.into();
    status["addresses"] = json!([{"type": "ExternalIP", "address": ADDRESS}, {"type": "Hostname", "address": NODE}]);
    status["nodeName"] = NODE.into();
    status["ports"] = ports.into();
}

/// The game itself, as far as the SDK hears of it.
fn play(world: &mut World, name: &str, object: &Value) -> Result<()> {
    let speaks = |pod: &Value| {
        let runs = pod["status"]["phase"] == "Running" && !meta::is_deleting(pod);
        runs && !matches!(pods::behaviour(pod), "silent" | "stuck")
    };
    if world.knobs.never_ready || !pod_of(world, object).is_some_and(speaks) {
        return Ok(());
    }
    set_state(world, name, State::RequestReady).map(drop)
}

fn get_ready(world: &mut World, name: &str, object: &Value) -> Result<()> {
    let Some(pod) = pod_of(world, object).filter(|pod| pod["spec"]["nodeName"].is_string()) else { return Ok(()) };
    let mut statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let game = statuses.find(|status| status["name"] == object["spec"]["container"]);
    let container = game.map(|game| game["containerID"].clone()).unwrap_or_default();
    let change = |object: &mut Value| {
        if object["status"]["nodeName"].is_null() {
            reach(object);
        }
        if container.is_string() {
            object["metadata"]["annotations"]["agones.dev/ready-container-id"] = container;
        }
        object["status"]["state"] = State::Ready.to_string().into();
    };
    world.store.modify(Kind::GameServer, name, change).map(drop)
}

/// Gives a GameServer to somebody, with the labels and annotations that they want on it.
pub(crate) fn allocate(world: &mut World, name: &str, stamp: &Value) -> Result<Value> {
    let change = |object: &mut Value| {
        for part in ["labels", "annotations"] {
            for (key, value) in stamp[part].as_object().into_iter().flatten() {
                object["metadata"][part][key] = value.clone();
            }
        }
        object["metadata"]["annotations"]["agones.dev/last-allocated"] = super::store::timestamp(0).into();
        object["status"]["state"] = State::Allocated.to_string().into();
    };
    world.store.modify(Kind::GameServer, name, change)
}

/// The version of Agones' SDK that objects carry.
pub(crate) const fn version() -> &'static str {
    admission::SDK_VERSION
}

//! Allocates a GameServer from a Fleet, as v1.7.0 did.
//!
//! An allocation is not idempotent: if its answer is lost, a GameServer stays allocated. So it is stamped with our
//! labels, and a new attempt looks for it first.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use agis_servers::host::{HostError, Launch};
use chrono::Utc;
use kube::core::{ApiResource, GroupVersionKind, Object, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Trouble, ask},
    gameserver::GameServer,
    names::{self, Words},
    template,
};

#[derive(Deserialize)]
struct Allocation {
    #[serde(default)]
    status: AllocationStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AllocationStatus {
    state: String,
    game_server_name: String,
}

/// Allocates a GameServer of this Fleet and stamps it.
pub(crate) async fn allocate(
    cluster: &Cluster,
    allocator: &Allocator,
    fleet: &str,
    launch: &Launch,
    labels: Words,
) -> Result<GameServer, HostError> {
    let mut stamp = labels;
    stamp.extend(template::v1_7(launch));
    stamp.extend(names::words([("wtg.cluster/allocated", "true".to_owned())]));
    let annotations = names::words([
        ("wtg.cluster/allocated-at", Utc::now().to_rfc3339()),
        ("wtg.cluster/allocated-by", names::AGIS.to_owned()),
    ]);
    let allocation = json!({
        "apiVersion": "allocation.agones.dev/v1",
        "kind": "GameServerAllocation",
        "spec": {
            "selectors": [{ "matchLabels": { "agones.dev/fleet": fleet }, "gameServerState": "Ready" }],
            "metadata": { "labels": stamp, "annotations": annotations },
        },
    });
    let Allocation { status } = post(cluster, &allocation).await.map_err(Trouble::of_making)?;
    match status.state.as_str() {
        "Allocated" => {
            allocator.sees(fleet);
            let found = ask(cluster.gameservers.get_opt(&status.game_server_name)).await?;
            let gone = || HostError::Unavailable("the allocated game server is gone already".to_owned());
            found.ok_or_else(gone)
        }
        "Contention" => Err(HostError::Full(format!("others allocate from the fleet '{fleet}' at this moment"))),
        _ => Err(none(cluster, allocator, fleet).await),
    }
}

/// Returns the reason why a Fleet gives nothing.
async fn none(cluster: &Cluster, allocator: &Allocator, fleet: &str) -> HostError {
    let is_empty = || HostError::Full(format!("the fleet '{fleet}' has no game server that is free"));
    // A Role without the right to see Fleets only shortens the reason.
    let Ok(found) = ask(cluster.fleets.get_opt(fleet)).await else { return is_empty() };
    let Some(found) = found else {
        let namespace = &cluster.namespace;
        return HostError::Unavailable(format!("the fleet '{fleet}' is not in the namespace '{namespace}'"));
    };
    let ready = found.status.unwrap_or_default().ready_replicas;
    if ready == 0 {
        allocator.sees(fleet);
        return is_empty();
    }
    if !allocator.is_blind(fleet, cluster.pace.reap) {
        return is_empty();
    }
    tracing::warn!(fleet, ready, "Agones allocates no game server of a fleet with ready ones");
    HostError::Full(format!(
        "the fleet '{fleet}' shows {ready} game servers that are ready, but Agones allocates none of them: its allocator \
         has lost sight of them, and an operator has to restart the deployment agones-extensions"
    ))
}

/// Fleet, as far as it is read.
pub(crate) type Fleet = Object<Value, FleetStatus>;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FleetStatus {
    ready_replicas: u32,
}

/// Returns the resource `agones.dev/v1`, kind Fleet.
pub(crate) fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("agones.dev", "v1", "Fleet"), "fleets")
}

/// Record of whether Agones' allocator, which has a memory of its own, sees the GameServers that Fleets show. For a
/// moment it may not.
#[derive(Default)]
pub(crate) struct Allocator {
    /// Per Fleet: the time since which the allocator does not see them, and the time of the last look.
    unseen: Mutex<BTreeMap<String, (Instant, Instant)>>,
}

impl Allocator {
    fn sees(&self, fleet: &str) {
        self.unseen().remove(fleet);
    }

    /// Checks whether the allocator has not seen this Fleet's GameServers for too long. A look of long ago does not
    /// count.
    fn is_blind(&self, fleet: &str, long: Duration) -> bool {
        let (mut unseen, now) = (self.unseen(), Instant::now());
        let (since, last) = unseen.entry(fleet.to_owned()).or_insert((now, now));
        if now - *last > long * 4 {
            *since = now;
        }
        *last = now;
        now - *since >= long
    }

    fn unseen(&self) -> MutexGuard<'_, BTreeMap<String, (Instant, Instant)>> {
        self.unseen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn post(cluster: &Cluster, allocation: &serde_json::Value) -> Result<Allocation, Trouble> {
    let wrong = |error: &dyn std::fmt::Display| Trouble::Unknown(error.to_string());
    let body = serde_json::to_vec(allocation).map_err(|error| wrong(&error))?;
    let path = format!("/apis/allocation.agones.dev/v1/namespaces/{}/gameserverallocations", cluster.namespace);
    let request = Request::new(path).create(&kube::api::PostParams::default(), body).map_err(|error| wrong(&error))?;
    ask(cluster.client.request(request)).await
}

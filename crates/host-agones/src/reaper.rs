//! What nobody asked for any more is taken away: GameServers that a process created after it was overtaken, allocations
//! whose answer was lost, and after seven days the worlds of deleted servers.

use std::{collections::HashMap, time::Duration};

use agis_base::{ServerId, Timestamp};
use agis_servers::host::HostError;
use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

use crate::{
    cluster::Cluster,
    fence::{Fence, Wanted},
    names,
};

/// How often it looks. What it finds runs at most so much longer than it should.
pub const INTERVAL: Duration = Duration::from_secs(30);

/// Looks for ever; a round that fails is made up for by the next.
pub(crate) async fn run(cluster: &Cluster) {
    // The first orphan is to be seen as one more.
    metrics::counter!("agis_bot_agones_orphans_reaped_total").increment(0);
    loop {
        if let Err(error) = round(cluster).await {
            tracing::warn!(%error, "orphans in the cluster could not be looked for");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// The fences are read after the GameServers: each of those that were seen had its fence before it was made.
async fn round(cluster: &Cluster) -> Result<(), HostError> {
    let ours = names::all(&cluster.name);
    let gameservers = cluster.all(&cluster.gameservers, &ours).await?;
    let maps = cluster.all(&cluster.fences, &ours).await?;
    let fences: HashMap<ServerId, Fence> =
        maps.iter().filter_map(|map| Some((names::server(map)?, Fence::read(map).ok()?))).collect();
    for gameserver in &gameservers {
        let is_orphan = match (names::server(gameserver), names::generation(gameserver)) {
            (Some(server), Some(generation)) => match fences.get(&server) {
                Some(fence) => fence.is_orphan(generation, gameserver),
                // A fence that cannot be read is no reason; that there is none, is.
                None => maps.iter().all(|map| names::server(map) != Some(server)),
            },
            _ => false,
        };
        if is_orphan && gameserver.metadata.deletion_timestamp.is_none() {
            tracing::warn!(gameserver = gameserver.name_any(), "a game server that is nobody's is taken away");
            if survive(cluster.delete(&cluster.gameservers, gameserver).await) {
                metrics::counter!("agis_bot_agones_orphans_reaped_total").increment(1);
            }
        }
    }
    for map in maps.iter().filter(|map| has_ended(map, Utc::now())) {
        let _ = survive(forget(cluster, map).await);
    }
    Ok(())
}

/// Whether what is kept of a deleted server has been kept for long enough. One that was restored from a backup is not
/// deleted any more.
fn has_ended(map: &ConfigMap, now: Timestamp) -> bool {
    if Fence::read(map).is_ok_and(|fence| fence.wanted != Wanted::Deleted) {
        return false;
    }
    let after = map.annotations().get(names::DELETE_AFTER);
    after.and_then(|text| DateTime::parse_from_rfc3339(text).ok()).is_some_and(|after| after < now)
}

/// The world first: as long as the fence is there, it is tried again. The list may be minutes old; a fence that somebody has
/// raised since, whose server is wanted again, is left alone with its world.
async fn forget(cluster: &Cluster, map: &ConfigMap) -> Result<(), HostError> {
    match cluster.forget_world(map.clone()).await? {
        Some(forgotten) => cluster.delete_unchanged(&cluster.fences, &forgotten).await,
        None => Ok(()),
    }
}

/// One that cannot be taken away is no reason to leave the others. Answers whether it could.
fn survive(result: Result<(), HostError>) -> bool {
    if let Err(error) = &result {
        tracing::warn!(%error, "something in the cluster could not be taken away");
    }
    result.is_ok()
}

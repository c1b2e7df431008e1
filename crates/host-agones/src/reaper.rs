//! Takes away objects that no order wants any more: GameServers that an overtaken process created, allocations whose
//! answer was lost, and after seven days the worlds of deleted servers.
//!
//! Two rounds have to agree before anything happens. One reading cannot tell an orphan from a GameServer that is about
//! to be replaced, or a lost fence from a missed one.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use agis_base::{ServerId, Timestamp};
use agis_servers::host::HostError;
use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;

use crate::{
    cluster::Cluster,
    fence::{Chosen, Fence, Wanted},
    gameserver::GameServer,
    names,
    sight::Sight,
};

const REAPED: &str = "agis_bot_agones_orphans_reaped_total";
const LOST: &str = "agis_bot_agones_fences_lost_total";

/// Time for which a round is good, beside a few times the pause between two. A round with much to do takes long.
const LONG: Duration = Duration::from_secs(5 * 60);

/// Creates the record of the rounds, which are due every `reap`.
pub(crate) fn sight(reap: Duration) -> Sight {
    Sight::new("the search for orphans", LONG + reap * 3)
}

/// Makes rounds for ever. The next round makes up for a failed one.
pub(crate) async fn run(cluster: &Cluster, sight: &Sight) {
    // The counters start at 0, so monitoring sees the first increment.
    metrics::counter!(REAPED).increment(0);
    metrics::counter!(LOST).increment(0);
    let mut suspects = Suspects::default();
    loop {
        match round(cluster, &suspects).await {
            Ok(found) => {
                suspects = found;
                sight.well();
            }
            Err(error) => {
                tracing::warn!(%error, "reaper round failed");
                sight.blind(&error.to_string());
            }
        }
        tokio::time::sleep(cluster.pace.reap).await;
    }
}

/// Suspicions of a round, by the GameServer's uid.
type Suspects = HashMap<String, Suspicion>;

/// Suspicion about a GameServer with our labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspicion {
    /// The fence of its server names another GameServer, or none.
    Orphan,
    /// Its server has no fence, though every GameServer had one before it was made.
    NoFence,
}

/// Makes a round. Moves and reads the fences after the GameServers: each GameServer in the list had its fence before it
/// was made, here or in the old place.
async fn round(cluster: &Cluster, before: &Suspects) -> Result<Suspects, HostError> {
    let ours = names::all(&cluster.name);
    let gameservers = cluster.all(&cluster.gameservers, &ours).await?;
    cluster.move_fences().await?;
    let maps = cluster.all(&cluster.fences, &ours).await.map_err(|trouble| cluster.of_fences(trouble))?;
    let fences: HashMap<ServerId, Option<Fence>> =
        maps.iter().filter_map(|map| Some((names::server(map)?, Fence::read(map).ok()))).collect();
    let mut suspects = Suspects::new();
    let mut unfenced: BTreeMap<ServerId, Vec<&GameServer>> = BTreeMap::new();
    for gameserver in &gameservers {
        let (Some(suspicion), Some(uid)) = (suspicion(gameserver, &fences), gameserver.uid()) else { continue };
        let is_sure = before.get(&uid) == Some(&suspicion);
        suspects.insert(uid, suspicion);
        match (suspicion, names::server(gameserver)) {
            (Suspicion::Orphan, _) if is_sure => take_away(cluster, gameserver).await,
            (Suspicion::NoFence, Some(server)) if is_sure => unfenced.entry(server).or_default().push(gameserver),
            _ => {}
        }
    }
    for (server, standing) in unfenced {
        restore(cluster, server, &standing).await;
    }
    for map in maps.iter().filter(|map| has_ended(map, Utc::now())) {
        survive(forget(cluster, map).await);
    }
    Ok(suspects)
}

/// Returns the suspicion about a GameServer, if there is one. An unreadable fence is no reason for suspicion.
fn suspicion(gameserver: &GameServer, fences: &HashMap<ServerId, Option<Fence>>) -> Option<Suspicion> {
    if gameserver.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let (server, generation) = (names::server(gameserver)?, names::generation(gameserver)?);
    match fences.get(&server) {
        Some(fence) => fence.as_ref()?.is_orphan(generation, gameserver).then_some(Suspicion::Orphan),
        None => Some(Suspicion::NoFence),
    }
}

async fn take_away(cluster: &Cluster, gameserver: &GameServer) {
    tracing::warn!(gameserver = gameserver.name_any(), "orphaned game server is deleted");
    if survive(cluster.delete(&cluster.gameservers, gameserver).await) {
        metrics::counter!(REAPED).increment(1);
    }
}

/// Writes a lost fence anew from the GameServer that stands, since players may be on it. If two stand at the highest
/// generation, nobody knows which one is the server's until the next order.
async fn restore(cluster: &Cluster, server: ServerId, standing: &[&GameServer]) {
    let highest = standing.iter().filter_map(|it| names::generation(*it)).max().unwrap_or_default();
    let mut newest = standing.iter().filter(|it| names::generation(**it) == Some(highest));
    let (Some(gameserver), None) = (newest.next(), newest.next()) else {
        tracing::warn!(server_id = server.0, "lost fence has several candidates");
        return;
    };
    let fence = Fence { generation: highest, wanted: Wanted::Running, chosen: Some(Chosen::of(gameserver)) };
    match cluster.restore(server, &fence).await {
        Ok(()) => {
            metrics::counter!(LOST).increment(1);
            tracing::warn!(server_id = server.0, gameserver = gameserver.name_any(), "lost fence is written anew");
        }
        Err(error) => tracing::warn!(server_id = server.0, %error, "lost fence could not be written anew"),
    }
}

/// Checks whether the remains of a deleted server were kept for long enough. A server that was restored from a backup
/// is not deleted any more.
fn has_ended(map: &ConfigMap, now: Timestamp) -> bool {
    if Fence::read(map).is_ok_and(|fence| fence.wanted != Wanted::Deleted) {
        return false;
    }
    let after = map.annotations().get(names::DELETE_AFTER);
    after.and_then(|text| DateTime::parse_from_rfc3339(text).ok()).is_some_and(|after| after < now)
}

/// Deletes the world first, since the next round tries again while the fence is there. The list may be minutes old, so
/// a fence that was raised meanwhile stays with its world.
async fn forget(cluster: &Cluster, map: &ConfigMap) -> Result<(), HostError> {
    if let Some(forgotten) = cluster.forget_world(map.clone()).await? {
        cluster.delete_unchanged(&cluster.fences, &forgotten).await?;
    }
    Ok(())
}

/// Takes one GameServer away, and returns whether that worked. A failure does not stop the round.
fn survive(result: Result<(), HostError>) -> bool {
    if let Err(error) = &result {
        tracing::warn!(%error, "object of the cluster could not be deleted");
    }
    result.is_ok()
}

#[cfg(test)]
mod tests {
    use agis_agones_stand_in::{Cluster as StandIn, FENCES, Kind, NAMESPACE};
    use kube::config::{KubeConfigOptions, Kubeconfig};
    use serde_json::json;

    use super::*;
    use crate::config::{Config, Pace};

    async fn on(stand_in: &StandIn) -> Cluster {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = Kubeconfig::from_yaml(&stand_in.kubeconfig()).expect("a kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
        let client = kube::Client::try_from(config.expect("a configuration")).expect("a client");
        let (namespace, fence_namespace) = (NAMESPACE.into(), FENCES.into());
        Cluster::new(client, Config { name: "agones".into(), namespace, fence_namespace, pace: Pace::default() })
    }

    fn standing(stand_in: &StandIn) -> usize {
        let all = stand_in.list(Kind::GameServer);
        all.iter().filter(|it| it["metadata"]["deletionTimestamp"].is_null()).count()
    }

    fn put_gameserver(stand_in: &StandIn, generation: i64) {
        let labels = names::of_generation("agones", ServerId(7), generation, agis_base::OperationId::default());
        stand_in.put(json!({
            "apiVersion": "agones.dev/v1", "kind": "GameServer",
            "metadata": { "name": names::gameserver(ServerId(7), generation), "labels": labels },
            "spec": { "template": { "spec": { "containers": [{ "name": "game", "image": "example/game" }] } } },
        }));
    }

    #[tokio::test]
    async fn restarting_server_is_no_orphan() {
        let stand_in = StandIn::start().await;
        let cluster = on(&stand_in).await;
        put_gameserver(&stand_in, 1);
        // The order that raised the fence deletes the old GameServers right after.
        cluster.raise(ServerId(7), 2, Wanted::Running, None).await.expect("raised");
        let suspects = round(&cluster, &Suspects::new()).await.expect("a round");
        assert_eq!((suspects.len(), standing(&stand_in)), (1, 1), "one round is none");
        stand_in.delete(Kind::GameServer, &names::gameserver(ServerId(7), 1));
        put_gameserver(&stand_in, 2);
        let suspects = round(&cluster, &suspects).await.expect("a round");
        assert_eq!((suspects.len(), standing(&stand_in)), (0, 1));
    }

    #[tokio::test]
    async fn orphan_of_two_rounds_is_taken_away() {
        let stand_in = StandIn::start().await;
        let cluster = on(&stand_in).await;
        put_gameserver(&stand_in, 1);
        cluster.raise(ServerId(7), 2, Wanted::Stopped, None).await.expect("raised");
        let suspects = round(&cluster, &Suspects::new()).await.expect("a round");
        round(&cluster, &suspects).await.expect("a round");
        assert_eq!(standing(&stand_in), 0);
    }

    #[tokio::test]
    async fn two_without_a_fence_both_stay() {
        let stand_in = StandIn::start().await;
        let cluster = on(&stand_in).await;
        let labels = names::of_generation("agones", ServerId(7), 3, agis_base::OperationId::default());
        for name in ["arena-a", "arena-b"] {
            stand_in.put(json!({
                "apiVersion": "agones.dev/v1", "kind": "GameServer", "metadata": { "name": name, "labels": labels },
                "spec": { "template": { "spec": { "containers": [{ "name": "game", "image": "example/game" }] } } },
            }));
        }
        let mut suspects = Suspects::new();
        for _ in 0..3 {
            suspects = round(&cluster, &suspects).await.expect("a round");
        }
        assert_eq!((standing(&stand_in), stand_in.list_in(FENCES, Kind::ConfigMap).len()), (2, 0));
    }
}

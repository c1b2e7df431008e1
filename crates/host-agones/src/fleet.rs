//! A GameServer allocated from a Fleet, as v1.7.0 did it.
//!
//! An allocation cannot be asked for twice as if once: where its answer is lost, a GameServer stays allocated. So it is
//! stamped with our labels, and looked for before another is asked for.

use agis_servers::host::{HostError, Launch};
use chrono::Utc;
use kube::core::Request;
use serde::Deserialize;
use serde_json::json;

use crate::{
    cluster::{Cluster, Trouble, ask},
    gameserver::GameServer,
    names::{self, Words},
    template,
};

#[derive(Deserialize)]
struct Allocation {
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    state: String,
    game_server_name: String,
}

/// Allocates a GameServer of this Fleet and stamps it.
pub(crate) async fn allocate(
    cluster: &Cluster,
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
    let Allocation { status } = post(cluster, &allocation).await?;
    match status.state.as_str() {
        "Allocated" => {
            let found = ask(cluster.gameservers.get_opt(&status.game_server_name)).await?;
            let gone = || HostError::Unavailable("the allocated game server is gone already".to_owned());
            found.ok_or_else(gone)
        }
        "Contention" => Err(HostError::Unavailable(format!("others allocate from the fleet '{fleet}' at this moment"))),
        _ => Err(HostError::Unavailable(format!("the fleet '{fleet}' has no game server that is free"))),
    }
}

async fn post(cluster: &Cluster, allocation: &serde_json::Value) -> Result<Allocation, Trouble> {
    let wrong = |error: &dyn std::fmt::Display| Trouble::Unknown(error.to_string());
    let body = serde_json::to_vec(allocation).map_err(|error| wrong(&error))?;
    let path = format!("/apis/allocation.agones.dev/v1/namespaces/{}/gameserverallocations", cluster.namespace);
    let request = Request::new(path).create(&kube::api::PostParams::default(), body).map_err(|error| wrong(&error))?;
    ask(cluster.client.request(request)).await
}

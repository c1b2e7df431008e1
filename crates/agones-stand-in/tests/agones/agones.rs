use std::time::Duration;

use agis_agones_stand_in::{Cluster, Kind, State};
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::scene::{Scene, claim, game_server, refusal, typed};

#[tokio::test]
async fn game_server_gets_a_pod_address_and_port() {
    let scene = Scene::new().await;
    scene.game_servers().create(&PostParams::default(), &typed(game_server("one", ""))).await.expect("created");
    scene.cluster.until_state("one", State::Ready).await;
    let made = scene.game_servers().get("one").await.expect("there");
    let status = &made.data["status"];
    let port = status["ports"][0]["port"].as_u64().expect("a port");
    assert!((7000..=8000).contains(&port) && status["ports"][0]["name"] == "game", "{status}");
    assert!(status["address"].is_string() && status["nodeName"].is_string(), "{status}");
    let pod = scene.pods().get("one").await.expect("a pod");
    let labels = pod.metadata.labels.expect("labels");
    assert_eq!(labels["agones.dev/role"], "gameserver");
    assert_eq!((labels["agones.dev/gameserver"].as_str(), labels["from"].as_str()), ("one", "template"));
    let owner = &pod.metadata.owner_references.expect("an owner")[0];
    assert_eq!((owner.kind.as_str(), Some(&owner.uid)), ("GameServer", made.metadata.uid.as_ref()));
}

#[tokio::test]
async fn each_state_can_be_held() {
    let scene = Scene::new().await;
    let order =
        [State::PortAllocation, State::Creating, State::Starting, State::Scheduled, State::RequestReady, State::Ready];
    for (index, state) in order.into_iter().enumerate() {
        let name = format!("held-{index}");
        scene.cluster.hold(state);
        scene.cluster.put(game_server(&name, ""));
        scene.cluster.until_state(&name, state).await;
        scene.cluster.release();
        scene.cluster.until_state(&name, State::Ready).await;
    }
}

fn is_ready(cluster: &Cluster, name: &str) -> bool {
    let pod = cluster.get(Kind::Pod, name).unwrap_or_default();
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

#[tokio::test]
async fn silent_game_stays_scheduled() {
    let scene = Scene::new().await;
    scene.cluster.put(game_server("silent", "silent"));
    scene.cluster.put(game_server("stuck", "stuck"));
    scene.cluster.until("a ready pod", |cluster| is_ready(cluster, "silent").then_some(())).await;
    scene.cluster.until_state("silent", State::Scheduled).await;
    scene.cluster.until_state("stuck", State::Scheduled).await;
    assert!(!is_ready(&scene.cluster, "stuck"));
    scene.cluster.ready("stuck");
    scene.cluster.until_state("stuck", State::Ready).await;
}

#[tokio::test]
async fn deleted_game_server_waits_for_its_pod() {
    let scene = Scene::new().await;
    scene.cluster.put(claim("world"));
    let mut object = game_server("one", "");
    object["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "world", "persistentVolumeClaim": {"claimName": "world"}}]);
    scene.cluster.put(object);
    scene.cluster.until_state("one", State::Ready).await;
    scene.cluster.hold_termination();
    scene.game_servers().delete("one", &DeleteParams::default()).await.expect("accepted");
    scene.claims().delete("world", &DeleteParams::default()).await.expect("accepted");
    let ending = |cluster: &Cluster| Some(cluster.get(Kind::Pod, "one")?["metadata"]["deletionTimestamp"].is_string());
    scene.cluster.until("an ending pod", |cluster| ending(cluster).filter(|is| *is)).await;
    assert_eq!(scene.cluster.state("one"), Some(State::Ready));
    // The name is taken until then, and the world is in use.
    let again = scene.game_servers().create(&PostParams::default(), &typed(game_server("one", ""))).await;
    assert_eq!(refusal(again).code, 409);
    assert!(scene.cluster.get(Kind::PersistentVolumeClaim, "world").is_some());
    scene.cluster.slow_termination(Duration::from_millis(50));
    scene.cluster.until_gone(Kind::GameServer, "one").await;
    scene.cluster.until_gone(Kind::PersistentVolumeClaim, "world").await;
    assert!(scene.cluster.get(Kind::Pod, "one").is_none());
}

#[tokio::test]
async fn a_pod_waits_for_its_claim() {
    let scene = Scene::new().await;
    let mut object = game_server("one", "");
    object["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "world", "persistentVolumeClaim": {"claimName": "world"}}]);
    scene.cluster.put(object);
    let unscheduled = |cluster: &Cluster| cluster.get(Kind::Pod, "one")?["status"]["conditions"].get(0).cloned();
    let condition = scene.cluster.until("a condition", unscheduled).await;
    assert_eq!(condition["reason"], "Unschedulable");
    assert_eq!(scene.cluster.state("one"), Some(State::Starting));
    scene.cluster.put(claim("world"));
    scene.cluster.until_state("one", State::Ready).await;
}

#[tokio::test]
async fn games_end_in_several_ways() {
    let scene = Scene::new().await;
    for name in ["crashed", "evicted", "shut"] {
        scene.cluster.put(game_server(name, ""));
        scene.cluster.until_state(name, State::Ready).await;
    }
    scene.cluster.crash("crashed");
    scene.cluster.evict("evicted");
    scene.cluster.shutdown("shut");
    scene.cluster.until_state("evicted", State::Unhealthy).await;
    scene.cluster.until_gone(Kind::GameServer, "shut").await;
    // GameServers that nobody deletes stay.
    assert_eq!(scene.cluster.state("crashed"), Some(State::Unhealthy));
    let shutdown = json!({"status": {"state": "Shutdown"}});
    let servers = scene.game_servers();
    servers.patch("crashed", &PatchParams::default(), &Patch::Merge(&shutdown)).await.expect("patched");
    scene.cluster.until_gone(Kind::GameServer, "crashed").await;
}

fn fleet(replicas: u32) -> Value {
    let template = game_server("", "")["spec"].clone();
    json!({
        "apiVersion": "agones.dev/v1", "kind": "Fleet", "metadata": {"name": "cs2"},
        "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"game": "cs2"}}, "spec": template}},
    })
}

fn of_fleet(cluster: &Cluster, state: State) -> Vec<String> {
    let members = cluster.list(Kind::GameServer);
    let of = members
        .iter()
        .filter(|member| State::of(member) == Some(state) && member["metadata"]["labels"]["agones.dev/fleet"] == "cs2");
    of.map(|member| member["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn until_ready(cluster: &Cluster, count: usize) -> Vec<String> {
    let ready = |cluster: &Cluster| Some(of_fleet(cluster, State::Ready)).filter(|names| names.len() == count);
    cluster.until("a full fleet", ready).await
}

fn allocation(stamp: Value) -> Value {
    json!({
        "apiVersion": "allocation.agones.dev/v1", "kind": "GameServerAllocation", "metadata": {},
        "spec": {"selectors": [{"matchLabels": {"agones.dev/fleet": "cs2"}}], "metadata": stamp},
    })
}

#[tokio::test]
async fn fleet_is_allocated_until_it_is_empty() {
    let scene = Scene::new().await;
    scene.cluster.put(fleet(2));
    let names = until_ready(&scene.cluster, 2).await;
    let stamp = json!({"labels": {"agis.wtg.cluster/server": "7"}, "annotations": {"note": "x"}});
    let allocate = || async {
        let made = scene.allocations().create(&PostParams::default(), &typed(allocation(stamp.clone()))).await;
        made.expect("answered").data["status"].clone()
    };
    let status = allocate().await;
    assert_eq!(status["state"], "Allocated", "{status}");
    let name = status["gameServerName"].as_str().expect("a name");
    assert!(
        names.iter().any(|one| one == name) && status["address"].is_string() && status["ports"][0]["port"].is_u64()
    );
    let taken = scene.cluster.get(Kind::GameServer, name).expect("there");
    assert_eq!(taken["metadata"]["labels"]["agis.wtg.cluster/server"], "7");
    assert_eq!((&taken["metadata"]["annotations"]["note"], State::of(&taken)), (&json!("x"), Some(State::Allocated)));
    scene.cluster.contend_next(1);
    assert_eq!(allocate().await["state"], "Contention");
    assert_eq!(allocate().await["state"], "Allocated");
    // An allocated GameServer counts as a replica: a Fleet that does not grow has nothing more to give.
    assert_eq!(allocate().await["state"], "UnAllocated");
    assert!(scene.cluster.requests_to("gameserverallocations").iter().all(|request| request.status == 201));
    scene.game_servers().delete(name, &DeleteParams::default()).await.expect("deleted");
    until_ready(&scene.cluster, 1).await;
}

#[tokio::test]
async fn invalid_label_fails_the_allocation() {
    let scene = Scene::new().await;
    scene.cluster.put(fleet(1));
    until_ready(&scene.cluster, 1).await;
    let bad = allocation(json!({"labels": {"l": "no spaces"}}));
    assert_eq!(refusal(scene.allocations().create(&PostParams::default(), &typed(bad)).await).code, 422);
    assert_eq!(refusal(scene.allocations().list(&ListParams::default()).await).code, 405);
}

#[tokio::test]
async fn fleet_replaces_broken_ones_and_ends_all() {
    let scene = Scene::new().await;
    scene.cluster.put(fleet(2));
    let names = until_ready(&scene.cluster, 2).await;
    scene.cluster.crash(&names[0]);
    scene.cluster.until_gone(Kind::GameServer, &names[0]).await;
    let names = until_ready(&scene.cluster, 2).await;
    scene.cluster.put(fleet(1));
    until_ready(&scene.cluster, 1).await;
    let counts =
        |cluster: &Cluster| cluster.get(Kind::Fleet, "cs2").map(|fleet| fleet["status"]["readyReplicas"].clone());
    scene.cluster.until("the count", |cluster| counts(cluster).filter(|count| *count == 1)).await;
    scene.cluster.delete(Kind::Fleet, "cs2");
    for name in names {
        scene.cluster.until_gone(Kind::GameServer, &name).await;
    }
    assert_eq!(scene.cluster.list(Kind::Pod), [json!(null); 0]);
}

#[tokio::test]
async fn pod_log_needs_a_container_name() {
    let scene = Scene::new().await;
    scene.cluster.put(game_server("one", ""));
    scene.cluster.until_state("one", State::Ready).await;
    ["first", "second", "third"].into_iter().for_each(|line| scene.cluster.print("one", line));
    let game = LogParams { container: Some("game".to_owned()), tail_lines: Some(2), ..LogParams::default() };
    assert_eq!(scene.pods().logs("one", &game).await.expect("a log"), "second\nthird\n");
    assert_eq!(refusal(scene.pods().logs("one", &LogParams::default()).await).code, 400);
}

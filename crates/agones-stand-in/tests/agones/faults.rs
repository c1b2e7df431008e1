use std::time::Duration;

use agis_agones_stand_in::{Fault, Kind, State};
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use tokio::time::timeout;

use crate::scene::{Scene, config_map, game_server, refusal, typed};

#[tokio::test]
async fn a_lost_reply_has_been_done() {
    let scene = Scene::new().await;
    let maps = scene.config_maps();
    scene.cluster.fault_next("POST ", 1, Fault::LoseReply);
    let lost = maps.create(&PostParams::default(), &config_map("one", json!({}))).await;
    assert!(lost.is_err_and(|error| !matches!(error, kube::Error::Api(_))));
    assert!(scene.cluster.get(Kind::ConfigMap, "one").is_some());
    assert_eq!(refusal(maps.create(&PostParams::default(), &config_map("one", json!({}))).await).code, 409);
    let statuses: Vec<_> = scene.cluster.requests_to("POST ").iter().map(|request| request.status).collect();
    assert_eq!(statuses, [201, 409]);
}

#[tokio::test]
async fn an_outage_does_nothing_and_ends() {
    let scene = Scene::new().await;
    let maps = scene.config_maps();
    for fault in [Fault::Cut, Fault::Status(503), Fault::Status(500)] {
        scene.cluster.fault("", fault);
        let failed = maps.create(&PostParams::default(), &config_map("one", json!({}))).await;
        match (fault, failed) {
            (Fault::Status(code), failed) => assert_eq!(refusal(failed).code, code),
            (_, failed) => assert!(failed.is_err_and(|error| !matches!(error, kube::Error::Api(_)))),
        }
        scene.cluster.recover();
    }
    assert_eq!(scene.cluster.list(Kind::ConfigMap), [json!(null); 0]);
    maps.create(&PostParams::default(), &config_map("one", json!({}))).await.expect("well again");
}

#[tokio::test]
async fn hanging_route_leaves_others_answering() {
    let scene = Scene::new().await;
    scene.cluster.fault("GET /api/v1/namespaces/agones-dev/configmaps/", Fault::Hang);
    let maps = scene.config_maps();
    let mut hangs = Box::pin(maps.get("one"));
    assert!(timeout(Duration::from_millis(100), &mut hangs).await.is_err());
    maps.list(&ListParams::default()).await.expect("another route");
    scene.cluster.recover();
    assert!(hangs.await.is_err());
}

#[tokio::test]
async fn a_quota_forbids_one_more() {
    let scene = Scene::new().await;
    scene.cluster.quota(Kind::GameServer, Some(1));
    let servers = scene.game_servers();
    servers.create(&PostParams::default(), &typed(game_server("one", ""))).await.expect("the first");
    let second = refusal(servers.create(&PostParams::default(), &typed(game_server("two", ""))).await);
    assert_eq!((second.code, second.reason.as_str()), (403, "Forbidden"));
    assert!(second.message.contains("exceeded quota"), "{second:?}");
    let again = refusal(servers.create(&PostParams::default(), &typed(game_server("one", ""))).await);
    assert_eq!(again.code, 409);
    servers.delete("one", &DeleteParams::default()).await.expect("deleted");
    scene.cluster.until_gone(Kind::GameServer, "one").await;
    servers.create(&PostParams::default(), &typed(game_server("two", ""))).await.expect("room again");
    scene.cluster.quota(Kind::Pod, Some(1));
    scene.cluster.quota(Kind::GameServer, None);
    scene.cluster.until_state("two", State::Ready).await;
    servers.create(&PostParams::default(), &typed(game_server("three", ""))).await.expect("created");
    scene.cluster.until_state("three", State::Error).await;
}

#[tokio::test]
async fn requests_are_recorded() {
    let scene = Scene::new().await;
    scene.config_maps().create(&PostParams::default(), &config_map("one", json!({"a": "1"}))).await.expect("created");
    let requests = scene.cluster.requests();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((request.method.as_str(), request.status), ("POST", 201));
    assert_eq!(request.path, "/api/v1/namespaces/agones-dev/configmaps");
    assert_eq!(request.body["data"], json!({"a": "1"}));
    scene.cluster.forget_requests();
    assert_eq!(scene.cluster.requests(), []);
}

use agis_agones_stand_in::{Kind, State};
use kube::api::{Patch, PatchParams, PostParams, ValidationDirective};
use serde_json::{Value, json};

use crate::scene::{Scene, game_server, refusal, typed};

fn strictly() -> PatchParams {
    PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::default() }
}

#[tokio::test]
async fn schema_and_agones_defaults_are_filled_in() {
    let scene = Scene::new().await;
    scene.cluster.hold(State::PortAllocation);
    let made =
        scene.game_servers().create(&PostParams::default(), &typed(game_server("one", ""))).await.expect("created");
    let spec = &made.data["spec"];
    assert_eq!(spec["container"], "game");
    assert_eq!(spec["ports"][0]["portPolicy"], "Dynamic");
    assert_eq!(spec["health"], json!({"periodSeconds": 5, "failureThreshold": 3, "initialDelaySeconds": 5}));
    assert_eq!(spec["immutableReplicas"], 1);
    assert_eq!(made.data["status"]["state"], "PortAllocation");
    assert_eq!(made.metadata.finalizers.as_deref(), Some(&["agones.dev/controller".to_owned()][..]));
    assert_eq!(made.metadata.generation, Some(1));
}

#[tokio::test]
async fn unknown_fields_are_taken_out_or_refused() {
    let scene = Scene::new().await;
    scene.cluster.hold(State::PortAllocation);
    let mut object = game_server("one", "");
    object["spec"]["nonsense"] = json!({"a": 1});
    object["spec"]["template"]["spec"]["nodeSelektor"] = json!({});
    let made = scene.game_servers().create(&PostParams::default(), &typed(object)).await.expect("created");
    assert!(made.data["spec"]["nonsense"].is_null() && made.data["spec"]["template"]["spec"]["nodeSelektor"].is_null());
    let patch = json!({"spec": {"ports": [{"containerPort": 1, "container_port": 2}]}});
    let refusal = refusal(scene.game_servers().patch("one", &strictly(), &Patch::Merge(&patch)).await);
    assert_eq!(refusal.code, 400);
    assert!(
        refusal.message.contains("strict decoding error: unknown field \"spec.ports[0].container_port\""),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn wrong_types_are_invalid_and_named() {
    let scene = Scene::new().await;
    let cases: [(&str, Value, &str); 9] = [
        ("/spec/ports/0/containerPort", json!("25565"), "spec.ports[0].containerPort"),
        ("/spec/ports/0/containerPort", json!(70000), "spec.ports[0].containerPort"),
        ("/spec/ports/0/containerPort", json!(null), "ContainerPort must be defined"),
        ("/spec/ports/0/protocol", json!("SCTP"), "Unsupported value: \"SCTP\""),
        ("/spec/template", json!({}), "Could not find a container named"),
        ("/spec/template/spec", json!({}), "spec.template.spec.containers: Required value"),
        ("/spec/template/spec/containers/0/image", json!(5), "spec.template.spec.containers[0].image"),
        ("/spec/ports", json!([{"portPolicy": "Passthrough", "containerPort": 7}]), "with Passthrough"),
        ("/metadata/name", json!("a".repeat(64)), "no more than 63 characters"),
    ];
    for (pointer, value, words) in cases {
        let mut object = game_server("one", "");
        *object.pointer_mut(pointer).expect("there") = value;
        let refusal = refusal(scene.game_servers().create(&PostParams::default(), &typed(object)).await);
        assert!(refusal.code == 422 && refusal.reason == "Invalid", "{pointer}: {refusal:?}");
        assert!(refusal.message.contains(words), "{pointer}: {refusal:?}");
        assert!(refusal.details.is_some_and(|details| !details.causes.is_empty()));
    }
    assert_eq!(scene.cluster.list(Kind::GameServer), [json!(null); 0]);
}

#[tokio::test]
async fn one_of_several_containers_is_the_game() {
    let scene = Scene::new().await;
    let mut object = game_server("one", "");
    object["spec"]["template"]["spec"]["containers"] =
        json!([{"name": "a", "image": "a"}, {"name": "b", "image": "b"}]);
    let servers = scene.game_servers();
    let refusal = refusal(servers.create(&PostParams::default(), &typed(object.clone())).await);
    assert!(refusal.message.contains("Container is required"), "{refusal:?}");
    object["spec"]["container"] = "b".into();
    servers.create(&PostParams::default(), &typed(object)).await.expect("created");
}

#[tokio::test]
async fn ports_and_times_are_checked() {
    let scene = Scene::new().await;
    for port in [json!(8080), json!("http")] {
        let mut object = game_server("one", "");
        object["spec"]["template"]["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"port": port}});
        scene.cluster.put(object);
    }
    let patch = json!({"spec": {"template": {"metadata": {"creationTimestamp": "yesterday"}}}});
    assert_eq!(
        refusal(scene.game_servers().patch("one", &PatchParams::default(), &Patch::Merge(&patch)).await).code,
        422
    );
}

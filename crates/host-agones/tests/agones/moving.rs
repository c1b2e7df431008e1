//! Tests that a fence of an older version is moved, and counts from the first order on.

use agis_host_agones::{AgonesHost, Config, SetupError};
use agis_servers::{
    game::Catalogue,
    host::{HostError, Reached, Target},
};
use agis_test_support::wait;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    faults::{Fault, Faults},
    scene::{SOON, Scene},
};

impl Scene {
    fn fence(&self) -> String {
        format!("agis-{}", self.server)
    }

    /// Leaves the server's fence where an older version keeps it.
    async fn put_fence_beside_the_games(&self) {
        let mut fence = self.fences().get(&self.fence()).await.expect("a fence");
        self.fences().delete(&self.fence(), &DeleteParams::default()).await.expect("deleted");
        fence.metadata.resource_version = None;
        fence.metadata.namespace = None;
        self.former().create(&PostParams::default(), &fence).await.expect("created");
    }

    /// Writes a fence beside the games, as an older version does.
    async fn put_former(&self, data: Value, annotations: Value) {
        let labels = json!({
            "app.kubernetes.io/managed-by": "agis",
            "agis.wtg.cluster/host": self.name,
            "agis.wtg.cluster/server": self.server.to_string(),
        });
        let metadata = json!({ "name": self.fence(), "labels": labels, "annotations": annotations });
        let map: ConfigMap =
            serde_json::from_value(json!({ "metadata": metadata, "data": data })).expect("a ConfigMap");
        self.former().create(&PostParams::default(), &map).await.expect("created");
    }

    async fn until_moved(&self) -> ConfigMap {
        wait::until(SOON, "the fence to be in its new place alone", async || {
            let former = self.former().get_opt(&self.fence()).await.expect("an answer");
            let fence = self.fences().get_opt(&self.fence()).await.expect("an answer");
            fence.filter(|_| former.is_none())
        })
        .await
    }
}

#[tokio::test]
async fn moving_fence_allows_no_double_start() {
    for game in ["sdk", "fleet"] {
        let scene = Scene::of(game).await;
        let endpoint = scene.worker(&Faults::none()).running(&scene.start(3, game)).await;
        let standing = scene.the_one().await.uid();
        scene.put_fence_beside_the_games().await;
        let older = scene.stop(2);
        assert_eq!(scene.worker(&Faults::none()).apply(&older).await, Err(HostError::Stale { seen: 3 }), "{game}");
        let fence = scene.until_moved().await;
        assert_eq!(fence.data.expect("data").get("uid"), standing.as_ref(), "{game}");
        let worker = scene.worker(&Faults::none());
        assert_eq!(worker.running(&scene.start(3, game)).await, endpoint, "{game}");
        assert_eq!(scene.the_one().await.uid(), standing, "{game}");
    }
}

#[tokio::test]
async fn stopped_servers_fence_is_moved_first() {
    let scene = Scene::new().await;
    scene.put_former(json!({ "generation": "7", "wanted": "stopped" }), json!({})).await;
    let process = scene.process();
    scene.until_moved().await;
    assert_eq!(process.apply(&scene.start(6, "sdk")).await, Err(HostError::Stale { seen: 7 }));
}

#[tokio::test]
async fn interrupted_move_loses_no_fence() {
    for fault in Fault::ALL {
        for call in 0.. {
            let scene = Scene::new().await;
            scene.put_former(json!({ "generation": "7", "wanted": "stopped" }), json!({})).await;
            let (faults, older) = (Faults::at(call, fault), scene.start(6, "sdk"));
            let worker = scene.worker(&faults);
            tokio::select! {
                _ = worker.apply(&older) => {}
                () = faults.until_dead() => {}
            }
            let next = scene.worker(&Faults::none()).apply(&older).await;
            assert_eq!(next, Err(HostError::Stale { seen: 7 }), "{fault:?} at call {call}");
            scene.until_moved().await;
            if !faults.struck() {
                assert!(call >= 4, "{fault:?} struck {call} calls: a list, a look, a new fence, an old one");
                break;
            }
        }
    }
}

#[tokio::test]
async fn world_deleted_by_an_older_version_goes() {
    let scene = Scene::new().await;
    let worker = scene.worker(&Faults::none());
    worker.running(&scene.start(1, "world")).await;
    assert_eq!(worker.apply(&scene.order(2, Target::Deleted)).await, Ok(Reached::Deleted));
    let past = json!({ "metadata": { "annotations": { "agis.wtg.cluster/delete-after": "2026-01-01T00:00:00Z" } } });
    scene.fences().patch(&scene.fence(), &PatchParams::default(), &Patch::Merge(past)).await.expect("patched");
    scene.put_fence_beside_the_games().await;
    let _process = scene.process();
    let world = format!("agis-{}-world", scene.server);
    wait::until(SOON, "the world to be gone", async || {
        scene.worlds().get_opt(&world).await.expect("an answer").is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn older_of_two_fences_never_holds() {
    let scene = Scene::new().await;
    scene.worker(&Faults::none()).running(&scene.start(5, "sdk")).await;
    let before = scene.fences().get(&scene.fence()).await.expect("a fence").data;
    // The same generation tells nothing new. A newer version may have chosen since.
    for generation in ["4", "5", "many"] {
        scene.put_former(json!({ "generation": generation, "wanted": "stopped" }), json!({})).await;
        let _process = scene.process();
        assert_eq!(scene.until_moved().await.data, before, "{generation}");
    }
}

#[tokio::test]
async fn older_versions_start_is_no_orphan() {
    let scene = Scene::new().await;
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    let first = scene.the_one().await;
    // The Role was not applied, so an older version raises a fence and makes a GameServer.
    scene.put_former(json!({ "generation": "2", "wanted": "running" }), json!({})).await;
    let mut labels = first.labels().clone();
    labels.insert("agis.wtg.cluster/generation".into(), "2".into());
    let spec = json!({ "ports": [{ "containerPort": 7654 }], "template": first.data["spec"]["template"] });
    let metadata = json!({ "name": format!("agis-{}-2", scene.server), "labels": labels });
    let kind = json!({ "apiVersion": "agones.dev/v1", "kind": "GameServer", "metadata": metadata, "spec": spec });
    let made: DynamicObject = serde_json::from_value(kind).expect("a GameServer");
    scene.gameservers().create(&PostParams::default(), &made).await.expect("created");
    wait::until(SOON, "the first to be taken away", async || {
        let standing = scene.standing().await;
        standing.iter().all(|it| it.name_any().ends_with("-2")).then_some(())
    })
    .await;
    tokio::time::sleep(scene.pace.reap * 4).await;
    assert_eq!(scene.the_one().await.labels()["agis.wtg.cluster/generation"], "2");
    assert_eq!(process.apply(&scene.stop(1)).await, Err(HostError::Stale { seen: 2 }));
}

#[tokio::test]
async fn foreign_fence_stays() {
    let scene = Scene::new().await;
    let theirs = json!({ "metadata": { "labels": { "agis.wtg.cluster/host": "another" } } });
    scene.put_former(json!({ "generation": "7", "wanted": "stopped" }), json!({})).await;
    scene.former().patch(&scene.fence(), &PatchParams::default(), &Patch::Merge(theirs)).await.expect("patched");
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    tokio::time::sleep(scene.pace.reap * 2).await;
    assert!(scene.former().get_opt(&scene.fence()).await.expect("an answer").is_some());
}

#[tokio::test]
async fn fences_have_a_namespace_of_their_own() {
    let scene = Scene::on_stand_in().await;
    let namespace = scene.client.default_namespace().to_owned();
    let config = Config { name: "agones".into(), fence_namespace: namespace.clone(), namespace, pace: scene.pace };
    let catalogue = Catalogue::parse("").expect("a catalogue");
    let refused = AgonesHost::new(scene.client.clone(), config, &catalogue).err();
    assert!(matches!(refused, Some(SetupError::FenceNamespace(_))), "{refused:?}");
}

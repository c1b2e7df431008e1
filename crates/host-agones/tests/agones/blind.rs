//! Tests of a host that cannot see the cluster: it confirms nothing, and readiness tells the reason. They need the
//! stand-in.

use agis_agones_stand_in::{Fault, NAMESPACE};
use agis_base::{OperationId, ServerId};
use agis_servers::host::{Host, HostError, Observed, Order};
use agis_test_support::wait;
use kube::ResourceExt;
use serde_json::json;

use crate::{
    faults::Faults,
    scene::{Process, SOON, Scene},
};

const fn is_running(observed: &Observed) -> bool {
    matches!(observed, Observed::Running { .. })
}

const fn has_ended(observed: &Observed) -> bool {
    matches!(observed, Observed::Ended { .. })
}

impl Scene {
    /// Waits until looks at the server fail for a reason with these words.
    async fn until_unseen(&self, process: &Process, words: &str) {
        let look = async || process.host.observe(self.server).await;
        wait::until(SOON, "the server to be unseen", async || match look().await {
            Err(HostError::Unavailable(why)) => why.contains(words).then_some(()),
            _ => None,
        })
        .await;
    }
}

/// Waits until readiness reports this about the cluster; `None` if all is well.
async fn until_told(process: &Process, words: Option<&str>) {
    wait::until(SOON, &format!("readiness to say {words:?}"), async || {
        let told = process.host.ping().await.err().map(|error| error.to_string());
        match (&told, words) {
            (Some(told), Some(words)) => told.contains(words),
            (told, words) => told.is_none() && words.is_none(),
        }
        .then_some(())
    })
    .await;
}

#[tokio::test]
async fn unreachable_cluster_confirms_nothing() {
    let scene = Scene::on_stand_in().await;
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    let name = scene.the_one().await.name_any();
    scene.until_observed(&process, "it to run", is_running).await;
    scene.stand_in().outage();
    scene.until_unseen(&process, "").await;
    scene.stand_in().crash(&name);
    for _ in 0..20 {
        let seen = process.host.observe(scene.server).await;
        assert!(matches!(seen, Err(HostError::Unavailable(_))), "{seen:?}");
        tokio::time::sleep(scene.pace.look).await;
    }
    scene.stand_in().recover();
    scene.until_observed(&process, "its end", has_ended).await;
    until_told(&process, None).await;
}

#[tokio::test]
async fn lists_make_up_for_a_silent_watch() {
    let scene = Scene::on_stand_in().await;
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    let name = scene.the_one().await.name_any();
    scene.until_observed(&process, "it to run", is_running).await;
    scene.stand_in().fault("watch=true", Fault::Hang);
    scene.stand_in().drop_watches();
    scene.stand_in().crash(&name);
    scene.until_observed(&process, "its end", has_ended).await;
    until_told(&process, Some("GameServers")).await;
    scene.stand_in().recover();
    until_told(&process, None).await;
}

#[tokio::test]
async fn silence_of_everything_is_no_confirmation() {
    let scene = Scene::on_stand_in().await;
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    scene.until_observed(&process, "it to run", is_running).await;
    scene.stand_in().fault("", Fault::Hang);
    scene.until_unseen(&process, "").await;
    scene.stand_in().recover();
    scene.until_observed(&process, "it to run", is_running).await;
}

#[tokio::test]
async fn pod_ready_game_is_unseen_without_pods() {
    let scene = Scene::on_stand_in().await;
    let first = scene.process();
    first.running(&scene.start(1, "quiet")).await;
    scene.until_observed(&first, "it to run", is_running).await;
    scene.stand_in().restrict(
        NAMESPACE,
        &[
            ("gameservers.agones.dev", &["get", "list", "watch", "create", "delete"]),
            ("configmaps", &["get", "list", "delete"]),
        ],
    );
    // The first process has seen pods before, the second has not.
    for process in [first, scene.process()] {
        scene.until_unseen(&process, "pods").await;
        until_told(&process, Some("pods")).await;
    }
}

#[tokio::test]
async fn unreadable_game_server_hides_no_other() {
    let scene = Scene::on_stand_in().await;
    let first = scene.process();
    let other = ServerId(scene.server.0 + 500);
    let start = Order { server: other, operation: OperationId::new(), ..scene.start(1, "sdk") };
    first.running(&start).await;
    first.running(&scene.start(1, "sdk")).await;
    let name = scene.the_one().await.name_any();
    scene.patch(&name, json!({ "status": { "ports": [{ "name": "default", "port": 70000 }] } })).await;
    let second = scene.process();
    for process in [&first, &second] {
        scene.until_unseen(process, &name).await;
        until_told(process, None).await;
        let seen = async || process.host.observe(other).await.ok().filter(is_running);
        wait::until(SOON, "the other to be seen", seen).await;
    }
    scene.stand_in().crash(&format!("agis-{other}-1"));
    for process in [&first, &second] {
        let seen = async || process.host.observe(other).await.ok().filter(has_ended);
        wait::until(SOON, "the other's end", seen).await;
    }
    scene.patch(&name, json!({ "status": { "ports": [{ "name": "default", "port": 7000 }] } })).await;
    scene.until_observed(&second, "it to run", is_running).await;
}

#[tokio::test]
async fn reaper_that_cannot_look_is_told_of() {
    let scene = Scene::on_stand_in().await;
    let process = scene.process_with(&Faults::none());
    process.running(&scene.start(1, "sdk")).await;
    scene.until_observed(&process, "it to run", is_running).await;
    until_told(&process, None).await;
    // Only the reaper makes lists of this length once the watches have begun.
    scene.stand_in().fault("limit=500", Fault::Status(500));
    until_told(&process, Some("orphans")).await;
    scene.until_observed(&process, "it to run on", is_running).await;
    scene.stand_in().recover();
    until_told(&process, None).await;
}

//! The host notices changes of servers without an order.

use std::time::Duration;

use agis_servers::host::{Host, Observed};
use kube::{ResourceExt, api::DeleteParams};
use serde_json::json;

use crate::{
    faults::Faults,
    scene::{Process, SOON, Scene},
};

async fn until_ended(scene: &Scene, process: &Process, generation: i64) -> String {
    let is_ended = |it: &Observed| matches!(it, Observed::Ended { generation: of, .. } if *of == generation);
    match scene.until_observed(process, "its end", is_ended).await {
        Observed::Ended { how, .. } => how,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn crash_is_noticed_and_next_start_is_fresh() {
    for game in ["sdk", "fleet"] {
        let scene = Scene::of(game).await;
        let process = scene.process();
        process.running(&scene.start(1, game)).await;
        scene.until_observed(&process, "it to run", |it| matches!(it, Observed::Running { .. })).await;
        // Takes earlier news, so that the next is the crash.
        while tokio::time::timeout(Duration::from_millis(300), process.host.changed()).await.is_ok() {}
        let name = scene.the_one().await.name_any();
        scene.sicken(&name).await;
        tokio::time::timeout(SOON, process.host.changed()).await.expect("told");
        // Agones shuts down and deletes a Fleet's GameServer by itself.
        let how = until_ended(&scene, &process, 1).await;
        assert!(how.contains("unhealthy"), "{game}: {how}");
        process.running(&scene.start(2, game)).await;
        assert_ne!(scene.the_one().await.name_any(), name);
    }
}

#[tokio::test]
async fn only_published_ends_are_taken_away() {
    let scene = Scene::new().await;
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    assert_eq!(process.host.clear(scene.server, 1).await, Ok(()));
    scene.the_one().await;
    process.running(&scene.start(2, "sdk")).await;
    scene.sicken(&scene.the_one().await.name_any()).await;
    let how = until_ended(&scene, &process, 2).await;
    assert_eq!(process.host.clear(scene.server, 1).await, Ok(()));
    scene.the_one().await;
    assert_eq!(process.host.clear(scene.server, 2).await, Ok(()));
    scene.until_standing(0).await;
    assert_eq!(until_ended(&scene, &process, 2).await, how, "it is known how it ended");
}

#[tokio::test]
async fn evictions_and_deletions_are_noticed() {
    let scene = Scene::new().await;
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    let name = scene.the_one().await.name_any();
    scene.pods().delete(&name, &DeleteParams::default()).await.expect("evicted");
    until_ended(&scene, &process, 1).await;
    process.running(&scene.start(2, "sdk")).await;
    scene.delete(&scene.the_one().await.name_any()).await;
    let how = until_ended(&scene, &process, 2).await;
    assert!(how.contains("deleted") || how.contains("gone"), "{how}");
    scene.until_standing(0).await;
    until_ended(&scene, &process, 2).await;
}

#[tokio::test]
async fn game_back_in_its_fleet_has_ended() {
    let scene = Scene::of("fleet").await;
    let process = scene.process();
    process.running(&scene.start(1, "fleet")).await;
    scene.until_observed(&process, "it to run", |it| matches!(it, Observed::Running { .. })).await;
    scene.patch(&scene.the_one().await.name_any(), json!({ "status": { "state": "Ready" } })).await;
    let how = until_ended(&scene, &process, 1).await;
    assert!(how.contains("went back to its Fleet"), "{how}");
}

#[tokio::test]
async fn a_game_that_shuts_itself_down_has_ended() {
    let scene = Scene::new().await;
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    scene.patch(&scene.the_one().await.name_any(), json!({ "status": { "state": "Shutdown" } })).await;
    let is_good = |it: &Observed| matches!(it, Observed::Ended { generation: 1, good: true, .. });
    scene.until_observed(&process, "its good end", is_good).await;
    // Also once Agones has deleted it, and never of one that crashed.
    scene.until_standing(0).await;
    scene.until_observed(&process, "its good end", is_good).await;
    // By a process that has watched nothing of it.
    let late = scene.process();
    let told = |it: &Observed| matches!(it, Observed::Ended { how, .. } if how.contains("nobody saw how it ended"));
    scene.until_observed(&late, "what it cannot know", told).await;
    process.running(&scene.start(2, "sdk")).await;
    scene.sicken(&scene.the_one().await.name_any()).await;
    let is_bad = |it: &Observed| matches!(it, Observed::Ended { generation: 2, good: false, .. });
    scene.until_observed(&process, "its crash", is_bad).await;
}

#[tokio::test]
async fn unseen_end_is_found() {
    let scene = Scene::new().await;
    let faults = Faults::none();
    let process = scene.process_with(&faults);
    process.running(&scene.start(1, "sdk")).await;
    scene.until_observed(&process, "it to run", |it| matches!(it, Observed::Running { .. })).await;
    faults.outage(true);
    let stopped = process.apply(&scene.stop(2)).await.expect_err("the cluster is out");
    assert!(stopped.to_string().contains("cannot be reached"), "{stopped}");
    let seen = process.host.observe(scene.server).await;
    let stops = matches!(seen, Ok(Observed::Absent | Observed::Ended { .. }));
    assert!(!stops, "an outage of the API server stops no game: {seen:?}");
    scene.sicken(&scene.the_one().await.name_any()).await;
    faults.outage(false);
    until_ended(&scene, &process, 1).await;

    // By a process that has watched nothing.
    drop(process);
    until_ended(&scene, &scene.process(), 1).await;
}

#[tokio::test]
async fn hosts_in_one_namespace_stay_apart() {
    let scene = Scene::new().await;
    let ours = scene.process();
    ours.running(&scene.start(1, "sdk")).await;
    let theirs = scene.process_of(&format!("{}-b", scene.name), &Faults::none(), true);
    assert_eq!(theirs.host.observe(agis_base::ServerId(scene.server.0 + 500)).await, Ok(Observed::Absent));
    let standing = scene.the_one().await.uid();
    scene.until_observed(&ours, "it to run on", |it| matches!(it, Observed::Running { generation: 1, .. })).await;
    assert_eq!(scene.the_one().await.uid(), standing);
}

//! Faults that no real cluster produces on demand: these tests always run on the stand-in.

use std::time::Duration;

use agis_agones_stand_in::{FENCES, Fault, Kind, NAMESPACE};
use agis_base::{OperationId, ServerId};
use agis_host_agones::Pace;
use agis_servers::{
    console::{Begin, Console, Piece},
    host::{Host, HostError, Order, Reached},
};
use agis_test_support::wait;
use futures_util::future::join_all;
use kube::ResourceExt;

use crate::{
    faults::Faults,
    scene::{Process, SOON, Scene},
};

impl Scene {
    /// Returns the rest of the console, and whether something was lost.
    async fn read(&self, process: &Process, mut begin: Begin) -> (Vec<String>, bool) {
        let (mut read, mut is_lost) = (vec![], false);
        loop {
            let piece = process.host.lines(self.server, &begin, 1000).await.expect("lines");
            let Piece { lines, end, more, lost } = piece;
            read.extend(lines.into_iter().map(|line| line.text));
            is_lost |= lost;
            if !more {
                return (read, is_lost);
            }
            begin = Begin::Behind(end);
        }
    }
}

#[tokio::test]
async fn long_second_is_read_to_its_end() {
    let scene = Scene::on_stand_in().await;
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    let pod = scene.the_one().await.name_any();
    // So that a piece is cut within a letter too.
    let lines: Vec<String> = (0..2500).map(|number| format!("{number} {}", "ä€".repeat(200))).collect();
    scene.stand_in().print_at_once(&pod, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let (read, is_lost) = scene.read(&process, Begin::Recent { tail: None, since: None }).await;
    assert!(read == lines && !is_lost, "{} of {} lines", read.len(), lines.len());
}

/// Gives an order of that generation to so many servers at once, and answers with the number of calls that one took.
async fn calls_of_each(scene: &Scene, process: &Process, game: &str, generation: i64) -> usize {
    const SERVERS: i32 = 200;
    scene.stand_in().forget_requests();
    let orders = (1..=SERVERS).map(|number| {
        let (server, operation) = (ServerId(number), OperationId::new());
        let order = Order { server, operation, ..scene.start(generation, game) };
        async move { process.host.apply(&order).await }
    });
    let reached = tokio::time::timeout(SOON * 5, join_all(orders)).await.expect("in time");
    reached.iter().for_each(|reached| assert!(matches!(reached, Ok(Reached::Running(_))), "{reached:?}"));
    let is_call = |request: &agis_agones_stand_in::Request| !request.query.contains("watch=");
    let calls = scene.stand_in().requests().into_iter().filter(is_call).count();
    calls.div_ceil(SERVERS.unsigned_abs() as usize)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_and_restart_take_ten_calls() {
    let mut scene = Scene::on_stand_in().await;
    // The watch has to do: nobody looks without it, however busy this machine is.
    scene.pace =
        Pace { look: Duration::from_secs(3600), watch: Duration::from_secs(200), reap: Duration::from_secs(3600) };
    let process = scene.process();
    scene.stand_in().until_watched(Kind::Pod, 1).await;
    for generation in [1, 2] {
        let calls = calls_of_each(&scene, &process, "heavy", generation).await;
        assert!(calls <= 10, "{calls} calls each at generation {generation}");
    }
}

#[tokio::test]
async fn empty_fleet_differs_from_blind_allocator() {
    let scene = Scene::on_stand_in().await;
    scene.keep_fleet().await;
    let worker = scene.worker(&Faults::none());
    let start = scene.start(1, "fleet");
    let says = async |words: &str| match worker.apply(&start).await {
        Err(HostError::Full(why)) => why.contains(words),
        other => panic!("{other:?}"),
    };
    scene.stand_in().blind_allocation(true);
    assert!(says("has no game server that is free").await, "one look says nothing: caches are late for a moment");
    wait::until(SOON, "the contradiction to be told", async || says("agones-extensions").await.then_some(())).await;
    scene.stand_in().blind_allocation(false);
    worker.running(&start).await;
}

#[tokio::test]
async fn unkept_fence_says_what_to_apply() {
    let scene = Scene::on_stand_in().await;
    let says = async |what: &str| {
        let why = scene.worker(&Faults::none()).apply(&scene.start(1, "sdk")).await.expect_err(what);
        let is_told = |why: &str| why.contains(FENCES) && why.contains("k8s/fences");
        assert!(matches!(&why, HostError::Unavailable(why) if is_told(why)), "{what}: {why}");
        scene.until_standing(0).await;
    };
    for verbs in [&[][..], &["get", "list"]] {
        scene.stand_in().restrict(FENCES, &[("configmaps", verbs)]);
        says("a right is missing").await;
    }
    let worker = scene.worker(&Faults::none());
    scene.stand_in().restrict(FENCES, &[("configmaps", &["get", "create"])]);
    let why = worker.host.ping().await.expect_err("the reaper may not look");
    assert!(matches!(&why, HostError::Unavailable(why) if why.contains("k8s/fences")), "{why}");
    scene.stand_in().restrict(FENCES, &[("configmaps", &["get", "list", "create", "update", "delete"])]);
    // An account that may do everything is told of a namespace that is missing by the first fence.
    scene.stand_in().fault(&format!("POST /api/v1/namespaces/{FENCES}/configmaps"), Fault::Status(404));
    says("the namespace is missing").await;
    scene.stand_in().recover();
    worker.running(&scene.start(1, "sdk")).await;
    assert_eq!(worker.host.ping().await, Ok(()));
}

#[tokio::test]
async fn no_right_is_needed_beside_the_games() {
    let scene = Scene::on_stand_in().await;
    let lives = async |from: i64| {
        let process = scene.process();
        process.running(&scene.start(from, "world")).await;
        process.running(&scene.start(from + 1, "world")).await;
        assert_eq!(process.apply(&scene.stop(from + 2)).await, Ok(Reached::Stopped));
    };
    let beside = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    lives(1).await;
    let calls = scene.stand_in().requests_to(&beside);
    assert!(!calls.is_empty() && calls.iter().all(|call| call.method == "GET"), "{calls:#?}");
    scene.stand_in().restrict(
        NAMESPACE,
        &[
            ("gameservers.agones.dev", &["get", "list", "watch", "create", "delete"]),
            ("persistentvolumeclaims", &["get", "create", "delete"]),
            ("pods", &["get", "list", "watch"]),
        ],
    );
    lives(4).await;
    assert_eq!(scene.stand_in().requests_to(&beside).last().expect("a look").status, 403);
}

#[tokio::test]
async fn scene_leaves_nothing_behind() {
    let scene = Scene::on_stand_in().await;
    let (cluster, client) = (scene.stand_in().clone(), scene.client.clone());
    scene.keep_fleet().await;
    let process = scene.process();
    process.running(&scene.start(1, "fleet")).await;
    process.running(&scene.start(2, "world")).await;
    scene.hold(&scene.gameservers(), &scene.the_one().await.name_any(), true).await;
    drop(process);
    Scene::clean(client, &scene.name, scene.server).await;
    for kind in [Kind::Fleet, Kind::GameServer, Kind::Pod, Kind::ConfigMap, Kind::PersistentVolumeClaim] {
        cluster.until(kind.name(), |cluster| cluster.list(kind).is_empty().then_some(())).await;
    }
}

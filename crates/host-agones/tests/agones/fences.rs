//! An overtaken worker does nothing, and its late effects do not stay.

use agis_servers::host::{HostError, Observed, Order, Reached, Target};
use agis_test_support::wait;
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

use crate::{
    faults::{Fault, Faults},
    scene::{Process, SOON, Scene},
};

#[tokio::test]
async fn overtaken_zombie_leaves_nothing() {
    for game in ["sdk", "fleet"] {
        let scene = Scene::of(game).await;
        let gate = Faults::gated();
        let zombie = scene.process_with(&gate);
        let start = scene.start(1, game);
        let late = tokio::spawn(async move { zombie.apply(&start).await });
        gate.until_waiting().await;
        // Its lease has run out; another stops the server.
        let process = scene.process();
        assert_eq!(process.apply(&scene.stop(2)).await, Ok(Reached::Stopped));
        gate.open();
        assert_eq!(late.await.expect("a task"), Err(HostError::Stale { seen: 2 }), "{game}");
        scene.until_standing(0).await;
    }
}

#[tokio::test]
async fn zombies_leftover_is_reaped() {
    for game in ["sdk", "fleet"] {
        let scene = Scene::of(game).await;
        let gate = Faults::gated_to_die();
        let zombie = scene.worker(&gate);
        let start = scene.start(1, game);
        let late = tokio::spawn(async move { zombie.apply(&start).await });
        gate.until_waiting().await;
        assert_eq!(scene.worker(&Faults::none()).apply(&scene.stop(2)).await, Ok(Reached::Stopped));
        // The worker dies right after it has created the GameServer.
        let doomed = scene.until_created(&gate).await;
        late.abort();
        assert_eq!(doomed.labels()["agis.wtg.cluster/generation"], "1", "{game}");
        let observer = scene.process();
        scene.until_standing(0).await;
        scene.until_observed(&observer, "nothing", |it| *it == Observed::Absent).await;
    }
}

#[tokio::test]
async fn slow_end_is_waited_for_by_the_next() {
    let scene = Scene::new().await;
    let process = scene.process();
    process.running(&scene.start(1, "world")).await;
    let first = scene.the_one().await;
    scene.hold(&scene.gameservers(), &first.name_any(), true).await;

    let order = scene.start(2, "world");
    let host = process.host.clone();
    let restart = tokio::spawn(async move { agis_servers::host::Host::apply(&*host, &order).await });
    wait::until(SOON, "the first to be on its way out", async || {
        let first = scene.gameservers().get(&first.name_any()).await.ok()?;
        first.metadata.deletion_timestamp.is_some().then_some(())
    })
    .await;
    assert_eq!(scene.standing().await.len(), 0, "the second waits for the first to be gone");
    assert!(!restart.is_finished());
    wait::until(SOON, "only our finalizer to be left", async || {
        let first = scene.gameservers().get(&first.name_any()).await.ok()?;
        (first.finalizers() == ["agis.wtg.cluster/test"]).then_some(())
    })
    .await;
    assert!(!restart.is_finished());
    scene.hold(&scene.gameservers(), &first.name_any(), false).await;
    let second = tokio::time::timeout(SOON, restart).await.expect("in time").expect("a task");
    assert!(matches!(second, Ok(Reached::Running(_))), "{second:?}");
}

#[tokio::test]
async fn other_installations_servers_stay() {
    let scene = Scene::new().await;
    let ours = scene.process();
    ours.running(&scene.start(1, "world")).await;
    let standing = scene.the_one().await.uid();
    let theirs = scene.process_of(&format!("{}-b", scene.name), &Faults::none(), true);
    for order in [scene.start(2, "world"), scene.stop(3), scene.order(4, Target::Deleted)] {
        let why = theirs.apply(&order).await.expect_err("it is another's");
        assert!(matches!(&why, HostError::Unavailable(why) if why.contains("namespaces of their own")), "{why}");
    }
    assert_eq!(scene.the_one().await.uid(), standing);
    ours.running(&scene.start(2, "world")).await;
}

#[tokio::test]
async fn undeleted_server_keeps_its_world() {
    let scene = Scene::new().await;
    let process = scene.process();
    process.running(&scene.start(1, "world")).await;
    assert_eq!(process.apply(&scene.order(2, Target::Deleted)).await, Ok(Reached::Deleted));
    process.running(&scene.start(3, "world")).await;
    let fence = scene.fences().get(&format!("agis-{}", scene.server)).await.expect("a fence");
    assert!(!fence.annotations().contains_key("agis.wtg.cluster/delete-after"), "nothing of it goes");
}

#[tokio::test]
async fn world_wanted_again_stays() {
    let scene = Scene::new().await;
    let worker = scene.worker(&Faults::none());
    worker.running(&scene.start(1, "world")).await;
    assert_eq!(worker.apply(&scene.order(2, Target::Deleted)).await, Ok(Reached::Deleted));
    let world = format!("agis-{}-world", scene.server);
    let before = scene.worlds().get(&world).await.expect("the volume").uid();
    scene.is_to_go().await;
    // A process has seen that the world may go. Before it does anything about it, a backup is restored.
    let gate = Faults::gated_at_worlds();
    let _reaper = scene.process_with(&gate);
    gate.until_waiting().await;
    worker.running(&scene.start(3, "world")).await;
    let calls = gate.calls();
    gate.open();
    wait::until(SOON, "what it does about it", async || (gate.calls() >= calls + 2).then_some(())).await;
    let after = scene.worlds().get(&world).await.expect("the volume");
    assert_eq!((after.uid(), after.metadata.deletion_timestamp), (before, None));
    scene.until_standing(1).await;
}

#[tokio::test]
async fn start_after_deletion_has_a_new_world() {
    let scene = Scene::new().await;
    let worker = scene.worker(&Faults::none());
    worker.running(&scene.start(1, "world")).await;
    assert_eq!(worker.apply(&scene.order(2, Target::Deleted)).await, Ok(Reached::Deleted));
    let (world, fence) = (format!("agis-{}-world", scene.server), format!("agis-{}", scene.server));
    let before = scene.worlds().get(&world).await.expect("the volume").uid();
    // The process that deleted it died on the way.
    let mark = json!({ "metadata": { "annotations": { "agis.wtg.cluster/forgotten": "true" } } });
    scene.fences().patch(&fence, &PatchParams::default(), &Patch::Merge(mark)).await.expect("patched");
    worker.running_soon(&scene.start(3, "world")).await;
    let after = scene.worlds().get(&world).await.expect("a volume");
    assert!(after.uid() != before && after.metadata.deletion_timestamp.is_none(), "{after:?}");
    let fence = scene.fences().get(&fence).await.expect("a fence");
    assert!(!fence.annotations().contains_key("agis.wtg.cluster/forgotten"), "{fence:?}");
}

#[tokio::test]
async fn ending_server_is_waited_for_and_not_used() {
    let waits = async |worker: &Process, order: &Order| {
        let why = worker.apply(order).await.expect_err("it is still there");
        assert!(matches!(&why, HostError::Unavailable(why) if why.contains("still being taken away")), "{why}");
    };
    // A volume.
    let scene = Scene::new().await;
    let worker = scene.worker(&Faults::none());
    worker.running(&scene.start(1, "world")).await;
    assert_eq!(worker.apply(&scene.stop(2)).await, Ok(Reached::Stopped));
    let world = format!("agis-{}-world", scene.server);
    scene.hold(&scene.worlds(), &world, true).await;
    scene.worlds().delete(&world, &DeleteParams::default()).await.expect("deleted");
    let start = scene.start(3, "world");
    waits(&worker, &start).await;
    scene.hold(&scene.worlds(), &world, false).await;
    worker.running_soon(&start).await;

    // A GameServer that an earlier attempt made, and that stands in no fence yet.
    let scene = Scene::new().await;
    let (gate, start) = (Faults::gated_to_die(), scene.start(1, "sdk"));
    let (first, order) = (scene.worker(&gate), start.clone());
    let first = tokio::spawn(async move { first.apply(&order).await });
    gate.until_waiting().await;
    let dangling = scene.until_created(&gate).await.name_any();
    first.abort();
    scene.hold(&scene.gameservers(), &dangling, true).await;
    scene.delete(&dangling).await;
    let worker = scene.worker(&Faults::none());
    waits(&worker, &start).await;
    scene.hold(&scene.gameservers(), &dangling, false).await;
    worker.running_soon(&start).await;
}

#[tokio::test]
async fn lost_fence_costs_no_game() {
    for game in ["sdk", "fleet"] {
        let scene = Scene::of(game).await;
        let process = scene.process();
        process.running(&scene.start(3, game)).await;
        let standing = scene.the_one().await.uid();
        let fence = format!("agis-{}", scene.server);
        scene.fences().delete(&fence, &DeleteParams::default()).await.expect("deleted");
        let written = wait::until(SOON, "the fence to be there again", async || {
            scene.fences().get_opt(&fence).await.expect("an answer")
        })
        .await;
        let data = written.data.expect("data");
        assert_eq!(
            (&data["generation"], &data["wanted"], Some(&data["uid"])),
            (&"3".into(), &"running".into(), standing.as_ref())
        );
        assert_eq!(scene.the_one().await.uid(), standing, "{game}: players are on it");
        assert_eq!(process.apply(&scene.start(2, game)).await, Err(HostError::Stale { seen: 3 }));
        assert_eq!(process.apply(&scene.stop(4)).await, Ok(Reached::Stopped));
    }
}

#[tokio::test]
async fn order_without_a_fence_goes_by_what_runs() {
    for game in ["sdk", "fleet"] {
        let scene = Scene::of(game).await;
        let worker = scene.worker(&Faults::none());
        let endpoint = worker.running(&scene.start(3, game)).await;
        let standing = scene.the_one().await.uid();
        let lose = async || {
            let fence = format!("agis-{}", scene.server);
            scene.fences().delete(&fence, &DeleteParams::default()).await.expect("deleted");
        };
        lose().await;
        for older in [scene.start(2, game), scene.stop(2), scene.order(2, Target::Deleted)] {
            assert_eq!(worker.apply(&older).await, Err(HostError::Stale { seen: 3 }), "{game}");
        }
        assert_eq!(worker.running(&scene.start(3, game)).await, endpoint, "{game}: it is found again");
        assert_eq!(scene.the_one().await.uid(), standing);
        lose().await;
        assert_eq!(worker.apply(&scene.stop(4)).await, Ok(Reached::Stopped), "{game}");
        scene.until_standing(0).await;
    }
}

#[tokio::test]
async fn spoiled_fence_is_told_and_left() {
    let scene = Scene::new().await;
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    let fence = format!("agis-{}", scene.server);
    let spoiled = Patch::Merge(json!({ "data": { "generation": "many" } }));
    scene.fences().patch(&fence, &PatchParams::default(), &spoiled).await.expect("patched");
    let why = process.apply(&scene.stop(2)).await.expect_err("nobody knows the generation");
    assert!(matches!(&why, HostError::Unavailable(why) if why.contains(&fence)), "{why}");
    drop(process);
    let observer = scene.process();
    scene.until_observed(&observer, "it to run on", |it| matches!(it, Observed::Running { generation: 1, .. })).await;
}

impl Scene {
    /// The server's seven days are over.
    async fn is_to_go(&self) {
        let past =
            json!({ "metadata": { "annotations": { "agis.wtg.cluster/delete-after": "2026-01-01T00:00:00Z" } } });
        let fence = format!("agis-{}", self.server);
        self.fences().patch(&fence, &PatchParams::default(), &Patch::Merge(past)).await.expect("patched");
    }

    /// Opens the gate to whoever dies behind it, and finds what came through.
    async fn until_created(&self, gate: &Faults) -> kube::api::DynamicObject {
        gate.open();
        gate.until_dead().await;
        self.the_one().await
    }
}

#[tokio::test]
async fn concurrent_orders_make_one_server() {
    for game in ["sdk", "fleet"] {
        let scene = Scene::of(game).await;
        let gates = [Faults::gated(), Faults::gated()];
        let order = scene.start(1, game);
        let both = gates.each_ref().map(|gate| {
            let (process, order) = (scene.process_with(gate), order.clone());
            tokio::spawn(async move { process.apply(&order).await })
        });
        for gate in &gates {
            gate.until_waiting().await;
        }
        // Both have seen that there is nothing yet.
        gates.iter().for_each(Faults::open);
        let mut endpoints = vec![];
        for one in both {
            endpoints.push(one.await.expect("a task").expect("running"));
        }
        assert_eq!(endpoints[0], endpoints[1], "{game}");
        scene.until_standing(1).await;
    }
}

#[tokio::test]
async fn a_fault_that_was_to_strike_strikes() {
    let scene = Scene::new().await;
    let faults = Faults::at(0, Fault::Refuse);
    assert!(!faults.struck());
    scene.worker(&faults).apply(&scene.stop(1)).await.expect_err("the first call does not get through");
    assert!(faults.struck());
}

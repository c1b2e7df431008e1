//! Tests of workers that die at any call, or lose its answer: the next try reaches the ordered state, once.

use agis_servers::host::{HostError, Order, Reached, Target};

use crate::{
    faults::{Fault, Faults},
    scene::Scene,
};

/// Number of calls that no order reaches.
const CALLS: usize = 40;

/// Gives an order by a worker that meets a fault at its nth call, for every n and every fault, and again by another
/// worker after each. `before` prepares the scene, `after` checks it.
async fn at_every_call(
    game: &str,
    before: impl AsyncFn(&Scene),
    order: impl Fn(&Scene) -> Order,
    after: impl AsyncFn(&Scene, &str),
) {
    for fault in Fault::ALL {
        let mut struck = 0;
        for call in 0..CALLS {
            let scene = Scene::of(game).await;
            before(&scene).await;
            let faults = Faults::at(call, fault);
            let (worker, order) = (scene.worker(&faults), order(&scene));
            let first = tokio::select! {
                result = worker.apply(&order) => Some(result),
                () = faults.until_dead() => None,
            };
            let what = format!("{fault:?} at call {call}");
            drop(worker);
            match first {
                Some(Ok(_)) => {}
                // A worker with an unknown result reports no failure.
                Some(Err(error)) => assert!(matches!(error, HostError::Unavailable(_)), "{what}: {error}"),
                None => {}
            }
            let second = scene.worker(&Faults::none()).apply(&order).await;
            assert!(second.is_ok(), "{what}: {second:?}");
            let standing = scene.standing().await.len();
            assert!(standing <= 1, "{what}: {standing} stand, where an earlier one was to be found again");
            // The reaper takes away all objects that belong to no server.
            let _reaper = scene.process();
            after(&scene, &what).await;
            if !faults.struck() {
                break;
            }
            struck += 1;
        }
        assert!((2..CALLS).contains(&struck), "{fault:?} struck {struck} calls: as many as the order needs");
    }
}

async fn one_stands(scene: &Scene, what: &str) {
    let standing = scene.until_standing(1).await;
    let generation = standing[0].metadata.labels.as_ref().expect("labels")["agis.wtg.cluster/generation"].clone();
    assert_eq!(generation, "2", "{what}");
    // The fence holds this GameServer.
    let fence = scene.fences().get(&format!("agis-{}", scene.server)).await.expect("a fence");
    let data = fence.data.expect("data");
    assert_eq!(Some(&data["uid"]), standing[0].metadata.uid.as_ref(), "{what}");
}

async fn none_stands(scene: &Scene, _: &str) {
    scene.until_standing(0).await;
}

async fn first_runs(scene: &Scene, game: &str) {
    scene.worker(&Faults::none()).running(&scene.start(1, game)).await;
}

#[tokio::test]
async fn a_restart_of_a_game_server_of_its_own() {
    at_every_call("world", async |scene| first_runs(scene, "world").await, |scene| scene.start(2, "world"), one_stands)
        .await;
}

#[tokio::test]
async fn a_start_from_a_fleet() {
    at_every_call("fleet", async |_| (), |scene| scene.start(2, "fleet"), one_stands).await;
}

#[tokio::test]
async fn a_stop() {
    at_every_call("sdk", async |scene| first_runs(scene, "sdk").await, |scene| scene.stop(2), none_stands).await;
}

#[tokio::test]
async fn a_deletion() {
    let order = |scene: &Scene| scene.order(2, Target::Deleted);
    at_every_call("world", async |scene| first_runs(scene, "world").await, order, none_stands).await;
    let scene = Scene::new().await;
    let process = scene.process();
    assert_eq!(process.apply(&order(&scene)).await, Ok(Reached::Deleted), "also of one that never ran");
}

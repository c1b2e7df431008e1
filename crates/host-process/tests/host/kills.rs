//! Tests of the record of the operation for which a game had to be killed.

use agis_base::OperationId;
use agis_host_process::ProcessHost;
use agis_servers::host::{Host, HostError, Reached, Target};

use crate::{
    ONE,
    bench::{self, Bench, demo, running, within},
};

const STUBBORN: &str = "args = --ignore-sigterm\nstop = { how = { signal = 'SIGTERM' }, grace_s = 1 }";

async fn had_to_kill(host: &ProcessHost, operation: OperationId) -> Option<bool> {
    within(host.had_to_kill(ONE, operation)).await
}

#[tokio::test]
async fn stop_restart_and_deletion_know_a_kill() {
    let bench = Bench::new();
    let host = bench.host();
    let game = demo(STUBBORN);
    let [start, restart, stop, again, revival, delete] = [(); 6].map(|()| OperationId::new());
    let mut told = vec![];
    for (generation, operation, target, killed) in [
        (1, start, running(&game), false),
        (2, restart, running(&game), true),
        (3, stop, Target::Stopped, true),
        // For another operation at the same generation, no game ran any more.
        (3, again, Target::Stopped, false),
        (4, revival, running(&game), false),
        (5, delete, Target::Deleted, true),
    ] {
        let reached = bench.order(&host, ONE, (generation, operation), target.clone()).await;
        assert!(reached.is_ok(), "{generation}: {reached:?}");
        told.push(had_to_kill(&host, operation).await);
        // Another program that continues after a death finds the same.
        let next = bench.host();
        assert!(bench.order(&next, ONE, (generation, operation), target).await.is_ok(), "{generation}");
        assert_eq!(had_to_kill(&next, operation).await, Some(killed), "{generation}");
    }
    assert_eq!(told, [false, true, true, false, false, true].map(Some));
}

#[tokio::test]
async fn game_that_ends_when_asked_was_not_killed() {
    let bench = Bench::new();
    let host = bench.host();
    let stop = OperationId::new();
    bench.start(&host, ONE, 1, &demo("")).await.expect("it starts");
    assert_eq!(bench.order(&host, ONE, (2, stop), Target::Stopped).await, Ok(Reached::Stopped));
    assert_eq!(had_to_kill(&host, stop).await, Some(false));
}

#[tokio::test]
async fn unready_start_knows_its_kill() {
    let bench = Bench::new();
    let host = bench.host();
    let (stop, start) = (OperationId::new(), OperationId::new());
    bench.start(&host, ONE, 1, &demo("")).await.expect("it starts");
    assert_eq!(bench.order(&host, ONE, (2, stop), Target::Stopped).await, Ok(Reached::Stopped));
    let never = demo(&format!("{STUBBORN}\nready = {{ when = {{ log = 'never' }}, within_s = 1 }}"));
    let failed = bench.order(&host, ONE, (3, start), running(&never)).await;
    assert!(matches!(&failed, Err(HostError::Failed(how)) if how.contains("killed")), "{failed:?}");
    assert_eq!(had_to_kill(&host, start).await, Some(true));
    assert_eq!(had_to_kill(&host, stop).await, Some(false), "the stop before has nothing to do with it");
}

#[tokio::test]
async fn frozen_shims_game_was_killed_dead_ones_not() {
    let bench = Bench::new();
    let host = bench.host();
    let game = demo("stop = { how = { signal = 'SIGTERM' }, grace_s = 1 }");
    for (generation, dead) in [(1, false), (3, true)] {
        bench.start(&host, ONE, generation, &game).await.expect("it starts");
        let shim = bench.shim(ONE);
        if dead {
            bench::kill(shim)
        } else {
            bench::freeze(shim)
        }
        let stop = OperationId::new();
        assert_eq!(bench.order(&host, ONE, (generation + 1, stop), Target::Stopped).await, Ok(Reached::Stopped));
        assert_eq!(had_to_kill(&host, stop).await, Some(!dead));
    }
}

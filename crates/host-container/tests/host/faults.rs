use std::{sync::Arc, time::Duration};

use agis_local_services::engine::Make;
use agis_servers::host::{Host, HostError, Observed, Reached, Target};
use tokio_util::sync::CancellationToken;

use crate::{
    ONE,
    bench::{Bench, apply, begin, demo, ended, eventually, start, stop},
    proxy::Proxy,
};

#[tokio::test]
async fn container_that_somebody_removes_has_crashed() {
    let bench = Bench::new();
    let host = bench.host();
    start(&host, ONE, 1, &demo(&[], "")).await.expect("a start");
    bench.remove_by_hand().await;
    assert_eq!(host.observe(ONE).await, Ok(ended(1, "its container was removed, and not by AGIS")));
    start(&host, ONE, 2, &demo(&[], "")).await.expect("a start");
    assert_eq!(stop(&host, ONE, 3).await, Ok(Reached::Stopped));
}

#[tokio::test]
async fn engine_that_hangs_is_unavailable() {
    let bench = Bench::new();
    let host = bench.host();
    let endpoint = start(&host, ONE, 1, &demo(&[], "")).await.expect("a start");
    bench.engine.freeze();
    let hasty = bench.host_with(&bench.engine.socket(), Duration::from_millis(500));
    assert!(matches!(hasty.observe(ONE).await, Err(HostError::Unavailable(_))));
    assert!(matches!(stop(&hasty, ONE, 2).await, Err(HostError::Unavailable(_))));
    assert!(hasty.ping().await.is_err());
    bench.engine.thaw();
    assert_eq!(host.observe(ONE).await, Ok(Observed::Running { generation: 1, endpoint }));
    assert_eq!(stop(&host, ONE, 2).await, Ok(Reached::Stopped));
}

#[tokio::test]
async fn engine_that_restarts_is_unavailable() {
    let mut bench = Bench::new();
    let host = bench.host();
    let endpoint = start(&host, ONE, 1, &demo(&[], "")).await.expect("a start");
    bench.engine.kill();
    assert!(matches!(host.observe(ONE).await, Err(HostError::Unavailable(_))));
    bench.engine.restart().expect("an engine");
    if bench.engine.make() == Make::Podman {
        assert_eq!(host.observe(ONE).await, Ok(Observed::Running { generation: 1, endpoint }));
    }
    start(&host, ONE, 2, &demo(&[], "")).await.expect("a start");
}

#[tokio::test]
async fn lost_answer_changes_nothing() {
    let bench = Bench::new();
    let game = demo(&[], "");
    for (round, call) in [
        "POST /networks/create",
        "POST /containers/create",
        "/start",
        "/kill",
        "DELETE /containers",
        "DELETE /networks",
    ]
    .into_iter()
    .enumerate()
    {
        let proxy = Proxy::start(&bench.engine.socket(), call).await;
        let host = bench.host_at(proxy.path());
        let generation = i64::try_from(round).expect("small") * 3 + 1;
        repeated(async || begin(&host, ONE, generation, &game).await, call).await;
        assert_eq!(bench.containers().await.len(), 1, "{call}");
        repeated(async || stop(&host, ONE, generation + 1).await, call).await;
        repeated(async || apply(&host, ONE, generation + 2, Target::Deleted).await, call).await;
        assert!(bench.containers().await.is_empty(), "{call}");
        assert!(proxy.has_lost(), "{call} was never made");
    }
}

/// Repeats an order for as long as its host is unavailable, as a worker does.
async fn repeated(mut order: impl AsyncFnMut() -> Result<Reached, HostError>, call: &str) {
    for _ in 0..3 {
        match order().await {
            Err(HostError::Unavailable(_)) => {}
            done => return drop(done.unwrap_or_else(|error| panic!("{call}: {error}"))),
        }
    }
    panic!("{call}: still unavailable");
}

#[tokio::test]
async fn what_no_fence_allows_is_reaped() {
    let bench = Bench::new();
    let host = Arc::new(bench.host());
    start(&host, ONE, 1, &demo(&[], "")).await.expect("a start");
    stop(&host, ONE, 2).await.expect("a stop");
    let stop = CancellationToken::new();
    let (running, stopping) = (Arc::clone(&host), stop.clone());
    let loops = tokio::spawn(async move { running.run(stopping).await });
    // A call to start it comes late.
    let docker = bench.docker().negotiate_version().await.expect("an engine");
    let name = bench.containers().await.pop().expect("a container");
    if docker.start_container(name.trim_start_matches('/'), None).await.is_ok() {
        eventually(async || bench.containers().await.is_empty()).await;
    }
    assert_eq!(host.observe(ONE).await, Ok(ended(1, "stopped")));
    // A program that was overtaken creates one.
    let labels = docker.inspect_container(name.trim_start_matches('/'), None).await.ok();
    drop(labels);
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), loops).await.expect("it ends").expect("no panic");
}

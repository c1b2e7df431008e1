use std::{sync::Arc, time::Duration};

use agis_local_services::engine::{Engine, Make};
use agis_servers::host::{Host, HostError, Observed, Reached, Target};
use bollard::models::ContainerCreateBody;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    ONE,
    bench::{Bench, IMAGE, apply, begin, demo, ended, eventually, start, stop},
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

/// Podman does not tell that somebody stopped a container, so the game's own exit status counts.
#[tokio::test]
async fn stop_by_hand_is_told_as_far_as_the_engine_tells() {
    let bench = Bench::new();
    let host = Arc::new(bench.host());
    let (listening, over) = (Arc::clone(&host), CancellationToken::new());
    let listener = tokio::spawn({
        let over = over.clone();
        async move { listening.run(over).await }
    });
    // The demo game saves its world at SIGTERM, and ends with status 0.
    start(&host, ONE, 1, &demo(&[], "")).await.expect("a start");
    bench.stop_by_hand().await;
    let expected = match bench.engine.make() {
        Make::Docker => ended(1, "its container was stopped, and not by AGIS"),
        Make::Podman => Observed::Ended { generation: 1, how: "exited with status 0".to_owned(), good: true },
    };
    eventually(async || !matches!(host.observe(ONE).await, Ok(Observed::Running { .. }))).await;
    assert_eq!(host.observe(ONE).await, Ok(expected));
    start(&host, ONE, 2, &demo(&[], "")).await.expect("a start");
    assert_eq!(stop(&host, ONE, 3).await, Ok(Reached::Stopped));
    over.cancel();
    listener.await.expect("it ends");
}

#[tokio::test]
async fn game_that_its_engine_told_to_end_has_crashed() {
    let bench = Bench::new();
    // Podman does not say so.
    if bench.engine.make() == Make::Podman {
        return;
    }
    let host = Arc::new(bench.host());
    let (listening, over) = (Arc::clone(&host), CancellationToken::new());
    let listener = tokio::spawn({
        let over = over.clone();
        async move { listening.run(over).await }
    });
    start(&host, ONE, 1, &demo(&[], "")).await.expect("a start");
    // The demo game ends well at SIGTERM, as an engine sends it that is being stopped.
    bench.signal("SIGTERM").await;
    let crash = ended(1, "its container was stopped, and not by AGIS");
    eventually(async || host.observe(ONE).await == Ok(crash.clone())).await;
    start(&host, ONE, 2, &demo(&[], "")).await.expect("a start");
    assert_eq!(stop(&host, ONE, 3).await, Ok(Reached::Stopped));
    assert_eq!(host.observe(ONE).await, Ok(ended(2, "stopped")));
    over.cancel();
    listener.await.expect("it ends");
}

#[tokio::test]
async fn reboot_is_no_good_end() {
    let bench = Bench::new();
    let host = bench.host();
    for (generation, game) in [(1, demo(&[], "")), (2, demo(&["--never-ready"], ""))] {
        let starting = async { begin(&host, ONE, generation, &game).await };
        let record = bench.data.path().join(format!("servers/{ONE}/run.json"));
        let another_boot = async {
            eventually(async || {
                let text = std::fs::read_to_string(&record).unwrap_or_default();
                let run: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                let is_up = run["generation"] == generation && run["boot"].is_string();
                let lives = generation == 1 && run["was_ready"] == true || generation == 2;
                if is_up && lives {
                    let mut run = run;
                    run["boot"] = "another".into();
                    std::fs::write(&record, run.to_string()).expect("a record");
                }
                is_up && lives
            })
            .await;
            // As the services of a machine do that shuts down.
            eventually(async || bench.try_signal("SIGTERM").await).await;
        };
        let (started, ()) = tokio::join!(starting, another_boot);
        let how = "ended with its machine, which has restarted";
        if generation == 2 {
            assert_eq!(started, Err(HostError::Crashed(how.to_owned())));
        }
        eventually(async || host.observe(ONE).await == Ok(ended(generation, how))).await;
    }
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
    let engine = Arc::get_mut(&mut bench.engine).expect("nobody else has it");
    engine.kill();
    assert!(matches!(host.observe(ONE).await, Err(HostError::Unavailable(_))));
    Arc::get_mut(&mut bench.engine).expect("nobody else has it").restart().expect("an engine");
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
        assert!(proxy.was_played(), "{call} was never made");
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
async fn network_of_the_next_start_stays() {
    let bench = Bench::new();
    let game = demo(&[], "");
    let host = bench.host();
    start(&host, ONE, 1, &game).await.expect("a start");
    // A stop looks for networks late, and the next start has one already.
    let late = Proxy::holding(&bench.engine.socket(), "GET /networks").await;
    let next = Proxy::holding(&bench.engine.socket(), "POST /containers/create").await;
    let (stopping, starting) = (bench.host_at(late.path()), bench.host_at(next.path()));
    let stop_late = Box::pin(stop(&stopping, ONE, 2));
    let start_next = Box::pin(async {
        eventually(async || late.was_played()).await;
        start(&starting, ONE, 3, &game).await
    });
    let release = Box::pin(async {
        eventually(async || next.was_played()).await;
        late.release();
        // The search for orphans makes some rounds before the container is there.
        let _ = timeout(Duration::from_secs(1), host.run(CancellationToken::new())).await;
        next.release();
    });
    let (stopped, started, ()) = tokio::join!(stop_late, start_next, release);
    assert_eq!(stopped, Ok(Reached::Stopped));
    let endpoint = started.expect("its network is there");
    assert_eq!(host.observe(ONE).await, Ok(Observed::Running { generation: 3, endpoint }));
    assert_eq!(bench.networks().await.len(), 1, "that of the last run is gone");
}

#[tokio::test]
async fn killed_program_leaves_a_deletion_to_the_next() {
    let bench = Bench::new();
    let (game, next) = (demo(&[], ""), bench.host());
    for (round, call) in ["/kill", "DELETE /containers", "DELETE /networks"].into_iter().enumerate() {
        let generation = i64::try_from(round).expect("small") * 2 + 1;
        start(&next, ONE, generation, &game).await.expect("a start");
        let proxy = Proxy::holding(&bench.engine.socket(), call).await;
        let dying = bench.host_at(proxy.path());
        tokio::select! {
            deleted = apply(&dying, ONE, generation + 1, Target::Deleted) => panic!("{call}: {deleted:?}"),
            () = eventually(async || proxy.was_played()) => {}
        }
        // Its last call may come late all the same.
        proxy.release();
        repeated(async || apply(&next, ONE, generation + 1, Target::Deleted).await, call).await;
        assert_eq!(next.observe(ONE).await, Ok(Observed::Absent), "{call}");
        assert!(bench.containers().await.is_empty(), "{call}");
        let kept = std::fs::read_dir(bench.data.path().join("trash")).expect("a trash").count();
        assert_eq!(kept, round + 1, "{call}: each world is kept once");
    }
    eventually(async || {
        let _ = timeout(Duration::from_millis(500), next.run(CancellationToken::new())).await;
        bench.networks().await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn stop_of_a_start_that_is_about_to_run_is_no_crash() {
    let bench = Bench::new();
    let (game, host) = (demo(&[], ""), bench.host());
    let proxy = Proxy::holding(&bench.engine.socket(), "/start").await;
    let starting = bench.host_at(proxy.path());
    let (started, stopped) = tokio::join!(begin(&starting, ONE, 1, &game), async {
        eventually(async || proxy.was_played()).await;
        let stopped = stop(&host, ONE, 2).await;
        let seen = host.observe(ONE).await;
        proxy.release();
        (stopped, seen)
    });
    assert_eq!(stopped, (Ok(Reached::Stopped), Ok(ended(1, "stopped"))));
    assert!(matches!(started, Err(HostError::Stale { seen: 2 } | HostError::Failed(_))), "{started:?}");
    assert!(bench.containers().await.is_empty());
}

#[tokio::test]
async fn another_engine_ends_no_server() {
    let bench = Bench::new();
    let host = bench.host();
    let endpoint = start(&host, ONE, 1, &demo(&[], "")).await.expect("a start");
    let other = Engine::start(bench.engine.make()).expect("an engine");
    let misled = bench.host_at(&other.socket());
    let Err(HostError::Unavailable(why)) = misled.observe(ONE).await else { panic!("the wrong engine says nothing") };
    assert!(why.contains("CONTAINER_HOST") && why.contains("remove the file"), "{why}");
    assert!(matches!(stop(&misled, ONE, 2).await, Err(HostError::Unavailable(_))));
    // A socket of a dead engine, and the wrong one, stand before the right one.
    let dead = bench.data.path().join("dead");
    drop(std::os::unix::net::UnixListener::bind(&dead).expect("a socket"));
    let sockets = [dead, other.socket(), bench.engine.socket()];
    let finding = bench.host_among(&sockets);
    assert_eq!(finding.observe(ONE).await, Ok(Observed::Running { generation: 1, endpoint }));
    // An operator says that the first engine is gone for good.
    std::fs::remove_file(bench.data.path().join("engine")).expect("the file");
    assert_eq!(misled.observe(ONE).await, Ok(ended(1, "its container was removed, and not by AGIS")));
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
    let labels = [("agis.server", "1"), ("agis.generation", "1"), ("agis.directory", &bench.directory())];
    let body = ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        cmd: Some(["sleep", "1000"].map(str::to_owned).into()),
        labels: Some(labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into()),
        ..ContainerCreateBody::default()
    };
    let created = docker
        .create_container(None::<bollard::query_parameters::CreateContainerOptions>, body)
        .await
        .expect("a container");
    eventually(async || docker.inspect_container(&created.id, None).await.is_err()).await;
    stop.cancel();
    timeout(Duration::from_secs(10), loops).await.expect("it ends").expect("no panic");
}

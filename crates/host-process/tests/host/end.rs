//! Tests of the ends of servers: on request, by themselves, or by force.

use std::{
    fs,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use agis_base::OperationId;
use agis_servers::{
    console::Console,
    game::Game,
    host::{Host, HostError, Observed, Reached, Slot},
};
use tokio::sync::Semaphore;

use crate::{
    ONE, TWO,
    bench::{self, Bench, demo, ended, ended_well, process_is_gone, running, within},
};

#[tokio::test]
async fn a_graceful_stop_lets_the_game_save() {
    for stop in ["{ signal = 'SIGTERM' }", "{ console = 'stop' }"] {
        let bench = Bench::new();
        let host = bench.host();
        bench
            .start(&host, ONE, 1, &demo(&format!("stop = {{ how = {stop}, grace_s = 20 }}")))
            .await
            .expect("it starts");
        assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
        assert_eq!(within(host.observe(ONE)).await, Ok(ended(1, "stopped")));
        assert!(bench.server(ONE).join("world/world.json").exists());
        assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped), "told again");
    }
}

#[tokio::test]
async fn server_outliving_its_launcher_can_save() {
    let bench = Bench::new();
    let host = bench.host();
    let script = "trap 'exit 0' TERM; setsid sh -c 'trap \"sleep 0.5; echo x > saved; exit\" TERM; echo ready; \
                  while :; do sleep 0.05; done' & while :; do sleep 0.05; done";
    let settings = "ready = { when = { log = 'ready' } }\nstop = { how = { signal = 'SIGTERM' }, grace_s = 20 }";
    bench
        .start(
            &host,
            ONE,
            1,
            &bench::game(&format!("command = ['sh', '-c', \"\"\"{}\"\"\"]\n{settings}", script.replace('"', "\\\""))),
        )
        .await
        .expect("it starts");
    assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
    assert!(bench.server(ONE).join("world/saved").exists());
    assert_eq!(within(host.observe(ONE)).await, Ok(ended(1, "stopped")));
}

#[tokio::test]
async fn game_ignoring_the_signal_is_killed() {
    let bench = Bench::new();
    let host = bench.host();
    let game = demo("args = --ignore-sigterm\nstop = { how = { signal = 'SIGTERM' }, grace_s = 1 }");
    bench.start(&host, ONE, 1, &game).await.expect("it starts");
    let began = Instant::now();
    assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
    assert!(began.elapsed() >= Duration::from_secs(1));
    let how = "stopped (killed: it did not end within 1 s)";
    assert_eq!(within(host.observe(ONE)).await, Ok(ended(1, how)));
}

#[tokio::test]
async fn a_crash_is_noticed() {
    let bench = Bench::new();
    let host = bench.host();
    bench.start(&host, ONE, 1, &demo("args = --exit-after, 800")).await.expect("it starts");
    assert!(matches!(within(host.observe(ONE)).await, Ok(Observed::Running { .. })));
    within(host.changed()).await;
    assert_eq!(within(host.observe(ONE)).await, Ok(ended(1, "exited with status 1")));
}

/// Returns a ready game that ends by itself with this status once a line is typed for it.
fn leaving(status: u8, good: &str) -> Arc<Game> {
    bench::script(
        &format!("echo ready; read line; exit {status}"),
        &format!("{good}\nready = {{ when = {{ log = 'ready' }} }}"),
    )
}

#[tokio::test]
async fn the_catalogue_says_which_ends_are_good() {
    for (status, good_exits, good) in
        [(0, "", true), (7, "", false), (7, "good_exits = [0, 7]", true), (0, "good_exits = []", false)]
    {
        let bench = Bench::new();
        let host = bench.host();
        let game = leaving(status, good_exits);
        bench.start(&host, ONE, 1, &game).await.expect("it starts");
        within(host.tell(ONE, "leave")).await.expect("it listens");
        bench::eventually(async || matches!(within(host.observe(ONE)).await, Ok(Observed::Ended { .. }))).await;
        let how = format!("exited with status {status}");
        let expected = if good { ended_well(1, &how) } else { ended(1, &how) };
        assert_eq!(within(host.observe(ONE)).await, Ok(expected), "{status} {good_exits}");

        let again = bench.begin(&host, ONE, 1, &game).await;
        let expected = if good { Ok(Reached::Ended(how)) } else { Err(HostError::Crashed(how)) };
        assert_eq!(again, expected, "it is not begun again at its generation");
    }
}

#[tokio::test]
async fn script_leaving_its_game_did_not_end_well() {
    let bench = Bench::new();
    let host = bench.host();
    let game = bench::script("sleep 1000 & echo ready; read line; exit 0", "ready = { when = { log = 'ready' } }");
    bench.start(&host, ONE, 1, &game).await.expect("it starts");
    within(host.tell(ONE, "leave")).await.expect("it listens");
    bench::eventually(async || matches!(within(host.observe(ONE)).await, Ok(Observed::Ended { .. }))).await;
    let seen = within(host.observe(ONE)).await;
    let says = "left the game in the background (sleep)";
    assert!(matches!(&seen, Ok(Observed::Ended { how, good: false, .. }) if how.contains(says)), "{seen:?}");
}

#[tokio::test]
async fn good_end_is_ready_unasked_and_unsignalled() {
    let bench = Bench::new();
    let host = bench.host();
    let early = bench::script("exit 0", "ready = { when = { log = 'never' } }");
    let how = "exited with status 0 before it was ready";
    assert_eq!(bench.start(&host, ONE, 1, &early).await, Err(HostError::Failed(how.to_owned())));
    assert_eq!(within(host.observe(ONE)).await, Ok(ended(1, how)));

    bench.start(&host, ONE, 2, &demo("")).await.expect("it starts");
    bench::kill(bench.game(ONE));
    bench::eventually(async || within(host.observe(ONE)).await == Ok(ended(2, "killed by signal 9"))).await;
}

#[tokio::test]
async fn a_game_does_not_outlive_its_shim() {
    let bench = Bench::new();
    let host = bench.host();
    let before = bench.start(&host, ONE, 1, &demo("")).await.expect("it starts");
    assert!(matches!(within(host.observe(ONE)).await, Ok(Observed::Running { .. })));
    let game = bench.game(ONE);
    bench::kill(bench.shim(ONE));
    within(host.changed()).await;
    let how = "ended unobserved (the machine restarted, or its supervisor was killed)";
    assert_eq!(within(host.observe(ONE)).await, Ok(ended(1, how)));
    process_is_gone(game).await;
    assert_eq!(bench.start(&host, ONE, 1, &demo("")).await, Err(HostError::Crashed(how.to_owned())));
    assert_eq!(bench.start(&host, ONE, 2, &demo("")).await, Ok(before), "the next one, at the same port");
}

#[tokio::test]
async fn a_frozen_shim_stops_nobody() {
    let bench = Bench::new();
    let host = bench.host();
    bench.start(&host, ONE, 1, &demo("stop = { how = { signal = 'SIGTERM' }, grace_s = 1 }")).await.expect("it starts");
    bench::freeze(bench.shim(ONE));
    let game = bench.game(ONE);
    assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
    process_is_gone(game).await;
    assert_eq!(within(host.observe(ONE)).await, Ok(ended(1, "killed: it did not end when it was asked to")));
}

#[tokio::test]
async fn restart_keeps_the_port() {
    let bench = Bench::new();
    let host = bench.host();
    let first = bench.start(&host, ONE, 1, &demo("")).await.expect("it starts");
    let before = bench.game(ONE);
    let second = bench.start(&host, ONE, 2, &demo("")).await.expect("it restarts");
    assert_eq!(first, second);
    process_is_gone(before).await;
    assert!(bench.server(ONE).join("world/world.json").exists(), "the first one was asked, not killed");
}

#[tokio::test]
async fn restart_leaves_its_slot_for_the_grace() {
    let bench = Bench::new();
    let host = bench.host();
    bench.start(&host, ONE, 1, &demo("")).await.expect("it starts");
    let (before, shim) = (bench.game(ONE), bench.shim(ONE));
    let places = Arc::new(Semaphore::new(1));
    let take = move || {
        let places = places.clone();
        async move { places.acquire_owned().await.expect("a place") }
    };
    let slot = Slot::held(take().await, take.clone());
    let order = (2, OperationId::new());
    let mut restart = pin!(bench.order_from(&host, ONE, order, running(&demo("")), slot));
    let other = tokio::select! {
        place = take() => place,
        ended = &mut restart => panic!("it did not give its place up: {ended:?}"),
    };
    tokio::select! {
        () = process_is_gone(before) => {}
        ended = &mut restart => panic!("it has no place: {ended:?}"),
    }
    let began = tokio::time::timeout(Duration::from_secs(1), &mut restart).await;
    assert!(began.is_err(), "it has no place: {began:?}");
    assert_eq!(bench.shim(ONE), shim, "nothing was started");
    drop(other);
    assert!(matches!(restart.await, Ok(Reached::Running(_))));
}

#[tokio::test]
async fn deleted_server_leaves_world_and_fence() {
    let bench = Bench::new();
    let host = bench.host();
    let game = demo("");
    let endpoint = bench.start(&host, ONE, 1, &game).await.expect("it starts");
    assert_eq!(bench.delete(&host, ONE, 2).await, Ok(Reached::Deleted));
    assert_eq!(bench.delete(&host, ONE, 2).await, Ok(Reached::Deleted), "told again");
    assert_eq!(within(host.observe(ONE)).await, Ok(Observed::Absent));

    let kept: Vec<_> = fs::read_dir(bench.data().join("trash")).expect("the trash").flatten().collect();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].file_name().to_string_lossy().starts_with("1-") && kept[0].path().join("world.json").exists());
    assert_eq!(bench.start(&host, ONE, 1, &game).await, Err(HostError::Stale { seen: 2 }));
    let next = bench.start(&host, TWO, 1, &game).await.expect("it starts");
    assert_eq!(next.port, endpoint.port, "the port was given back");
}

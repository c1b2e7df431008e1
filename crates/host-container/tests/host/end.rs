use agis_base::OperationId;
use agis_servers::host::{Host, HostError, Observed, Reached, Target};

use crate::{
    ONE,
    bench::{Bench, begin, demo, ended, eventually, order, script, start},
};

#[tokio::test]
async fn ends_say_how() {
    let bench = Bench::new();
    let host = bench.host();
    let ready = "ready = { when = { log = 'up' } }";
    let crash = script("echo up; sleep 1; exit 3", ready, "");
    start(&host, ONE, 1, &crash).await.expect("a start");
    eventually(async || host.observe(ONE).await == Ok(ended(1, "exited with status 3"))).await;
    // An end of this generation is not repeated.
    assert_eq!(begin(&host, ONE, 1, &crash).await, Err(HostError::Crashed("exited with status 3".to_owned())));

    let over = script("echo up; sleep 1", ready, "");
    start(&host, ONE, 2, &over).await.expect("a start");
    let good = Observed::Ended { generation: 2, how: "exited with status 0".to_owned(), good: true };
    eventually(async || host.observe(ONE).await.as_ref() == Ok(&good)).await;
    assert_eq!(begin(&host, ONE, 2, &over).await, Ok(Reached::Ended("exited with status 0".to_owned())));

    let early = script("echo no map found; exit 4", ready, "");
    let why = "exited with status 4 before it was ready; its last words: no map found".to_owned();
    assert_eq!(begin(&host, ONE, 3, &early).await, Err(HostError::Failed(why)));

    let absent = script("", ready, "entrypoint = ['/bin/nothing']");
    let Err(HostError::Failed(why)) = begin(&host, ONE, 4, &absent).await else { panic!("there is no such program") };
    assert!(why.contains("/bin/nothing") || why.contains("No such file"), "{why}");
}

#[tokio::test]
async fn want_of_memory_is_named() {
    let bench = Bench::new();
    let host = bench.host();
    let script = script(
        "echo up; sleep 1; a=x; while true; do a=$a$a$a; done",
        "ready = { when = { log = 'up' } }\nlimits = { memory = '16MiB' }",
        "",
    );
    start(&host, ONE, 1, &script).await.expect("a start");
    eventually(async || {
        matches!(host.observe(ONE).await, Ok(Observed::Ended { how, .. }) if how.contains("16 MiB") && how.contains("memory"))
    })
    .await;
}

#[tokio::test]
async fn game_that_does_not_end_is_killed() {
    let bench = Bench::new();
    let host = bench.host();
    let game = demo(&["--ignore-sigterm"], "stop = { how = { signal = 'SIGTERM' }, grace_s = 1 }");
    start(&host, ONE, 1, &game).await.expect("a start");
    let operation = OperationId::new();
    assert_eq!(order(&host, ONE, (2, operation), Target::Stopped).await, Ok(Reached::Stopped));
    assert_eq!(host.had_to_kill(ONE, operation).await, Some(true));
    assert_eq!(host.observe(ONE).await, Ok(ended(1, "stopped (killed: it did not end within 1 s)")));

    start(&host, ONE, 3, &demo(&[], "stop = { how = { console = 'stop' } }")).await.expect("a start");
    let operation = OperationId::new();
    order(&host, ONE, (4, operation), Target::Stopped).await.expect("a stop");
    assert_eq!(host.had_to_kill(ONE, operation).await, Some(false));
    assert!(bench.world(ONE).join("world.json").exists());
}

#[tokio::test]
async fn world_beyond_its_limit_ends_the_run() {
    let bench = Bench::new();
    let host = bench.host();
    let game = script(
        "echo up; head -c 3000000 /dev/zero >/data/large; sleep 1000",
        "ready = { when = { log = 'up' } }\nlimits = { disk = '1MiB' }",
        "world = '/data'",
    );
    start(&host, ONE, 1, &game).await.expect("a start");
    eventually(async || {
        host.look_after_disk().await.expect("a look");
        !matches!(host.observe(ONE).await, Ok(Observed::Running { .. }))
    })
    .await;
    assert_eq!(host.observe(ONE).await, Ok(ended(1, "its world grew beyond its limit of 1 MiB")));
    let Err(HostError::Failed(why)) = begin(&host, ONE, 2, &game).await else { panic!("the world is too large") };
    assert!(why.starts_with("its world takes 2.9 MiB"), "{why}");
}

#[tokio::test]
async fn files_beside_the_world_count() {
    let bench = Bench::new();
    let host = bench.host();
    let game = script(
        "echo up; head -c 3000000 /dev/zero >/bin/large; sleep 1000",
        "ready = { when = { log = 'up' } }\nlimits = { disk = '1MiB' }",
        "world = '/data'\nread_only = false\nuser = '0:0'",
    );
    start(&host, ONE, 1, &game).await.expect("a start");
    eventually(async || {
        host.look_after_disk().await.expect("a look");
        !matches!(host.observe(ONE).await, Ok(Observed::Running { .. }))
    })
    .await;
    let why = "its world and the other files of its container grew beyond its limit of 1 MiB";
    assert_eq!(host.observe(ONE).await, Ok(ended(1, why)));
    // They went with the container.
    start(&host, ONE, 2, &script("echo up; sleep 1000", "ready = { when = { log = 'up' } }", "world = '/data'"))
        .await
        .expect("a start");
}

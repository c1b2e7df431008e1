//! Games that use more than their limits.

use std::fs;

use agis_servers::host::{Host, HostError, Observed, Reached};

use crate::{
    ONE,
    bench::{Bench, ended, eventually, script, within},
};

#[tokio::test]
async fn memory_bomb_ends_with_its_reason() {
    let bench = Bench::new();
    let host = bench.host();
    // Reads a line without an end into its memory.
    let game =
        script("sleep 1; exec tail /dev/zero", "limits = { memory = '64MiB' }\nready = { when = { delay = 0 } }");
    bench.start(&host, ONE, 1, &game).await.expect("it starts");
    let why = ended(1, "out of memory: it used more than its 64 MiB");
    eventually(async || matches!(within(host.observe(ONE)).await, Ok(Observed::Ended { .. }))).await;
    assert_eq!(within(host.observe(ONE)).await, Ok(why));
}

#[tokio::test]
async fn memory_of_all_processes_counts_together() {
    let bench = Bench::new();
    let host = bench.host();
    // Three processes, each within the limit.
    let bomb = "for it in 1 2 3; do head -c 40000000 /dev/zero | tail -c 40000000 | { sleep 60; cat; } & done; wait";
    let limits = "limits = { memory = '64MiB' }\nready = { when = { delay = 0 } }";
    bench.start(&host, ONE, 1, &script(bomb, limits)).await.expect("it starts");
    let why = ended(1, "out of memory: it used more than its 64 MiB");
    eventually(async || within(host.observe(ONE)).await == Ok(why.clone())).await;
}

#[tokio::test]
async fn fork_bomb_stays_within_its_number() {
    let bench = Bench::new();
    // The kernel counts by account, and other tests have server 1 too.
    let host = bench.host_with(|config| config.machine.game_uids = 1_899_999_000..=1_899_999_999);
    let bomb = "while :; do sleep 1000 & done; wait";
    let game = script(bomb, "limits = { pids = 20 }\nready = { when = { delay = 0 } }");
    let begun = bench.begin(&host, ONE, 1, &game).await;
    let cannot_fork = |how: &str| how.contains("exited with status 2");
    match begun {
        Err(HostError::Failed(how)) => assert!(cannot_fork(&how), "{how}"),
        Ok(Reached::Running(_)) => {
            eventually(async || matches!(within(host.observe(ONE)).await, Ok(Observed::Ended { .. }))).await;
            let Ok(Observed::Ended { how, .. }) = within(host.observe(ONE)).await else { panic!("it runs again") };
            assert!(cannot_fork(&how) || how.contains("left the game in the background"), "{how}");
        }
        other => panic!("{other:?}"),
    }
    assert!(bench.console(ONE).to_lowercase().contains("cannot fork"), "{}", bench.console(ONE));
}

#[tokio::test]
async fn world_beyond_its_limit_stops_the_server() {
    let bench = Bench::new();
    let host = bench.host();
    let game = script("echo up; exec sleep 1000", "limits = { disk = '1MiB' }\nready = { when = { delay = 0 } }");
    bench.start(&host, ONE, 1, &game).await.expect("it starts");
    let map = bench.server(ONE).join("world/map");
    fs::write(&map, vec![1; 1000 << 10]).expect("a large world");
    host.look_after_disk().await.expect("a look");
    eventually(async || bench.console(ONE).contains("90 %")).await;
    fs::write(&map, vec![1; 1200 << 10]).expect("a larger world");
    host.look_after_disk().await.expect("a look");
    let why = ended(1, "its world grew beyond its limit of 1 MiB");
    eventually(async || within(host.observe(ONE)).await == Ok(why.clone())).await;
}

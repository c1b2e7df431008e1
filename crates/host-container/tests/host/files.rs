use std::{fs, os::unix::fs::symlink, process::Command, time::Duration};

use agis_servers::host::{HostError, Reached};
use tokio::time::timeout;

use crate::{
    ONE,
    bench::{Bench, begin, eventually, script, start, stop},
};

/// Game with a file, which a child writes.
const FILE: &str = "ready = { when = { log = 'up' } }\nfiles = { 'motd' = 'hello' }";

#[tokio::test]
async fn files_of_the_game_stay_within_its_world() {
    let bench = Bench::new();
    let host = bench.host();
    let game = script(
        "cat /config/server.properties; echo; echo up; sleep 100",
        "ready = { when = { log = 'up' } }\nfiles = { 'config/server.properties' = 'name={name}' }",
        "[game.container.world]\nconfig = '/config'\nsaves = '/saves'",
    );
    start(&host, ONE, 1, &game).await.expect("a start");
    assert_eq!(crate::bench::lines(&host, ONE).await, ["name=Friday {port} night; $(reboot)", "up"]);
    stop(&host, ONE, 2).await.expect("a stop");
    // A game could leave such links.
    let outside = tempfile::tempdir().expect("a directory");
    let config = bench.world(ONE).join("config");
    fs::remove_dir_all(&config).expect("removed");
    symlink(outside.path(), &config).expect("a link");
    let Err(HostError::Failed(why)) = begin(&host, ONE, 3, &game).await else { panic!("a link is no folder") };
    assert!(why.contains("config"), "{why}");
    assert_eq!(fs::read_dir(outside.path()).expect("a directory").count(), 0);
}

#[tokio::test]
async fn stop_does_not_wait_for_the_world() {
    let bench = Bench::new();
    bench.slow_down();
    let (host, game) = (bench.host(), script("echo up; sleep 100", FILE, "world = '/data'"));
    let (started, ()) = tokio::join!(begin(&host, ONE, 1, &game), async {
        eventually(async || bench.data.path().join("waits").exists()).await;
        let stopped = timeout(Duration::from_secs(4), stop(&host, ONE, 2)).await;
        fs::write(bench.data.path().join("go"), "").expect("a file");
        assert_eq!(stopped, Ok(Ok(Reached::Stopped)));
    });
    assert_eq!(started, Err(HostError::Stale { seen: 2 }));
    assert!(bench.containers().await.is_empty());
    start(&host, ONE, 3, &game).await.expect("a start");
}

#[tokio::test]
async fn world_on_a_full_disk_waits_for_room() {
    assert!(rustix::process::geteuid().is_root(), "this test mounts a tmpfs; run it as root");
    let bench = Bench::new();
    let data = bench.data.path();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k,mode=0711", "tmpfs"]).arg(data).status();
    assert!(mounted.expect("mount").success(), "this test needs the right to mount a tmpfs");
    let files = format!("{FILE}\nfiles.large = '{}'", "x".repeat(600_000));
    let files = files.replace("files = { 'motd' = 'hello' }", "files.motd = 'hello'");
    let game = script("echo up; sleep 100", &files, "world = '/data'");
    let refused = begin(&bench.host(), ONE, 1, &game).await;
    let _ = Command::new("umount").arg("--lazy").arg(data).status();
    let Err(HostError::Unavailable(why)) = refused else { panic!("{refused:?}") };
    assert!(why.starts_with("the host's disk is full: ") && why.contains("large: "), "{why}");
}

use std::{fs, os::unix::fs::symlink};

use agis_servers::host::HostError;

use crate::{
    ONE,
    bench::{Bench, begin, script, start, stop},
};

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

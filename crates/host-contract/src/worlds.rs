//! Promises about worlds on this machine.

use std::fs;

use agis_servers::host::Reached;

use crate::stage::{Server, Stage};

/// Every run finds the world that the last one left, and a deletion moves it to the trash.
pub async fn world_outlives_runs_and_is_kept(stage: &dyn Stage) {
    let Some(data) = stage.data() else { return };
    let (server, host) = (Server(stage), stage.process().await);
    let world = data.join(format!("servers/{}/world", stage.server()));
    server.start(&*host, 1).await;
    fs::write(world.join("castle"), "of stone").expect("a world");
    server.start(&*host, 2).await;
    assert_eq!(server.stop(&*host, 3).await, Ok(Reached::Stopped));
    assert_eq!(fs::read_to_string(world.join("castle")).expect("a castle"), "of stone");
    assert_eq!(server.delete(&*host, 4).await, Ok(Reached::Deleted));
    assert!(!world.exists(), "a deleted server has no world");
    let kept = fs::read_dir(data.join("trash")).expect("a trash").flatten().map(|entry| entry.path().join("castle"));
    assert_eq!(kept.filter(|castle| castle.exists()).count(), 1, "the world is not in the trash");
}

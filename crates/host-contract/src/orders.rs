//! Promises about orders.

use agis_servers::host::{HostError, Observed, Reached};

use crate::stage::{Behaviour, Server, Stage};

/// A repeated order confirms what the first one did, and a restart does it anew.
pub async fn same_order_twice_is_done_once(stage: &dyn Stage) {
    let (server, host) = (Server(stage), stage.process().await);
    let endpoint = server.start(&*host, 1).await;
    assert_eq!(server.start(&*host, 1).await, endpoint);
    assert_eq!(server.until_running(&*host, 1).await, endpoint);
    let next = server.start(&*host, 2).await;
    assert_eq!(server.until_running(&*host, 2).await, next);
    for _ in 0..2 {
        assert_eq!(server.stop(&*host, 3).await, Ok(Reached::Stopped));
    }
    server.until_over(&*host).await;
}

/// After an order of a higher generation, orders of lower ones change nothing, in no process.
pub async fn lower_generation_is_refused(stage: &dyn Stage) {
    let (server, host) = (Server(stage), stage.process().await);
    server.start(&*host, 5).await;
    let stale = HostError::Stale { seen: 5 };
    for host in [host, stage.process().await] {
        assert_eq!(server.begin(&*host, 4, Behaviour::Plays).await, Err(stale.clone()));
        assert_eq!(server.stop(&*host, 4).await, Err(stale.clone()));
        assert_eq!(server.delete(&*host, 4).await, Err(stale.clone()));
        server.until_running(&*host, 5).await;
    }
}

/// Orders to a server that never ran succeed, and fence as all others.
pub async fn fence_needs_no_server(stage: &dyn Stage) {
    let (server, host) = (Server(stage), stage.process().await);
    assert_eq!(host.observe(stage.server()).await, Ok(Observed::Absent));
    assert_eq!(server.stop(&*host, 7).await, Ok(Reached::Stopped));
    assert_eq!(server.begin(&*host, 6, Behaviour::Plays).await, Err(HostError::Stale { seen: 7 }));
    assert_eq!(server.delete(&*host, 8).await, Ok(Reached::Deleted));
    assert_eq!(host.observe(stage.server()).await, Ok(Observed::Absent));
}

/// A stop does not wait for a start, whichever process has it.
pub async fn stop_interrupts_start(stage: &dyn Stage) {
    let (server, host, other) = (Server(stage), stage.process().await, stage.process().await);
    let stop = async {
        server.until(&*other, "a start", |it| matches!(it, Observed::Starting { generation: 1 })).await;
        server.stop(&*other, 2).await
    };
    let (started, stopped) = tokio::join!(server.begin(&*host, 1, Behaviour::Waits), stop);
    // A host may see the end before the order that led to it.
    assert!(matches!(started, Err(HostError::Stale { seen: 2 } | HostError::Failed(_))), "{started:?}");
    assert_eq!(stopped, Ok(Reached::Stopped));
    server.until_over(&*other).await;
}

/// Processes that have the same order at once start one server.
pub async fn processes_start_one_server(stage: &dyn Stage) {
    let (server, host, other) = (Server(stage), stage.process().await, stage.process().await);
    for generation in [1, 2] {
        let (first, second) = tokio::join!(server.start(&*host, generation), server.start(&*other, generation));
        assert_eq!(first, second);
    }
}

/// A process that never heard of a server finds it, confirms its start, and can stop it.
pub async fn next_process_adopts_what_runs(stage: &dyn Stage) {
    let server = Server(stage);
    let first = stage.process().await;
    let endpoint = server.start(&*first, 1).await;
    drop(first);
    let next = stage.process().await;
    assert_eq!(server.until_running(&*next, 1).await, endpoint);
    assert_eq!(server.start(&*next, 1).await, endpoint);
    assert_eq!(server.stop(&*next, 2).await, Ok(Reached::Stopped));
    server.until_over(&*next).await;
}

/// A deletion leaves nothing that runs and keeps its fence.
pub async fn deletion_frees_the_server(stage: &dyn Stage) {
    let (server, host) = (Server(stage), stage.process().await);
    server.start(&*host, 1).await;
    for _ in 0..2 {
        assert_eq!(server.delete(&*host, 2).await, Ok(Reached::Deleted));
    }
    server.until(&*host, "nothing", |it| *it == Observed::Absent).await;
    assert_eq!(server.begin(&*host, 1, Behaviour::Plays).await, Err(HostError::Stale { seen: 2 }));
}

//! Promises about the ends of runs.

use agis_servers::host::{HostError, Observed, Reached};

use crate::stage::{Behaviour, Server, Stage};

/// A server that is not ready in time is taken down, and its start does not begin again.
pub async fn unready_server_is_taken_down(stage: &dyn Stage) {
    let (server, host) = (Server(stage), stage.process().await);
    let why = server.begin(&*host, 1, Behaviour::Fails).await;
    assert!(matches!(&why, Err(HostError::Failed(why)) if why.contains("not ready within")), "{why:?}");
    let again = server.begin(&*host, 1, Behaviour::Fails).await;
    assert!(matches!(again, Err(HostError::Failed(_))), "{again:?}");
    server.until_over(&*host).await;
}

/// A run that somebody kills is seen as ended, with a reason, and the next start is fresh.
pub async fn killed_run_has_ended_with_a_reason(stage: &dyn Stage) {
    let (server, host) = (Server(stage), stage.process().await);
    server.start(&*host, 1).await;
    server.until_running(&*host, 1).await;
    stage.kill().await;
    let ended = server.until_over(&*host).await;
    assert!(
        matches!(&ended, Observed::Ended { generation: 1, how, good: false } if !how.is_empty()),
        "a crash without a reason: {ended:?}"
    );
    server.start(&*host, 2).await;
    server.until_running(&*host, 2).await;
}

/// A game that ends well by itself has not crashed, and its start does not begin again.
pub async fn good_end_is_no_crash(stage: &dyn Stage) {
    let (server, host) = (Server(stage), stage.process().await);
    server.start(&*host, 1).await;
    server.until_running(&*host, 1).await;
    stage.end_well().await;
    let ended = server.until_over(&*host).await;
    assert!(matches!(ended, Observed::Ended { generation: 1, good: true, .. }), "{ended:?}");
    let again = server.begin(&*host, 1, Behaviour::Plays).await;
    assert!(!matches!(again, Ok(Reached::Running(_))), "{again:?}");
}

/// Clearing the remains of a generation leaves what runs alone.
pub async fn clearing_spares_other_generations(stage: &dyn Stage) {
    let (server, host) = (Server(stage), stage.process().await);
    server.start(&*host, 1).await;
    let endpoint = server.start(&*host, 2).await;
    assert_eq!(host.clear(stage.server(), 1).await, Ok(()));
    assert_eq!(server.until_running(&*host, 2).await, endpoint);
}

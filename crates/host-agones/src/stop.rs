//! Taking GameServers away, and waiting until they are gone: a volume has one user at a time.

use std::time::{Duration, Instant};

use agis_base::ServerId;
use agis_servers::host::{Generation, HostError};
use kube::ResourceExt;
use tokio::sync::watch;

use crate::{
    cluster::{Cluster, ask},
    gameserver::GameServer,
    names,
};

/// How long a pod may take to end before somebody else has to go on waiting.
const GRACE: Duration = Duration::from_secs(90);
/// The longest time between two looks: what the watch did not tell of is found by then.
const LOOK: Duration = Duration::from_secs(5);

/// Takes away whatever runs of a server up to this generation.
pub(crate) async fn bring_down(
    cluster: &Cluster,
    changes: watch::Receiver<()>,
    server: ServerId,
    generation: Generation,
) -> Result<(), HostError> {
    let all = cluster.of(server).await?;
    let doomed: Vec<_> =
        all.into_iter().filter(|it| names::generation(it).is_none_or(|has| has <= generation)).collect();
    take_away(cluster, changes, &doomed).await
}

/// Deletes these and returns once they are gone.
pub(crate) async fn take_away(
    cluster: &Cluster,
    changes: watch::Receiver<()>,
    doomed: &[GameServer],
) -> Result<(), HostError> {
    for gameserver in doomed {
        if gameserver.metadata.deletion_timestamp.is_none() {
            cluster.delete(&cluster.gameservers, gameserver).await?;
        }
    }
    let until = Instant::now() + GRACE;
    for gameserver in doomed {
        gone(cluster, changes.clone(), gameserver, until).await?;
    }
    Ok(())
}

/// Agones holds a GameServer until its pod has ended.
async fn gone(
    cluster: &Cluster,
    mut changes: watch::Receiver<()>,
    gameserver: &GameServer,
    until: Instant,
) -> Result<(), HostError> {
    let name = gameserver.name_any();
    loop {
        changes.mark_unchanged();
        let found = ask(cluster.gameservers.get_opt(&name)).await?;
        if found.is_none_or(|found| found.uid() != gameserver.uid()) {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(HostError::Unavailable(format!(
                "the cluster is still taking {name} down: its pod has not ended"
            )));
        }
        let _ = tokio::time::timeout(LOOK, changes.changed()).await;
    }
}

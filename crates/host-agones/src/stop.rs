//! Taking GameServers away, and waiting until they are gone: a volume has one user at a time.

use std::time::{Duration, Instant};

use agis_base::ServerId;
use agis_servers::host::{Generation, HostError, Slot};

use crate::{
    cluster::{Cluster, ask},
    fence::Chosen,
    gameserver::{GameServer, is_going},
    names,
    view::{Looks, View},
};

/// How long a pod may take to end before somebody else has to go on waiting.
const GRACE: Duration = Duration::from_secs(90);

/// Takes away whatever runs of a server up to this generation. Answers with what stands of it beyond that.
pub(crate) async fn bring_down(
    cluster: &Cluster,
    view: &View,
    server: ServerId,
    generation: Generation,
    slot: &Slot,
) -> Result<Vec<GameServer>, HostError> {
    let all = cluster.of(server).await?;
    let (doomed, standing): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|it| names::generation(it).is_none_or(|has| has <= generation));
    take_away(cluster, view, &doomed, slot).await?;
    Ok(standing)
}

/// Deletes these and returns once they are gone.
pub(crate) async fn take_away(
    cluster: &Cluster,
    view: &View,
    doomed: &[GameServer],
    slot: &Slot,
) -> Result<(), HostError> {
    for gameserver in doomed.iter().filter(|it| !is_going(it)) {
        cluster.delete(&cluster.gameservers, gameserver).await?;
    }
    if !doomed.is_empty() {
        slot.leave();
    }
    let until = Instant::now() + GRACE;
    for gameserver in doomed {
        gone(cluster, view, &Chosen::of(gameserver), until).await?;
    }
    Ok(())
}

/// Agones holds a GameServer until its pod has ended. The API server is asked once the watch has told of the end, and now
/// and then where it tells of nothing.
async fn gone(cluster: &Cluster, view: &View, doomed: &Chosen, until: Instant) -> Result<(), HostError> {
    let (mut changes, mut looks) = (view.follow(&doomed.name), Looks::new(cluster.pace));
    let (mut was_seen, mut is_due) = (true, false);
    loop {
        changes.mark_seen();
        let is_seen = view.gameserver(doomed).is_some();
        if is_due || (was_seen && !is_seen) {
            let found = ask(cluster.gameservers.get_opt(&doomed.name)).await?;
            if !found.is_some_and(|found| doomed.is(&found)) {
                return Ok(());
            }
        }
        if Instant::now() >= until {
            let name = &doomed.name;
            return Err(HostError::Unavailable(format!(
                "the cluster is still taking {name} down: its pod has not ended"
            )));
        }
        was_seen = is_seen;
        is_due = changes.or_look(&mut looks, until).await;
    }
}

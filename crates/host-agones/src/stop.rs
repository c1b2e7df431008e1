//! Takes GameServers away, and waits until they are gone: a volume has one user at a time.

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

/// Time for which a stop waits for a pod's end, before the order has to be repeated.
const GRACE: Duration = Duration::from_secs(90);

/// Takes away all GameServers of a server up to this generation. Returns those above it.
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

/// Deletes these GameServers and returns once they are gone.
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

/// Waits until Agones lets a GameServer go, after its pod has ended. Asks the API server once the watch has reported
/// the end, and now and then if the watch reports nothing.
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

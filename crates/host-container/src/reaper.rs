//! Takes away what no order wants any more: containers that an overtaken process created or a late call started, and
//! networks whose run is over.
//!
//! Two rounds have to agree before a container goes. One reading cannot tell an orphan from a container that is about to
//! be recorded or replaced.

use std::{collections::HashSet, sync::PoisonError};

use agis_base::ServerId;
use agis_machine::dir::blocking;
use agis_servers::host::HostError;
use bollard::{
    models::{ContainerSummary, ContainerSummaryStateEnum as Status},
    query_parameters::ListContainersOptionsBuilder,
};
use tokio::time::sleep;

use crate::{
    host::Setup,
    names,
    network::{self, Network},
    record::Run,
    stop::remove,
};

/// Makes rounds for ever. The next round makes up for a failed one.
pub(crate) async fn run(setup: &Setup) {
    let mut suspects = HashSet::new();
    loop {
        let trouble = match round(setup, &suspects).await {
            Ok(found) => {
                suspects = found;
                None
            }
            Err(error) => {
                tracing::warn!(%error, "reaper round failed");
                suspects.clear();
                Some(error.to_string())
            }
        };
        *setup.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        sleep(setup.engine.pace.reap).await;
    }
}

/// Makes a round, and returns the ids of everything suspicious.
async fn round(setup: &Setup, before: &HashSet<String>) -> Result<HashSet<String>, HostError> {
    let networks = network::all(setup).await?;
    let containers = containers(setup).await?;
    let mut suspects = HashSet::new();
    for (server, container) in &containers {
        let Some(id) = container.id.clone() else { continue };
        // A server whose records cannot be read is left alone.
        if !is_orphan(setup, *server, container).await.unwrap_or(false) {
            continue;
        }
        if before.contains(&id) {
            tracing::warn!(%server, container = id, "orphaned container is removed");
            if let Err(trouble) = remove(setup, &id).await {
                tracing::debug!(?trouble, "orphaned container stays for now");
            }
        }
        suspects.insert(id);
    }
    for network in networks {
        if is_idle(setup, &network).await.unwrap_or(false) {
            network.remove(setup).await;
        }
    }
    Ok(suspects)
}

async fn containers(setup: &Setup) -> Result<Vec<(ServerId, ContainerSummary)>, HostError> {
    let directory = setup.machine.id;
    let options = ListContainersOptionsBuilder::default().all(true).filters(&names::of_directory(directory)).build();
    let found = setup.engine.call(async |docker| docker.list_containers(Some(options)).await).await?;
    let ours = |it: ContainerSummary| Some((names::server(directory, it.labels.as_ref()?)?, it));
    Ok(found.into_iter().filter_map(ours).collect())
}

/// Checks whether no fence allows the container. An ended container of the last run keeps its log.
async fn is_orphan(setup: &Setup, server: ServerId, container: &ContainerSummary) -> Result<bool, HostError> {
    let dir = setup.machine.dir(server);
    let generation = container.labels.as_ref().and_then(names::generation);
    let (id, is_over) = (container.id.clone(), matches!(container.state, Some(Status::EXITED | Status::DEAD)));
    let is_running = matches!(container.state, Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING));
    blocking(move || {
        let (seen, run) = (dir.seen()?, Run::read(&dir)?);
        Ok(match run.filter(|run| Some(&run.container) == id.as_ref()) {
            // A stop takes its time, and says so in the record.
            Some(run) => run.end.is_some() && !is_over,
            // A start of the newest order is about to record it.
            None => is_running || is_over || generation.is_none() || generation < seen,
        })
    })
    .await
}

/// Checks whether the run of a network is over. A start of the newest order is about to use its network.
async fn is_idle(setup: &Setup, network: &Network) -> Result<bool, HostError> {
    let (dir, generation) = (setup.machine.dir(network.server), network.generation);
    blocking(move || {
        let (seen, run) = (dir.seen()?, Run::read(&dir)?);
        let is_over = |run: Run| Some(run.generation) == generation && run.end.is_some();
        Ok(generation.is_none() || generation < seen || run.is_some_and(is_over))
    })
    .await
}

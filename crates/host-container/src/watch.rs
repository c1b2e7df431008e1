//! Notices changes without an order: by the engine's events, and by looks at the worlds.

use std::{fs, sync::Arc, time::Duration};

use agis_base::ServerId;
use agis_machine::{SERVERS, dir::blocking, disk::usage};
use agis_servers::host::{HostError, Slot};
use bollard::{models::EventMessage, query_parameters::EventsOptionsBuilder};
use futures_util::StreamExt;
use tokio::time::sleep;

use crate::{host::Setup, names, record::Run, stop::Ending};

/// Time between two tries to listen to an engine.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Listens to the engine for ever. While nobody listens, callers look after a while all the same.
pub(crate) async fn run(setup: &Setup) {
    let mut pause = PAUSE;
    loop {
        if listen(setup).await {
            pause = PAUSE;
        }
        setup.engine.forget().await;
        // Changes may have been missed.
        setup.changed.notify_one();
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Listens until the engine closes the stream. Returns whether it told anything.
async fn listen(setup: &Setup) -> bool {
    let Ok(docker) = setup.engine.docker().await else { return false };
    let mut filters = names::of_directory(setup.machine.id);
    filters.insert("type".to_owned(), vec!["container".to_owned()]);
    let options = EventsOptionsBuilder::default().filters(&filters).build();
    let mut events = docker.events(Some(options));
    let mut has_told = false;
    while let Some(Ok(event)) = events.next().await {
        has_told = true;
        setup.changed.notify_one();
        if let Some(server) = started(setup, &event) {
            // A container that a late call started again must not run.
            if let Err(error) = setup.observe(server).await {
                tracing::debug!(%server, %error, "started container could not be looked at");
            }
        }
    }
    has_told
}

/// Returns the server whose container has started.
fn started(setup: &Setup, event: &EventMessage) -> Option<ServerId> {
    let labels = event.actor.as_ref()?.attributes.as_ref()?;
    (event.action.as_deref() == Some("start")).then(|| names::server(setup.machine.id, labels))?
}

/// Measures the world of each running server that has a limit, and stops the game above the limit.
pub(crate) async fn look_at_worlds(setup: &Arc<Setup>) -> Result<(), HostError> {
    let looking = Arc::clone(setup);
    let beyond = blocking(move || {
        let servers = fs::read_dir(looking.machine.root.join(SERVERS)).into_iter().flatten().flatten();
        let servers = servers.filter_map(|entry| entry.file_name().to_str()?.parse::<ServerId>().ok());
        Ok(servers.filter_map(|server| is_beyond(&looking, server)).collect::<Vec<_>>())
    });
    for (server, run) in beyond.await? {
        tracing::warn!(%server, "world is near or beyond its limit");
        let setup = Arc::clone(setup);
        tokio::spawn(async move {
            let limit = run.disk.map(|limit| limit.to_string()).unwrap_or_default();
            let why = format!("its world grew beyond its limit of {limit}");
            let ending = Ending { setup: &setup, server, generation: run.generation, operation: None, why: &why };
            if let Err(error) = ending.bring_down(run.generation.saturating_add(1), &Slot::default()).await {
                tracing::warn!(%server, %error, "server with a large world could not be stopped");
            }
        });
    }
    Ok(())
}

/// Returns the run of a server whose world is larger than its limit.
fn is_beyond(setup: &Setup, server: ServerId) -> Option<(ServerId, Run)> {
    let dir = setup.machine.dir(server);
    let run = Run::read(&dir).ok()?.filter(|run| run.end.is_none() && run.asked.is_none())?;
    let limit = run.disk?;
    (usage(&dir.world()) > limit.bytes()).then_some((server, run))
}

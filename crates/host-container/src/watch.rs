//! Notices changes without an order: by the engine's events, and by looks at the worlds.

use std::{fs, sync::Arc, time::Duration};

use agis_base::ServerId;
use agis_machine::{SERVERS, dir::blocking, disk::usage};
use agis_servers::{
    game::Size,
    host::{HostError, Slot},
};
use bollard::{
    models::EventMessage,
    query_parameters::{EventsOptionsBuilder, InspectContainerOptionsBuilder},
};
use futures_util::StreamExt;
use tokio::time::sleep;

use crate::{
    host::Setup,
    names,
    record::{self, Run},
    stop::Ending,
};

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
        if let Some((server, id)) = told_to_end(setup, &event)
            && let Err(error) = note_told_to_end(setup, server, id).await
        {
            tracing::warn!(%server, %error, "signal to a container could not be recorded");
        }
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

/// Returns the server whose container the engine has sent a signal that ends games, and the container.
fn told_to_end(setup: &Setup, event: &EventMessage) -> Option<(ServerId, String)> {
    /// Signals that ask for something else: HUP, USR1, USR2, WINCH.
    const OTHERS: [&str; 4] = ["1", "10", "12", "28"];
    let actor = event.actor.as_ref()?;
    let labels = actor.attributes.as_ref()?;
    let signal = labels.get("signal").filter(|_| event.action.as_deref() == Some("kill"))?;
    let server = names::server(setup.machine.id, labels).filter(|_| !OTHERS.contains(&signal.as_str()))?;
    Some((server, actor.id.clone()?))
}

/// Records that somebody had the game end. AGIS has recorded its own reason before it sends a signal.
async fn note_told_to_end(setup: &Setup, server: ServerId, id: String) -> Result<(), HostError> {
    let dir = setup.machine.dir(server);
    blocking(move || {
        let Some(run) = Run::read(&dir)?.filter(|run| run.container == id && run.asked.is_none()) else {
            return Ok(());
        };
        record::change(&dir, run.generation, |run| run.was_told_to_end = run.asked.is_none()).map(drop)
    })
    .await
}

/// Measures the files of each running server that has a limit, and stops the game above the limit.
pub(crate) async fn look_at_worlds(setup: &Arc<Setup>) -> Result<(), HostError> {
    let looking = Arc::clone(setup);
    let all = blocking(move || {
        let servers = fs::read_dir(looking.machine.root.join(SERVERS)).into_iter().flatten().flatten();
        let servers = servers.filter_map(|entry| entry.file_name().to_str()?.parse::<ServerId>().ok());
        Ok(servers.filter_map(|server| measured(&looking, server)).collect::<Vec<_>>())
    });
    for Measured { server, run, limit, world } in all.await? {
        let files = if world > limit.bytes() { "world" } else { "world and the other files of its container" };
        if world <= limit.bytes() && world.saturating_add(layer(setup, server, &run).await) <= limit.bytes() {
            continue;
        }
        tracing::warn!(%server, "world is near or beyond its limit");
        let setup = Arc::clone(setup);
        tokio::spawn(async move {
            let why = format!("its {files} grew beyond its limit of {limit}");
            let ending = Ending { setup: &setup, server, generation: run.generation, operation: None, why: &why };
            if let Err(error) = ending.bring_down(run.generation.saturating_add(1), &Slot::default()).await {
                tracing::warn!(%server, %error, "server with a large world could not be stopped");
            }
        });
    }
    Ok(())
}

/// Running server with a limit.
struct Measured {
    server: ServerId,
    run: Run,
    limit: Size,
    /// Bytes of its world.
    world: u64,
}

fn measured(setup: &Setup, server: ServerId) -> Option<Measured> {
    let dir = setup.machine.dir(server);
    let run = Run::read(&dir).ok()?.filter(|run| run.end.is_none() && run.asked.is_none())?;
    Some(Measured { server, limit: run.disk?, world: usage(&dir.world()), run })
}

/// Returns the bytes that a game has written outside of its world, as far as the engine tells. Engines can limit them on few
/// kinds of disks only.
async fn layer(setup: &Setup, server: ServerId, run: &Run) -> u64 {
    if !run.has_layer {
        return 0;
    }
    let options = InspectContainerOptionsBuilder::default().size(true).build();
    let found = setup.engine.work(async |docker| docker.inspect_container(&run.container, Some(options)).await).await;
    match found {
        Ok(found) => found.size_rw.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default(),
        Err(trouble) => {
            tracing::debug!(%server, ?trouble, "files of a container could not be measured");
            0
        }
    }
}

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use agis_base::{OperationId, ServerId};
use agis_machine::{Machine, SetupError, dir::blocking};
use agis_servers::{
    console::{Begin, Console, ConsoleError, Piece},
    game::{Game, RunsOn},
    host::{Abilities, Generation, Host, HostError, HostReport, Observed, Order, Reached, Target, Unfit},
};
use async_trait::async_trait;
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    config::Config,
    console, container,
    engine::{Engine, Trouble},
    image::Images,
    names, network,
    pin::Pin,
    reaper,
    record::Run,
    report,
    seen::{Seen, State},
    start::{self, Start},
    stop::{Ending, remove},
    user, watch,
};

/// Time between two looks at a container that is in a state without a word.
const CHANGING: Duration = Duration::from_millis(50);

/// Host that runs game servers as containers of this machine's engine.
///
/// The host keeps no state in memory that matters. Any number of programs may share a data directory, and each continues
/// the work of the others.
#[derive(Debug)]
pub struct ContainerHost {
    setup: Arc<Setup>,
}

/// Values that are fixed when a host is set up, and the way to the engine.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) machine: Machine,
    pub(crate) engine: Arc<Engine>,
    pub(crate) shim: PathBuf,
    pub(crate) images: Arc<Images>,
    /// Rings when a server may have changed.
    pub(crate) changed: Notify,
    /// Trouble of the last search for orphans.
    pub(crate) trouble: Mutex<Option<String>>,
}

impl ContainerHost {
    /// Checks the configuration and creates the directories. Makes no call: the engine may start later.
    ///
    /// # Errors
    /// Fails if the data directory, the address or the accounts cannot be used.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        let Config { machine, engines, shim, pace } = config;
        let machine = Machine::new(machine, RunsOn::Container)?;
        machine.trash.sweep();
        let engine = Arc::new(Engine::new(engines, Some(Pin::of(machine.root.clone())), pace));
        let setup = Setup {
            machine,
            images: Images::new(Arc::clone(&engine)),
            engine,
            shim,
            changed: Notify::new(),
            trouble: Mutex::default(),
        };
        Ok(Self { setup: Arc::new(setup) })
    }

    /// Listens to the engine, and takes away what no order wants any more, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let work = async { tokio::join!(watch::run(&self.setup), reaper::run(&self.setup)) };
        stop.run_until_cancelled(work).await;
    }

    /// Checks whether the engine answers.
    ///
    /// # Errors
    /// Fails if it does not, or the search for orphans is in trouble.
    pub async fn ping(&self) -> Result<(), HostError> {
        self.setup.engine.call(async |docker| docker.ping().await).await?;
        let trouble = self.setup.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        trouble.map_or(Ok(()), |why| Err(HostError::Unavailable(why)))
    }

    /// Looks after the disk: limits of worlds that grew, and the size of the trash.
    ///
    /// # Errors
    /// Fails if the work is cut short.
    pub async fn look_after_disk(&self) -> Result<(), HostError> {
        watch::look_at_worlds(&self.setup).await?;
        let setup = Arc::clone(&self.setup);
        blocking(move || {
            setup.machine.trash.sweep();
            Ok(())
        })
        .await
    }
}

impl Setup {
    pub(crate) fn name_of(&self, server: ServerId) -> String {
        names::name(self.machine.id, server)
    }

    /// Returns the container of a server; `None` if there is none.
    ///
    /// # Errors
    /// Fails if the engine does not say, or a container that is not ours has the name.
    pub(crate) async fn look(&self, server: ServerId) -> Result<Option<Seen>, Trouble> {
        let (name, began) = (self.name_of(server), Instant::now());
        loop {
            match self.engine.call(async |docker| docker.inspect_container(&name, None).await).await {
                // A container passes through that state within moments.
                Err(Trouble::Unreadable(_)) if began.elapsed() < self.engine.pace.call => sleep(CHANGING).await,
                Err(trouble) if trouble.is_gone() => return Ok(None),
                Err(trouble) => return Err(trouble),
                Ok(found) => {
                    let why = format!("the container '{name}' is not one of AGIS");
                    let seen = Seen::of(self.machine.id, found).filter(|seen| seen.server == server);
                    return seen.ok_or(Trouble::Refused { code: 409, why }).map(Some);
                }
            }
        }
    }

    /// Returns the record of a server's last run.
    pub(crate) async fn record(&self, server: ServerId) -> Result<Option<Run>, HostError> {
        let dir = self.machine.dir(server);
        blocking(move || Run::read(&dir)).await
    }

    pub(crate) async fn observe(&self, server: ServerId) -> Result<Observed, HostError> {
        // The record comes first: a container that is recorded existed at that moment.
        let run = self.record(server).await?;
        let seen = self.look(server).await?;
        let Some(run) = run else {
            // A start is about to record it.
            return Ok(seen.map_or(Observed::Absent, |Seen { generation, .. }| Observed::Starting { generation }));
        };
        let generation = run.generation;
        let ended = |end: crate::ending::End| Observed::Ended { generation, how: end.how, good: end.good };
        match &seen {
            Some(newer) if newer.generation > generation => Ok(Observed::Starting { generation: newer.generation }),
            Some(seen @ Seen { state, .. }) if seen.id == run.container => match (state, &run.end) {
                (State::Running(_), Some(end)) => {
                    // A call that was late has started it again, or somebody did.
                    tracing::warn!(%server, "container of an ended run was started again and is removed");
                    remove(self, &seen.id).await?;
                    Ok(ended(end.clone()))
                }
                (State::Running(_), None) if run.was_ready => {
                    Ok(Observed::Running { generation, endpoint: run.endpoint(self) })
                }
                (State::Created | State::Running(_), None) => Ok(Observed::Starting { generation }),
                (State::Created | State::Ended(_), _) => self.settle(&run, Some(seen), server).await.map(ended),
            },
            _ => self.settle(&run, None, server).await.map(ended),
        }
    }
}

#[async_trait]
impl Host for ContainerHost {
    fn name(&self) -> &str {
        &self.setup.machine.name
    }

    fn kind(&self) -> RunsOn {
        RunsOn::Container
    }

    fn directory(&self) -> Option<Uuid> {
        Some(self.setup.machine.id)
    }

    fn abilities(&self) -> Abilities {
        Abilities::all()
    }

    async fn report(&self) -> HostReport {
        report::report(&self.setup).await
    }

    async fn apply(&self, order: &Order) -> Result<Reached, HostError> {
        let Order { server, generation, operation, .. } = *order;
        let setup = &self.setup;
        let (of, begins) = (Arc::clone(setup), matches!(order.target, Target::Running(_)));
        let has_directory = blocking(move || of.machine.raise(server, generation, begins)).await?;
        tracing::debug!(%server, %operation, generation, "order accepted");
        let ending = Ending { setup, server, generation, operation: Some(operation), why: "stopped" };
        match &order.target {
            Target::Running(launch) => {
                let (slot, progress) = (&order.slot, &order.progress);
                let start = Start { setup, server, generation, operation, launch, slot, progress };
                start.run().await
            }
            Target::Stopped if !has_directory => Ok(Reached::Stopped),
            Target::Deleted if !has_directory => Ok(Reached::Deleted),
            Target::Stopped => {
                ending.bring_down(generation.saturating_add(1), &order.slot).await?;
                network::remove(setup, server, generation).await;
                Ok(Reached::Stopped)
            }
            Target::Deleted => {
                ending.bring_down(generation.saturating_add(1), &order.slot).await?;
                if let Some(seen) = setup.look(server).await?.filter(|seen| seen.generation <= generation) {
                    remove(setup, &seen.id).await?;
                }
                network::remove(setup, server, generation).await;
                let setup = Arc::clone(setup);
                blocking(move || delete(&setup.machine, server, generation)).await.map(|()| Reached::Deleted)
            }
        }
    }

    async fn had_to_kill(&self, server: ServerId, operation: OperationId) -> Option<bool> {
        let dir = self.setup.machine.dir(server);
        let killed = blocking(move || dir.killed_for().map_err(|error| dir.unavailable(&error))).await;
        match killed {
            Ok(killed) => Some(killed == Some(operation)),
            Err(error) => {
                tracing::warn!(%server, %error, "kill record of a game could not be read");
                None
            }
        }
    }

    async fn unfit(&self, game: &Arc<Game>) -> Option<Unfit> {
        let engine = &self.setup.engine;
        let asked = async {
            engine.info().await?;
            engine.is_rootless().await
        };
        let (reason, detail) = match asked.await {
            Ok(is_rootless) => {
                let why = user::why_not(game.container()?, is_rootless)?;
                ("the container engine of its host is rootless".to_owned(), why)
            }
            Err(trouble @ Trouble::Foreign(_)) => (
                "its host has another container engine than its servers".to_owned(),
                HostError::from(trouble).to_string(),
            ),
            Err(trouble) => {
                ("the container engine of its host does not answer".to_owned(), HostError::from(trouble).to_string())
            }
        };
        Some(Unfit { reason, detail })
    }

    async fn why_no_room(&self) -> Option<String> {
        match start::check_room(&self.setup).await {
            Err(HostError::Failed(why)) => Some(why),
            _ => None,
        }
    }

    fn reached_at(&self, _: &str) -> String {
        self.setup.machine.reached_at()
    }

    fn listens_at(&self) -> Option<String> {
        Some(self.setup.machine.ports.bind.clone())
    }

    fn reached_privately_at(&self, _: &str) -> String {
        container::PRIVATE.to_owned()
    }

    async fn observe(&self, server: ServerId) -> Result<Observed, HostError> {
        self.setup.observe(server).await
    }

    async fn changed(&self) {
        self.setup.changed.notified().await;
    }
}

fn delete(machine: &Machine, server: ServerId, generation: Generation) -> Result<(), HostError> {
    let dir = machine.dir(server);
    let world = dir.hold_world()?;
    let gate = dir.gate()?;
    gate.up_to_date(generation)?;
    machine.delete(server, &gate, &world)?;
    drop((gate, world));
    machine.trash.sweep();
    Ok(())
}

#[async_trait]
impl Console for ContainerHost {
    fn host(&self) -> &str {
        &self.setup.machine.name
    }

    /// Returns a longer pace, since each look is a call to the engine.
    fn pace(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn lines(&self, server: ServerId, begin: &Begin, limit: u32) -> Result<Piece, ConsoleError> {
        console::lines(&self.setup, server, begin, limit).await
    }

    async fn tell(&self, server: ServerId, command: &str) -> Result<(), ConsoleError> {
        console::tell(&self.setup, server, command).await
    }
}

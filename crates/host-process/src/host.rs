use std::sync::Arc;

use agis_base::{OperationId, ServerId};
use agis_machine::{dir::blocking, disk, room};
use agis_servers::{
    console::{Begin, Console, ConsoleError, Piece},
    game::{Game, RunsOn},
    host::{Abilities, Generation, Host, HostError, HostReport, Observed, Order, Reached, Target, Unfit},
};
use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    config::{Config, SetupError},
    console_access,
    containment::containment,
    delete, leftovers, program,
    setup::HostSetup,
    start,
    status::{Phase, Status},
    stop,
    watch::Watches,
    world_watch::WorldWatch,
};

/// Host that runs game servers as processes of this machine.
///
/// The host keeps no state in memory that matters. Any number of programs may share a data directory, and each
/// continues the work of the others.
#[derive(Debug)]
pub struct ProcessHost {
    setup: Arc<HostSetup>,
    watches: Watches,
    worlds: Arc<WorldWatch>,
}

impl ProcessHost {
    /// Checks the configuration and creates the directories.
    ///
    /// # Errors
    /// Fails if the data directory, the address or the account cannot be used.
    pub fn new(config: Config) -> Result<Self, SetupError> {
        let setup = HostSetup::new(config)?;
        setup.machine.trash.sweep();
        Ok(Self { setup: Arc::new(setup), watches: Watches::default(), worlds: Arc::default() })
    }

    /// Looks after the disk: limits of worlds that grew, and the size of the trash.
    ///
    /// # Errors
    /// Fails if the work is cut short.
    pub async fn look_after_disk(&self) -> Result<(), HostError> {
        let (setup, worlds) = (Arc::clone(&self.setup), Arc::clone(&self.worlds));
        blocking(move || {
            worlds.look(&setup.machine.root);
            setup.machine.trash.sweep();
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Host for ProcessHost {
    fn name(&self) -> &str {
        &self.setup.machine.name
    }

    fn kind(&self) -> RunsOn {
        RunsOn::Process
    }

    fn directory(&self) -> Option<Uuid> {
        Some(self.setup.machine.id)
    }

    fn abilities(&self) -> Abilities {
        Abilities::all()
    }

    async fn report(&self) -> HostReport {
        let setup = Arc::clone(&self.setup);
        let report = blocking(move || {
            let (disk, memory) = (room::disk(&setup.machine.root).ok(), room::memory().ok());
            Ok(HostReport { containment: containment(&setup), disk, memory, ..HostReport::default() })
        });
        report.await.unwrap_or_default()
    }

    async fn apply(&self, order: &Order) -> Result<Reached, HostError> {
        let Order { server, generation, operation, .. } = *order;
        let dir = self.setup.machine.dir(server);
        let (setup, begins) = (Arc::clone(&self.setup), matches!(order.target, Target::Running(_)));
        let has_directory = blocking(move || setup.machine.raise(server, generation, begins)).await?;
        tracing::debug!(%server, %operation, generation, "order accepted");
        match &order.target {
            Target::Stopped if !has_directory => Ok(Reached::Stopped),
            Target::Deleted if !has_directory => Ok(Reached::Deleted),
            Target::Running(launch) => {
                let reached = start::running(&self.setup, server, (generation, operation), launch, &order.slot).await?;
                // From now on the watch notices the server's end at once. The server runs, whatever this call returns.
                let _ = self.observe(server).await;
                Ok(reached)
            }
            Target::Stopped => {
                let below = generation.saturating_add(1);
                stop::bring_down(&dir, (generation, operation), below, &order.slot).await?;
                self.clear(server, generation).await.map(|()| Reached::Stopped)
            }
            Target::Deleted => {
                stop::bring_down(&dir, (generation, operation), generation.saturating_add(1), &order.slot).await?;
                let setup = Arc::clone(&self.setup);
                blocking(move || delete::delete(&setup, server, generation)).await.map(|()| Reached::Deleted)
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
        let (game, account) = (game.clone(), self.setup.machine.some_account());
        let found = blocking(move || {
            // A program whose path has a placeholder is known only when its server starts.
            let named = game.process().map(|process| &process.program).filter(|it| !it.contains('{'));
            Ok(named.and_then(|it| program::find(it, account).err().map(|why| why.unfit(it))))
        });
        found.await.ok().flatten()
    }

    async fn why_no_room(&self) -> Option<String> {
        let setup = self.setup.clone();
        let room = blocking(move || disk::check_reserve(&setup.machine.root, setup.machine.disk_reserve)).await;
        match room {
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

    async fn observe(&self, server: ServerId) -> Result<Observed, HostError> {
        let dir = self.setup.machine.dir(server);
        let standing =
            blocking(move || Status::standing(&dir.status()).map_err(|error| dir.unavailable(&error))).await?;
        let Some((status, shim)) = standing else {
            self.watches.forget(server);
            return Ok(Observed::Absent);
        };
        match shim {
            Some(pidfd) => self.watches.keep(server, &status.shim, pidfd),
            None => self.watches.forget(server),
        }
        let Status { generation, phase, port, ports, .. } = status;
        Ok(match phase {
            Phase::Starting => Observed::Starting { generation },
            Phase::Ready => Observed::Running { generation, endpoint: self.setup.machine.endpoint(port, ports) },
            Phase::Ended { how, good, .. } => Observed::Ended { generation, how, good },
        })
    }

    async fn clear(&self, server: ServerId, generation: Generation) -> Result<(), HostError> {
        let setup = Arc::clone(&self.setup);
        blocking(move || leftovers::clear(&setup, server, generation)).await
    }

    async fn changed(&self) {
        self.watches.fired().await;
    }
}

#[async_trait]
impl Console for ProcessHost {
    fn host(&self) -> &str {
        &self.setup.machine.name
    }

    async fn lines(&self, server: ServerId, begin: &Begin, limit: u32) -> Result<Piece, ConsoleError> {
        console_access::lines(self.setup.machine.dir(server), begin.clone(), limit).await
    }

    async fn tell(&self, server: ServerId, command: &str) -> Result<(), ConsoleError> {
        console_access::tell(self.setup.machine.dir(server), command.to_owned()).await
    }
}

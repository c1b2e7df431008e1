use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agis_base::ServerId;
use agis_servers::{
    console::{Begin, Console, ConsoleError, Piece},
    game::{Catalogue, RunsOn},
    host::{
        Abilities, Ability, Boundary, Containment, Generation, Host, HostError, HostReport, Observed, Order, Reached,
        Target,
    },
    platform::PlayerCount,
    players::{Players, Unanswered},
};
use async_trait::async_trait;
use chrono::Utc;
use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{Cluster, ask},
    config::{Config, SetupError},
    console,
    fence::{Chosen, Fence, Wanted},
    fleet::Allocator,
    gameserver::{End, GameServer, Phase, is_going},
    names, players, reaper,
    sight::Sight,
    start::Start,
    stop::bring_down,
    template,
    view::{Feed, View},
};

/// Time for which the world of a deleted server is kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Host that runs game servers on a cluster with Agones.
///
/// The host keeps no state in memory that matters. Any number of programs may serve a cluster, and each continues the
/// work of the others.
pub struct AgonesHost {
    cluster: Cluster,
    view: Arc<View>,
    feed: Mutex<Option<Feed>>,
    reaper: Sight,
    allocator: Allocator,
}

impl AgonesHost {
    /// Checks the configuration and every game's GameServer, without a call to the cluster.
    ///
    /// # Errors
    /// Fails if a name or a game's GameServer cannot be used.
    pub fn new(client: Client, config: Config, catalogue: &Catalogue) -> Result<Self, SetupError> {
        if config.name.is_empty() || names::value(&config.name) != config.name {
            return Err(SetupError::Name(config.name));
        }
        if config.fence_namespace == config.namespace {
            return Err(SetupError::FenceNamespace(config.fence_namespace));
        }
        template::check(catalogue.games().map(Arc::as_ref)).map_err(SetupError::Templates)?;
        let (view, feed) = View::new(&config);
        let reaper = reaper::sight(config.pace.reap);
        let cluster = Cluster::new(client, config);
        Ok(Self { cluster, view, feed: Mutex::new(Some(feed)), reaper, allocator: Allocator::default() })
    }

    /// Watches the cluster, and takes away objects that no order wants any more, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(feed) = feed else { return };
        let work = async { tokio::join!(feed.run(&self.cluster), reaper::run(&self.cluster, &self.reaper)) };
        stop.run_until_cancelled(work).await;
    }

    /// Checks whether the cluster answers, lets us see GameServers and fences, and is watched. Moves fences of an older
    /// version first.
    ///
    /// # Errors
    /// Fails if the cluster does not answer, or a watch or the search for orphans is in trouble.
    pub async fn ping(&self) -> Result<(), HostError> {
        self.cluster.ping().await?;
        self.view.trouble().or_else(|| self.reaper.trouble()).map_or(Ok(()), |why| Err(HostError::Unavailable(why)))
    }

    async fn observe_chosen(&self, chosen: &Chosen) -> Result<Observed, HostError> {
        let found = ask(self.cluster.gameservers.get_opt(&chosen.name)).await?.filter(|it| chosen.is(it));
        Ok(match found {
            Some(it) => {
                let phase = self.view.phase(&it);
                self.view.vouch(&it, &phase)?;
                observed(&it, phase)?
            }
            // The ended GameServer will be gone by the next look.
            None => return Err(HostError::Unavailable("what stands in the cluster is changing".into())),
        })
    }

    /// Returns the newest GameServer of a server, from the cluster or from the last report of the watch.
    async fn newest(&self, server: ServerId) -> Result<Option<Newest>, HostError> {
        let generation = |it: &Arc<GameServer>| names::generation(&**it);
        if let Some(gameserver) = self.view.of(server).into_iter().max_by_key(generation) {
            return Ok(Some(Newest { gameserver, is_remembered: true }));
        }
        // A watch may be late with a new GameServer, or have reported nothing yet.
        let asked = self.cluster.of(server).await?.into_iter().map(Arc::new).max_by_key(generation);
        Ok(asked.map(|gameserver| Newest { gameserver, is_remembered: false }))
    }
}

/// Newest GameServer of a server.
struct Newest {
    gameserver: Arc<GameServer>,
    /// Whether it comes from the last report of the watch, however old.
    is_remembered: bool,
}

fn observed(gameserver: &GameServer, phase: Phase) -> Result<Observed, HostError> {
    let generation = names::generation(gameserver).unwrap_or_default();
    Ok(match phase {
        Phase::Starting => Observed::Starting { generation },
        Phase::Running(endpoint) => Observed::Running { generation, endpoint },
        Phase::Ended(end) => end.observed(generation),
        Phase::Unreadable(why) => return Err(HostError::Unavailable(why)),
    })
}

#[async_trait]
impl Console for AgonesHost {
    fn host(&self) -> &str {
        &self.cluster.name
    }

    /// Returns a longer pace, since each look is a call to the API server, and from there to a kubelet.
    fn pace(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn lines(&self, server: ServerId, begin: &Begin, limit: u32) -> Result<Piece, ConsoleError> {
        let newest = self.newest(server).await?;
        console::lines(&self.cluster, newest.as_ref().map(|it| &*it.gameserver), begin, limit).await
    }

    async fn tell(&self, _: ServerId, _: &str) -> Result<(), ConsoleError> {
        Err(ConsoleError::Mute)
    }
}

#[async_trait]
impl PlayerCount for AgonesHost {
    /// Reads the last report of the watch: the cluster tells of each change.
    async fn players(&self, server: ServerId, generation: Generation) -> Result<Players, Unanswered> {
        self.view.is_fresh().map_err(|error| Unanswered(error.to_string()))?;
        let runs = |it: &Arc<GameServer>| {
            names::generation(&**it) == Some(generation) && matches!(self.view.phase(it), Phase::Running(_))
        };
        let running: Vec<_> = self.view.of(server).into_iter().filter(runs).collect();
        match running.as_slice() {
            [gameserver] => players::of(gameserver),
            // Of two, one is about to be taken away, and has no players.
            all => Err(Unanswered(format!("it has {} GameServers that run", all.len()))),
        }
    }
}

#[async_trait]
impl Host for AgonesHost {
    fn name(&self) -> &str {
        &self.cluster.name
    }

    fn kind(&self) -> RunsOn {
        RunsOn::Agones
    }

    fn abilities(&self) -> Abilities {
        let commands = "a cluster passes no commands on; use the game's own remote console, if it has one";
        let past =
            "a cluster keeps a console only as long as its game runs; the cluster's own log collection may have it";
        let files = "a cluster writes no files of the catalogue; choose a game whose image takes settings as variables";
        Abilities::default()
            .with(Ability::Console)
            .without(Ability::PastConsole, past)
            .without(Ability::Commands, commands)
            .without(Ability::Files, files)
    }

    async fn report(&self) -> HostReport {
        let limits =
            "AGIS sets the limits of a `container` alone: set resources.limits in a GameServer of the catalogue";
        let containment = Containment::default()
            .with(Boundary::Processes, "a pod for each run")
            .with(Boundary::Files, "a container for each run")
            .without(Boundary::Memory, limits)
            .without(Boundary::Cpu, limits);
        HostReport { containment, ..HostReport::default() }
    }

    async fn apply(&self, order: &Order) -> Result<Reached, HostError> {
        let Order { server, generation, operation, .. } = *order;
        let wanted = Wanted::of(&order.target);
        let kept = (wanted == Wanted::Deleted).then(|| Utc::now() + KEPT);
        let held = self.cluster.raise(server, generation, wanted, kept).await?;
        tracing::debug!(%server, %operation, generation, "order accepted");
        match &order.target {
            Target::Running(launch) => {
                let Self { cluster, view, allocator, .. } = self;
                let start =
                    Start { cluster, view, allocator, server, generation, operation, launch, slot: &order.slot };
                start.run(held).await
            }
            Target::Stopped => {
                bring_down(&self.cluster, &self.view, server, generation, &order.slot).await?;
                Ok(Reached::Stopped)
            }
            Target::Deleted => {
                bring_down(&self.cluster, &self.view, server, generation, &order.slot).await?;
                Ok(Reached::Deleted)
            }
        }
    }

    async fn observe(&self, server: ServerId) -> Result<Observed, HostError> {
        if let Some(Newest { gameserver, is_remembered }) = self.newest(server).await? {
            let phase = self.view.phase(&gameserver);
            // An end is final, however old the report of it.
            let Phase::Ended(_) = phase else {
                if is_remembered {
                    self.view.is_fresh()?;
                }
                self.view.vouch(&gameserver, &phase)?;
                return observed(&gameserver, phase);
            };
            // A GameServer that lost against another of its generation ends too, without players.
            let chosen = self.cluster.fence(server).await?.and_then(|fence| fence.chosen);
            return match chosen.filter(|chosen| !chosen.is(&gameserver)) {
                Some(chosen) => self.observe_chosen(&chosen).await,
                None => observed(&gameserver, phase),
            };
        }
        Ok(match self.cluster.fence(server).await? {
            Some(Fence { generation, wanted: Wanted::Running, chosen: Some(chosen) }) => {
                // The task that watches for a good end knows of it already.
                let gone = || End::crash("its game server is gone from the cluster, and nobody saw how it ended");
                self.view.end(server, generation, &chosen).unwrap_or_else(gone).observed(generation)
            }
            _ => Observed::Absent,
        })
    }

    /// Returns the generation's GameServers, ended ones too. A GameServer that a Fleet gave to another server meanwhile
    /// does not count.
    async fn clear(&self, server: ServerId, generation: Generation) -> Result<(), HostError> {
        for gameserver in self.cluster.of(server).await? {
            let is_over = matches!(self.view.phase(&gameserver), Phase::Ended(_)) && !is_going(&gameserver);
            if names::generation(&gameserver) == Some(generation)
                && is_over
                && !self.cluster.delete_unchanged(&self.cluster.gameservers, &gameserver).await?
            {
                return Err(HostError::Unavailable("what stands in the cluster is changing".into()));
            }
        }
        Ok(())
    }

    async fn changed(&self) {
        self.view.changed().await;
    }
}

//! From an order to a GameServer that is ready for players.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use agis_base::{OperationId, ServerId};
use agis_servers::host::{Endpoint, Generation, HostError, Launch};
use kube::{ResourceExt, api::PostParams};

use crate::{
    cluster::{CONFLICT, Cluster, Trouble, ask},
    fence::{Chosen, Fence},
    fleet,
    gameserver::{self, GameServer, Phase},
    names,
    stop::{bring_down, take_away},
    template::Template,
    view::View,
};

/// The longest time between two looks: what the watch did not tell of is found by then.
const LOOK: Duration = Duration::from_secs(5);

/// One order to run.
pub(crate) struct Start<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) view: &'a View,
    pub(crate) templates: &'a BTreeMap<String, Template>,
    pub(crate) server: ServerId,
    pub(crate) generation: Generation,
    pub(crate) operation: OperationId,
    pub(crate) launch: &'a Launch,
}

impl Start<'_> {
    /// Returns once players can join. `fence` is that of this generation.
    pub(crate) async fn run(&self, fence: Fence) -> Result<Endpoint, HostError> {
        let chosen = match fence.chosen {
            Some(chosen) => chosen,
            None => self.choose().await?,
        };
        self.until_ready(&chosen).await
    }

    /// Makes a GameServer, or finds the one that an earlier attempt made, and has it stand in the fence.
    async fn choose(&self) -> Result<Chosen, HostError> {
        let before = self.generation - 1;
        bring_down(self.cluster, self.view.changes(), self.server, before).await?;
        let made = match (&self.launch.game.fleet, self.templates.get(&self.launch.game.key)) {
            (Some(fleet), _) => self.allocated(fleet).await?,
            (None, Some(template)) => self.created(template.clone()).await?,
            (None, None) => {
                let game = &self.launch.game.key;
                return Err(HostError::Failed(format!("the game '{game}' is not made for Agones")));
            }
        };
        match self.cluster.choose(self.server, self.generation, &made).await {
            Ok(Fence { chosen: Some(chosen), .. }) if chosen.is(&made) => Ok(chosen),
            Ok(fence) => {
                // Another attempt was quicker.
                self.cluster.delete(&self.cluster.gameservers, &made).await?;
                fence.chosen.ok_or_else(|| HostError::Unavailable("the server changed meanwhile".into()))
            }
            Err(error) => {
                if matches!(error, HostError::Stale { .. }) {
                    self.cluster.delete(&self.cluster.gameservers, &made).await?;
                }
                Err(error)
            }
        }
    }

    async fn created(&self, template: Template) -> Result<GameServer, HostError> {
        if let Some(world) = &self.launch.game.world {
            self.cluster.keep_world(self.server, world).await?;
        }
        let gameserver = template.gameserver(self.launch, self.server, self.generation, self.labels());
        let api = &self.cluster.gameservers;
        match ask(api.create(&PostParams::default(), &gameserver)).await {
            Ok(made) => Ok(made),
            // By an earlier attempt, or at the same time.
            Err(Trouble::Refused { code: CONFLICT, .. }) => {
                let found = ask(api.get_opt(&gameserver.name_any())).await?;
                let gone = || HostError::Unavailable("an earlier game server is still being taken away".to_owned());
                let is_usable = |found: &GameServer| names::server(found) == Some(self.server) && !is_going(found);
                found.filter(is_usable).ok_or_else(gone)
            }
            Err(trouble) => Err(trouble.into()),
        }
    }

    async fn allocated(&self, fleet: &str) -> Result<GameServer, HostError> {
        let all = self.cluster.of(self.server).await?;
        let mut earlier: Vec<_> =
            all.into_iter().filter(|it| names::generation(it) == Some(self.generation) && !is_going(it)).collect();
        earlier.sort_by_key(ResourceExt::name_any);
        match earlier.into_iter().next() {
            Some(dangling) => Ok(dangling),
            None => fleet::allocate(self.cluster, fleet, self.launch, self.labels()).await,
        }
    }

    fn labels(&self) -> names::Words {
        names::of_generation(&self.cluster.name, self.server, self.generation, self.operation)
    }

    async fn until_ready(&self, chosen: &Chosen) -> Result<Endpoint, HostError> {
        let within = self.launch.game.ready.within();
        let until = Instant::now() + within;
        let mut changes = self.view.changes();
        loop {
            changes.mark_unchanged();
            let found = ask(self.cluster.gameservers.get_opt(&chosen.name)).await?.filter(|it| chosen.is(it));
            let Some(gameserver) = found else {
                return Err(HostError::Failed("its game server is gone from the cluster".into()));
            };
            match self.phase(&gameserver).await? {
                Phase::Running(endpoint) => return Ok(endpoint),
                Phase::Ended(how) => {
                    self.take_down(gameserver).await?;
                    return Err(HostError::Failed(how));
                }
                Phase::Starting if Instant::now() >= until => {
                    let why = self.waits_for(&gameserver).await;
                    self.take_down(gameserver).await?;
                    return Err(HostError::Failed(format!("not ready within {} s: {why}", within.as_secs())));
                }
                Phase::Starting => {}
            }
            let left = until.saturating_duration_since(Instant::now()).min(LOOK);
            let _ = tokio::time::timeout(left, changes.changed()).await;
        }
    }

    async fn phase(&self, gameserver: &GameServer) -> Result<Phase, HostError> {
        let pod = match gameserver::is_ready_by_pod(gameserver) {
            true => ask(self.cluster.pods.get_opt(&gameserver.name_any())).await?,
            false => None,
        };
        Ok(gameserver::phase(gameserver, pod.as_ref()))
    }

    /// What keeps it from getting ready, as far as the cluster says.
    async fn waits_for(&self, gameserver: &GameServer) -> String {
        let state = gameserver.status.as_ref().map(|status| status.state.as_str()).unwrap_or_default();
        let pod = ask(self.cluster.pods.get_opt(&gameserver.name_any())).await.ok().flatten();
        match pod.as_ref().and_then(gameserver::waits_for) {
            Some(why) => format!("it is {state}; {why}"),
            None => format!("it is {state}"),
        }
    }

    async fn take_down(&self, gameserver: GameServer) -> Result<(), HostError> {
        take_away(self.cluster, self.view.changes(), &[gameserver]).await
    }
}

fn is_going(gameserver: &GameServer) -> bool {
    gameserver.metadata.deletion_timestamp.is_some()
}

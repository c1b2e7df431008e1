//! Turns an order into a GameServer that is ready for players.

use std::{sync::Arc, time::Instant};

use agis_base::{OperationId, ServerId};
use agis_servers::{
    game::{Container, GamePort, Runs, World},
    host::{Generation, HostError, Launch, Reached, Slot},
};
use kube::{ResourceExt, api::PostParams};
use tokio::time::timeout;

use crate::{
    cluster::{CONFLICT, Cluster, Trouble, ask},
    entry::{self, Site},
    fence::{Chosen, Fence, Held},
    fleet::{self, Allocator},
    gameserver::{self, End, GameServer, Phase, is_going},
    names,
    ready::{self, Sign},
    stop::{bring_down, take_away},
    template::Template,
    view::{Looks, Seen, View},
};

/// Order to run.
pub(crate) struct Start<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) view: &'a View,
    pub(crate) allocator: &'a Allocator,
    pub(crate) server: ServerId,
    pub(crate) generation: Generation,
    pub(crate) operation: OperationId,
    pub(crate) launch: &'a Launch,
    pub(crate) slot: &'a Slot,
}

impl Start<'_> {
    /// Returns once players can join, or once their game has ended well. `held` is the fence of this generation.
    pub(crate) async fn run(&self, held: Held) -> Result<Reached, HostError> {
        match held.fence.chosen.clone() {
            Some(chosen) => {
                self.hand_over_secrets(&chosen, None).await?;
                self.until_ready(&chosen, None).await
            }
            None => {
                let made = self.make().await?;
                let chosen = self.choose(held, &made).await?;
                let made = Some(made).filter(|made| chosen.is(made));
                self.hand_over_secrets(&chosen, made.as_ref()).await?;
                self.until_ready(&chosen, made).await
            }
        }
    }

    /// Makes a GameServer, or finds the one of an earlier attempt.
    async fn make(&self) -> Result<GameServer, HostError> {
        let standing = bring_down(self.cluster, self.view, self.server, self.generation - 1, self.slot).await?;
        // The wait for the end of the old run took no slot. The start takes one.
        self.slot.take_again().await;
        let game = &self.launch.game;
        match &game.runs {
            Runs::Fleet(fleet) => self.allocated(fleet, standing).await,
            Runs::GameServer { yaml, world } => {
                let template = Template::parse(yaml)
                    .map_err(|why| HostError::Failed(format!("the gameserver of the game '{}' {why}", game.key)))?;
                self.created(template.with_world(world.as_ref(), self.server), world.as_ref()).await
            }
            Runs::Container(container) => {
                let ports = match container.has_public_ports {
                    true => self.cluster.free_ports(game, self.server).await?,
                    false => game.ports.clone(),
                };
                let template = entry::template(&self.site(container, &ports));
                self.created(template, entry::world(game, container).as_ref()).await
            }
            Runs::Process(_) => Err(HostError::Failed(format!("the game '{}' is not made for Agones", game.key))),
        }
    }

    fn site<'b>(&'b self, container: &'b Container, ports: &'b [GamePort]) -> Site<'b> {
        Site { launch: self.launch, container, server: self.server, generation: self.generation, ports }
    }

    /// Gives the game's secrets to the pod, which waits for them. `made` is the GameServer, if it is at hand.
    async fn hand_over_secrets(&self, chosen: &Chosen, made: Option<&GameServer>) -> Result<(), HostError> {
        let Runs::Container(container) = &self.launch.game.runs else { return Ok(()) };
        let found = match made {
            Some(_) => None,
            None => self.look(chosen).await?,
        };
        // A missing object needs nothing.
        let Some(gameserver) = made.or(found.as_ref().map(|(found, _)| &**found)) else { return Ok(()) };
        let ports = entry::read_ports(&self.launch.game, &gameserver.spec);
        let secrets = entry::secrets(&self.site(container, &ports));
        self.cluster.keep_secret(chosen, self.labels(), &secrets).await
    }

    /// Writes a GameServer into the fence, unless another attempt was quicker.
    async fn choose(&self, held: Held, made: &GameServer) -> Result<Chosen, HostError> {
        match self.cluster.choose(self.server, self.generation, held, made).await {
            Ok(Fence { chosen: Some(chosen), .. }) if chosen.is(made) => Ok(chosen),
            Ok(fence) => {
                self.cluster.delete(&self.cluster.gameservers, made).await?;
                fence.chosen.ok_or_else(|| HostError::Unavailable("the server changed meanwhile".into()))
            }
            Err(error) => {
                if matches!(error, HostError::Stale { .. }) {
                    self.cluster.delete(&self.cluster.gameservers, made).await?;
                }
                Err(error)
            }
        }
    }

    async fn created(&self, template: Template, world: Option<&World>) -> Result<GameServer, HostError> {
        if let Some(world) = world {
            self.cluster.keep_world(self.server, world).await?;
        }
        let gameserver = template.gameserver(self.launch, self.server, self.generation, self.labels());
        let api = &self.cluster.gameservers;
        match ask(api.create(&PostParams::default(), &gameserver)).await {
            Ok(made) => Ok(made),
            // An earlier or simultaneous attempt made it.
            Err(Trouble::Refused { code: CONFLICT, .. }) => {
                let name = gameserver.name_any();
                match ask(api.get_opt(&name)).await? {
                    Some(found) if !self.is_of_this(&found) => Err(HostError::Unavailable(format!(
                        "the GameServer {name} is somebody else's: an operator has to delete it, or give it another name"
                    ))),
                    Some(found) if !is_going(&found) => Ok(found),
                    _ => Err(HostError::Unavailable("an earlier game server is still being taken away".to_owned())),
                }
            }
            Err(trouble) => Err(trouble.of_making()),
        }
    }

    /// Takes the GameServer that an earlier attempt for this generation left in `standing`, or allocates one.
    async fn allocated(&self, fleet: &str, standing: Vec<GameServer>) -> Result<GameServer, HostError> {
        let is_usable = |it: &GameServer| self.is_of_this(it) && !is_going(it);
        match standing.into_iter().filter(is_usable).min_by_key(ResourceExt::name_any) {
            Some(dangling) => Ok(dangling),
            None => fleet::allocate(self.cluster, self.allocator, fleet, self.launch, self.labels()).await,
        }
    }

    /// Checks whether an attempt of this host made it for this generation.
    fn is_of_this(&self, gameserver: &GameServer) -> bool {
        let is_ours = gameserver.labels().get(names::HOST) == Some(&self.cluster.name);
        is_ours
            && names::server(gameserver) == Some(self.server)
            && names::generation(gameserver) == Some(self.generation)
    }

    fn labels(&self) -> names::Words {
        names::of_generation(&self.cluster.name, self.server, self.generation, self.operation)
    }

    /// Waits for the watch's reports of this GameServer, and asks the cluster if there is none. `known` is the
    /// GameServer as of a moment ago.
    async fn until_ready(&self, chosen: &Chosen, known: Option<GameServer>) -> Result<Reached, HostError> {
        let within = self.launch.game.ready.within();
        let until = Instant::now() + within;
        let (mut changes, mut looks) = (self.view.follow(&chosen.name), Looks::new(self.cluster.pace));
        let mut sign = Sign::of(&self.launch.game.ready.when);
        let mut known = known.map(|made| (Arc::new(made), None));
        let mut is_due = false;
        loop {
            changes.mark_seen();
            // Reports from before the subscription are newer than the answer to the creation.
            let made = known.take();
            let seen = self.view.seen(chosen).filter(|_| !is_due).or(made);
            let Some((gameserver, pod)) = (match seen {
                Some(seen) => Some(seen),
                None => self.look(chosen).await?,
            }) else {
                return Err(HostError::Failed("its game server is gone from the cluster".into()));
            };
            let phase = gameserver::phase(&gameserver, pod.as_deref());
            let runs = matches!(phase, Phase::Running(_));
            let is_ready = runs && sign.has_come(self.cluster, &gameserver).await?;
            match phase {
                Phase::Running(endpoint) if is_ready => return Ok(Reached::Running(endpoint)),
                Phase::Ended(End { how, good }) => {
                    self.take_down(&gameserver).await?;
                    return match good && gameserver::was_ready(&gameserver) {
                        true => Ok(Reached::Ended(how)),
                        false => Err(HostError::Failed(how)),
                    };
                }
                Phase::Running(_) | Phase::Starting | Phase::Unreadable(_) if Instant::now() >= until => {
                    let why = self.waits_for(&gameserver).await;
                    self.take_down(&gameserver).await?;
                    return Err(HostError::Failed(format!("not ready within {} s: {why}", within.as_secs())));
                }
                Phase::Running(_) | Phase::Starting | Phase::Unreadable(_) => {}
            }
            self.slot.leave();
            // Nobody tells of a sign on the console.
            let patience = if runs { ready::LOOK } else { within };
            is_due = timeout(patience, changes.or_look(&mut looks, until)).await.unwrap_or_default();
        }
    }

    /// Returns the present GameServer, and its pod if that counts.
    async fn look(&self, chosen: &Chosen) -> Result<Option<Seen>, HostError> {
        let found = ask(self.cluster.gameservers.get_opt(&chosen.name)).await?.filter(|it| chosen.is(it));
        let Some(gameserver) = found else { return Ok(None) };
        let pod = match gameserver::is_ready_by_pod(&gameserver) {
            true => ask(self.cluster.pods.get_opt(&chosen.name)).await?,
            false => None,
        };
        Ok(Some((Arc::new(gameserver), pod.map(Arc::new))))
    }

    /// Returns the reason why it does not get ready, as far as the cluster tells.
    async fn waits_for(&self, gameserver: &GameServer) -> String {
        let state = gameserver::state(gameserver);
        let pod = ask(self.cluster.pods.get_opt(&gameserver.name_any())).await.ok().flatten();
        match pod.as_ref().and_then(gameserver::waits_for) {
            Some(why) => format!("it is {state}; {why}"),
            None => format!("it is {state}"),
        }
    }

    async fn take_down(&self, gameserver: &GameServer) -> Result<(), HostError> {
        take_away(self.cluster, self.view, std::slice::from_ref(gameserver), self.slot).await
    }
}

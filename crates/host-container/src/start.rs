//! Starts a server and waits until players can join.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agis_base::{OperationId, Reason, ServerId};
use agis_machine::{
    boot,
    dir::{ServerDir, blocking},
    disk,
};
use agis_servers::{
    game::Container,
    host::{Generation, HostError, Launch, OpenPort, Progress, Reached, Slot},
};
use bollard::query_parameters::CreateContainerOptionsBuilder;
use chrono::Utc;
use tokio::time::sleep;

use crate::{
    container::{self, Site},
    ending::End,
    engine::Trouble,
    host::Setup,
    image::PullProgress,
    network,
    ready::Sign,
    record::{self, Run},
    seen::{Seen, State},
    stop::{Ending, remove},
    user::{self, RunAs},
    world,
};

/// Times between two looks at a server that is not ready. Looks become rarer, since many may wait.
const POLL: Duration = Duration::from_millis(50);
const POLL_MAX: Duration = Duration::from_secs(1);
const POLL_SHARE: u32 = 20;

/// Order to run a server.
pub(crate) struct Start<'a> {
    pub(crate) setup: &'a Arc<Setup>,
    pub(crate) server: ServerId,
    pub(crate) generation: Generation,
    pub(crate) operation: OperationId,
    pub(crate) launch: &'a Launch,
    pub(crate) slot: &'a Slot,
    pub(crate) progress: &'a Progress,
}

/// World and ports of a run.
struct Prepared {
    ports: Vec<OpenPort>,
    inner: Vec<OpenPort>,
    run_as: RunAs,
}

impl Start<'_> {
    /// Starts the server at this generation, unless it has been started, and waits until players can join.
    pub(crate) async fn run(&self) -> Result<Reached, HostError> {
        self.ending("stopped").bring_down(self.generation, self.slot).await?;
        // The wait for the end of the old run took no slot. The start takes one.
        self.slot.take_again().await;
        let run = match self.recorded().await? {
            Some(run) => run,
            None => match self.create().await {
                Ok(run) => run,
                // Another program with the same order may have been faster, and its container has the ports.
                Err(error) => self.recorded().await?.ok_or(error)?,
            },
        };
        self.slot.leave();
        self.until_ready(run).await
    }

    /// Returns the record of this run, once one program has begun it.
    async fn recorded(&self) -> Result<Option<Run>, HostError> {
        Ok(self.setup.record(self.server).await?.filter(|run| run.generation >= self.generation))
    }

    fn ending<'b>(&'b self, why: &'b str) -> Ending<'b> {
        let (setup, server, generation) = (self.setup, self.server, self.generation);
        Ending { setup, server, generation, operation: Some(self.operation), why }
    }

    /// Creates the container, and records it. The container does not run yet.
    async fn create(&self) -> Result<Run, HostError> {
        let game = &self.launch.game;
        let container = game
            .container()
            .ok_or_else(|| HostError::Failed(format!("the game '{}' does not run as a container", game.key)))?;
        let machine = &self.setup.machine;
        check_room(self.setup).await?;
        let engine = (self.setup.engine.brand().await?, self.setup.engine.is_rootless().await?);
        let run_as = user::of(machine, self.server, container, engine)?;
        // A pull may take an hour, and only waits.
        self.slot.leave();
        let image = {
            let say = |pull: PullProgress| self.progress.say(pull.to_string());
            self.setup.images.ensure(&container.image, &say).await?
        };
        self.slot.take_again().await;
        self.progress.image(image.digest.clone());
        let prepared = self.prepare(container, run_as).await?;
        self.make_room().await?;
        let network = network::ensure(self.setup, self.server, self.generation).await?;
        let site = Site {
            setup: self.setup,
            server: self.server,
            generation: self.generation,
            operation: self.operation,
            run_as: prepared.run_as,
            ports: &prepared.ports,
            inner: &prepared.inner,
            image: image.id,
            network,
            brand: engine.0,
        };
        let id = self.created(container, &site).await?;
        self.record(Run {
            generation: self.generation,
            operation: self.operation,
            container: id,
            image: image.digest,
            inner_port: prepared.inner.first().map_or(0, |port| port.port),
            ports: prepared.ports,
            ready: game.ready.clone(),
            stop: game.stop.clone(),
            good_exits: game.good_exits.clone(),
            pty: game.pty,
            memory: game.limits.memory,
            disk: game.limits.disk,
            has_layer: !container.is_read_only,
            boot: None,
            was_ready: false,
            was_told_to_end: false,
            asked: None,
            was_killed: false,
            end: None,
        })
        .await
    }

    /// Removes the ended container of the last run, which has the name, and its network.
    async fn make_room(&self) -> Result<(), HostError> {
        if let Some(seen) = self.setup.look(self.server).await?.filter(|seen| seen.generation < self.generation) {
            remove(self.setup, &seen.id).await?;
        }
        network::remove(self.setup, self.server, self.generation.saturating_sub(1)).await;
        Ok(())
    }

    /// Claims the ports behind the gate, and prepares the world. A stop does not wait for the world.
    async fn prepare(&self, container: &Container, run_as: RunAs) -> Result<Prepared, HostError> {
        let (setup, server, generation) = (Arc::clone(self.setup), self.server, self.generation);
        let (launch, container) = (self.launch.clone(), container.clone());
        blocking(move || {
            let dir = setup.machine.dir(server);
            let world = dir.hold_world()?;
            let ports = claim(&setup, server, generation, &launch)?;
            disk::check_world(&dir.world(), launch.game.limits.disk)?;
            if let Some(other) =
                run_as.owner.and_then(|_| setup.machine.shares_account(server)).filter(|_| container.user.is_none())
            {
                let why = format!("this server would share its account with server {other}: widen GAME_UIDS");
                return Err(HostError::Failed(why));
            }
            let inner = container::inner_ports(&launch.game, &container, &ports);
            let files = container::values(&launch, &inner).files(&launch.game)?;
            world::prepare(&setup, &dir, &container, &run_as, files)?;
            drop(world);
            Ok(Prepared { ports, inner, run_as })
        })
        .await
    }

    /// Creates the container and returns its id, or that of the one which an earlier try created.
    async fn created(&self, container: &Container, site: &Site<'_>) -> Result<String, HostError> {
        let body = container::body(self.launch, container, site)?;
        let name = self.setup.name_of(self.server);
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let created = self.setup.engine.work(async |docker| docker.create_container(Some(options), body).await).await;
        let trouble = match created {
            Ok(created) => return Ok(created.id),
            Err(trouble) => trouble,
        };
        // The answer of this call or of an earlier one may have been lost.
        match self.setup.look(self.server).await? {
            Some(seen) if seen.generation == self.generation => Ok(seen.id),
            Some(seen) if seen.generation > self.generation => Err(HostError::Stale { seen: seen.generation }),
            // A call of an overtaken order came late, and the next try removes its container.
            Some(_) => Err(HostError::Unavailable("an earlier container of this server is still there".to_owned())),
            None => Err(match trouble {
                // Docker reserves a name before it shows the container: another program creates it at this moment.
                Trouble::Refused { code: 409, .. } => {
                    HostError::Unavailable("its container is just being created".to_owned())
                }
                Trouble::Refused { why, .. } => HostError::Failed(refusal("create", &why)),
                trouble => trouble.into(),
            }),
        }
    }

    /// Records the run behind the gate. A container of an overtaken order is removed, and never runs.
    async fn record(&self, run: Run) -> Result<Run, HostError> {
        let (dir, generation) = (self.setup.machine.dir(self.server), self.generation);
        let (id, recorded) = (run.container.clone(), run.clone());
        let recording = blocking(move || {
            // Another program with this order may be preparing the world, in which the game would run.
            let _world = dir.hold_world()?;
            let gate = dir.gate()?;
            gate.up_to_date(generation)?;
            if let Some(other) = Run::read(&dir)?.filter(|other| other.generation >= generation) {
                return Ok(other);
            }
            gate.note_asked(None)?;
            recorded.write(&gate)?;
            Ok(recorded)
        });
        match recording.await {
            Err(error @ HostError::Stale { .. }) => {
                if let Err(trouble) = remove(self.setup, &id).await {
                    tracing::warn!(server = %self.server, ?trouble, "container of an overtaken order stays for now");
                }
                Err(error)
            }
            done => done,
        }
    }

    /// Starts the container, and waits until players can join.
    async fn until_ready(&self, mut run: Run) -> Result<Reached, HostError> {
        let (began, mut sign) = (Instant::now(), Sign::default());
        loop {
            if let Some(end) = &run.end {
                return ended(&run, end);
            }
            let seen = self.look(&run).await?;
            match &seen {
                None => {
                    let end = self.setup.settle(&run, None, self.server).await?;
                    return ended(&run, &end);
                }
                Some(Seen { state: State::Ended(_), .. }) => {
                    let end = self.setup.settle(&run, seen.as_ref(), self.server).await?;
                    return ended(&self.reread(run).await?, &end);
                }
                Some(Seen { state: State::Created, id, .. }) => self.begin(id, &run).await?,
                Some(seen @ Seen { state: State::Running(live), .. }) => {
                    if run.was_ready || sign.has_come(self.setup, &run, seen, live).await? {
                        self.note_ready().await?;
                        return Ok(Reached::Running(run.endpoint(self.setup)));
                    }
                    if (Utc::now() - live.since).to_std().is_ok_and(|age| age > run.ready.within()) {
                        return Err(self.give_up(&run, seen).await?);
                    }
                }
            }
            sleep((began.elapsed() / POLL_SHARE).clamp(POLL, POLL_MAX)).await;
            run = self.reread(run).await?;
        }
    }

    /// Returns the container of the run. Fails if a newer order has come.
    async fn look(&self, run: &Run) -> Result<Option<Seen>, HostError> {
        let (dir, generation) = (self.setup.machine.dir(self.server), self.generation);
        blocking(move || fresh(&dir, generation)).await?;
        Ok(self.setup.look(self.server).await?.filter(|seen| seen.id == run.container))
    }

    async fn reread(&self, run: Run) -> Result<Run, HostError> {
        Ok(self.setup.record(self.server).await?.filter(|it| it.generation == run.generation).unwrap_or(run))
    }

    /// Has the engine start the container. A call that comes late finds the container removed or running.
    async fn begin(&self, id: &str, run: &Run) -> Result<(), HostError> {
        let (dir, generation) = (self.setup.machine.dir(self.server), run.generation);
        blocking(move || {
            let boot = boot::id().map_err(|error| dir.unavailable(&error))?;
            record::change(&dir, generation, |run| run.boot = Some(boot)).map(drop)
        })
        .await?;
        let started = self.setup.engine.work(async |docker| docker.start_container(id, None).await).await;
        // "Not found" may be about a part of the container, such as its network, which never comes back.
        let is_there = match &started {
            Err(Trouble::Refused { .. }) => self.look(run).await?.is_some(),
            _ => false,
        };
        match started {
            Err(Trouble::Refused { why, .. }) if is_there => {
                let how = refusal("start", &why);
                let dir = self.setup.machine.dir(self.server);
                let (generation, end) = (run.generation, End::asked(how.clone()));
                blocking(move || record::change(&dir, generation, |run| run.end = Some(end))).await?;
                // Otherwise somebody could start it by hand.
                remove(self.setup, id).await?;
                Err(HostError::Failed(how))
            }
            // The container is gone, and the next look says so.
            Err(Trouble::Refused { .. }) => Ok(()),
            other => Ok(other?),
        }
    }

    async fn note_ready(&self) -> Result<(), HostError> {
        let (dir, generation) = (self.setup.machine.dir(self.server), self.generation);
        blocking(move || record::change(&dir, generation, |run| run.was_ready = true).map(drop)).await
    }

    /// Takes down a server that is not ready in time, and returns the reason.
    async fn give_up(&self, run: &Run, seen: &Seen) -> Result<HostError, HostError> {
        let mut why = format!("not ready within {} s", run.ready.within_s);
        if let Some(words) = crate::console::last_words(self.setup, seen).await {
            why = format!("{why}; its last words: {words}");
        }
        self.ending(&why).bring_down(self.generation.saturating_add(1), self.slot).await?;
        let run = self.reread(run.clone()).await?;
        Ok(HostError::Failed(run.end.map_or(why, |end| end.how)))
    }
}

/// Claims the ports of a server, behind the gate. Fails if a newer order has come, or another program has begun this one.
fn claim(setup: &Setup, server: ServerId, generation: Generation, launch: &Launch) -> Result<Vec<OpenPort>, HostError> {
    let (machine, dir) = (&setup.machine, setup.machine.dir(server));
    let gate = dir.gate()?;
    gate.up_to_date(generation)?;
    if Run::read(&dir)?.is_some_and(|run| run.generation >= generation) {
        return Err(HostError::Unavailable("another program has begun this start".to_owned()));
    }
    let wrong = |error| dir.unavailable(&error);
    let had = dir.ports().map_err(wrong)?;
    let ports = machine.ports.claim(server, had.first().copied(), &launch.game.ports)?;
    let claimed: Vec<_> = ports.iter().map(|port| port.port).collect();
    dir.keep_ports(&claimed).map_err(wrong)?;
    // The catalogue may name fewer ports than before.
    for port in had.iter().filter(|port| !claimed.contains(port)) {
        machine.ports.release(server, *port).map_err(wrong)?;
    }
    Ok(ports)
}

fn fresh(dir: &ServerDir, generation: Generation) -> Result<(), HostError> {
    match dir.seen()? {
        Some(seen) if seen > generation => Err(HostError::Stale { seen }),
        _ => Ok(()),
    }
}

fn ended(run: &Run, end: &End) -> Result<Reached, HostError> {
    match end {
        End { how, good: true, .. } if run.was_ready => Ok(Reached::Ended(how.clone())),
        End { how, crashed: true, .. } => Err(HostError::Crashed(how.clone())),
        End { how, .. } => Err(HostError::Failed(how.clone())),
    }
}

fn refusal(verb: &str, why: &str) -> String {
    Reason::new(format!("the container engine cannot {verb} its container: {why}")).to_string()
}

/// Refuses a start on a disk without its reserve: that of the data directory, and that of the engine.
pub(crate) async fn check_room(setup: &Setup) -> Result<(), HostError> {
    let (machine, info) = (&setup.machine, setup.engine.info().await?);
    disk::check_reserve(&machine.root, machine.disk_reserve)?;
    let engine_root = info.docker_root_dir.clone().unwrap_or_default();
    disk::check_other(engine_root.as_ref(), "the container engine", machine.disk_reserve)
}

//! The hosts that this process serves.

use std::{sync::Arc, time::Duration};

use agis_host_agones::AgonesHost;
use agis_host_container::ContainerHost;
use agis_host_process::ProcessHost;
use agis_runtime::{Health, Loop};
use agis_servers::{
    console::{Console, Reach},
    game::Catalogue,
    host::Host,
    platform::PlayerCount,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{cli::Failure, rcon::HostRcon};

/// Interval between two looks at the worlds of a machine.
const DISK: Duration = Duration::from_secs(60);
/// Interval between two checks of the cluster.
const PING: Duration = Duration::from_secs(5);

/// A host of games. The program fills it from its environment.
pub(crate) enum Config {
    Process(agis_host_process::Config),
    Container(agis_host_container::Config),
    Agones(agis_host_agones::Config),
}

/// A served host, by the kinds that differ in their loops.
enum Served {
    Process(Arc<ProcessHost>),
    Container(Arc<ContainerHost>),
    Agones(Arc<AgonesHost>),
}

/// A host, and the ways to its games.
pub(crate) struct Parts {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) console: Arc<dyn Console>,
    /// Platform, if it counts players.
    pub(crate) platform: Option<Arc<dyn PlayerCount>>,
}

/// Every host that this process serves, in the order of the setting.
pub(crate) struct Hosts(Vec<Served>);

impl Served {
    async fn new(config: &Config, catalogue: &Catalogue) -> Result<Self, Failure> {
        match config {
            Config::Process(config) => ProcessHost::new(config.clone())
                .map(|host| Self::Process(Arc::new(host)))
                .map_err(Failure::from_display),
            Config::Container(config) => ContainerHost::new(config.clone())
                .map(|host| Self::Container(Arc::new(host)))
                .map_err(Failure::from_display),
            Config::Agones(config) => {
                // Libraries would each choose a TLS provider of their own; the process has one.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let client = agis_host_agones::connect().await.map_err(Failure::from_display)?;
                let host = AgonesHost::new(client, config.clone(), catalogue).map_err(Failure::from_display)?;
                Ok(Self::Agones(Arc::new(host)))
            }
        }
    }

    fn host(&self) -> Arc<dyn Host> {
        match self {
            Self::Process(host) => host.clone(),
            Self::Container(host) => host.clone(),
            Self::Agones(host) => host.clone(),
        }
    }

    fn console(&self) -> Arc<dyn Console> {
        match self {
            Self::Process(host) => host.clone(),
            Self::Container(host) => host.clone(),
            Self::Agones(host) => host.clone(),
        }
    }

    fn platform(&self) -> Option<Arc<dyn PlayerCount>> {
        match self {
            Self::Process(_) | Self::Container(_) => None,
            Self::Agones(host) => Some(host.clone()),
        }
    }

    /// Starts the loops that this kind of host needs.
    fn start(&self, tasks: &mut JoinSet<()>, health: &Health, stop: &CancellationToken) {
        match self {
            Self::Process(host) => {
                let host = host.clone();
                // A look at large worlds takes long, and the looks take a fiftieth of the time at most.
                let look = Loop::new("look after the disk", DISK).rest(Duration::ZERO, 50);
                tasks.spawn(look.run(stop.clone(), async move || host.look_after_disk().await));
            }
            Self::Container(host) => {
                let (watching, stopping) = (host.clone(), stop.clone());
                tasks.spawn(async move { watching.run(stopping).await });
                let disk = host.clone();
                let look = Loop::new("look after the disk", DISK).rest(Duration::ZERO, 50);
                tasks.spawn(look.run(stop.clone(), async move || disk.look_after_disk().await));
                let (host, engine) = (host.clone(), health.component("container engine", PING * 5));
                let ping = Loop::new("ping the container engine", PING).component(engine);
                tasks.spawn(ping.run(stop.clone(), async move || host.ping().await));
            }
            Self::Agones(host) => {
                let (watching, stopping) = (host.clone(), stop.clone());
                tasks.spawn(async move { watching.run(stopping).await });
                let (host, cluster) = (host.clone(), health.component("cluster", PING * 5));
                let ping = Loop::new("ping the cluster", PING).component(cluster);
                tasks.spawn(ping.run(stop.clone(), async move || host.ping().await));
            }
        }
    }
}

impl Hosts {
    /// # Errors
    /// A configuration cannot be used.
    pub(crate) async fn new(configs: &[Config], catalogue: &Catalogue) -> Result<Self, Failure> {
        let mut served = vec![];
        for config in configs {
            served.push(Served::new(config, catalogue).await?);
        }
        Ok(Self(served))
    }

    /// Returns every host.
    pub(crate) fn all(&self) -> impl Iterator<Item = Parts> {
        let parts =
            |served: &Served| Parts { host: served.host(), console: served.console(), platform: served.platform() };
        self.0.iter().map(parts)
    }

    /// Returns the ways to the games of every host.
    pub(crate) fn reach(&self) -> Reach {
        let consoles = self.0.iter().map(Served::console).collect();
        Reach { consoles, rcon: Some(Arc::new(HostRcon(self.all().map(|parts| parts.host).collect()))) }
    }

    /// Returns the names of the hosts.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|served| served.host().name().to_owned()).collect()
    }

    /// Starts the loops that the hosts need.
    pub(crate) fn start(&self, tasks: &mut JoinSet<()>, health: &Health, stop: &CancellationToken) {
        self.0.iter().for_each(|served| served.start(tasks, health, stop));
    }
}

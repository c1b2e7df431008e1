//! The host that this process serves.

use std::{sync::Arc, time::Duration};

use agis_host_agones::AgonesHost;
use agis_host_process::ProcessHost;
use agis_runtime::{Health, Loop};
use agis_servers::{console::Console, game::Catalogue, host::Host};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::Failure;

/// Interval between two looks at the worlds of a machine.
const DISK: Duration = Duration::from_secs(60);
/// Interval between two checks of the cluster.
const PING: Duration = Duration::from_secs(5);

/// The host of the games. The program fills it from its environment.
pub(crate) enum Config {
    Process(agis_host_process::Config),
    Agones(agis_host_agones::Config),
}

/// The host, by the traits that it implements.
pub(crate) struct Hosts {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) consoles: Vec<Arc<dyn Console>>,
    agones: Option<Arc<AgonesHost>>,
    process: Option<Arc<ProcessHost>>,
}

impl Hosts {
    /// # Errors
    /// The configuration cannot be used.
    pub(crate) async fn new(config: &Config, catalogue: &Catalogue) -> Result<Self, Failure> {
        match config {
            Config::Process(config) => {
                let host = Arc::new(ProcessHost::new(config.clone()).map_err(Failure::from_display)?);
                Ok(Self { host: host.clone(), consoles: vec![host.clone()], agones: None, process: Some(host) })
            }
            Config::Agones(config) => {
                // Libraries would each choose a TLS provider of their own; the process has one.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let client = agis_host_agones::connect().await.map_err(Failure::from_display)?;
                let host = AgonesHost::new(client, config.clone(), catalogue).map_err(Failure::from_display)?;
                let host = Arc::new(host);
                Ok(Self { host: host.clone(), consoles: vec![host.clone()], agones: Some(host), process: None })
            }
        }
    }

    /// Returns the loops that a host needs.
    pub(crate) fn start(&self, tasks: &mut JoinSet<()>, health: &Health, stop: &CancellationToken) {
        if let Some(host) = self.process.clone() {
            // A look at large worlds takes long, and the looks take a fiftieth of the time at most.
            let look = Loop::new("look after the disk", DISK).rest(DISK, 50);
            tasks.spawn(look.run(stop.clone(), async move || host.look_after_disk().await));
        }
        let Some(host) = &self.agones else { return };
        let (watching, stopping) = (host.clone(), stop.clone());
        tasks.spawn(async move { watching.run(stopping).await });
        let (host, cluster) = (host.clone(), health.component("cluster", PING * 5));
        let ping = Loop::new("ping the cluster", PING).component(cluster);
        tasks.spawn(ping.run(stop.clone(), async move || host.ping().await));
    }
}

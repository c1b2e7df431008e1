//! Starts of game servers as processes of this machine: one alone, many at once, and the memory of idle ones. The host is
//! called as agis-api calls it, without a database.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use agis_base::{OperationId, ServerId, UserId};
use agis_host_process::{Config, ProcessHost};
use agis_servers::{
    game::{Catalogue, Game},
    host::{Generation, Host, HostError, Launch, Order, Progress, Slot, Target},
};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    error::{Error, Result},
    process,
    report::{Report, median, percentile, step},
};

const ALONE_MS: f64 = 30.0;
const SWARM_S: f64 = 3.0;
const IDLE_PSS_MIB: f64 = 2.5;
/// Usual number of OPERATION_WORKERS: starts that keep the host busy at once.
const WORKERS: usize = 16;
/// Time over which idle servers may compute.
const IDLE: Duration = Duration::from_secs(5);
/// Server ids of the lone starts are below this one.
const SWARM_FROM: i32 = 1000;

/// Number of servers to start.
pub(crate) struct Count {
    /// Number of starts in a row, each after the end of the last.
    pub(crate) alone: i32,
    /// Number of starts at once.
    pub(crate) swarm: i32,
}

/// Measures starts by the programs of `api`, with a data directory at `data`.
pub(crate) async fn measure(api: &Path, data: &Path, count: Count, report: &mut Report) -> Result {
    let site = Site::new(api, data)?;
    let missing = site.host.report().await.containment.missing;
    report.value("boundaries around games that this machine lacks", missing.len() as f64, "");

    step(&format!("{} starts one by one", count.alone));
    let mut alone = vec![];
    for server in 1..=count.alone {
        let began = Instant::now();
        site.order(server, 1, site.running()).await?;
        alone.push(began.elapsed().as_secs_f64() * 1000.0);
        site.order(server, 2, Target::Stopped).await?;
    }
    report.value("start alone: p99", percentile(alone.clone(), 99), "ms");
    report.at_most("start alone", median(alone), ALONE_MS, "ms");

    step(&format!("{} starts at once", count.swarm));
    let began = Instant::now();
    let started = site.orders(count.swarm, 1, &site.running()).await;
    let seconds = began.elapsed().as_secs_f64();
    let idle = match started {
        Ok(()) => idle().await,
        Err(error) => Err(error),
    };
    // The servers end, whatever went wrong.
    site.orders(count.swarm, 2, &Target::Stopped).await?;
    let (pss, cpu) = idle?;
    report.at_most(format!("{} starts at once", count.swarm), seconds, SWARM_S, "s");
    report.at_most("idle server, PSS", pss / f64::from(count.swarm), IDLE_PSS_MIB, "MiB");
    report.at_most(format!("{} idle servers, CPU in {IDLE:?}", count.swarm), cpu, 0.0, "ms");
    Ok(())
}

/// Returns the memory of all processes below this one, in MiB, and the milliseconds that they compute in [`IDLE`].
async fn idle() -> Result<(f64, f64)> {
    let below = process::descendants()?;
    let pss = below.iter().map(|pid| process::pss_mib(*pid)).sum::<Result<f64>>()?;
    let cpu = || below.iter().map(|pid| process::cpu_ms(*pid)).sum::<Result<f64>>();
    let before = cpu()?;
    tokio::time::sleep(IDLE).await;
    Ok((pss, cpu()? - before))
}

/// Host of this machine, and the game to start.
struct Site {
    host: Arc<ProcessHost>,
    game: Arc<Game>,
    slots: Arc<Semaphore>,
}

impl Site {
    fn new(api: &Path, data: &Path) -> Result<Self> {
        let machine = agis_machine::Config {
            data_dir: data.to_owned(),
            name: "bench".to_owned(),
            public_address: "localhost".to_owned(),
            bind_address: "127.0.0.1".to_owned(),
            game_uids: 1_900_000_000..=1_999_999_999,
            disk_reserve: 0,
            trash_max: None,
        };
        let config = Config { machine, shim: api.with_file_name("agis-shim") };
        let host = Arc::new(ProcessHost::new(config).map_err(|error| Error::new(error.to_string()))?);
        let catalogue = Catalogue::built_in().map_err(|error| Error::new(error.to_string()))?;
        let game = catalogue.get("demo").cloned().ok_or_else(|| Error::new("the catalogue has no demo"))?;
        Ok(Self { host, game, slots: Arc::new(Semaphore::new(WORKERS)) })
    }

    fn running(&self) -> Target {
        let owner = UserId::from_stored("1");
        Target::Running(Launch {
            game: Arc::clone(&self.game),
            server_name: "bench".to_owned(),
            owner,
            settings: Default::default(),
            rcon_password: Default::default(),
        })
    }

    fn order(
        &self,
        server: i32,
        generation: Generation,
        target: Target,
    ) -> impl Future<Output = Result> + Send + 'static {
        let (host, slots) = (Arc::clone(&self.host), Arc::clone(&self.slots));
        async move {
            let take = move || {
                let slots = Arc::clone(&slots);
                async move { slots.acquire_owned().await }
            };
            let slot = Slot::held(take().await, take);
            let (operation, progress) = (OperationId::new(), Progress::default());
            let order = Order { server: ServerId(server), operation, generation, target, slot, progress };
            host.apply(&order).await.map(|_| ()).map_err(|error: HostError| Error::new(error.to_string()))
        }
    }

    /// Gives an order to many servers at once. Returns the first error after all have ended.
    async fn orders(&self, count: i32, generation: Generation, target: &Target) -> Result {
        let servers = SWARM_FROM..SWARM_FROM + count;
        let orders: JoinSet<Result> = servers.map(|it| self.order(it, generation, target.clone())).collect();
        orders.join_all().await.into_iter().collect()
    }
}

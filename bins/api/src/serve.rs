//! `agis-api serve`: composes, runs, and ends in order.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use agis_accounts::LedgerStore;
use agis_apikeys::KeyCache;
use agis_automation::{
    Biller, Games, Housekeeping, Scheduler, Settler, Watcher, Workers, games as offered, housekeeping,
};
use agis_base::StoreError;
use agis_http_api::{Edge, Followers, Services};
use agis_program::{
    Domain, Limits, settings,
    upkeep::{PING, ZONES, hear, look_for_zones, ping, zones},
};
use agis_runtime::{
    Component, Health, Metrics, every,
    listen::{self, Chosen},
    ops,
    shutdown::Signals,
    telemetry,
};
use agis_servers::{host::Host, store::Billing};
use agis_storage::{Db, notify::Bells};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::Failure,
    config::{self, Config},
    games,
    hosts::Hosts,
};

const FLUSH: Duration = Duration::from_secs(5);
const FORGET: Duration = Duration::from_secs(15);
const FORGET_KEYS: Duration = Duration::from_secs(60);
/// Without a round for so long, a loop is degraded.
const SILENCE: Duration = Duration::from_secs(30);
/// File descriptors for everything but the connections of REST.
const DESCRIPTORS: u64 = 1024;
/// How often it is noted that nothing is charged, so that what ran meanwhile is not charged later.
const UNBILLED: Duration = Duration::from_secs(600);
/// How long games may take to stop at a shutdown that stops them.
const GAMES: Duration = Duration::from_secs(45);
/// How long background jobs may take to end.
const JOBS: Duration = Duration::from_secs(15);

pub(crate) async fn serve() -> Result<(), Failure> {
    let mut signals = Signals::listen().map_err(Failure::from_display)?;
    let logs = settings::logs(&settings::environment).map_err(Failure::from_display)?;
    telemetry::init_logs(logs.format, &logs.filter).map_err(Failure::new)?;
    let config = config::read(&settings::environment).map_err(Failure::from_display)?;
    settings::hide_environment().map_err(Failure::from_display)?;
    raise_descriptors(config.network.connections);
    let metrics = Metrics::install().map_err(Failure::from_display)?;
    let api = bind(config.bind, config.api_port, REST)?;
    let ops = bind(config.metrics_address, config.metrics_port, listen::METRICS)?;

    let health = Health::default();
    let db = Arc::new(Db::new(&config.database).map_err(Failure::from_display)?);
    let cache = KeyCache::default();
    let hosts = Hosts::new(&config.host, &config.rules.catalogue).await?;
    let limits = Limits::new(&config.rules, &health).await;
    let domain = Domain::new(&config.rules, &db, cache.clone(), limits.clone(), hosts.consoles.clone());
    let services = services(domain, config.edge.clone());

    let metrics_address = ops.local_addr().map_err(Failure::from_display)?;
    let ops = ops::serve(ops, health.clone(), metrics.clone()).map_err(Failure::from_display)?;
    tokio::spawn(ops);
    let mut loops = Loops::default();
    limits.start(&mut loops.tasks, &loops.working);
    loops.start_jobs(&config, &db, &services, &health, metrics);
    loops.start_automation(&config, &db, &services, &hosts.host, &health, cache);
    hosts.start(&mut loops.tasks, &health, &loops.working);

    let address = api.local_addr().map_err(Failure::from_display)?;
    let probes = ops::open_probes(health.clone());
    let api = agis_http_api::serve(api, services.clone(), probes, config.network.clone());
    let api = api.map_err(Failure::from_display)?;
    let handle = api.handle();
    let api = tokio::spawn(api);
    tracing::info!(%address, %metrics_address, host = hosts.host.name(), time_zones = zones(), "API server listening");

    loops.until_shutdown(&mut signals).await?;
    tracing::info!("shutting down");
    let ending = async {
        health.drain();
        config.network.closing.store(true, Ordering::Relaxed);
        // A load balancer takes as long to see that readiness fails; requests are still served meanwhile.
        tokio::time::sleep(config.shutdown_delay).await;
        services.followers.end();
        handle.stop(true).await;
        let _ = api.await;
        loops.firing.cancel();
        if config.stop_games {
            games::stop(&db, &services, hosts.host.name(), GAMES).await;
        }
        loops.end().await;
        tracing::info!("shut down");
    };
    tokio::select! {
        () = ending => Ok(()),
        () = signals.next() => {
            Err(Failure::new("asked again to end, and ended at once; operations go on elsewhere when their leases end"))
        }
    }
}

fn services(domain: Domain, edge: Edge) -> Services {
    let Domain { keys, limits, servers, schedules, accounts, idempotency, notices: _ } = domain;
    let (edge, limiter) = (Arc::new(edge), limits.limiter());
    Services { keys, limiter, servers, schedules, accounts, edge, idempotency, followers: Followers::default() }
}

/// A connection takes two descriptors, and the usual soft limit is 1,024. What the hard limit does not allow is met by
/// waiting: the server then accepts no more until one is free.
fn raise_descriptors(connections: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = DESCRIPTORS + 2 * connections as u64;
    let allowed = limit.maximum.map_or(wanted, |maximum| wanted.min(maximum));
    if limit.current.is_none_or(|current| current >= allowed) {
        return;
    }
    limit.current = Some(allowed);
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "limit of open files could not be raised");
    }
}

const REST: Chosen = Chosen { address: "BIND_ADDRESS", port: "API_PORT" };

fn bind(address: IpAddr, port: u16, chosen: Chosen) -> Result<TcpListener, Failure> {
    agis_runtime::listen(SocketAddr::new(address, port), chosen).map_err(Failure::new)
}

/// The background loops, ended in this order: what fires, what works, what is done now and then.
#[derive(Default)]
struct Loops {
    tasks: JoinSet<()>,
    firing: CancellationToken,
    working: CancellationToken,
}

impl Loops {
    fn start_jobs(&mut self, config: &Config, db: &Arc<Db>, services: &Services, health: &Health, metrics: Metrics) {
        let stop = &self.working;
        let keys = services.keys.clone();
        self.tasks.spawn(every("flush last uses of keys", FLUSH, stop.clone(), async move || keys.flush().await));
        let keys = services.keys.clone();
        let forget = async move || keys.forget_ended().await;
        self.tasks.spawn(every("forget ended API keys", FORGET_KEYS, stop.clone(), forget));
        let time_zones = health.steady("time_zones");
        let look = async move || look_for_zones(&time_zones).await;
        self.tasks.spawn(every("look for time zone data", ZONES, stop.clone(), look));
        let idempotency = services.idempotency.clone();
        self.tasks
            .spawn(every("forget idempotency keys", FORGET, stop.clone(), async move || idempotency.forget().await));
        let database = health.component("database", PING * 5);
        let pinged = db.clone();
        let (clients, edge) = (health.steady("clients"), services.edge.clone());
        self.tasks.spawn(every("ping the database", PING, stop.clone(), async move || {
            ping(&pinged, &database).await;
            let unnamed = edge.unnamed.peers();
            if !unnamed.is_empty() {
                clients.note("unnamed_proxies", unnamed.iter().map(ToString::to_string).collect::<Vec<_>>());
            }
            Ok::<(), Infallible>(())
        }));
        self.tasks.spawn(every("metrics upkeep", telemetry::UPKEEP, stop.clone(), async move || {
            metrics.upkeep();
            Ok::<(), Infallible>(())
        }));
        let house = Housekeeping {
            firings: db.clone(),
            counts: db.clone(),
            retention: db.clone(),
            shares: db.clone(),
            ledger: db.clone(),
            notices: db.clone(),
            catalogue: config.rules.catalogue.clone(),
            told: Mutex::default(),
            hosts: Mutex::default(),
        };
        self.tasks
            .spawn(every("housekeeping", housekeeping::INTERVAL, stop.clone(), async move || house.round().await));
    }

    fn start_automation(
        &mut self,
        config: &Config,
        db: &Arc<Db>,
        services: &Services,
        host: &Arc<dyn Host>,
        health: &Health,
        keys: KeyCache,
    ) {
        let bells = Bells { keys, ..Bells::default() };
        let scheduler =
            Scheduler { firings: db.clone(), servers: services.servers.clone(), bell: bells.schedules.subscribe() };
        let settler =
            Settler { firings: db.clone(), servers: services.servers.clone(), bell: bells.operations.subscribe() };
        let workers = Workers {
            store: db.clone(),
            hosts: vec![host.clone()],
            catalogue: config.rules.catalogue.clone(),
            concurrency: config.workers,
            lease: config.lease,
            billing: config.rules.servers.billing,
            bell: bells.operations.subscribe(),
        };
        let offered = Games {
            store: db.clone(),
            host: host.clone(),
            catalogue: config.rules.catalogue.clone(),
            told: Mutex::default(),
        };
        let look = async move || offered.round().await;
        self.tasks.spawn(every("look at the games", offered::INTERVAL, self.working.clone(), look));
        let watcher = Watcher { store: db.clone(), host: host.clone(), billing: config.rules.servers.billing };
        let [fires, works, watches] = ["scheduler", "workers", "host"].map(|loops| health.component(loops, SILENCE));
        watches.note("name", host.name());
        self.start_billing(config, db, services);
        self.tasks.spawn(scheduler.run(self.firing.clone(), move |round| {
            beat(&fires, round.map(|lag| fires.note("lag_s", lag.as_secs_f64())));
        }));
        self.tasks.spawn(workers.run(self.working.clone(), move |round| beat(&works, round)));
        self.tasks.spawn(settler.run(self.working.clone()));
        self.tasks.spawn(watcher.run(self.working.clone(), move |round| {
            let unseen = round.map(|unseen| {
                watches.note("unseen_servers", unseen.servers);
                watches.note("unseen_why", unseen.why.clone());
            });
            beat(&watches, unseen);
        }));
        let (url, health, stop) = (config.database.url.clone(), health.clone(), self.working.clone());
        self.tasks.spawn(async move {
            stop.run_until_cancelled(hear(url, bells, &health)).await;
        });
    }

    fn start_billing(&mut self, config: &Config, db: &Arc<Db>, services: &Services) {
        if config.rules.servers.billing == Billing::On {
            let biller = Biller {
                ledger: db.clone(),
                servers: services.servers.clone(),
                catalogue: config.rules.catalogue.clone(),
            };
            self.tasks.spawn(biller.run(self.working.clone()));
        } else {
            let db = db.clone();
            let pause = async move || db.pause().await;
            self.tasks.spawn(every("charge nothing", UNBILLED, self.working.clone(), pause));
        }
    }

    /// Resolves when the process is asked to end. A loop that ends by itself is a bug; the process ends too, so that
    /// whoever supervises it starts it anew.
    async fn until_shutdown(&mut self, signals: &mut Signals) -> Result<(), Failure> {
        tokio::select! {
            () = signals.next() => Ok(()),
            ended = self.tasks.join_next() => {
                tracing::error!(?ended, "background loop ended");
                Err(Failure::new("a background loop has ended by itself; this is a bug"))
            }
        }
    }

    async fn end(mut self) {
        self.working.cancel();
        let ended = tokio::time::timeout(JOBS, async { while self.tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("background jobs were cut off at shutdown");
        }
    }
}

fn beat(heartbeat: &Component, round: Result<(), &StoreError>) {
    match round {
        Ok(()) => heartbeat.ok(),
        Err(error) => heartbeat.trouble(&error.to_string()),
    }
}

//! `agis-api serve`: starts everything, and stops it in order.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr, TcpListener},
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use agis_accounts::LedgerStore;
use agis_automation::{
    Batches, Biller, Chains, Consoles, Games, Gate, Gates, Housekeeping, Idler, Many, Prober, Probing, Scheduler,
    Settler, Supervisor, Watcher, Workers, batches, biller, chains, consoles, games as offered, gates,
    hosts::{self as reports, Claim, Reported, Reporter},
    housekeeping, idle, many, prober, scheduler, settle, supervisor, watcher,
};
use agis_base::StoreError;
use agis_http_api::{Edge, Followers, Services};
use agis_program::{
    Domain, Limits, settings,
    upkeep::{PING, ZONES, hear, look_for_zones, ping, zones},
};
use agis_query::{MinecraftGate, NetworkQuery};
use agis_runtime::{
    Component, Health, Loop, Metrics,
    listen::{self, Chosen},
    loops::rung,
    ops,
    shutdown::{API_JOBS, Signals},
    telemetry,
};
use agis_servers::{console::Console, game::RunsOn, host::Host, store::Billing};
use agis_storage::{Db, notify::Bells};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::Failure,
    config::{self, Config},
    games,
    hosts::{Hosts, Parts},
};

const FLUSH: Duration = Duration::from_secs(5);
const FORGET: Duration = Duration::from_secs(15);
const FORGET_KEYS: Duration = Duration::from_secs(60);
/// Maximum time between two rounds of a loop that is well.
const SILENCE: Duration = Duration::from_secs(30);
/// The same for a loop that works longer, or rests longer, the more there is to do.
const LONG_SILENCE: Duration = Duration::from_secs(120);
/// File descriptors for everything except the connections of REST.
const DESCRIPTORS: u64 = 1024;
/// Interval of noting that nothing is charged, so that this time is not charged later.
const UNBILLED: Duration = Duration::from_secs(600);
/// Time for games to stop at a shutdown that stops them.
pub(crate) const GAMES: Duration = Duration::from_secs(45);

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
    let bells = Bells::default();
    let hosts = Hosts::new(&config.hosts, &config.rules.catalogue).await?;
    let limits = Limits::new(&config.rules, &health).await;
    let domain = Domain::new(&config.rules, &db, &bells, limits.clone(), hosts.reach());
    let services = services(domain, config.edge.clone());

    let metrics_address = ops.local_addr().map_err(Failure::from_display)?;
    let ops = ops::serve(ops, health.clone(), metrics.clone()).map_err(Failure::from_display)?;
    tokio::spawn(ops);
    let mut loops = Loops::default();
    limits.start(&mut loops.tasks, &loops.working);
    loops.start_jobs(&config, &db, &services, &health, metrics);
    loops.start_automation(&config, &db, &services, &hosts, &health, bells);
    hosts.start(&mut loops.tasks, &health, &loops.working);

    let address = api.local_addr().map_err(Failure::from_display)?;
    let probes = ops::open_probes(health.clone());
    let api = agis_http_api::serve(api, services.clone(), probes, config.network.clone());
    let api = api.map_err(Failure::from_display)?;
    let handle = api.handle();
    let api = tokio::spawn(api);
    let names = hosts.names();
    tracing::info!(%address, %metrics_address, host = names.join(", "), time_zones = zones(), "API server listening");

    loops.until_shutdown(&mut signals).await?;
    tracing::info!("shutting down");
    let ending = async {
        health.drain();
        config.network.closing.store(true, Ordering::Relaxed);
        // A load balancer needs this time to see that readiness fails, and still sends requests.
        tokio::time::sleep(config.shutdown_delay).await;
        services.followers.end();
        handle.stop(true).await;
        let _ = api.await;
        loops.firing.cancel();
        if config.stop_games {
            games::stop(&db, &services, &names, GAMES).await;
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
    let Domain { keys, limits, servers, hosts, schedules, accounts, idempotency, notices: _ } = domain;
    let (edge, limiter) = (Arc::new(edge), limits.limiter());
    Services { keys, limiter, servers, hosts, schedules, accounts, edge, idempotency, followers: Followers::default() }
}

/// Raises the limit of open files. A connection takes two, and the usual soft limit is 1,024. Beyond the hard limit the
/// server accepts no connection until a descriptor is free.
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

/// Names of a host's components in readiness.
struct Components {
    host: &'static str,
    workers: &'static str,
}

impl Components {
    /// Returns the names for the host at this place of the setting. Alerts and dashboards know those of the first.
    fn of(place: usize, kind: RunsOn) -> Self {
        match kind {
            _ if place == 0 => Self { host: "host", workers: "workers" },
            RunsOn::Process => Self { host: "process_host", workers: "process_workers" },
            RunsOn::Container => Self { host: "container_host", workers: "container_workers" },
            RunsOn::Agones => Self { host: "agones_host", workers: "agones_workers" },
        }
    }
}

/// The background loops. They end in this order: the scheduler, the workers, the periodic jobs.
#[derive(Default)]
struct Loops {
    tasks: JoinSet<()>,
    firing: CancellationToken,
    working: CancellationToken,
    /// Cancelled once this process has lost its host to another data directory.
    lost: CancellationToken,
}

impl Loops {
    fn start_jobs(&mut self, config: &Config, db: &Arc<Db>, services: &Services, health: &Health, metrics: Metrics) {
        let stop = &self.working;
        let keys = services.keys.clone();
        let flush = Loop::new("flush last uses of keys", FLUSH).flush();
        self.tasks.spawn(flush.run(stop.clone(), async move || keys.flush().await));
        let keys = services.keys.clone();
        let forget = Loop::new("forget ended API keys", FORGET_KEYS);
        self.tasks.spawn(forget.run(stop.clone(), async move || keys.forget_ended().await));
        let idempotency = services.idempotency.clone();
        let forget = Loop::new("forget idempotency keys", FORGET);
        self.tasks.spawn(forget.run(stop.clone(), async move || idempotency.forget().await));
        let time_zones = health.steady("time_zones");
        let look = Loop::new("look for time zone data", ZONES);
        self.tasks.spawn(look.run(stop.clone(), async move || look_for_zones(&time_zones).await));
        let (pinged, database) = (db.clone(), health.component("database", PING * 5));
        let (clients, edge) = (health.steady("clients"), services.edge.clone());
        self.tasks.spawn(Loop::new("ping the database", PING).run(stop.clone(), async move || {
            ping(&pinged, &database).await;
            let unnamed = edge.unnamed.peers();
            if !unnamed.is_empty() {
                clients.note("unnamed_proxies", unnamed.iter().map(ToString::to_string).collect::<Vec<_>>());
            }
            Ok::<(), Infallible>(())
        }));
        self.tasks.spawn(Loop::new("metrics upkeep", telemetry::UPKEEP).run(stop.clone(), async move || {
            metrics.upkeep();
            Ok::<(), Infallible>(())
        }));
        let house = Housekeeping {
            firings: db.clone(),
            counts: db.clone(),
            players: db.clone(),
            retention: db.clone(),
            shares: db.clone(),
            reports: db.clone(),
            batches: db.clone(),
            relay: db.clone(),
            ledger: db.clone(),
            commands: db.clone(),
            notices: db.clone(),
            catalogue: config.rules.catalogue.clone(),
            told: Mutex::default(),
            hosts: Mutex::default(),
        };
        let keep = Loop::new("housekeeping", housekeeping::INTERVAL);
        self.tasks.spawn(keep.run(stop.clone(), async move || house.round().await));
    }

    fn start_automation(
        &mut self,
        config: &Config,
        db: &Arc<Db>,
        services: &Services,
        hosts: &Hosts,
        health: &Health,
        bells: Bells,
    ) {
        self.start_scheduler(db, services, health, &bells);
        for (place, Parts { host, console, platform }) in hosts.all().enumerate() {
            let claim = self.start_host(config, db, &host, health, &bells, Components::of(place, host.kind()));
            self.start_console(db, services, console.clone(), &bells, &claim);
            let probing = Probing {
                store: db.clone(),
                host: host.clone(),
                console,
                query: Arc::new(NetworkQuery),
                platform,
                rcon: services.servers.dispatcher().clone(),
                catalogue: config.rules.catalogue.clone(),
                per_second: config.player_probes,
            };
            self.start_prober(probing, &claim);
            self.start_gates(db, services, host, &bells, &claim);
        }
        self.start_billing(config, db, services, health);
        let mut idler = Idler::new(db.clone(), services.servers.clone(), config.rules.servers.billing);
        let stops = Loop::new("stop servers on which nobody plays", idle::PERIOD)
            .component(health.optional("idle_stops", LONG_SILENCE));
        self.tasks.spawn(stops.run(self.working.clone(), async move || idler.round().await));
        let (url, health, stop) = (config.database.url.clone(), health.clone(), self.working.clone());
        self.tasks.spawn(async move {
            stop.run_until_cancelled(hear(url, bells, &health)).await;
        });
    }

    /// Starts the work on a host, and returns the claim that its reports renew.
    fn start_host(
        &mut self,
        config: &Config,
        db: &Arc<Db>,
        host: &Arc<dyn Host>,
        health: &Health,
        bells: &Bells,
        names: Components,
    ) -> Claim {
        let component = health.component(names.host, SILENCE);
        let claim = self.start_reports(db, host, &component);
        self.start_workers(config, db, host, health.component(names.workers, SILENCE), bells, &claim);
        self.start_watcher(config, db, host, component, &claim);
        self.start_supervisor(config, db, host, bells, &claim);
        let offered = Games {
            store: db.clone(),
            host: host.clone(),
            catalogue: config.rules.catalogue.clone(),
            told: Mutex::default(),
        };
        let look = Loop::new("look at the games", offered::INTERVAL);
        self.spawn_for_host(&claim, look.run(self.working.clone(), async move || offered.round().await));
        claim
    }

    /// Starts the answers of a host's console to processes that do not reach the host.
    fn start_console(
        &mut self,
        db: &Arc<Db>,
        services: &Services,
        console: Arc<dyn Console>,
        bells: &Bells,
        claim: &Claim,
    ) {
        let dispatcher = services.servers.dispatcher().clone();
        let (consoles, claimed) = (Consoles::new(db.clone(), console, dispatcher), claim.clone());
        let mut bell = bells.consoles.subscribe();
        let answers = Loop::new("answer for consoles", consoles::PERIOD).bell(async move || rung(&mut bell).await);
        let round = async move || if claimed.holds() { consoles.round().await } else { Ok(None) };
        self.spawn_for_host(claim, answers.run(self.working.clone(), round));
    }

    /// Starts to ask the servers of a host who plays.
    fn start_prober(&mut self, probing: Probing, claim: &Claim) {
        let prober = Prober::new(probing);
        let claimed = claim.clone();
        let asks = Loop::new("ask who plays", prober::PERIOD);
        self.spawn_for_host(
            claim,
            asks.run(self.working.clone(), async move || if claimed.holds() { prober.round().await } else { Ok(()) }),
        );
    }

    /// Starts the gates of the servers of a host that sleep.
    fn start_gates(&mut self, db: &Arc<Db>, services: &Services, host: Arc<dyn Host>, bells: &Bells, claim: &Claim) {
        let mut gates = Gates::new(db.clone(), host, services.servers.clone(), Arc::new(MinecraftGate::default()));
        let (mut bell, claimed) = (bells.operations.subscribe(), claim.clone());
        let keeps = Loop::new("keep the gates of sleeping servers", gates::PERIOD)
            .rest(gates::PAUSE, 0)
            .bell(async move || rung(&mut bell).await);
        let round = async move || if claimed.holds() { gates.round().await } else { Ok(()) };
        self.spawn_for_host(claim, keeps.run(self.working.clone(), round));
    }

    fn start_scheduler(&mut self, db: &Arc<Db>, services: &Services, health: &Health, bells: &Bells) {
        let gate = Gate::new(db.clone(), Arc::new(services.servers.clone()));
        let scheduler = Scheduler::new(db.clone(), gate, services.servers.clone());
        tracing::info!("scheduler started");
        let (mut bell, component) = (bells.schedules.subscribe(), health.component("scheduler", SILENCE));
        let fires = Loop::new("scheduler", scheduler::PERIOD)
            .retry(scheduler::RETRY)
            .bell(async move || rung(&mut bell).await)
            .component(component.clone());
        self.tasks.spawn(fires.run(self.firing.clone(), async move || {
            let round = scheduler.round().await?;
            component.note("lag_s", round.lag.as_secs_f64());
            Ok::<_, StoreError>(round.until_next)
        }));
        let chains = Chains::new(db.clone(), Arc::new(services.servers.clone()));
        let mut bell = bells.operations.subscribe();
        let carries = Loop::new("steps of runs", chains::PERIOD)
            .rest(chains::PAUSE, 0)
            .bell(async move || rung(&mut bell).await)
            .component(health.optional("steps", LONG_SILENCE));
        let chains = Arc::new(chains);
        let carried = chains.clone();
        let carries = carries.run(self.firing.clone(), async move || carried.round().await);
        self.tasks.spawn(async move {
            carries.await;
            chains.drain().await;
        });
        let batches = Batches::new(db.clone(), services.servers.clone());
        let mut bell = bells.operations.subscribe();
        let goes_on =
            Loop::new("batches", batches::PERIOD).rest(batches::PAUSE, 0).bell(async move || rung(&mut bell).await);
        self.tasks.spawn(goes_on.run(self.firing.clone(), async move || batches.round().await));
        let many = Many { store: db.clone() };
        let mut bell = bells.operations.subscribe();
        let fans_out = Loop::new("runs on many servers", many::PERIOD)
            .rest(many::PAUSE, 0)
            .bell(async move || rung(&mut bell).await);
        self.tasks.spawn(fans_out.run(self.firing.clone(), async move || many.round().await));
        let settler = Settler { firings: db.clone(), servers: services.servers.clone() };
        let mut bell = bells.operations.subscribe();
        let settles = Loop::new("settler", settle::PERIOD)
            .rest(settle::PAUSE, settle::PAUSE_SHARE)
            .bell(async move || rung(&mut bell).await)
            .component(health.optional("settler", LONG_SILENCE))
            .flush();
        self.tasks.spawn(settles.run(self.working.clone(), async move || settler.round().await));
    }

    /// Starts the reports of the host, and returns the claim that they renew.
    fn start_reports(&mut self, db: &Arc<Db>, host: &Arc<dyn Host>, component: &Component) -> Claim {
        let claim = Claim::default();
        let mut reporter = Reporter::new(db.clone(), host.clone(), claim.clone());
        let (component, name, claimed, lost) =
            (component.clone(), host.name().to_owned(), claim.clone(), self.lost.clone());
        component.note("name", host.name());
        let reports = Loop::new("report the host", reports::PERIOD);
        self.tasks.spawn(reports.run(self.working.clone(), async move || {
            match reporter.round().await? {
                Reported::Ours(report) => {
                    let missing: Vec<_> = report.containment.missing.iter().map(ToString::to_string).collect();
                    component.note("uncontained", missing);
                }
                Reported::Others => {
                    component.trouble(&format!(
                        "another data directory has the host '{name}': give this process that AGIS_DATA_DIR, or another \
                         AGIS_HOST_NAME; if the servers' disk is lost, run 'agis-api hosts adopt {name}'"
                    ));
                    if claimed.was_won() {
                        lost.cancel();
                    }
                }
            }
            Ok::<_, StoreError>(())
        }));
        claim
    }

    /// Starts work on the host once this process has it.
    fn spawn_for_host(&mut self, claim: &Claim, work: impl Future<Output = ()> + Send + 'static) {
        let (claim, stop) = (claim.clone(), self.working.clone());
        self.tasks.spawn(async move {
            if stop.run_until_cancelled(claim.won()).await.is_some() {
                work.await;
            }
        });
    }

    /// Starts the workers of a host, which pace themselves: a lane waits for free places as well as for a bell.
    fn start_workers(
        &mut self,
        config: &Config,
        db: &Arc<Db>,
        host: &Arc<dyn Host>,
        component: Component,
        bells: &Bells,
        claim: &Claim,
    ) {
        let workers = Workers {
            store: db.clone(),
            hosts: vec![host.clone()],
            catalogue: config.rules.catalogue.clone(),
            concurrency: config.workers,
            lease: config.lease,
            billing: config.rules.servers.billing,
            bell: bells.operations.subscribe(),
        };
        self.spawn_for_host(
            claim,
            workers.run(self.working.clone(), move |round| match round {
                Ok(()) => component.ok(),
                Err(error) => component.trouble(&error.to_string()),
            }),
        );
    }

    fn start_watcher(
        &mut self,
        config: &Config,
        db: &Arc<Db>,
        host: &Arc<dyn Host>,
        component: Component,
        claim: &Claim,
    ) {
        let mut watcher =
            Watcher::new(db.clone(), host.clone(), config.rules.catalogue.clone(), config.rules.servers.billing);
        let (host, claimed) = (host.clone(), claim.clone());
        let watches = Loop::new("watcher", watcher::PERIOD)
            .rest(watcher::PAUSE, 0)
            .bell(async move || host.changed().await)
            .component(component.clone());
        self.spawn_for_host(
            claim,
            watches.run(self.working.clone(), async move || {
                if !claimed.holds() {
                    return Ok(());
                }
                let unseen = watcher.round().await?;
                component.note("unseen_servers", unseen.servers);
                component.note("unseen_why", unseen.why);
                Ok::<_, StoreError>(())
            }),
        );
    }

    /// Starts the restarts of servers that ended by themselves.
    fn start_supervisor(&mut self, config: &Config, db: &Arc<Db>, host: &Arc<dyn Host>, bells: &Bells, claim: &Claim) {
        let (at_once, billing) = (config.boot_concurrency, config.rules.servers.billing);
        let supervisor = Supervisor::new(db.clone(), host.name().to_owned(), at_once, billing);
        let (mut bell, claimed) = (bells.operations.subscribe(), claim.clone());
        let restarts = Loop::new("supervisor", supervisor::PERIOD)
            .rest(supervisor::PAUSE, 0)
            .bell(async move || rung(&mut bell).await);
        self.spawn_for_host(
            claim,
            restarts.run(
                self.working.clone(),
                async move || {
                    if claimed.holds() { supervisor.round().await } else { Ok(None) }
                },
            ),
        );
    }

    fn start_billing(&mut self, config: &Config, db: &Arc<Db>, services: &Services, health: &Health) {
        let (db, stop) = (db.clone(), self.working.clone());
        match config.rules.servers.billing {
            Billing::On => {
                let mut biller = Biller::new(db, services.servers.clone());
                let component = health.optional("biller", LONG_SILENCE);
                let bills = Loop::new("biller", biller::PERIOD).component(component);
                self.tasks.spawn(bills.run(stop, async move || biller.round().await));
            }
            Billing::Off => {
                health.off("biller");
                let pause = Loop::new("charge nothing", UNBILLED).flush();
                self.tasks.spawn(pause.run(stop, async move || db.pause().await));
            }
        }
    }

    /// Waits for the signal to end. A loop that ends by itself is a bug; the process then ends too, so that its
    /// supervisor restarts it.
    async fn until_shutdown(&mut self, signals: &mut Signals) -> Result<(), Failure> {
        tokio::select! {
            () = signals.next() => Ok(()),
            () = self.lost.cancelled() => Err(Failure::new("another data directory has this host now")),
            ended = self.tasks.join_next() => {
                tracing::error!(?ended, "background loop ended");
                Err(Failure::new("a background loop has ended by itself; this is a bug"))
            }
        }
    }

    async fn end(mut self) {
        self.working.cancel();
        let ended = tokio::time::timeout(API_JOBS, async { while self.tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("background jobs were cut off at shutdown");
        }
    }
}

//! Composes, runs, and ends in order.

use std::{path::Path, sync::Arc, time::Duration};

use agis_apikeys::KeyCache;
use agis_deferrals::Deferrals;
use agis_discord::{Connection, Services, Standing};
use agis_host_process::Consoles;
use agis_program::{
    Domain, Limits, settings,
    upkeep::{PING, ZONES, hear, look_for_zones, ping, zones},
};
use agis_runtime::{Component, Health, Metrics, every, listen, ops, shutdown::Signals, telemetry};
use agis_servers::console::Console;
use agis_storage::{Db, notify::Bells};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config;

/// How often readiness learns how the bot stands with Discord.
const LOOK: Duration = Duration::from_secs(1);
/// How long what is being answered may take to end; with the rest of a shutdown less than the 30 s of Kubernetes.
const ANSWERS: Duration = Duration::from_secs(20);
/// How long background jobs may take to end.
const JOBS: Duration = Duration::from_secs(5);
/// twilight names the paths of its calls, and there are tokens in them.
const QUIET: &str = "twilight_http=warn";

const BUG: &str = "a background loop has ended by itself; this is a bug";

pub(crate) async fn run() -> Result<(), String> {
    let mut signals = Signals::listen().map_err(text)?;
    let logs = settings::logs(&settings::environment).map_err(text)?;
    telemetry::init_logs(logs.format, &format!("{},{QUIET}", logs.filter))?;
    let config = config::read(&settings::environment).map_err(text)?;
    settings::hide_environment().map_err(text)?;
    // Two libraries bring a provider for TLS; the process has one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = Metrics::install().map_err(text)?;
    let ops = agis_runtime::listen(config.metrics, listen::METRICS)?;
    let metrics_address = ops.local_addr().map_err(text)?;

    let health = Health::default();
    let db = Arc::new(Db::new(&config.database).map_err(text)?);
    let limits = Limits::new(&config.rules, &health).await;
    let consoles = consoles(config.data_dir.as_deref())?;
    let domain = Domain::new(&config.rules, &db, KeyCache::default(), limits, consoles);
    let bells = Bells::default();
    let deferrals = Deferrals::new(db.clone(), &config.discord.token).ok_or("no cryptography for promised answers")?;
    let connection = Connection::new(config.discord.token, config.discord.api, config.discord.guild);
    let standing = connection.standing();

    tokio::spawn(ops::serve(ops, health.clone(), metrics.clone()).map_err(text)?);
    let stop = CancellationToken::new();
    let mut jobs = start_jobs(&db, &domain, &health, metrics, standing, &stop);
    let notices = bells.notices.subscribe();
    // Until after the last answer: what is still owed is not taken over by others.
    jobs.spawn(deferrals.clone().run(stop.clone()));
    let (url, told, listening) = (config.database.url.clone(), health.clone(), stop.clone());
    jobs.spawn(async move {
        listening.run_until_cancelled(hear(url, bells, &told)).await;
    });
    let mut running = connection.start(services(&domain, deferrals), config.settings, notices);
    tracing::info!(%metrics_address, time_zones = zones(), "bot started");

    let asked = tokio::select! {
        () = signals.next() => Ok(()),
        ended = jobs.join_next() => {
            tracing::error!(?ended, "background loop ended");
            Err(BUG.to_owned())
        }
        () = running.ended() => Err(BUG.to_owned()),
    };
    tracing::info!("shutting down");
    let ending = async {
        health.drain();
        if tokio::time::timeout(ANSWERS, running.end()).await.is_err() {
            tracing::warn!("interactions were cut off at shutdown");
        }
        stop.cancel();
        let ended = tokio::time::timeout(JOBS, async { while jobs.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("background jobs were cut off at shutdown");
        }
        tracing::info!("shut down");
        asked
    };
    tokio::select! {
        asked = ending => asked,
        () = signals.next() => Err("asked again to end, and ended at once".to_owned()),
    }
}

/// Those of the servers that run on this machine, if there are any.
fn consoles(data_dir: Option<&Path>) -> Result<Vec<Arc<dyn Console>>, String> {
    let Some(dir) = data_dir else { return Ok(vec![]) };
    let consoles = Consoles::of(dir).map_err(|error| {
        format!("{}: {error}; AGIS_DATA_DIR is that of an agis-api that has run on this machine", dir.display())
    })?;
    Ok(vec![Arc::new(consoles)])
}

fn services(domain: &Domain, deferrals: Deferrals) -> Services {
    let Domain { keys, limits, servers, schedules, accounts, idempotency, notices } = domain.clone();
    let limiter = limits.limiter();
    Services { servers, schedules, keys, accounts, idempotency, limiter, notices, deferrals }
}

fn start_jobs(
    db: &Arc<Db>,
    domain: &Domain,
    health: &Health,
    metrics: Metrics,
    standing: Standing,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    let (pinged, database) = (db.clone(), health.component("database", PING * 5));
    jobs.spawn(every("ping the database", PING, stop.clone(), async move || {
        ping(&pinged, &database).await;
        Ok::<(), std::convert::Infallible>(())
    }));
    let time_zones = health.steady("time_zones");
    let look = async move || look_for_zones(&time_zones).await;
    jobs.spawn(every("look for time zone data", ZONES, stop.clone(), look));
    let discord = health.component("discord", LOOK * 10);
    jobs.spawn(every("look at Discord", LOOK, stop.clone(), async move || {
        tell(&standing, &discord);
        Ok::<(), std::convert::Infallible>(())
    }));
    domain.limits.start(&mut jobs, stop);
    jobs.spawn(every("metrics upkeep", telemetry::UPKEEP, stop.clone(), async move || {
        metrics.upkeep();
        Ok::<(), std::convert::Infallible>(())
    }));
    jobs
}

fn tell(standing: &Standing, discord: &Component) {
    match standing.trouble() {
        // The component says so by itself, and every start would warn.
        _ if standing.is_starting() => {}
        None => discord.ok(),
        Some(why) => discord.trouble(&why),
    }
    metrics::gauge!("agis_bot_discord_shards_connected").set(standing.shards_connected() as f64);
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

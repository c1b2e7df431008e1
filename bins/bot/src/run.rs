//! Composes, runs, and ends in order.

use std::{path::Path, sync::Arc, time::Duration};

use agis_deferrals::{Deferrals, service::BEAT};
use agis_discord::{Connection, Loops, Services, Standing, courier, members, mender};
use agis_host_process::Consoles;
use agis_program::{
    Domain, Limits, settings,
    upkeep::{PING, ZONES, hear, look_for_zones, ping, zones},
};
use agis_runtime::{
    Component, Health, Loop, Metrics, listen,
    loops::rung,
    ops,
    shutdown::{BOT_ANSWERS, BOT_JOBS, Signals},
    telemetry,
};
use agis_servers::console::Console;
use agis_storage::{Db, notify::Bells};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::config;

/// How often readiness learns how the bot stands with Discord.
const LOOK: Duration = Duration::from_secs(1);
/// Maximum time between two rounds of a loop that is well: a delivery waits for Discord again and again.
const SILENCE: Duration = Duration::from_secs(120);
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
    let bells = Bells::default();
    let domain = Domain::new(&config.rules, &db, &bells, limits, consoles.into());
    let deferrals = Deferrals::new(db.clone(), &config.discord.token).ok_or("no cryptography for promised answers")?;
    let connection = Connection::new(config.discord.token, config.discord.api, config.discord.guild);
    let standing = connection.standing();

    tokio::spawn(ops::serve(ops, health.clone(), metrics.clone()).map_err(text)?);
    let stop = CancellationToken::new();
    let mut jobs = start_jobs(&db, &domain, &health, metrics, standing, &stop);
    start_writer(&mut jobs, deferrals.clone(), &health, &stop);
    let notices = bells.notices.subscribe();
    let (url, told, listening) = (config.database.url.clone(), health.clone(), stop.clone());
    jobs.spawn(async move {
        listening.run_until_cancelled(hear(url, bells, &told)).await;
    });
    let hearing = CancellationToken::new();
    let (mut running, loops) = connection.start(services(&domain, deferrals), config.settings, hearing.clone());
    let mut talks = start_talks(loops, notices, &health, &hearing);
    tracing::info!(%metrics_address, time_zones = zones(), "bot started");

    let asked = tokio::select! {
        () = signals.next() => Ok(()),
        ended = jobs.join_next() => {
            tracing::error!(?ended, "background loop ended");
            Err(BUG.to_owned())
        }
        ended = talks.join_next() => {
            tracing::error!(?ended, "background loop ended");
            Err(BUG.to_owned())
        }
        () = running.ended() => Err(BUG.to_owned()),
    };
    tracing::info!("shutting down");
    let ending = async {
        health.drain();
        let talked = async { while talks.join_next().await.is_some() {} };
        let answered = async { tokio::join!(running.end(), talked) };
        if tokio::time::timeout(BOT_ANSWERS, answered).await.is_err() {
            tracing::warn!("interactions were cut off at shutdown");
        }
        stop.cancel();
        let ended = tokio::time::timeout(BOT_JOBS, async { while jobs.join_next().await.is_some() {} }).await;
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

/// Returns the consoles of servers on this machine, if there are any.
fn consoles(data_dir: Option<&Path>) -> Result<Vec<Arc<dyn Console>>, String> {
    let Some(dir) = data_dir else { return Ok(vec![]) };
    let consoles = Consoles::of(dir).map_err(|error| {
        format!("{}: {error}; AGIS_DATA_DIR is that of an agis-api that has run on this machine", dir.display())
    })?;
    Ok(vec![Arc::new(consoles)])
}

fn services(domain: &Domain, deferrals: Deferrals) -> Services {
    let Domain { keys, limits, servers, hosts: _, schedules, accounts, idempotency, notices } = domain.clone();
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
    jobs.spawn(Loop::new("ping the database", PING).run(stop.clone(), async move || {
        ping(&pinged, &database).await;
        Ok::<(), std::convert::Infallible>(())
    }));
    let time_zones = health.steady("time_zones");
    let look = Loop::new("look for time zone data", ZONES);
    jobs.spawn(look.run(stop.clone(), async move || look_for_zones(&time_zones).await));
    let discord = health.component("discord", LOOK * 10);
    jobs.spawn(Loop::new("look at Discord", LOOK).run(stop.clone(), async move || {
        tell(&standing, &discord);
        Ok::<(), std::convert::Infallible>(())
    }));
    domain.limits.start(&mut jobs, stop);
    jobs.spawn(Loop::new("metrics upkeep", telemetry::UPKEEP).run(stop.clone(), async move || {
        metrics.upkeep();
        Ok::<(), std::convert::Infallible>(())
    }));
    jobs
}

/// Starts the writer of promised answers. It runs until after the last answer, so that no other bot takes over what this
/// one still gives.
fn start_writer(jobs: &mut JoinSet<()>, deferrals: Deferrals, health: &Health, stop: &CancellationToken) {
    let changes = deferrals.clone();
    let writes = Loop::new("deferrals", BEAT)
        .bell(async move || changes.changed().await)
        .component(health.optional("deferrals", SILENCE))
        .flush();
    jobs.spawn(writes.run(stop.clone(), async move || deferrals.round().await));
}

/// Starts the loops that call Discord on their own.
fn start_talks(
    Loops { courier, members, mender }: Loops,
    mut notices: watch::Receiver<()>,
    health: &Health,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut talks = JoinSet::new();
    let delivers = Loop::new("courier", courier::PERIOD)
        .bell(async move || rung(&mut notices).await)
        .component(health.optional("courier", SILENCE));
    talks.spawn(delivers.run(stop.clone(), async move || courier.round().await));
    let mends = Loop::new("mender", mender::PERIOD).component(health.optional("mender", SILENCE));
    talks.spawn(mends.run(stop.clone(), async move || mender.round().await));
    let (asks, stopped) = (Loop::new("members", members::PERIOD), stop.clone());
    // A round asks for many members, one after the other.
    talks.spawn(
        asks.run(stop.clone(), async move || stopped.run_until_cancelled(members.round()).await.unwrap_or(Ok(None))),
    );
    talks
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

//! `cargo xtask grafana`: the dashboards of grafana/, compared with programs that run.

mod dashboards;
mod minute;
mod queries;
mod scene;
mod schema;

use std::path::Path;
use std::time::SystemTime;

use self::dashboards::Dashboard;
use self::minute::Minute;
use self::queries::{NOTHING, excuse};
use self::scene::Scene;
use crate::failure::{Failure, Result};
use crate::run::{answer, step};
use crate::signals::Interrupts;
use crate::{alerts, series, state};

/// Check the dashboards and the alerts, on a real Prometheus that scrapes real programs
///
/// Brings up PostgreSQL, Redis, agis-api, agis-bot with a stand-in for Discord, and a Prometheus; has them do a little of
/// everything for a minute; then asks what every panel and every alert asks.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Subcommand,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    /// Check everything
    Check,
}

pub(crate) fn run(args: &Args, interrupts: &Interrupts) -> Result {
    match args.command {
        Subcommand::Check => check(interrupts),
    }
}

/// Checks the alerts by themselves, then dashboards and alerts on what the programs tell.
fn check(interrupts: &Interrupts) -> Result {
    alerts::check()?;
    let out = state::target()?.join("grafana");
    let dashboards = dashboards::load()?;
    check_form(&dashboards, &out, interrupts)?;
    let scene = Scene::start(&out, interrupts)?;
    step("checking the dashboards and alerts on a Prometheus, for a minute");
    check_data(&dashboards, &scene, interrupts)
}

fn check_form(dashboards: &[Dashboard], out: &Path, interrupts: &Interrupts) -> Result {
    let packages = schema::install(interrupts)?;
    step("checking the form of the dashboards");
    let mut found: Vec<_> = dashboards.iter().flat_map(Dashboard::faults).collect();
    if let Some(packages) = &packages {
        found.extend(schema::faults(dashboards, packages, out)?);
    }
    let by = if packages.is_some() { "our rules and Grafana's schema" } else { "our rules" };
    report(&found, &format!("{} dashboards by {by}", dashboards.len()))
}

fn check_data(dashboards: &[Dashboard], scene: &Scene<'_>, interrupts: &Interrupts) -> Result {
    let (prometheus, rules) = (&scene.prometheus, alerts::all()?);
    prometheus.wait()?;
    let began = Some(SystemTime::now());
    let queries: Vec<_> = dashboards.iter().flat_map(|of| of.queries().map(move |query| (&of.name, query))).collect();
    let wanted: Vec<_> = queries.iter().map(|(_, query)| query.expr).filter(|expr| excuse(expr).is_none()).collect();
    let is_done = || wanted.iter().all(|expr| prometheus.has_data(expr, began).unwrap_or_default());
    Minute::begin(&scene.api, &scene.discord.url)?.play(is_done, interrupts)?;

    let mut found = vec![];
    for (dashboard, query) in &queries {
        let faults = prometheus.faults(query.expr, began).into_iter();
        found.extend(faults.map(|fault| format!("{dashboard}: {}: {fault}", query.panel)));
    }
    for alert in rules.alerts() {
        let faults = prometheus.alert_faults(&alert.expr.0).into_iter();
        found.extend(faults.map(|fault| format!("{}: {fault}", alert.alert.0)));
    }
    let scraped = prometheus.names()?;
    let ours: Vec<_> =
        scraped.iter().filter(|name| name.starts_with("agis_") || name.starts_with("process_")).collect();
    let unlisted = ours.iter().filter(|name| !series::KNOWN.contains(**name));
    found.extend(unlisted.map(|name| format!("{name} is scraped, and is not in the table of metrics")));
    let exprs = queries.iter().map(|(_, query)| query.expr).chain(rules.alerts().map(|alert| alert.expr.0.as_str()));
    let exprs: Vec<_> = exprs.collect();
    let idle = NOTHING.iter().filter(|(part, _)| !exprs.iter().any(|expr| expr.contains(part)));
    found.extend(idle.map(|(part, _)| format!("nothing asks for {part}, which is excused")));
    let (asked, alerts) = (queries.len(), rules.alerts().count());
    report(&found, &format!("{asked} queries and {alerts} alerts on a Prometheus with {} metrics", ours.len()))
}

fn report(found: &[String], checked: &str) -> Result {
    found.iter().for_each(answer);
    answer(format_args!("{checked}: {} faults", found.len()));
    if found.is_empty() { Ok(()) } else { Err(Failure::new("the dashboards have faults")) }
}

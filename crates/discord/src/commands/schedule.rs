//! `/schedule`

use std::collections::HashMap;

use agis_base::{Reach, ServerId};
use agis_scheduler::{Action, MissedRunPolicy, NewSchedule, Schedule, ScheduleChange, Timing, store::Query};
use agis_servers::{
    access::Permission,
    store::{Page, ServerFilter},
};
use chrono::Utc;

use crate::{
    answer::Follow,
    answer::{Answer, Message},
    call::{Args, Call},
    code::{Listed, Loss, confirm},
    context::{Context, Services},
    find,
    once::{self, once},
    pages::{Piece, read_for},
    render::schedule as page,
    wording::Refusal,
};

/// Actions of a schedule: label and word.
pub(crate) const ACTIONS: &[(&str, &str)] = &[("start", "start"), ("stop", "stop"), ("restart", "restart")];
/// Policies for missed runs: label and word.
pub(crate) const POLICIES: &[(&str, &str)] = &[("run the latest of them, late", "run_once"), ("skip them", "skip")];
const RUNS: usize = 5;
/// Maximum number of servers that are read for their names.
const SERVERS: u32 = 200;

pub(crate) async fn create(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let services = &context.services;
    let timing = timing(args)?;
    let action = args.needed("action")?.to_lowercase();
    let action = Action::from_word(&action)
        .ok_or_else(|| Refusal::refused("A schedule can `start`, `stop` or `restart` a server."))?;
    let policy = args.text("missed").and_then(|word| MissedRunPolicy::from_word(&word)).unwrap_or_default();
    let (server, _) = find::server(services, call, &args.needed("server")?).await?;
    services.servers.allowed(&call.user, server.id, Permission::Schedule).await?;
    let owner = call.user.clone();
    let new = NewSchedule { server: server.id, owner, action, timing, enabled: true, missed_run_policy: policy };
    let schedule = once(services, call, "schedule create", |once| async move {
        Ok(services.schedules.create(new, Some(&once)).await?)
    })
    .await?;
    Ok(shown("Schedule created", &schedule, &server.name).into())
}

pub(crate) async fn list(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let services = &context.services;
    let server = match args.text("server") {
        Some(typed) => Some(find::server(services, call, &typed).await?.0.id),
        None => None,
    };
    list_page(context, call, server, 0).await
}

/// Shows a page of the list, of one server or of all.
pub(crate) async fn list_page(
    context: &Context,
    call: &Call,
    server: Option<ServerId>,
    number: u32,
) -> Result<Answer, Refusal> {
    let services = &context.services;
    let query = Query {
        user: call.user.clone(),
        reach: Reach::Every,
        server,
        action: None,
        enabled: None,
        after: None,
        limit: read_for(number),
    };
    let schedules = services.schedules.list(&query).await?;
    let named = named(services, call, schedules).await?;
    Ok(page::list(Piece::of(Listed::Schedules(server), number, &named)).into())
}

/// Adds the names of their servers, as far as the caller may know them.
pub(crate) async fn named(
    services: &Services,
    call: &Call,
    schedules: Vec<Schedule>,
) -> Result<Vec<(Schedule, String)>, Refusal> {
    let page = Page { after: None, limit: SERVERS };
    let servers = services.servers.list(&call.user, &Reach::Every, &ServerFilter::default(), page).await?;
    let names: HashMap<_, _> = servers.into_iter().map(|(server, _)| (server.id, server.name)).collect();
    let name = |schedule: &Schedule| {
        names.get(&schedule.server).cloned().unwrap_or_else(|| format!("server {}", schedule.server))
    };
    Ok(schedules.into_iter().map(|schedule| (schedule.clone(), name(&schedule))).collect())
}

pub(crate) async fn ask_to_delete(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let schedule = find::schedule(&context.services, call, &args.needed("schedule")?).await?;
    let name = find::name(&context.services, call, schedule.server).await;
    let buttons = confirm(call, Loss::Schedule(schedule.id), "Delete it");
    Ok(page::lose(&schedule, &name, buttons).into())
}

pub(crate) async fn switch(context: &Context, call: &Call, args: &Args, on: bool) -> Result<Answer, Refusal> {
    let services = &context.services;
    let schedule = find::schedule(services, call, &args.needed("schedule")?).await?;
    let change = ScheduleChange { enabled: Some(on), ..ScheduleChange::default() };
    let schedule = services.schedules.change(&call.user, &Reach::Every, schedule.id, &change).await?;
    let name = find::name(services, call, schedule.server).await;
    Ok(shown(if on { "Schedule enabled" } else { "Schedule disabled" }, &schedule, &name).into())
}

/// Runs a schedule's action now, in the name of the caller.
pub(crate) async fn run_now(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let services = &context.services;
    let schedule = find::schedule(services, call, &args.needed("schedule")?).await?;
    let (server, _) = services.servers.get(&call.user, schedule.server).await?;
    let request = call.request(server.id, schedule.action.into(), once::key(call));
    let operation = services.servers.request(request).await?;
    Ok(Follow { server, operation }.begin())
}

pub(crate) fn preview(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let timing = timing(args)?;
    let runs = context.services.schedules.preview(&timing, Utc::now(), RUNS)?;
    Ok(page::preview(&timing, &runs).into())
}

fn timing(args: &Args) -> Result<Timing, Refusal> {
    let zone = args.text("timezone").unwrap_or_else(|| "UTC".to_owned());
    Ok(Timing::parse(&args.needed("cron")?, &zone)?)
}

fn shown(title: &str, schedule: &Schedule, server: &str) -> Message {
    page::one(title, schedule, server, &schedule.next_runs(Utc::now(), RUNS))
}

//! `/schedule`

use std::collections::HashMap;

use agis_base::{InvalidSpan, MANY_MAX, Reach, ServerId, Span};
use agis_scheduler::{
    Action, FiringId, MissedRunPolicy, NewSchedule, RunState, Schedule, ScheduleChange, SchedulesError, Target, Timing,
    TimingError, Trigger, Work, Zone,
    chain::Postponement,
    service::RunNow,
    store::{Query, RunsQuery},
    template,
    work::{Deed, InvalidWork, PlayersAre, Step, Warning, When},
};
use agis_servers::{
    Server,
    access::Permission,
    operation::Action as ServerAction,
    store::{Page, ServerFilter},
};
use chrono::Utc;

use crate::{
    answer::Follow,
    answer::{Answer, Message},
    call::{Args, Call},
    code::{Listed, Loss, confirm},
    commands::{announcement, batch, label},
    context::{Context, Services},
    find,
    once::{self, once},
    pages::{Piece, read_for},
    render::{schedule as page, text::plain},
    wording::Refusal,
};

/// Actions of a schedule: label and word.
pub(crate) const ACTIONS: &[(&str, &str)] = &[("start", "start"), ("stop", "stop"), ("restart", "restart")];
/// Policies for missed runs: label and word.
pub(crate) const POLICIES: &[(&str, &str)] = &[("run the latest of them, late", "run_once"), ("skip them", "skip")];
/// Conditions about players: label and word.
pub(crate) const PLAYERS: &[(&str, &str)] = &[
    ("anybody (default)", "any"),
    ("nobody; skip the run otherwise", "empty"),
    ("nobody; wait up to two hours for that", "wait"),
];
/// Time for which a run waits for players to leave.
const PATIENCE: Span = Span::of_minutes(120);
/// Runs in a history.
const HISTORY: u32 = 10;
const RUNS: usize = 5;
/// Maximum number of servers that are read for their names.
const SERVERS: u32 = 200;

pub(crate) async fn create(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let services = &context.services;
    if let Some(name) = args.text("template") {
        return of_template(context, call, args, &name).await;
    }
    let (trigger, work) = (trigger(args)?, work(args)?);
    let target = target(services, call, args).await?;
    let name = counted(services, call, &target).await?;
    let owner = call.user.clone();
    let new = NewSchedule { target, owner, work, trigger, enabled: true, missed_run_policy: policy(args) };
    let schedule = once(services, call, "schedule create", |once| async move {
        Ok(services.schedules.create(new, Some(&once)).await?)
    })
    .await?;
    Ok(shown("Schedule created", &schedule, &name).into())
}

/// Returns the name of the servers that a new schedule acts on, and how many they are now: a label may be mistyped.
async fn counted(services: &Services, call: &Call, target: &Target) -> Result<String, Refusal> {
    let name = find::target(services, call, target).await;
    let Target::Labelled { label, .. } = target else { return Ok(name) };
    let filter = ServerFilter { label: Some(label.clone()), ..ServerFilter::default() };
    let page = Page { after: None, limit: MANY_MAX };
    let now = services.servers.list(&call.user, &Reach::Every, &filter, page).await?.len();
    Ok(format!("{name} ({now} now)"))
}

/// Creates the schedules of a template, or none of them.
async fn of_template(context: &Context, call: &Call, args: &Args, name: &str) -> Result<Answer, Refusal> {
    let services = &context.services;
    let template = template::named(name).ok_or_else(|| Refusal::refused("Choose a `template` from the list."))?;
    if ["action", "steps", "cron", "at", "warn"].iter().any(|option| args.text(option).is_some()) {
        return Err(Refusal::refused(
            "A `template` has its own times and steps. Leave the others out, or leave it out.",
        ));
    }
    let zone = args.text("timezone").unwrap_or_else(|| "UTC".to_owned());
    let target = target(services, call, args).await?;
    let servers = counted(services, call, &target).await?;
    let mut drafts = vec![];
    for draft in template.drafts {
        let mut work = draft.work().map_err(|error| Refusal::Refused(plain(&error.to_string())))?;
        condition(&mut work, args);
        drafts.push((work, Trigger::Cron(Timing::parse(draft.cron, &zone)?)));
    }
    let missed_run_policy = policy(args);
    let made = once(services, call, "schedule create", |once| async move {
        let mut made: Vec<Schedule> = vec![];
        for (work, trigger) in drafts {
            let (owner, target) = (call.user.clone(), target.clone());
            let new = NewSchedule { target, owner, work, trigger, enabled: true, missed_run_policy };
            match services.schedules.create(new, made.is_empty().then_some(&once)).await {
                Ok(schedule) => made.push(schedule),
                Err(error) => {
                    for schedule in made {
                        services.schedules.delete(&call.user, &Reach::Every, schedule.id).await?;
                    }
                    return Err(error.into());
                }
            }
        }
        Ok(made)
    })
    .await?;
    Ok(page::several("Schedules created", &made, &servers).into())
}

/// Reads the servers that a schedule acts on: one, or all with a label.
async fn target(services: &Services, call: &Call, args: &Args) -> Result<Target, Refusal> {
    match (args.text("server"), label::typed(args)?) {
        (Some(typed), None) => {
            batch::check_no_pace(args)?;
            let (server, _) = find::server(services, call, &typed).await?;
            services.servers.allowed(&call.user, server.id, Permission::Schedule).await?;
            Ok(Target::Server(server.id))
        }
        (None, Some(label)) => Ok(Target::Labelled { label, pace: batch::pace(args)? }),
        (None, None) => Err(Refusal::refused("Say which `server` you mean, or the `label` of several.")),
        (Some(_), Some(_)) => Err(Refusal::refused("Say a `server` or a `label`, not both.")),
    }
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
        kind: None,
        enabled: None,
        alive: true,
        after: None,
        limit: read_for(number),
    };
    let schedules = services.schedules.list(&query).await?;
    let ids: Vec<_> = schedules.iter().map(|schedule| schedule.id).collect();
    let open = services.schedules.open_runs(&ids).await?;
    let named = named(services, call, schedules).await?;
    Ok(page::list(Piece::of(Listed::Schedules(server), number, &named), &open).into())
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
    let name = |schedule: &Schedule| match &schedule.target {
        Target::Server(server) => names.get(server).cloned().unwrap_or_else(|| format!("server {server}")),
        Target::Labelled { label, .. } => find::labelled(label),
    };
    Ok(schedules.into_iter().map(|schedule| (schedule.clone(), name(&schedule))).collect())
}

pub(crate) async fn ask_to_delete(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let schedule = find::schedule(&context.services, call, &args.needed("schedule")?).await?;
    let name = find::target(&context.services, call, &schedule.target).await;
    let buttons = confirm(call, Loss::Schedule(schedule.id), "Delete it");
    Ok(page::lose(&schedule, &name, buttons).into())
}

pub(crate) async fn switch(context: &Context, call: &Call, args: &Args, on: bool) -> Result<Answer, Refusal> {
    let services = &context.services;
    let schedule = find::schedule(services, call, &args.needed("schedule")?).await?;
    let change = ScheduleChange { enabled: Some(on), ..ScheduleChange::default() };
    let schedule = services.schedules.change(&call.user, &Reach::Every, schedule.id, &change).await?;
    let name = find::target(services, call, &schedule.target).await;
    Ok(shown(if on { "Schedule enabled" } else { "Schedule disabled" }, &schedule, &name).into())
}

/// Stops or restarts a server after warnings: a schedule that fires once, now.
pub(crate) async fn announced(
    context: &Context,
    call: &Call,
    server: &Server,
    power: ServerAction,
    warn: &str,
) -> Result<Answer, Refusal> {
    let services = &context.services;
    let action =
        Action::from_word(power.as_str()).ok_or_else(|| Refusal::refused("`warn` is for a stop or a restart."))?;
    let warning = warning(warn)?;
    let server = services.servers.allowed(&call.user, server.id, Permission::Schedule).await?;
    let now = services.schedules.now().await?;
    let new = NewSchedule::announced(server.id, call.user.clone(), action, warning, now);
    // Nobody wrote steps.
    new.work.check().map_err(|InvalidWork { rule, .. }| Refusal::Refused(format!("`warn` {rule}.")))?;
    services.servers.check_warned(&call.user, server.id, power).await?;
    let schedule = once(services, call, "server announced", |once| async move {
        Ok(services.schedules.create(new, Some(&once)).await?)
    })
    .await?;
    Ok(page::announced(&schedule, &server.name).into())
}

/// Runs a schedule now: a single action in the name of the caller, steps in that of its maker.
pub(crate) async fn run_now(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let services = &context.services;
    let schedule = find::schedule(services, call, &args.needed("schedule")?).await?;
    match services.schedules.run_now(&call.user, &Reach::Every, schedule.id).await? {
        RunNow::Action(server, action) => {
            let (server, _) = services.servers.get(&call.user, server).await?;
            let operation = services.servers.request(call.request(server.id, action.into(), once::key(call))).await?;
            Ok(Follow::operation(server, operation).begin())
        }
        RunNow::Run(run) => {
            let run = services.schedules.run(&call.user, &Reach::Every, run).await?;
            let name = find::target(services, call, &schedule.target).await;
            Ok(page::begun(&schedule, &name, &run).into())
        }
    }
}

/// Shows the last runs of a schedule, and the steps of the latest.
pub(crate) async fn history(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let services = &context.services;
    let schedule = find::schedule(services, call, &args.needed("schedule")?).await?;
    let query = RunsQuery { state: None, before: None, limit: HISTORY };
    let mut runs = services.schedules.runs(&call.user, &Reach::Every, schedule.id, query).await?;
    // Runs of the future may be skipped already, and another may wait for the one that goes on.
    let open = RunsQuery { state: Some(RunState::Pending), before: None, limit: HISTORY };
    let open = services.schedules.runs(&call.user, &Reach::Every, schedule.id, open).await?;
    let now = Utc::now();
    let begun = open.last().or_else(|| runs.iter().find(|run| run.slot <= now)).or(runs.first());
    let latest = match begun {
        Some(run) => {
            let id = FiringId { schedule: schedule.id, slot: run.slot };
            Some(services.schedules.run(&call.user, &Reach::Every, id).await?)
        }
        None => None,
    };
    let mut latest = latest.filter(|latest| latest.run.kind.action().is_none());
    // The reason of a failure may quote the console.
    for part in latest.iter_mut().flat_map(|latest| &mut latest.parts).filter(|part| part.state == RunState::Failed) {
        if services.servers.allowed(&call.user, part.server, Permission::Read).await.is_err() {
            part.reason = None;
        }
    }
    if let Some(server) = schedule.target.server()
        && services.servers.allowed(&call.user, server, Permission::Read).await.is_err()
    {
        let failed = runs.iter_mut().filter(|run| run.state == RunState::Failed).map(|run| &mut run.reason);
        let steps = latest.iter_mut().flat_map(|latest| &mut latest.steps);
        failed.chain(steps.map(|step| &mut step.reason)).for_each(|reason| *reason = None);
    }
    let name = find::target(services, call, &schedule.target).await;
    Ok(page::history(&schedule, &name, &runs, latest.as_ref()).into())
}

/// Ends the run of a schedule that goes on.
pub(crate) async fn cancel(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let (schedule, run) = open_run(context, call, args).await?;
    let name = find::target(&context.services, call, &schedule.target).await;
    announcement::call_off(&context.services, call, &schedule, run, &name).await
}

/// Skips the next run of a schedule.
pub(crate) async fn skip(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let schedule = find::schedule(&context.services, call, &args.needed("schedule")?).await?;
    let name = find::target(&context.services, call, &schedule.target).await;
    announcement::skip(&context.services, call, &schedule, &name).await
}

/// Puts off the action of the run that goes on.
pub(crate) async fn postpone(context: &Context, call: &Call, args: &Args) -> Result<Answer, Refusal> {
    let by = args.text("by").map(|by| by.parse()).transpose();
    let by = by.map_err(|error: InvalidSpan| Refusal::Refused(format!("`by` {error}.")))?;
    let services = &context.services;
    let (schedule, run) = open_run(context, call, args).await?;
    let wish = Postponement { by: by.unwrap_or(announcement::LATER), seen: None, tell: true };
    announcement::postpone(services, call, &schedule, run, wish).await
}

/// Finds the run of a schedule that goes on, for whoever may end it: the oldest one that has not ended, since others wait for it.
async fn open_run(context: &Context, call: &Call, args: &Args) -> Result<(Schedule, FiringId), Refusal> {
    let schedules = &context.services.schedules;
    let id = find::schedule_id(&args.needed("schedule")?)?;
    match schedules.open_runs(&[id]).await?.pop() {
        Some(run) => Ok((schedules.of_run(&call.user, &Reach::Every, run).await?, run)),
        None => {
            schedules.get(&call.user, &Reach::Every, id).await?;
            Err(SchedulesError::NotCancellable.into())
        }
    }
}

pub(crate) fn preview(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let timing = timing(args)?;
    let runs = context.services.schedules.preview(&timing, Utc::now(), RUNS)?;
    Ok(page::preview(&timing, &runs).into())
}

/// Reads the cause of the runs: an expression, or an instant in the zone.
fn trigger(args: &Args) -> Result<Trigger, Refusal> {
    match (args.text("cron"), args.text("at")) {
        (Some(_), None) => Ok(Trigger::Cron(timing(args)?)),
        (None, Some(at)) => {
            let zone = args.text("timezone").unwrap_or_else(|| "UTC".to_owned());
            let zone = Zone::named(zone.trim()).ok_or(TimingError::Zone(zone))?;
            let at = zone.instant(&at).ok_or_else(|| {
                Refusal::refused("I cannot read `at`. Write a date and a time, such as `2026-12-24 20:00`.")
            })?;
            Ok(Trigger::At(at))
        }
        (Some(_), Some(_)) => Err(Refusal::refused("Give either `cron`, or `at` for a schedule that runs once.")),
        (None, None) => Err(Refusal::refused("Give `cron`, or `at` for a schedule that runs once.")),
    }
}

/// Reads the work of each run.
fn work(args: &Args) -> Result<Work, Refusal> {
    let mut work = match (args.text("action"), args.text("steps")) {
        (Some(action), None) => {
            let action = Action::from_word(&action.to_lowercase())
                .ok_or_else(|| Refusal::refused("A schedule can `start`, `stop` or `restart` a server."))?;
            Work::of(action)
        }
        (None, Some(steps)) => {
            Work::of_lines(&steps.replace(';', "\n")).map_err(|error| Refusal::Refused(plain(&error.to_string())))?
        }
        (Some(_), Some(_)) => return Err(Refusal::refused("Give either `action`, or `steps` for more than one.")),
        (None, None) => return Err(Refusal::refused("Give an `action`, or `steps` for more than one.")),
    };
    if let Some(warn) = args.text("warn") {
        warned(&mut work, &warn)?;
    }
    condition(&mut work, args);
    let wrote_steps = args.text("steps").is_some();
    work.check().map_err(|error| match error.field.strip_prefix("steps[0].") {
        Some(option) if !wrote_steps => Refusal::Refused(format!("`{option}` {}.", error.rule)),
        _ => SchedulesError::from(error).into(),
    })?;
    Ok(work)
}

/// Adds the condition about players.
fn condition(work: &mut Work, args: &Args) {
    let patient = |defer| When { players: PlayersAre::Empty, defer, ..work.usual() };
    work.when = match args.text("players").as_deref() {
        Some("empty") => Some(patient(None)),
        Some("wait") => Some(patient(Some(PATIENCE))),
        _ => None,
    };
}

fn policy(args: &Args) -> MissedRunPolicy {
    args.text("missed").and_then(|word| MissedRunPolicy::from_word(&word)).unwrap_or_default()
}

/// Adds a warning to the stop or the restart among the steps.
fn warned(work: &mut Work, times: &str) -> Result<(), Refusal> {
    let acts = work.steps.iter_mut().find_map(|step| match &mut step.deed {
        Deed::Power { action: Action::Stop | Action::Restart, warning } => Some(warning),
        _ => None,
    });
    *acts.ok_or_else(|| Refusal::refused("`warn` is for a stop or a restart."))? = Some(warning(times)?);
    Ok(())
}

/// Reads times ahead; a plain number is minutes.
fn warning(times: &str) -> Result<Warning, Refusal> {
    let is_number = |time: &str| !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    let times = times.split([' ', ',']).filter(|time| !time.is_empty());
    let times: Vec<_> = times.map(|time| if is_number(time) { format!("{time}m") } else { time.to_owned() }).collect();
    match format!("stop warn {}", times.join(" ")).parse() {
        Ok(Step { deed: Deed::Power { warning: Some(warning), .. }, .. }) => Ok(warning),
        _ => Err(Refusal::refused("I cannot read `warn`. Write times, the longest first, such as `15m 5m 1m`.")),
    }
}

fn timing(args: &Args) -> Result<Timing, Refusal> {
    let zone = args.text("timezone").unwrap_or_else(|| "UTC".to_owned());
    Ok(Timing::parse(&args.needed("cron")?, &zone)?)
}

fn shown(title: &str, schedule: &Schedule, server: &str) -> Message {
    page::one(title, schedule, server, &schedule.next_runs(Utc::now(), RUNS))
}

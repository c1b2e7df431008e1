//! Messages about schedules, with their timing in words.

use agis_base::Timestamp;
use agis_scheduler::{
    FiringId, PartRun, Run, RunState, RunWithSteps, Schedule, Target, Timing, Trigger, Work,
    chain::{StepRun, StepState},
    service::why,
    work::{PlayersAre, ServerIs},
};
use twilight_model::channel::message::component::Button;

use super::{
    announcement,
    card::{Card, Colour},
    text::{code, cut, full, plain, relative},
};
use crate::{answer::Message, pages::Piece};

/// Describes the timing in words; falls back to the stored text if it cannot be read.
pub(crate) fn words(schedule: &Schedule) -> String {
    match schedule.trigger() {
        Ok(Trigger::Cron(timing)) => timing.to_string(),
        Ok(Trigger::At(at)) => format!("once, {}", at.format("%Y-%m-%d %H:%M UTC")),
        Err(_) => format!("{} {}", schedule.cron_expression.as_deref().unwrap_or_default(), schedule.timezone),
    }
}

/// Describes the timing within markdown.
fn told(schedule: &Schedule) -> String {
    match schedule.trigger() {
        Ok(Trigger::Cron(timing)) => said(&timing),
        Ok(Trigger::At(at)) => format!("once, {}", full(at)),
        Err(_) => plain(&words(schedule)),
    }
}

/// Escapes our own words: the names of fields have stars.
fn said(timing: &Timing) -> String {
    timing.to_string().replace('*', "\\*")
}

/// Shows a schedule of this server, with its next runs.
pub(crate) fn one(title: &str, schedule: &Schedule, server: &str, runs: &[Timestamp]) -> Message {
    let text = format!("**{}** {}\n{}", doing(&schedule.work), plain(server), told(schedule));
    let colour = if schedule.enabled { Colour::Calm } else { Colour::Moving };
    let mut card = Card::new(colour).titled(title).says(&text);
    if let Some(cron) = &schedule.cron_expression {
        card = card.fact("Cron", &code(cron));
    }
    if let Target::Labelled { pace, .. } = schedule.target {
        card = card.fact("At a time", &pace.at_most.map_or_else(|| "all".to_owned(), |at_most| at_most.to_string()));
        card = card.fact("Apart", &pace.stagger.map_or_else(|| "at once".to_owned(), |stagger| stagger.to_string()));
    }
    if schedule.work.action().is_none() {
        card = card.field_of("Steps", &steps(&schedule.work)).field("Only if", &condition(&schedule.work));
    }
    card = card.field_of("Is this what you meant?", &schedule.warnings());
    card = if schedule.enabled { next(card, runs) } else { card.field("Next runs", "None: it is disabled.") };
    card.footer(&format!("Schedule {}", schedule.id)).into_message()
}

/// Shows schedules of the same servers.
pub(crate) fn several(title: &str, schedules: &[Schedule], servers: &str) -> Message {
    let lines: Vec<_> = schedules.iter().map(|schedule| line(schedule, servers, None)).collect();
    let steps: Vec<_> = schedules.iter().flat_map(|schedule| steps(&schedule.work)).collect();
    Card::new(Colour::Calm).titled(title).lists(&lines).field_of("Steps", &steps).into_message()
}

/// Shows the runs of a timing that is not stored.
pub(crate) fn preview(timing: &Timing, runs: &[Timestamp]) -> Message {
    let card = Card::new(Colour::Calm).titled("It would run").says(&said(timing));
    let card =
        card.fact("Cron", &code(&timing.cron.to_string())).field_of("Is this what you meant?", &timing.warnings());
    next(card, runs).footer("Nothing was stored.").into_message()
}

fn next(card: Card, runs: &[Timestamp]) -> Card {
    let lines: Vec<_> = runs.iter().map(|at| format!("{} · {}", full(*at), relative(*at))).collect();
    card.field_of("Next runs, by your clock", &lines)
}

/// Lists schedules, with their servers' names and the slots of their runs that go on.
pub(crate) fn list(page: Piece<'_, (Schedule, String)>, open: &[FiringId]) -> Message {
    let card = Card::new(Colour::Calm).titled("Your schedules");
    if page.items.is_empty() {
        return card.says("There are none. `/schedule create` makes one.").into_message();
    }
    let runs = |schedule: &Schedule| open.iter().find(|run| run.schedule == schedule.id).map(|run| run.slot);
    let line = |(schedule, server): &(Schedule, String)| line(schedule, server, runs(schedule));
    let lines: Vec<_> = page.items.iter().map(line).collect();
    card.lists(&lines).buttons(page.buttons).into_message()
}

fn line(schedule: &Schedule, server: &str, open: Option<Timestamp>) -> String {
    let next = match (schedule.next_run, &schedule.disabled_reason) {
        (Some(at), _) => format!("next {}", relative(at)),
        // The only run of the schedule is not over.
        (None, _) if open.is_some() => "no further run".to_owned(),
        (None, Some(why)) => format!("disabled: {}", cut(&plain(why), 50)),
        (None, None) => "disabled".to_owned(),
    };
    let mark = match (open, schedule.enabled) {
        (Some(_), _) => "⏳",
        (None, true) => "⏰",
        (None, false) => "⏸️",
    };
    let next = match open {
        Some(slot) => format!("a run goes on since {} · {next}", relative(slot)),
        None => next,
    };
    let (doing, server, words) = (doing(&schedule.work), plain(server), cut(&told(schedule), 100));
    format!("{mark} **{}** · {doing} {server} · {words} · {next}", schedule.id)
}

/// Asks before a schedule is deleted.
pub(crate) fn lose(schedule: &Schedule, server: &str, buttons: Vec<Button>) -> Message {
    let (doing, server, words) = (doing(&schedule.work), plain(server), told(schedule));
    let text = format!(
        "Schedule {} · {doing} {server} · {words}\nIts history goes with it. `/schedule disable` keeps it. You have five \
         minutes to decide.",
        schedule.id
    );
    Card::new(Colour::Bad).titled("Delete this schedule?").says(&text).buttons(buttons).into_message()
}

/// Describes the work, before the server's name.
pub(crate) fn doing(work: &Work) -> &'static str {
    match work.action() {
        Some(agis_scheduler::Action::Start) => "Start",
        Some(agis_scheduler::Action::Stop) => "Stop",
        Some(agis_scheduler::Action::Restart) => "Restart",
        None => "Steps on",
    }
}

/// Lists the steps of work.
fn steps(work: &Work) -> Vec<String> {
    work.to_string().lines().zip(1..).map(|(line, number)| format!("{number}. {}", plain(line))).collect()
}

/// Describes the condition under which a run begins.
fn condition(work: &Work) -> String {
    let when = work.when();
    let server = match when.server {
        ServerIs::Running => "the server should be running",
        ServerIs::Stopped => "the server is stopped",
        ServerIs::Any => "at any time",
    };
    match (when.players, when.defer) {
        (PlayersAre::Any, _) => server.to_owned(),
        (PlayersAre::Empty, None) => format!("{server}, and nobody plays"),
        (PlayersAre::Empty, Some(defer)) => format!("{server}, and nobody plays; it waits up to {defer} for that"),
    }
}

/// Tells that a run has begun.
pub(crate) fn begun(schedule: &Schedule, server: &str, run: &RunWithSteps) -> Message {
    let text = format!(
        "Schedule {} on {} begins {}. `/schedule history` shows how it goes, `/schedule cancel` ends it.",
        schedule.id,
        plain(server),
        relative(run.run.slot)
    );
    let card = Card::new(Colour::Moving).titled("Run begun").says(&text);
    card.field_of("Steps", &steps(&schedule.work)).into_message()
}

/// Tells that a server stops or restarts after warnings.
pub(crate) fn announced(schedule: &Schedule, server: &str) -> Message {
    let lines: Vec<_> = schedule.at.map(|at| schedule.work.clock(at)).unwrap_or_default();
    let due = lines.last().map(|(at, _)| *at);
    let lines: Vec<_> = lines
        .iter()
        .filter(|(_, step)| !step.starts_with("wait "))
        .map(|(at, step)| format!("{} · {}", relative(*at), plain(step)))
        .collect();
    let text = format!("**{}** with warnings.", plain(server));
    let card = Card::new(Colour::Moving).titled("Announced").says(&text).field_of("On the clock", &lines);
    let run = schedule.at.map(|slot| FiringId { schedule: schedule.id, slot });
    let buttons = run.map(|run| announcement::buttons(run, due, false)).unwrap_or_default();
    card.footer(&format!("Schedule {}", schedule.id)).buttons(buttons).into_message()
}

/// Shows the last runs of a schedule, and the steps of the latest.
pub(crate) fn history(schedule: &Schedule, server: &str, runs: &[Run], latest: Option<&RunWithSteps>) -> Message {
    let title = format!("Runs of schedule {}", schedule.id);
    let card = Card::new(Colour::Calm).titled(&title).says(&format!("**{}** {}", doing(&schedule.work), plain(server)));
    if runs.is_empty() {
        return card.field("Runs", "None yet.").into_message();
    }
    let runs: Vec<_> = runs.iter().map(run_line).collect();
    let card = card.field_of("Runs", &runs);
    let Some(latest) = latest else { return card.into_message() };
    if !latest.parts.is_empty() {
        let servers: Vec<_> = latest.parts.iter().map(part_line).collect();
        return card.field_of("Servers of the latest", &servers).into_message();
    }
    let steps: Vec<_> = latest.steps.iter().zip(1..).map(|(step, number)| step_line(number, step)).collect();
    let none = ["It has not begun.".to_owned()];
    card.field_of("Steps of the latest", if steps.is_empty() { &none } else { &steps }).into_message()
}

fn run_line(run: &Run) -> String {
    format!("{} {} · {}{}", mark(run.state), full(run.slot), run.state, told_reason(run.reason.as_deref()))
}

fn part_line(part: &PartRun) -> String {
    let state = if part.begun_at.is_none() && part.state == RunState::Pending {
        "waits for its turn"
    } else {
        part.state.as_str()
    };
    format!("{} **{}** · {state}{}", mark(part.state), plain(&part.name), told_reason(part.reason.as_deref()))
}

fn mark(state: RunState) -> &'static str {
    match state {
        RunState::Pending => "⏳",
        RunState::Succeeded => "✅",
        RunState::Failed => "❌",
        RunState::Skipped => "⏭️",
        RunState::Missed => "💤",
    }
}

fn told_reason(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {}", cut(&plain(why(reason)), 120))).unwrap_or_default()
}

fn step_line(number: usize, run: &StepRun) -> String {
    let mark = match run.state {
        StepState::Waiting => "▫️",
        StepState::Running => "⏳",
        StepState::Succeeded => "✅",
        StepState::Failed => "❌",
        StepState::Skipped => "⏭️",
    };
    let at = run.started_at.map(|at| format!(" · {}", relative(at))).unwrap_or_default();
    let reason = told_reason(run.reason.as_deref());
    format!("{mark} {number}. {}{at}{reason}", cut(&plain(&run.step.deed.to_string()), 80))
}

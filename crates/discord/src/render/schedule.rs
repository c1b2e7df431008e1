//! Messages about schedules, with their timing in words.

use agis_base::Timestamp;
use agis_scheduler::{Action, Schedule, Timing};
use twilight_model::channel::message::component::Button;

use super::{
    card::{Card, Colour},
    text::{code, cut, full, plain, relative},
};
use crate::{answer::Message, pages::Piece};

/// Describes the timing in words; falls back to the stored text if it cannot be read.
pub(crate) fn words(schedule: &Schedule) -> String {
    match schedule.timing() {
        Ok(timing) => timing.to_string(),
        Err(_) => format!("{} {}", schedule.cron_expression, schedule.timezone),
    }
}

/// Describes the timing within markdown.
fn told(schedule: &Schedule) -> String {
    schedule.timing().map_or_else(|_| plain(&words(schedule)), |timing| said(&timing))
}

/// Escapes our own words: the names of fields have stars.
fn said(timing: &Timing) -> String {
    timing.to_string().replace('*', "\\*")
}

/// Shows a schedule of this server, with its next runs.
pub(crate) fn one(title: &str, schedule: &Schedule, server: &str, runs: &[Timestamp]) -> Message {
    let text = format!("**{}** {}\n{}", doing(schedule.action), plain(server), told(schedule));
    let colour = if schedule.enabled { Colour::Calm } else { Colour::Moving };
    let mut card = Card::new(colour).titled(title).says(&text).fact("Cron", &code(&schedule.cron_expression));
    if let Ok(timing) = schedule.timing() {
        card = warned(card, &timing);
    }
    card = if schedule.enabled { next(card, runs) } else { card.field("Next runs", "None: it is disabled.") };
    card.footer(&format!("Schedule {}", schedule.id)).into_message()
}

/// Shows the runs of a timing that is not stored.
pub(crate) fn preview(timing: &Timing, runs: &[Timestamp]) -> Message {
    let card = Card::new(Colour::Calm).titled("It would run").says(&said(timing));
    let card = warned(card.fact("Cron", &code(&timing.cron.to_string())), timing);
    next(card, runs).footer("Nothing was stored.").into_message()
}

fn warned(card: Card, timing: &Timing) -> Card {
    card.field_of("Is this what you meant?", &timing.warnings())
}

fn next(card: Card, runs: &[Timestamp]) -> Card {
    let lines: Vec<_> = runs.iter().map(|at| format!("{} · {}", full(*at), relative(*at))).collect();
    card.field_of("Next runs, by your clock", &lines)
}

/// Lists schedules, with their servers' names.
pub(crate) fn list(page: Piece<'_, (Schedule, String)>) -> Message {
    let card = Card::new(Colour::Calm).titled("Your schedules");
    if page.items.is_empty() {
        return card.says("There are none. `/schedule create` makes one.").into_message();
    }
    let lines: Vec<_> = page.items.iter().map(|(schedule, server)| line(schedule, server)).collect();
    card.lists(&lines).buttons(page.buttons).into_message()
}

fn line(schedule: &Schedule, server: &str) -> String {
    let next = match (schedule.next_run, &schedule.disabled_reason) {
        (Some(at), _) => format!("next {}", relative(at)),
        (None, Some(why)) => format!("disabled: {}", cut(&plain(why), 50)),
        (None, None) => "disabled".to_owned(),
    };
    let mark = if schedule.enabled { "⏰" } else { "⏸️" };
    let (doing, server, words) = (doing(schedule.action), plain(server), cut(&told(schedule), 100));
    format!("{mark} **{}** · {doing} {server} · {words} · {next}", schedule.id)
}

/// Asks before a schedule is deleted.
pub(crate) fn lose(schedule: &Schedule, server: &str, buttons: Vec<Button>) -> Message {
    let (doing, server, words) = (doing(schedule.action), plain(server), told(schedule));
    let text = format!(
        "Schedule {} · {doing} {server} · {words}\nIts history goes with it. `/schedule disable` keeps it. You have five \
         minutes to decide.",
        schedule.id
    );
    Card::new(Colour::Bad).titled("Delete this schedule?").says(&text).buttons(buttons).into_message()
}

/// Describes the action, before the server's name.
pub(crate) fn doing(action: Action) -> &'static str {
    match action {
        Action::Start => "Start",
        Action::Stop => "Stop",
        Action::Restart => "Restart",
    }
}

//! Announcements of stops and restarts.

use agis_base::{Span, Timestamp, UserId};
use agis_notices::{Notice, notice::Announced};
use agis_scheduler::{FiringId, Schedule, chain::Ahead};
use twilight_model::channel::message::component::{Button, ButtonStyle};

use super::{
    card::{Card, Colour, button},
    text::{full, many, person, plain, relative},
};
use crate::{
    answer::Message,
    code::{Code, Press},
};

/// Announces an action to a channel.
pub(crate) fn ahead(notice: &Notice, announced: &Announced) -> Message {
    let action = notice.action.as_deref().unwrap_or("stop");
    let run = FiringId { schedule: announced.schedule, slot: announced.slot };
    card(&notice.server_name, action, announced.at, run, announced.next, &plain(&notice.reason)).into_message()
}

/// Tells a channel that an announced action does not follow.
pub(crate) fn not_ahead(notice: &Notice) -> Message {
    let (name, action) = (plain(&notice.server_name), notice.action.as_deref().unwrap_or("stop"));
    let text = format!("**{name}** does not {action}: {}.", plain(&notice.reason));
    Card::new(Colour::Calm).titled(&format!("{name}: {action} called off")).says(&text).into_message()
}

/// Announces an action after somebody changed what follows; `note` says who, and what.
pub(crate) fn changed(server: &str, ahead: &Ahead, run: FiringId, next: Option<Timestamp>, note: &str) -> Message {
    card(server, ahead.action.as_str(), ahead.at, run, next, note).into_message()
}

/// Says who put an action off.
pub(crate) fn put_off(who: &UserId, by: Span) -> String {
    format!("{} put it off by {by}.", person(who))
}

/// Tells on how many servers a run was put off.
pub(crate) fn put_off_on(schedule: &Schedule, servers: usize, others: usize, note: &str) -> Message {
    let of = |count: usize| many(i64::try_from(count).unwrap_or(i64::MAX), "server");
    let text = match others {
        0 => format!("On {}: {note}", of(servers)),
        others => {
            format!("On {}: {note} {} of this run had nothing ahead that could be put off.", of(servers), of(others))
        }
    };
    let card = Card::new(Colour::Moving).titled("Put off").says(&text);
    card.footer(&format!("Schedule {}", schedule.id)).into_message()
}

/// Says who skipped the next run.
pub(crate) fn skipped_by(who: &UserId, slot: Timestamp) -> String {
    format!("{} skipped the run of {}.", person(who), full(slot))
}

fn card(server: &str, action: &str, at: Timestamp, run: FiringId, next: Option<Timestamp>, note: &str) -> Card {
    let text = format!("**{}** {action}s {}, at {}. {note}", plain(server), relative(at), full(at));
    let card = Card::new(Colour::Moving).titled(&format!("{}: {action} ahead", plain(server))).says(text.trim());
    let card = match next {
        Some(next) => card.fact("And then", &full(next)),
        None => card,
    };
    card.footer(&format!("Schedule {}", run.schedule)).buttons(buttons(run, Some(at), next.is_some()))
}

/// Returns the buttons under an announcement of an action that is due then.
pub(crate) fn buttons(run: FiringId, due: Option<Timestamp>, recurs: bool) -> Vec<Button> {
    let button = |style, label: &str, press, due| button(style, label, Code::Run(press, run, due).text());
    let mut buttons = vec![
        button(ButtonStyle::Primary, "15 minutes later", Press::Postpone, due),
        button(ButtonStyle::Danger, "Call it off", Press::CallOff, None),
    ];
    if recurs {
        buttons.push(button(ButtonStyle::Secondary, "Skip the next one", Press::SkipNext, None));
    }
    buttons
}

/// Tells that a run ends, or will not begin.
pub(crate) fn called_off(schedule: &Schedule, server: &str, run: FiringId, who: &UserId) -> Message {
    let text = format!(
        "{} called off the run of schedule {} on **{}** that was due {}. An operation that has begun goes on.",
        person(who),
        schedule.id,
        plain(server),
        full(run.slot)
    );
    let card = Card::new(Colour::Calm).titled("Called off").says(&text);
    match schedule.next_run {
        Some(next) => card.fact("Next run", &full(next)),
        None => card,
    }
    .into_message()
}

/// Tells that the next run of a schedule is skipped.
pub(crate) fn skipped(schedule: &Schedule, server: &str, slot: Timestamp) -> Message {
    let then = match schedule.next_run {
        Some(next) => format!("The one behind it comes {}.", full(next)),
        None => "It has no further run.".to_owned(),
    };
    let text = format!("Schedule {} does nothing on **{}** at {}. {then}", schedule.id, plain(server), full(slot));
    Card::new(Colour::Calm).titled("Next run skipped").says(&text).into_message()
}

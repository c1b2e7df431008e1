//! Messages about one action on many servers.

use agis_base::PowerAction;
use agis_servers::{
    State,
    batch::{Batch, BatchItem, BatchProgress, Untouched},
};
use twilight_model::channel::message::component::{Button, ButtonStyle};

use super::{
    card::{Card, Colour, button},
    operation::{Unfollowed, went_wrong},
    text::{many, person, plain},
};
use crate::{answer::Message, code::Code};

/// Shows how far it is.
pub(crate) fn shown(batch: &Batch) -> Message {
    card(batch, "This message tells how it goes.")
}

/// Says that it goes on without this message.
pub(crate) fn unfollowed(batch: &Batch, why: Unfollowed) -> Message {
    let why = match why {
        Unfollowed::Full => "Very many servers are on their way just now, so this message does not follow them.",
        Unfollowed::TooLong => {
            "It takes long, and this message cannot follow it any further. A message will tell when it is through."
        }
        Unfollowed::Ending => "The bot is being restarted, so this message does not follow it any further.",
    };
    card(batch, &format!("{why} `/server list` shows how it went."))
}

fn card(batch: &Batch, meanwhile: &str) -> Message {
    let failed = batch.items.iter().any(failed);
    let (colour, doing) = match (batch.is_over(), failed) {
        (false, _) => (Colour::Moving, doing(batch.action)),
        (true, true) => (Colour::Bad, done(batch.action)),
        (true, false) => (Colour::Good, done(batch.action)),
    };
    let over = batch.items.iter().filter(|item| item.progress.is_over()).count();
    let servers = many(i64::try_from(batch.items.len()).unwrap_or(i64::MAX), "server");
    let meanwhile = if batch.is_over() { "" } else { meanwhile };
    let head = format!("{over} of {servers} done with. Asked by {}. {meanwhile}\n", person(&batch.actor));
    // Servers that go on, or went wrong, are read first.
    let (first, last): (Vec<_>, Vec<_>) =
        batch.items.iter().partition(|item| !item.progress.is_over() || self::failed(item));
    let lines = first.into_iter().chain(last).map(line);
    let lines: Vec<_> = [head.trim_end().to_owned()].into_iter().chain(lines).collect();
    let title = format!("{doing} the servers with the label {}", plain(batch.label.as_str()));
    let rest = if batch.waits() { vec![cancel(batch)] } else { vec![] };
    Card::new(colour).titled(&title).lists(&lines).buttons(rest).into_message()
}

fn cancel(batch: &Batch) -> Button {
    button(ButtonStyle::Secondary, "Leave the rest alone", Code::Cancel(batch.id).text())
}

fn failed(item: &BatchItem) -> bool {
    match &item.progress {
        BatchProgress::Asked(operation) => went_wrong(operation.state),
        BatchProgress::Untouched(why) => {
            !matches!(why, Untouched::Stopped | Untouched::Overtaken | Untouched::Cancelled)
        }
        BatchProgress::Waiting => false,
    }
}

fn line(item: &BatchItem) -> String {
    let (light, how) = match &item.progress {
        BatchProgress::Waiting => ("⚪", "waits for its turn".to_owned()),
        BatchProgress::Untouched(why) => ("🔴", untouched(*why).to_owned()),
        BatchProgress::Asked(operation) => match operation.state {
            State::Queued => ("🟡", "waits".to_owned()),
            State::Running => ("🟡", "is under way".to_owned()),
            State::Succeeded => ("🟢", "done".to_owned()),
            State::Failed => ("🔴", "failed: `/server info` shows why".to_owned()),
            State::Superseded => ("⚪", "overtaken by a newer command".to_owned()),
            State::Expired => ("🔴", "nobody took it".to_owned()),
        },
    };
    format!("{light} **{}** · {how}", plain(&item.name))
}

fn untouched(why: Untouched) -> &'static str {
    match why {
        Untouched::NotAllowed => "left alone: you may not do this with it",
        Untouched::Deleted => "left alone: it is being deleted",
        Untouched::NoHost => "left alone: no host runs it",
        Untouched::CannotPay => "left alone: its owner cannot pay an hour",
        Untouched::Unfit => "left alone: it cannot start with its settings",
        Untouched::Stopped => "left alone: it is stopped",
        Untouched::Overtaken => "left alone: somebody stopped or held it meanwhile",
        Untouched::Expired => "left alone: its turn did not come within a day",
        Untouched::Cancelled => "left alone: cancelled",
    }
}

fn doing(action: Option<PowerAction>) -> &'static str {
    match action {
        Some(PowerAction::Start) => "Starting",
        Some(PowerAction::Stop) => "Stopping",
        Some(PowerAction::Restart) => "Restarting",
        None => "Acting on",
    }
}

fn done(action: Option<PowerAction>) -> &'static str {
    match action {
        Some(PowerAction::Start) => "Started",
        Some(PowerAction::Stop) => "Stopped",
        Some(PowerAction::Restart) => "Restarted",
        None => "Acted on",
    }
}

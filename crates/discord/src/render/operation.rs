//! Messages about operations.

use agis_servers::{Action, Operation, Server, State};
use twilight_model::channel::message::component::Button;

use super::{
    card::{Card, Colour},
    server::{address, restart, start, stop},
    text::{cut, person, plain},
};
use crate::answer::Message;

/// Maximum length of a reason: a sentence, not a log.
pub(super) const REASON_MAX: usize = 500;

/// Reason why a message stops following an operation before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfollowed {
    /// The maximum number of operations is followed.
    Full,
    /// Discord accepts no more edits.
    TooLong,
    /// The bot ends.
    Ending,
}

/// Announces an accepted operation.
pub(crate) fn progress(server: &Server, operation: &Operation) -> Message {
    if operation.state.is_final() {
        return ended(server, operation);
    }
    let now = operation.progress.as_deref().map(|text| format!("{}\n", plain(text))).unwrap_or_default();
    let text = format!("{now}Asked by {}. This message tells how it goes.", person(&operation.actor));
    let card = Card::new(Colour::Moving).titled(&title(doing(operation.action), server)).says(&text);
    card.buttons(meanwhile(server, operation.action)).into_message()
}

/// Announces the end of an operation.
pub(crate) fn ended(server: &Server, operation: &Operation) -> Message {
    let by = format!("Asked by {}.{}", person(&operation.actor), killed(operation));
    let name = plain(&server.name);
    let card = match operation.state {
        State::Succeeded => match operation.action {
            Action::Start | Action::Restart => {
                let join = server.endpoint.as_ref().map(|at| format!("Join at {}\n", address(at))).unwrap_or_default();
                Card::new(Colour::Good)
                    .titled(&format!("{name} is ready"))
                    .says(&format!("{join}{by}"))
                    .buttons(vec![stop(server), restart(server)])
            }
            Action::Stop => {
                Card::new(Colour::Calm).titled(&format!("{name} has stopped")).says(&by).buttons(vec![start(server.id)])
            }
            Action::Delete => {
                let text = format!("Its world is kept for seven days, and an operator can bring it back. {by}");
                Card::new(Colour::Calm).titled(&format!("{name} is deleted")).says(&text)
            }
        },
        State::Superseded => {
            let text = format!("A newer command on this server took its place. {by}");
            Card::new(Colour::Calm).titled(&title(doing(operation.action), server)).says(&text)
        }
        State::Failed | State::Expired | State::Queued | State::Running => {
            // The reason may quote the console, and not everybody in a channel may read that.
            let text = format!("`/server info` shows why to those who may read its console. {by}");
            Card::new(Colour::Bad)
                .titled(&format!("{name} could not be {}", done(operation.action)))
                .says(&text)
                .buttons(again(server, operation.action))
        }
    };
    card.into_message()
}

/// Tells the players that the game was killed.
fn killed(operation: &Operation) -> &'static str {
    match operation.killed_after_grace {
        Some(true) => {
            "\n⚠️ The game did not stop by itself in the time that it has for this, and was killed. Anything that it had not \
             saved is lost."
        }
        _ => "",
    }
}

/// Returns the reason of a failure, for a reader who may read the console; `None` if nothing failed.
pub(crate) fn why(server: &Server, operation: &Operation) -> Option<Message> {
    let why = operation.error.as_deref().filter(|_| went_wrong(operation.state))?;
    let title = format!("Why {} could not be {}", plain(&server.name), done(operation.action));
    let text = format!("{}\n\n`/server logs` shows more. Only you see this.", cut(&plain(why), REASON_MAX));
    Some(Card::new(Colour::Bad).titled(&title).says(&text).into_message())
}

/// Says that the operation goes on without this message.
pub(crate) fn unfollowed(server: &Server, operation: &Operation, why: Unfollowed) -> Message {
    let why = match why {
        Unfollowed::Full => "Very many servers are on their way just now, so this message does not follow it.",
        Unfollowed::TooLong => "It takes long, and this message cannot follow it any further.",
        Unfollowed::Ending => "The bot is being restarted, so this message does not follow it any further.",
    };
    let title = format!("{} is still {}", plain(&server.name), doing(operation.action).to_lowercase());
    let text = format!("{why} `/server info` shows how it went. Asked by {}.", person(&operation.actor));
    let card = Card::new(Colour::Moving).titled(&title).says(&text);
    card.buttons(meanwhile(server, operation.action)).into_message()
}

/// Returns whether people want to hear the reason.
pub(super) fn went_wrong(state: State) -> bool {
    matches!(state, State::Failed | State::Expired)
}

fn doing(action: Action) -> &'static str {
    match action {
        Action::Start => "Starting",
        Action::Stop => "Stopping",
        Action::Restart => "Restarting",
        Action::Delete => "Deleting",
    }
}

fn done(action: Action) -> &'static str {
    match action {
        Action::Start => "started",
        Action::Stop => "stopped",
        Action::Restart => "restarted",
        Action::Delete => "deleted",
    }
}

fn title(doing: &str, server: &Server) -> String {
    format!("{doing} {}", plain(&server.name))
}

/// Returns buttons for an operation that is under way.
fn meanwhile(server: &Server, action: Action) -> Vec<Button> {
    match action {
        Action::Start | Action::Restart => vec![stop(server)],
        Action::Stop | Action::Delete => vec![],
    }
}

/// Returns buttons for a failed operation.
fn again(server: &Server, action: Action) -> Vec<Button> {
    match action {
        Action::Start | Action::Restart => vec![start(server.id)],
        Action::Stop => vec![stop(server)],
        Action::Delete => vec![],
    }
}

//! Notices to owners.

use agis_notices::{Kind, Notice};
use agis_servers::{Action, console::Line};

use super::{
    announcement,
    card::{Card, Colour},
    server::{start, wake},
    text::{block, cut, plain, printed, relative},
};
use crate::answer::Message;

/// Audience of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// The server's owner.
    Owner,
    /// Everybody in a channel. They do not get the reason, since it may quote the console.
    Channel,
}

/// Says what happened, when, and what to do about it. The owner alone reads the last lines of the console, and gets a button
/// to start a server that has crashed, that did not start, or that sleeps.
pub(crate) fn notice(notice: &Notice, readers: Readers, console: &[Line]) -> Message {
    if let Some(announced) = &notice.announced {
        return announcement::ahead(notice, announced);
    }
    if notice.kind == Kind::PowerCalledOff {
        return announcement::not_ahead(notice);
    }
    let name = plain(&notice.server_name);
    let action = notice.action.as_deref().unwrap_or("operation");
    let begins = Action::from_word(action).is_some_and(Action::begins);
    let (title, hint) = match notice.kind {
        Kind::OperationFailed => {
            (format!("{name}: {action} failed"), "Try again; if it fails again, look at /server logs.")
        }
        Kind::OperationExpired => (
            format!("{name}: {action} was given up"),
            "Nobody could do it in time: the machine that runs this server may be away. Ask whoever operates it, or try again.",
        ),
        Kind::ServerCrashed => {
            (format!("{name} has crashed"), "Look at /server logs, and start it again with /server start.")
        }
        Kind::CreditsLow => (
            format!("{name}: not enough credits for the next hour"),
            "Without more credits the server is stopped then.",
        ),
        Kind::CreditsOut => {
            (format!("{name} is stopped: no credits"), "With more credits, start it again with /server start.")
        }
        Kind::ServerIdle => (
            format!("{name} sleeps: nobody plays"),
            "Wake it here, or with /server start, when somebody wants to play. /server idle changes when it is stopped.",
        ),
        Kind::RunFailed => (
            format!("{name}: {action} failed"),
            "`/schedule history` shows its steps. What follows the failed step was not done.",
        ),
        Kind::ActionsEnded => {
            (format!("The {} is through", plain(action)), "`/server list` and `/server info` show how the servers are.")
        }
        // Such notices were shown above.
        Kind::PowerAnnounced | Kind::PowerCalledOff => (format!("{name}: {action} ahead"), ""),
    };
    let text = match readers {
        Readers::Owner => format!("{}\n\n{hint}", plain(&notice.reason)),
        // The message that followed the servers has named them, too.
        Readers::Channel if notice.kind == Kind::ActionsEnded => format!("{}\n\n{hint}", plain(&notice.reason)),
        Readers::Channel => format!("`/server info` shows why to those who may read its console.\n\n{hint}"),
    };
    let colour = match notice.kind {
        Kind::ServerIdle | Kind::ActionsEnded => Colour::Calm,
        _ => Colour::Bad,
    };
    let mut card = Card::new(colour).titled(&title).says(&text).field("When", &relative(notice.created_at));
    if readers == Readers::Owner {
        if !console.is_empty() {
            card = card.field("Console", &last_lines(console));
        }
        let is_down = notice.kind == Kind::ServerCrashed || notice.kind == Kind::OperationFailed && begins;
        if is_down {
            card = card.buttons(vec![start(notice.server)]);
        }
        if notice.kind == Kind::ServerIdle {
            card = card.buttons(vec![wake(notice.server)]);
        }
    }
    card.into_message()
}

/// Shows as many of the last lines as a field holds.
fn last_lines(lines: &[Line]) -> String {
    /// Maximum length of a field, minus the marks of the block.
    const ALL: usize = 1000;
    let (mut kept, mut length) = (vec![], 0);
    for line in lines.iter().rev() {
        let text = cut(&printed(&line.text), 150);
        length += text.chars().count() + 1;
        if length > ALL {
            break;
        }
        kept.push(text);
    }
    kept.reverse();
    block(&kept.join("\n"))
}

//! Notices to owners.

use agis_notices::{Kind, Notice};

use super::{
    card::{Card, Colour},
    text::{plain, relative},
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

/// Says what went wrong, when, and what to do about it.
pub(crate) fn notice(notice: &Notice, readers: Readers) -> Message {
    let name = plain(&notice.server_name);
    let action = notice.action.as_deref().unwrap_or("operation");
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
    };
    let text = match readers {
        Readers::Owner => format!("{}\n\n{hint}", plain(&notice.reason)),
        Readers::Channel => format!("`/server info` shows why to those who may read its console.\n\n{hint}"),
    };
    Card::new(Colour::Bad).titled(&title).says(&text).field("When", &relative(notice.created_at)).into_message()
}

//! Texts that people read: calm embeds, a colour for each state, short fields that fit a phone.

pub(crate) mod announcement;
pub(crate) mod batch;
pub(crate) mod card;
pub(crate) mod key;
pub(crate) mod notice;
pub(crate) mod operation;
pub(crate) mod schedule;
pub(crate) mod server;
pub(crate) mod settings;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use self::card::{Card, Colour};
use crate::answer::Message;

/// Says why something was not done.
pub(crate) fn refusal(sentence: &str) -> Message {
    Card::new(Colour::Bad).says(sentence).into_message()
}

/// Says that something was done.
pub(crate) fn done(title: &str, sentence: &str) -> Message {
    Card::new(Colour::Calm).titled(title).says(sentence).into_message()
}

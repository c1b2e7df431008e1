//! Answers to interactions, as commands return them.

use agis_servers::{Operation, Server, batch::Batch};
use twilight_model::channel::message::{Component, Embed};

/// Place and audience of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// A new message for the channel.
    Public,
    /// A new message for the caller alone.
    Private,
    /// An edit of the message whose button was pressed.
    Update,
}

/// Content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) embed: Embed,
    pub(crate) rows: Vec<Component>,
}

/// Form that a user fills in.
pub(crate) struct Modal {
    /// Code of the form, which comes back with what was typed.
    pub(crate) code: String,
    pub(crate) title: String,
    pub(crate) components: Vec<Component>,
}

/// Result of a command or a press.
pub(crate) struct Answer {
    /// Message of the answer. With a modal, only if it is too late for that.
    pub(crate) message: Message,
    /// Modal to open instead.
    pub(crate) modal: Option<Modal>,
    /// Work that the message follows from then on.
    pub(crate) follow: Option<Follow>,
}

impl From<Message> for Answer {
    fn from(message: Message) -> Self {
        Self { message, modal: None, follow: None }
    }
}

/// Work that a message follows.
pub(crate) enum Follow {
    /// An operation on a server.
    Operation(Box<Acted>),
    /// Action on many servers.
    Batch(Box<Batch>),
}

/// An operation, and its server as it was when the operation was accepted.
pub(crate) struct Acted {
    pub(crate) server: Server,
    pub(crate) operation: Operation,
}

impl Follow {
    /// Creates the follow-up of an operation.
    pub(crate) fn operation(server: Server, operation: Operation) -> Self {
        Self::Operation(Box::new(Acted { server, operation }))
    }
}

//! Commands that people send to games, and their outcomes.

use agis_base::{CommandId, ServerId, StoreError, Timestamp, UserId, words};
use thiserror::Error;

use super::{
    ConsoleError,
    dispatch::{Dispatch, Dispatcher, Sent, Way},
};
use crate::operation::Origin;

words! {
    /// Outcome of a command.
    CommandOutcome {
        /// The command was being sent. If that was long ago, its process has died, and nobody knows whether the game got it.
        Sent = "sent",
        /// The console has it. Nobody knows what the game did.
        Typed = "typed",
        /// The game answered.
        Answered = "answered",
        /// The game may have got it, and gave no answer.
        Unanswered = "unanswered",
        /// The game did not get it.
        Refused = "refused",
    }
}

/// Whether the answer of the game to a command is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantsAnswer {
    /// The sender waits for it.
    Yes,
    /// The sender waits for it if the game gives answers, and looks at the console otherwise.
    IfAny,
    /// The sender looks at the console.
    No,
}

/// Command before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommand {
    /// Its id.
    pub id: CommandId,
    /// Server that gets it.
    pub server: ServerId,
    /// User who sends it.
    pub actor: UserId,
    /// Origin of the request.
    pub origin: Origin,
    /// Line without its end.
    pub line: String,
    /// Whether the sender waits for the answer of the game.
    pub wants_reply: bool,
}

/// Command that was sent, and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRecord {
    /// The command.
    pub command: NewCommand,
    /// Its outcome.
    pub outcome: CommandOutcome,
    /// Beginning of the answer; `None` if there is none.
    pub reply: Option<String>,
    /// Reason of a refusal, or why there is no answer.
    pub error: Option<String>,
    /// Time at which it was sent.
    pub created_at: Timestamp,
    /// Time of the outcome; `None` before it.
    pub finished_at: Option<Timestamp>,
}

/// Command that is ready to be sent, since its caller may.
#[must_use]
pub struct Command {
    pub(crate) command: NewCommand,
    pub(crate) host: String,
    pub(crate) way: Way,
    pub(crate) dispatcher: Dispatcher,
}

/// Answer to a command that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Id of the command.
    pub command: CommandId,
    /// Outcome, as far as it is known.
    pub sent: Sent,
}

/// Reason why a command was not sent, or may not have been.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The command could not be noted, so it was not sent.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The console, or the game, did not take it.
    #[error(transparent)]
    Console(#[from] ConsoleError),
}

impl CommandError {
    /// Returns whether certainly nothing was sent.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Store(_) => true,
            Self::Console(error) => error.is_refusal(),
        }
    }
}

impl Command {
    /// Returns its id.
    pub fn id(&self) -> CommandId {
        self.command.id
    }

    /// Gives the command an id that was chosen before, so that whoever repeats it sends nothing again: noting it fails as a
    /// conflict then.
    pub fn with_id(mut self, id: CommandId) -> Self {
        self.command.id = id;
        self
    }

    /// Sends the command once, and notes it and its outcome, also if the caller stops waiting.
    ///
    /// # Errors
    /// Fails if the command could not be noted, or the game did not take it.
    pub async fn send(self) -> Result<Answer, CommandError> {
        let sent = tokio::spawn(self.send_to_the_end()).await;
        sent.unwrap_or_else(|error| Err(StoreError::Internal(format!("a command was cut short: {error}")).into()))
    }

    async fn send_to_the_end(self) -> Result<Answer, CommandError> {
        let Self { command, host, way, dispatcher } = self;
        dispatcher.note(&command).await?;
        let NewCommand { id, server, line, .. } = command;
        let sent = dispatcher.send(&host, server, Dispatch { command: id, way, line }).await?;
        Ok(Answer { command: id, sent })
    }
}

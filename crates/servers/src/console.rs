//! Console of a server: the lines that its host keeps, and commands that are typed.

use std::{fmt, sync::Arc, time::Duration};

use agis_base::{CommandId, Reason, ServerId, StoreError, Timestamp, UserId, words};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    operation::Origin,
    rcon::{RconCall, RconClient, RconFailure},
    store::CommandStore,
};

mod encoding;
pub mod relay;
mod screen;
pub mod stamped;
mod terminal;

pub use screen::Output;
pub use terminal::Terminal;

/// Maximum length of a command, in characters. In UTF-8 the command and its end of line stay below PIPE_BUF, so a host
/// can write it to a pipe in one piece.
pub const COMMAND_MAX: usize = 1000;

/// Host that gives access to the consoles of its servers.
#[async_trait]
pub trait Console: Send + Sync {
    /// Returns the name that `game_servers.host` holds for servers of this host.
    fn host(&self) -> &str;

    /// Returns the time between two looks for new lines.
    fn pace(&self) -> Duration {
        Duration::from_millis(200)
    }

    /// Returns at most `limit` lines in their order; fewer if they are long. A server that never ran has none.
    async fn lines(&self, server: ServerId, begin: &Begin, limit: u32) -> Result<Piece, ConsoleError>;

    /// Passes one line, without its end, to the running server. Whether the game acts on it is the game's affair.
    async fn tell(&self, server: ServerId, command: &str) -> Result<(), ConsoleError>;
}

/// Ways to the games of the hosts that this process serves.
#[derive(Clone, Default)]
pub struct Reach {
    /// Console of each host.
    pub consoles: Vec<Arc<dyn Console>>,
    /// RCON; `None` if this process serves no host.
    pub rcon: Option<Arc<dyn RconClient>>,
}

impl From<Vec<Arc<dyn Console>>> for Reach {
    fn from(consoles: Vec<Arc<dyn Console>>) -> Self {
        Self { consoles, rcon: None }
    }
}

/// Start of a read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Begin {
    /// Start at the oldest stored line that is among the last `tail` and not older than `since`, if these are given.
    Recent {
        /// Number of last lines; 0 starts behind all of them.
        tail: Option<u32>,
        /// Time of the first line.
        since: Option<Timestamp>,
    },
    /// Start right behind a position that the host handed out.
    Behind(Position),
}

/// Place between two lines, opaque to everybody but its host. It stays valid across rotations, and in every process
/// that serves the host. ASCII letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(String);

impl Position {
    /// Wraps the text of a position.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Line of a console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Time at which the host read the line, to the millisecond.
    pub at: Timestamp,
    /// Text of the line as a terminal shows it ([`Terminal`]). Commands begin with `> `.
    pub text: String,
    /// Position right behind the line.
    pub position: Position,
}

/// Consecutive lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The lines.
    pub lines: Vec<Line>,
    /// Position to continue from.
    pub end: Position,
    /// Whether there are more lines already.
    pub more: bool,
    /// Whether lines between the requested position and these are no longer stored.
    pub lost: bool,
}

/// Reason why a console could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum ConsoleError {
    /// The position is not from this host.
    #[error("this is no position in the console of this server")]
    Position,
    /// The server is not running.
    #[error("this server does not run; start it first")]
    NotRunning,
    /// A version without access to consoles started the server.
    #[error("this server was started by a version that takes no commands; restart it, and it will")]
    NoWay,
    /// The host has no access to any console.
    #[error("this server's host passes no commands on; use the game's own remote console, if it has one")]
    Mute,
    /// The queue of commands is full.
    #[error("the game has not taken earlier commands yet; try again in a moment, or look whether it reads its console")]
    Busy,
    /// No process serves the host at this moment.
    #[error("no process serves this server's host at the moment; try again, or ask an operator")]
    Unserved,
    /// The RCON of the game cannot carry this command. The words follow its name.
    #[error("command: {0}")]
    Unsendable(String),
    /// The game's RCON does not answer, and got nothing; the text is for the operator.
    #[error("the game does not take commands at the moment; try again when it has started")]
    Unreached(String),
    /// The host cannot be reached, or lacks something for the moment.
    #[error("{0}")]
    Unavailable(String),
}

impl ConsoleError {
    /// Returns whether certainly nothing was typed.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Position | Self::NotRunning | Self::NoWay | Self::Mute | Self::Busy | Self::Unserved => true,
            Self::Unsendable(_) | Self::Unreached(_) => true,
            Self::Unavailable(_) => false,
        }
    }
}

/// Console of one server, for a caller who may act on that server.
#[derive(Clone)]
pub struct ServerConsole {
    server: ServerId,
    host: Arc<dyn Console>,
}

impl ServerConsole {
    pub(crate) fn new(server: ServerId, host: Arc<dyn Console>) -> Self {
        Self { server, host }
    }

    /// See [`Console::lines`].
    ///
    /// # Errors
    /// Fails as [`Console::lines`] does.
    pub async fn lines(&self, begin: &Begin, limit: u32) -> Result<Piece, ConsoleError> {
        self.host.lines(self.server, begin, limit).await
    }

    /// Returns the name of the host.
    pub(crate) fn host_name(&self) -> &str {
        self.host.host()
    }

    /// See [`Console::pace`].
    pub fn pace(&self) -> Duration {
        self.host.pace()
    }
}

words! {
    /// Outcome of a command.
    CommandOutcome {
        /// The command waits for the process that serves the host.
        Queued = "queued",
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
    pub answer: WantsAnswer,
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

/// Way of a command to its game.
pub(crate) enum Way {
    Console(ServerConsole),
    Rcon(Arc<dyn RconClient>, RconCall),
}

/// Command that is ready to be sent: its caller may, and the server's host is here.
#[must_use]
pub struct Command {
    pub(crate) way: Way,
    pub(crate) command: NewCommand,
    pub(crate) store: Arc<dyn CommandStore>,
}

/// Answer to a command that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Id of the command.
    pub command: CommandId,
    /// Text of the game; `None` if it gave none in time, or was not asked.
    pub reply: Option<String>,
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
    /// Sends the command once, and notes it and its outcome, also if the caller stops waiting.
    ///
    /// # Errors
    /// Fails as [`Console::tell`] does, or if the command could not be noted.
    pub async fn send(self) -> Result<Answer, CommandError> {
        let sent = tokio::spawn(self.send_to_the_end()).await;
        sent.unwrap_or_else(|error| Err(StoreError::Internal(format!("a command was cut short: {error}")).into()))
    }

    async fn send_to_the_end(self) -> Result<Answer, CommandError> {
        let Self { way, command, store } = self;
        store.note_command(&command).await?;
        let told = match way {
            Way::Console(console) => {
                console.host.tell(console.server, &command.line).await.map(|()| (CommandOutcome::Typed, None))
            }
            Way::Rcon(client, call) => ask(client, call).await,
        };
        let (outcome, reply, error) = match &told {
            Ok((outcome, reply)) => (*outcome, reply.as_deref(), None),
            Err(error) if error.is_refusal() => (CommandOutcome::Refused, None, Some(Reason::new(error.to_string()))),
            Err(error) => (CommandOutcome::Unanswered, None, Some(Reason::new(error.to_string()))),
        };
        // The command is sent, whatever is noted of it.
        if let Err(error) = store.end_command(command.id, outcome, reply, error.as_ref()).await {
            tracing::warn!(%error, "outcome of a command could not be stored");
        }
        let (_, reply) = told?;
        Ok(Answer { command: command.id, reply })
    }
}

async fn ask(client: Arc<dyn RconClient>, call: RconCall) -> Result<(CommandOutcome, Option<String>), ConsoleError> {
    match client.ask(&call).await {
        Ok(reply) => Ok((CommandOutcome::Answered, Some(reply))),
        Err(RconFailure::Unanswered(_)) => Ok((CommandOutcome::Unanswered, None)),
        Err(RconFailure::Password) => Err(ConsoleError::NoWay),
        Err(RconFailure::Unsendable(rule)) => Err(ConsoleError::Unsendable(rule)),
        Err(RconFailure::Unreached(why)) => Err(ConsoleError::Unreached(why)),
    }
}

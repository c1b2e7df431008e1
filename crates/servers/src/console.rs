//! Console of a server: the lines that its host keeps, and commands that are typed.

use std::{fmt, sync::Arc, time::Duration};

use agis_base::{ServerId, Timestamp};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::relay::Relay;
use crate::rcon::{RconClient, RconPassword};

mod command;
mod dispatch;
mod encoding;
pub mod relay;
mod screen;
pub mod stamped;
mod terminal;

pub use command::{Answer, Command, CommandError, CommandOutcome, CommandRecord, NewCommand, WantsAnswer};
pub use dispatch::{Dispatch, Dispatcher, Sent, Way};
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
    host: ConsoleHost,
    /// Password of its RCON; `None` if it has none. A game may print it.
    secret: Option<RconPassword>,
}

/// Host of a console.
#[derive(Clone)]
enum ConsoleHost {
    /// This process reaches it.
    Here(Arc<dyn Console>),
    /// Another process reaches the host of this name.
    Elsewhere(String, Relay),
}

impl ServerConsole {
    /// See [`Console::lines`]. The lines do not show the password of the server's RCON.
    ///
    /// # Errors
    /// Fails as [`Console::lines`] does.
    pub async fn lines(&self, begin: &Begin, limit: u32) -> Result<Piece, ConsoleError> {
        let mut piece = match &self.host {
            ConsoleHost::Here(console) => console.lines(self.server, begin, limit).await,
            ConsoleHost::Elsewhere(host, relay) => relay.lines(host, self.server, begin, limit).await,
        }?;
        if let Some(secret) = &self.secret {
            piece.lines.iter_mut().for_each(|line| line.text = secret.hidden_in(std::mem::take(&mut line.text)));
        }
        Ok(piece)
    }

    /// See [`Console::pace`].
    pub fn pace(&self) -> Duration {
        match &self.host {
            ConsoleHost::Here(console) => console.pace(),
            ConsoleHost::Elsewhere(..) => relay::PACE,
        }
    }
}

//! A server's console: the lines that its host keeps, and one that is typed.

use std::{fmt, sync::Arc, time::Duration};

use agis_base::{ServerId, Timestamp};
use async_trait::async_trait;
use thiserror::Error;

use crate::host::HostError;

/// The most characters that a command may have. In UTF-8 they and the end of the line stay below PIPE_BUF, so that a
/// host may pass a command through a pipe in one piece.
pub const COMMAND_MAX: usize = 1000;

/// A host that lets people read what a server writes, and type a line for it.
#[async_trait]
pub trait Console: Send + Sync {
    /// The name that `game_servers.host` holds for servers that live there.
    fn host(&self) -> &str;

    /// How often whoever follows is to look for new lines.
    fn pace(&self) -> Duration {
        Duration::from_millis(200)
    }

    /// At most `limit` lines, in their order; fewer where they are long. A server that never ran has none.
    async fn lines(&self, server: ServerId, begin: &Begin, limit: u32) -> Result<Piece, ConsoleError>;

    /// Passes one line, without its end, on to the server that runs. Whether it does anything with it is the game's
    /// affair.
    async fn tell(&self, server: ServerId, command: &str) -> Result<(), ConsoleError>;
}

/// Where to begin to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// At the oldest line that is kept and is among the last `tail`, and not from before `since`, where these are given.
    Recent {
        /// How many of the last lines; 0 begins behind all of them.
        tail: Option<u32>,
        /// From this moment on.
        since: Option<Timestamp>,
    },
    /// Right behind a position that was handed out before.
    Behind(Position),
}

/// A place between two lines, told to nobody but the host that made it. It stays good across rotations of what is kept,
/// and in every process that serves the host. ASCII letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(String);

impl Position {
    /// The position of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A line of a console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When the host read it, to the millisecond.
    pub at: Timestamp,
    /// What it says; what was no UTF-8 is replaced by U+FFFD. Commands begin with `> `.
    pub text: String,
    /// The position right behind it.
    pub position: Position,
}

/// Lines that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The lines.
    pub lines: Vec<Line>,
    /// Where to go on.
    pub end: Position,
    /// Whether there is more behind it already.
    pub more: bool,
    /// Whether lines that stood between the asked position and these are no longer kept.
    pub lost: bool,
}

/// Why a console could not be read or told something.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConsoleError {
    /// The position is none of this host's.
    #[error("this is no position in the console of this server")]
    Position,
    /// Nobody is there to be told.
    #[error("this server does not run; start it first")]
    NotRunning,
    /// It runs, but was started by a version that kept no way to its console.
    #[error("this server was started by a version that takes no commands; restart it, and it will")]
    NoWay,
    /// Its host has no way to any console.
    #[error("this server's host passes no commands on; use the game's own remote console, if it has one")]
    Mute,
    /// So many commands wait already that this one has no room.
    #[error("the game has not taken earlier commands yet; try again in a moment, or look whether it reads its console")]
    Busy,
    /// The host cannot be reached or lacks something for the moment.
    #[error("{0}")]
    Unavailable(String),
}

impl ConsoleError {
    /// Whether it is certain that nothing was typed.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Position | Self::NotRunning | Self::NoWay | Self::Mute | Self::Busy => true,
            Self::Unavailable(_) => false,
        }
    }
}

impl From<HostError> for ConsoleError {
    fn from(error: HostError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The console of one server, in the hands of somebody who may act on that server.
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
    /// As there.
    pub async fn lines(&self, begin: &Begin, limit: u32) -> Result<Piece, ConsoleError> {
        self.host.lines(self.server, begin, limit).await
    }

    /// See [`Console::pace`].
    pub fn pace(&self) -> Duration {
        self.host.pace()
    }
}

/// A line that is ready to be typed: its caller may, and the server's host is here.
#[must_use]
pub struct Command {
    pub(crate) console: ServerConsole,
    pub(crate) line: String,
}

impl Command {
    /// Types it. See [`Console::tell`].
    ///
    /// # Errors
    /// As there.
    pub async fn send(self) -> Result<(), ConsoleError> {
        self.console.host.tell(self.console.server, &self.line).await
    }
}

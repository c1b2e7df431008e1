//! Something that the owner of a server has to hear.

use std::fmt;

use agis_base::{ChannelId, OperationId, ServerId, Timestamp, UserId};

/// How many characters of a reason are kept.
pub const REASON_MAX: usize = 500;

/// How many notices may wait for one recipient. Beyond, the oldest is given up: of a server that crashes again and again
/// the latest is what its owner has to know.
pub const PENDING_MAX: u32 = 20;

/// Why the oldest is given up where too many wait.
pub const TOO_MANY: &str = "too_many";

/// A notice; not what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NoticeId(pub i64);

impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An operation could not be done.
    OperationFailed,
    /// Nobody could take an operation in time.
    OperationExpired,
    /// A running server has ended by itself.
    ServerCrashed,
    /// The next hour of a running server cannot be paid.
    CreditsLow,
    /// A running server is stopped, since nobody pays for it.
    CreditsOut,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::OperationFailed, Self::OperationExpired, Self::ServerCrashed, Self::CreditsLow, Self::CreditsOut];

    /// The word that the database uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OperationFailed => "operation_failed",
            Self::OperationExpired => "operation_expired",
            Self::ServerCrashed => "server_crashed",
            Self::CreditsLow => "credits_low",
            Self::CreditsOut => "credits_out",
        }
    }

    /// The kind of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A notice, claimed to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its id.
    pub id: NoticeId,
    /// Who has to hear it: the server's owner when it happened.
    pub recipient: UserId,
    /// Where the operation was asked for, if it was somewhere.
    pub channel: Option<ChannelId>,
    /// What has happened.
    pub kind: Kind,
    /// To which server.
    pub server: ServerId,
    /// What that was called then.
    pub server_name: String,
    /// What was asked of it; nothing where nothing was.
    pub action: Option<String>,
    /// Why, for people: at most [`REASON_MAX`] characters. It may quote the game.
    pub reason: String,
    /// The operation; none where it is about none.
    pub operation: Option<OperationId>,
    /// How often it was claimed, this time included.
    pub attempts: u32,
    /// When it happened.
    pub created_at: Timestamp,
}

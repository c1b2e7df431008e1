//! News for the owner of a server.

use std::fmt;

use agis_base::{ChannelId, OperationId, ScheduleId, ServerId, Timestamp, UserId, words};

/// Maximum length of a stored reason, in characters.
pub const REASON_MAX: usize = 500;

/// Maximum number of notices that wait for one recipient. Beyond it the oldest is given up: the owner of a server that
/// crashes again and again needs the latest.
pub const PENDING_MAX: u32 = 20;

/// Reason of a notice that is given up because too many wait.
pub const TOO_MANY: &str = "too_many";

/// Id of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NoticeId(pub i64);

impl fmt::Display for NoticeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

words! {
    /// Kind of event.
    Kind {
        /// An operation failed.
        OperationFailed = "operation_failed",
        /// No worker took an operation in time.
        OperationExpired = "operation_expired",
        /// A running server ended by itself.
        ServerCrashed = "server_crashed",
        /// The owner cannot pay the next hour of a running server.
        CreditsLow = "credits_low",
        /// A running server is stopped because its owner cannot pay.
        CreditsOut = "credits_out",
        /// A running server is stopped because nobody plays.
        ServerIdle = "server_idle",
        /// A run is about to stop or to restart a server. It is for the server's channel, not for its owner alone.
        PowerAnnounced = "power_announced",
        /// An announced stop or restart does not follow. It is for the server's channel alone.
        PowerCalledOff = "power_called_off",
        /// A run of a schedule failed at something that was no operation.
        RunFailed = "run_failed",
        /// An action on many servers is through, which its message does not follow any more.
        ActionsEnded = "actions_ended",
    }
}

impl Kind {
    /// Returns whether those read it who read the server's channel, and nobody else.
    pub fn is_public(self) -> bool {
        matches!(self, Self::PowerAnnounced | Self::PowerCalledOff)
    }
}

/// Notice that was claimed for sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Id of the notice.
    pub id: NoticeId,
    /// Recipient: the server's owner at the time of the event, or the user who asked for an action on many servers.
    pub recipient: UserId,
    /// Channel in which the operation was requested; `None` if it was requested in none.
    pub channel: Option<ChannelId>,
    /// Kind of event.
    pub kind: Kind,
    /// Server of the event; the first of many.
    pub server: ServerId,
    /// Name of the server at the time of the event.
    pub server_name: String,
    /// Requested action; `None` if nobody requested one.
    pub action: Option<String>,
    /// Reason for people: at most [`REASON_MAX`] characters. It may quote the game.
    pub reason: String,
    /// Operation of the event; `None` if there is none.
    pub operation: Option<OperationId>,
    /// Run that is about to act; `None` unless the kind is [`Kind::PowerAnnounced`].
    pub announced: Option<Announced>,
    /// Number of claims, including this one.
    pub attempts: u32,
    /// Time of the event.
    pub created_at: Timestamp,
}

/// Run that is about to stop or to restart a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// Schedule of the run.
    pub schedule: ScheduleId,
    /// Slot of the run.
    pub slot: Timestamp,
    /// Time of the stop or the restart.
    pub at: Timestamp,
    /// Time of the schedule's next run; `None` if there is none.
    pub next: Option<Timestamp>,
}

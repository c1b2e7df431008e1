//! Start, stop, restart, delete as durable requests.

use agis_base::{ChannelId, OperationId, ServerId, Timestamp, Trace, UserId};

use crate::{host::Generation, server::words};

words! {
    /// What can be asked of a server.
    Action {
        /// Be ready for players.
        Start = "start",
        /// Run nothing.
        Stop = "stop",
        /// Stop what runs, then start; a stopped or crashed server is started.
        Restart = "restart",
        /// Go away; the world is kept for seven days.
        Delete = "delete",
    }
}

words! {
    /// How far an operation has come.
    State {
        /// Accepted, waits for a worker.
        Queued = "queued",
        /// A worker has it.
        Running = "running",
        /// The server reached the wanted state.
        Succeeded = "succeeded",
        /// It could not be done; `error` says why.
        Failed = "failed",
        /// A newer operation on the same server took its place.
        Superseded = "superseded",
        /// Nobody could take it for an hour.
        Expired = "expired",
    }
}

impl State {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

words! {
    /// Where an operation came from.
    Origin {
        /// The REST API.
        Rest = "rest",
        /// A Discord command.
        Discord = "discord",
        /// A schedule that fired.
        Schedule = "schedule",
        /// An operator, or the program on an operator's behalf.
        Operator = "operator",
    }
}

/// A durable request on a server, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// On which server.
    pub server: ServerId,
    /// What was asked.
    pub action: Action,
    /// How far it has come.
    pub state: State,
    /// Where it came from.
    pub origin: Origin,
    /// Who asked.
    pub actor: UserId,
    /// The generation that it brings the server to.
    pub generation: Generation,
    /// Why it failed, was superseded or expired, for people.
    pub error: Option<String>,
    /// Whether what ran had to be killed for it, since it did not end within the grace of its game. None before the end, and
    /// where the host cannot know.
    pub killed_after_grace: Option<bool>,
    /// By what it is found in the log.
    pub trace: Trace,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A request for an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// On which server.
    pub server: ServerId,
    /// What is asked.
    pub action: Action,
    /// Where it comes from.
    pub origin: Origin,
    /// Who asks; their authority is checked in the transaction that accepts the request.
    pub actor: UserId,
    /// The channel in which it is asked, if it is one: what becomes of it may be told there.
    pub channel: Option<ChannelId>,
    /// When another request is the same one.
    pub identity: Identity,
    /// By what it is found in the log; none where nobody outside asks: then that is the operation's id.
    pub trace: Option<Trace>,
}

/// What makes two requests one: the second is answered with the first one's operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Nothing: every request is another.
    None,
    /// A key that whoever asks has chosen.
    Key(String),
    /// The operation of a schedule's firing, whose id was chosen ahead of it.
    Firing {
        /// The operation.
        operation: OperationId,
        /// When it was due. An older one never supersedes the operation of a newer one.
        slot: Timestamp,
    },
}

/// Why a request for an operation was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such server, or none that the actor may know of.
    NotFound,
    /// The actor may see the server, not act on it.
    NotAllowed,
    /// The server is being deleted.
    Deleting,
    /// No host of ours has this server: it was taken over from the Go version, and all it takes is to be deleted.
    NoHost,
    /// The server's owner cannot pay its first hour beside those that other starts have reserved.
    CannotPay {
        /// What an hour costs.
        price: i32,
    },
}

/// Counts an operation that has ended, in `agis_bot_operations_total`.
pub fn count(action: Action, state: State) {
    metrics::counter!("agis_bot_operations_total", "action" => action.as_str(), "status" => state.as_str())
        .increment(1);
}

//! Start, stop, restart, delete as durable requests.

use agis_base::{ChannelId, OperationId, PowerAction, ServerId, Timestamp, Trace, UserId, words};

use crate::host::Generation;

words! {
    /// Action on a server.
    Action {
        /// Bring the server up for players.
        Start = "start",
        /// Stop the server.
        Stop = "stop",
        /// Stop the server, then start it; a stopped or crashed server is started.
        Restart = "restart",
        /// Delete the server; the world is kept for seven days.
        Delete = "delete",
    }
}

impl Action {
    /// Returns whether the action begins a run.
    pub fn begins(self) -> bool {
        matches!(self, Self::Start | Self::Restart)
    }
}

impl From<PowerAction> for Action {
    fn from(action: PowerAction) -> Self {
        match action {
            PowerAction::Start => Self::Start,
            PowerAction::Stop => Self::Stop,
            PowerAction::Restart => Self::Restart,
        }
    }
}

/// Reason of an operation that a newer one on the same server superseded.
pub const SUPERSEDED: &str = "a newer operation took its place";

words! {
    /// State of an operation.
    State {
        /// Accepted, waits for a worker.
        Queued = "queued",
        /// A worker has the operation.
        Running = "running",
        /// The server reached the wanted state.
        Succeeded = "succeeded",
        /// The operation failed; `error` says why.
        Failed = "failed",
        /// A newer operation on the same server took its place.
        Superseded = "superseded",
        /// No worker took the operation for an hour.
        Expired = "expired",
    }
}

impl State {
    /// Returns whether the operation has ended.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

words! {
    /// Origin of an operation.
    Origin {
        /// The REST API.
        Rest = "rest",
        /// A Discord command.
        Discord = "discord",
        /// A schedule that fired.
        Schedule = "schedule",
        /// An operator, or the program on an operator's behalf.
        Operator = "operator",
        /// The supervisor, which starts a server again that ended by itself.
        Supervisor = "supervisor",
        /// The rule of a server on which nobody plays.
        Idle = "idle",
        /// A player who joined a server that sleeps.
        Join = "join",
    }
}

/// Durable request on a server, and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Id of the operation.
    pub id: OperationId,
    /// Server to act on.
    pub server: ServerId,
    /// Requested action.
    pub action: Action,
    /// State of the operation.
    pub state: State,
    /// Origin of the request.
    pub origin: Origin,
    /// User who asked.
    pub actor: UserId,
    /// Generation that the operation brings the server to.
    pub generation: Generation,
    /// Reason why it failed, was superseded or expired, for people.
    pub error: Option<String>,
    /// How the operation goes on, in the words of its host. `None` unless it runs and its host says something.
    pub progress: Option<String>,
    /// Image that the operation runs, with its digest. `None` before the host knows it, and for games without an image.
    pub image: Option<String>,
    /// Whether the operation had to kill a run that outlasted the grace of its game. `None` before the end, and if the
    /// host cannot know.
    pub killed_after_grace: Option<bool>,
    /// Ids for a search of the log.
    pub trace: Trace,
    /// Time of acceptance.
    pub created_at: Timestamp,
    /// Time of the end.
    pub finished_at: Option<Timestamp>,
}

/// Request for an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Server to act on.
    pub server: ServerId,
    /// Requested action.
    pub action: Action,
    /// Origin of the request.
    pub origin: Origin,
    /// User who asks; the transaction that accepts the request checks the user's authority.
    pub actor: UserId,
    /// Channel of the request, if it has one: the result may be told there.
    pub channel: Option<ChannelId>,
    /// Identity of the request, to recognise its repetitions.
    pub identity: Identity,
    /// Ids for a search of the log; `None` if nobody outside asks: then it is the operation's id.
    pub trace: Option<Trace>,
}

impl Origin {
    /// Returns whether a person asks.
    pub fn is_person(self) -> bool {
        matches!(self, Self::Rest | Self::Discord | Self::Operator)
    }
}

impl Request {
    /// Returns whether a person asks, who has the last word on what the server does.
    pub fn is_by_person(&self) -> bool {
        self.origin.is_person()
    }

    /// Creates a request of the operator, or of the program itself, which nobody follows.
    pub fn of_operator(server: ServerId, action: Action, actor: UserId) -> Self {
        let (origin, identity) = (Origin::Operator, Identity::None);
        Self { server, action, origin, actor, channel: None, identity, trace: None }
    }
}

/// Identity of a request. A repetition gets the first one's operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// None: every request is another one.
    None,
    /// Key that the caller has chosen.
    Key(String),
    /// Operation of a schedule's firing, whose id was chosen ahead of it.
    Firing {
        /// The operation.
        operation: OperationId,
        /// Time at which it was due. An older one never supersedes the operation of a newer one.
        slot: Timestamp,
    },
    /// Operation of a step of a schedule's run, whose id was chosen ahead of it. It is refused once the run has ended.
    Step {
        /// The operation.
        operation: OperationId,
        /// Time at which the step began.
        at: Timestamp,
        /// Whether it leaves a server alone that should not run.
        spares_stopped: bool,
    },
    /// None, for a request that is made on many servers: a restart leaves those alone that should not run.
    Batch,
    /// Restart of a server that ended by itself. It is refused if anything was asked of the server since, so each end has
    /// one restart.
    Restart {
        /// Generation of the run that ended.
        ended: Generation,
    },
}

/// Reason why a request for an operation was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The actor may know of no such server.
    NotFound,
    /// The actor may see the server, but not act on it.
    NotAllowed,
    /// The server is being deleted.
    Deleting,
    /// Something was asked of the server since the end that this restart follows, or the run of this step has ended.
    Overtaken,
    /// The server is held, and nobody asks: the request acts by itself.
    Held,
    /// A schedule leaves alone a server that should not run.
    ShouldNotRun,
    /// AGIS has no host for this server: it was taken over from the Go version and can only be deleted.
    NoHost,
    /// The server's owner cannot pay its first hour beside those that other starts have reserved.
    CannotPay {
        /// Price of an hour, in credits.
        price: i32,
    },
    /// The server cannot start with its settings, so it is not restarted; why, for people.
    Unfit(String),
}

/// Counts an operation that has ended, in `agis_bot_operations_total`.
pub fn count(action: Action, state: State) {
    metrics::counter!("agis_bot_operations_total", "action" => action.as_str(), "status" => state.as_str())
        .increment(1);
}

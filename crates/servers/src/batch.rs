//! Batches: one action on every server with a label. Pure.
//!
//! Each server gets an operation of its own, by the same rules as if its user had asked for it alone. A server on which the
//! user may not act is left alone, and the batch says so.

use agis_base::{BatchId, ChannelId, Label, Pace, PowerAction, ServerId, Timestamp, Trace, UserId, words};

use crate::operation::{Operation, Origin, Refusal};

/// Maximum number of batches of a user that have servers left to act on.
pub const OPEN_MAX: u32 = 10;

/// Batch that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBatch {
    /// Label of the servers.
    pub label: Label,
    /// Action on each of them.
    pub action: PowerAction,
    /// Pace.
    pub pace: Pace,
    /// Origin of the request.
    pub origin: Origin,
    /// User who asks; each operation is accepted by this user's authority at that time.
    pub actor: UserId,
    /// Channel of the request, if it has one.
    pub channel: Option<ChannelId>,
    /// Ids for a search of the log.
    pub trace: Option<Trace>,
}

/// Batch, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Id of the batch.
    pub id: BatchId,
    /// Label of the servers.
    pub label: Label,
    /// Action on each of them.
    pub action: PowerAction,
    /// Pace.
    pub pace: Pace,
    /// User who asked.
    pub actor: UserId,
    /// Time of the request.
    pub created_at: Timestamp,
    /// Servers, in their order.
    pub items: Vec<BatchItem>,
}

/// Server of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchItem {
    /// The server.
    pub server: ServerId,
    /// Name of the server when the batch began.
    pub name: String,
    /// How far it is.
    pub progress: BatchProgress,
}

/// State of a server of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchProgress {
    /// The operation is still to be asked for.
    Waiting,
    /// The operation was asked for.
    Asked(Box<Operation>),
    /// The server is left alone.
    Untouched(Untouched),
}

words! {
    /// Reason why a batch leaves a server alone.
    Untouched {
        /// Its user may not do this with it.
        NotAllowed = "not_allowed",
        /// The server is being deleted.
        Deleted = "server_deleted",
        /// No host runs it.
        NoHost = "no_host",
        /// Its owner cannot pay its first hour.
        CannotPay = "insufficient_credits",
        /// The server cannot start with its settings.
        Unfit = "unfit_settings",
        /// The server should not run, so a restart would start it.
        Stopped = "server_stopped",
        /// A person stopped, deleted or held the server before its turn.
        Overtaken = "overtaken",
        /// The batch was cancelled before.
        Cancelled = "cancelled",
    }
}

impl From<Refusal> for Untouched {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            // A person asks, so nothing overtakes the request, and no hold keeps it away.
            Refusal::NotFound | Refusal::NotAllowed | Refusal::Overtaken | Refusal::Held => Self::NotAllowed,
            Refusal::ShouldNotRun => Self::Stopped,
            Refusal::Deleting => Self::Deleted,
            Refusal::NoHost => Self::NoHost,
            Refusal::CannotPay { .. } => Self::CannotPay,
            Refusal::Unfit(_) => Self::Unfit,
        }
    }
}

impl BatchProgress {
    /// Returns whether nothing more happens to the server.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Waiting => false,
            Self::Asked(operation) => operation.state.is_final(),
            Self::Untouched(_) => true,
        }
    }
}

impl Batch {
    /// Returns whether nothing more happens.
    pub fn is_over(&self) -> bool {
        self.items.iter().all(|item| item.progress.is_over())
    }

    /// Returns whether servers wait for their operation.
    pub fn waits(&self) -> bool {
        self.items.iter().any(|item| item.progress == BatchProgress::Waiting)
    }
}

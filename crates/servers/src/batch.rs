//! Batches: one action on every server with a label. Pure.
//!
//! Each server gets an operation of its own, by the same rules as if its user had asked for it alone. A server on which the
//! user may not act is left alone, and the batch says so.

use std::time::Duration;

use agis_base::{BatchId, ChannelId, Label, Pace, PowerAction, ServerId, Timestamp, Trace, UserId, words};

use crate::operation::{Operation, Origin, Refusal, State};

/// Maximum number of batches of a user that go on: servers wait for their turn, or operations have not ended.
pub const OPEN_MAX: u32 = 10;

/// Number of servers that are named of each kind where people are told how a batch went.
const TOLD_NAMES: usize = 5;

/// Age at which a batch leaves the servers alone that still wait: nobody wants them so late.
pub const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

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
    /// Action on each of them; `None` if only a newer version of this program knows it.
    pub action: Option<PowerAction>,
    /// Pace.
    pub pace: Pace,
    /// User who asked.
    pub actor: UserId,
    /// Time of the request.
    pub created_at: Timestamp,
    /// Servers, in their order.
    pub items: Vec<BatchItem>,
}

/// Line in a list of batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSummary {
    /// Id of the batch.
    pub id: BatchId,
    /// Label of the servers.
    pub label: Label,
    /// Action on each of them; `None` if only a newer version of this program knows it.
    pub action: Option<PowerAction>,
    /// Pace.
    pub pace: Pace,
    /// Time of the request.
    pub created_at: Timestamp,
    /// Number of its servers, of those within the caller's reach.
    pub servers: u32,
    /// Number of those that are not done with.
    pub left: u32,
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
        /// A person deleted the server.
        Deleted = "server_deleted",
        /// No host runs it.
        NoHost = "no_host",
        /// Its owner cannot pay its first hour.
        CannotPay = "insufficient_credits",
        /// The server cannot start with its settings.
        Unfit = "unfit_settings",
        /// The server should not run, so a restart would start it.
        Stopped = "server_stopped",
        /// A person stopped or held the server before its turn.
        Overtaken = "overtaken",
        /// The batch was cancelled before.
        Cancelled = "cancelled",
        /// The batch was [`AGE_MAX`] old before its turn.
        Expired = "expired",
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
    /// Tells people how it went, in a sentence or two with names of servers. It quotes no console.
    pub fn told(&self) -> String {
        let (mut failed, mut alone, mut done) = (vec![], vec![], 0);
        for item in &self.items {
            match &item.progress {
                BatchProgress::Asked(operation) if operation.state == State::Succeeded => done += 1,
                BatchProgress::Asked(_) => failed.push(item.name.as_str()),
                BatchProgress::Untouched(_) | BatchProgress::Waiting => alone.push(item.name.as_str()),
            }
        }
        let named = |what: &str, names: &[&str]| match names {
            [] => String::new(),
            names => {
                let (first, more) = names.split_at(names.len().min(TOLD_NAMES));
                let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
                format!(" {what}: {}{more}.", first.join(", "))
            }
        };
        let (failed, alone) = (named("Not done", &failed), named("Left alone", &alone));
        format!("Done on {done} of {} servers.{failed}{alone}", self.items.len())
    }

    /// Returns whether nothing more happens.
    pub fn is_over(&self) -> bool {
        self.items.iter().all(|item| item.progress.is_over())
    }

    /// Returns whether servers wait for their operation.
    pub fn waits(&self) -> bool {
        self.items.iter().any(|item| item.progress == BatchProgress::Waiting)
    }
}

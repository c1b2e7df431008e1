//! Answers that somebody was promised.

use std::sync::Arc;

use agis_base::{BatchId, OperationId, UserId, words};

use crate::seal::Sealed;

/// Promised answer, as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferral {
    /// Idempotency key of the request; no two promises share one.
    pub key: Arc<str>,
    /// User who asked.
    pub user: UserId,
    /// Sealed token that opens the answer.
    pub token: Sealed,
    /// Place of the answer.
    pub place: Place,
    /// Work whose end the answer reports.
    pub follows: Option<Followed>,
}

/// Work that an answer follows to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// An operation.
    Operation(OperationId),
    /// Action on many servers.
    Batch(BatchId),
}

words! {
    /// Place of an answer.
    Place {
        /// A message of its own.
        Message = "message",
        /// The message whose button was pressed.
        Component = "component",
    }
}

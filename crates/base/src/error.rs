use thiserror::Error;

/// Errors of every store.
///
/// A refusal by a rule of a domain (a quota, say) is an error of that domain.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// The store cannot be reached or did not answer in time. The effect is unknown. The caller may repeat the call,
    /// since every write is idempotent.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The row changed since the caller read it, or a unique value is taken.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The store never accepts this content: a text that it cannot hold, a number out of range, a value against a rule
    /// of the table. The caller ends the item and reports it.
    #[error("the database refuses this: {0}")]
    Refused(String),
    /// The store returned something impossible: a bug, or a database that somebody changed by hand.
    #[error("the database answered unexpectedly: {0}")]
    Internal(String),
}

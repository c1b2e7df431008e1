use thiserror::Error;

/// What every store may answer instead of a result.
///
/// A domain's own refusals (a quota, a rule) are the domain's errors; these are the store's.
#[derive(Debug, Clone, Error)]
pub enum StoreError {
    /// The store did not answer in time or cannot be reached. Nothing is known of the effect; the call may be
    /// repeated, since every write is idempotent.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// What the caller saw has changed meanwhile, or a unique value is taken.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The store will not take what was written, however often: a text that it cannot hold, a number out of range, a value
    /// against a rule of the table. Whoever wrote it ends what it was about, and says so.
    #[error("the database refuses this: {0}")]
    Refused(String),
    /// The store answered something that it never should: a bug, or a database that somebody changed by hand.
    #[error("the database answered unexpectedly: {0}")]
    Internal(String),
}

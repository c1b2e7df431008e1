use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use agis_base::StoreError;
use diesel::result::{DatabaseErrorKind, Error};

/// Reason why a piece of work on a connection stopped: the database, or a decision.
pub(crate) enum Fault<R> {
    /// The database.
    Database(Error),
    /// The work itself refused.
    Refused(R),
    /// A row holds a word that this program does not know: a newer one has written it.
    Unknown(String),
}

impl<R> From<Error> for Fault<R> {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl<R> Fault<R> {
    /// Returns whether the session took no writes.
    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self, Self::Database(Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _)))
    }
}

impl<R: From<StoreError>> Fault<R> {
    pub(crate) fn into_error(self) -> R {
        match self {
            Self::Database(error) => store_error(&error).into(),
            Self::Refused(refusal) => refusal,
            Self::Unknown(what) => StoreError::Internal(what).into(),
        }
    }
}

impl Fault<StoreError> {
    /// Returns the fault of work that may refuse for more reasons.
    pub(crate) fn widened<R: From<StoreError>>(self) -> Fault<R> {
        match self {
            Self::Database(error) => Fault::Database(error),
            Self::Refused(error) => Fault::Refused(error.into()),
            Self::Unknown(what) => Fault::Unknown(what),
        }
    }
}

/// Returns the fault of a column with a text that this program does not know.
pub(crate) fn unknown<R>(column: &str, word: &str) -> Fault<R> {
    Fault::Unknown(format!("{column} holds '{word}'"))
}

/// Returns the rows that this program understands. A row that a newer program has written, before a rollback or in the
/// middle of a rollout, is left to that program, and spoils no other row.
pub(crate) fn understood<T, R>(rows: impl IntoIterator<Item = Result<T, Fault<R>>>) -> Result<Vec<T>, Fault<R>> {
    let pass_over = |row: Result<T, Fault<R>>| match row {
        Err(Fault::Unknown(what)) => {
            tell_once(what);
            None
        }
        other => Some(other),
    };
    rows.into_iter().filter_map(pass_over).collect()
}

/// The same row is read again and again.
fn tell_once(what: String) {
    const MANY: usize = 100;
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() < MANY && !told.contains(&what) {
        tracing::warn!(what, "row of a newer version is skipped");
        told.insert(what);
    }
}

fn store_error(error: &Error) -> StoreError {
    match error {
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation | DatabaseErrorKind::ForeignKeyViolation, info) => {
            StoreError::Conflict(info.message().to_owned())
        }
        // A deadlock or a serialization failure, a statement that took too long, a server that shuts down, starts up, takes
        // no writes (a standby, until it is promoted) or has no place left: all pass, and every write may be repeated.
        Error::DatabaseError(
            DatabaseErrorKind::SerializationFailure
            | DatabaseErrorKind::ReadOnlyTransaction
            | DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand,
            info,
        ) => StoreError::Unavailable(info.message().to_owned()),
        Error::DatabaseError(DatabaseErrorKind::Unknown, info) if passes(info.message()) => {
            StoreError::Unavailable(info.message().to_owned())
        }
        Error::DatabaseError(
            DatabaseErrorKind::CheckViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::RestrictViolation
            | DatabaseErrorKind::ExclusionViolation,
            info,
        ) => refused(info.message()),
        Error::DatabaseError(DatabaseErrorKind::Unknown, info) if is_about_content(info.message()) => {
            refused(info.message())
        }
        Error::SerializationError(error) => refused(&error.to_string()),
        Error::BrokenTransactionManager | Error::AlreadyInTransaction => StoreError::Unavailable(error.to_string()),
        other => StoreError::Internal(other.to_string()),
    }
}

fn refused(why: &str) -> StoreError {
    metrics::counter!("agis_bot_db_writes_refused_total").increment(1);
    StoreError::Refused(why.to_owned())
}

/// Of class 22 of SQLSTATE (data exception) those that a value can lead to, by the server's words as below.
fn is_about_content(message: &str) -> bool {
    const REFUSALS: &[&str] = &[
        "invalid byte sequence for encoding",
        "has no equivalent in encoding",
        "unsupported Unicode escape sequence",
        "invalid input syntax",
        "value too long for type",
        "out of range",
        "index row size",
    ];
    REFUSALS.iter().any(|text| message.contains(text))
}

/// diesel-async hands over neither SQLSTATE nor the kind of these, only the server's words.
fn passes(message: &str) -> bool {
    const PASSING: &[&str] = &[
        "terminating connection",
        "canceling statement",
        "lock timeout",
        "deadlock detected",
        "the database system is",
        "too many clients",
        "remaining connection slots",
        "connection closed",
        "error communicating",
        "idle-in-transaction timeout",
        "No space left on device",
    ];
    PASSING.iter().any(|text| message.contains(text))
}

use agis_base::StoreError;
use diesel::result::{DatabaseErrorKind, Error};

/// What stops a piece of work on a connection: the database, or a decision.
pub(crate) enum Fault<R> {
    /// The database.
    Database(Error),
    /// The work itself refused.
    Refused(R),
}

impl<R> From<Error> for Fault<R> {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl<R: From<StoreError>> Fault<R> {
    pub(crate) fn into_error(self) -> R {
        match self {
            Self::Database(error) => store_error(&error).into(),
            Self::Refused(refusal) => refusal,
        }
    }
}

/// A row holds a word that this program does not know.
pub(crate) fn unknown_word<R: From<StoreError>>(column: &str, word: &str) -> Fault<R> {
    Fault::Refused(StoreError::Internal(format!("{column} holds '{word}'")).into())
}

fn store_error(error: &Error) -> StoreError {
    match error {
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation | DatabaseErrorKind::ForeignKeyViolation, info) => {
            StoreError::Conflict(info.message().to_owned())
        }
        // A deadlock or a serialization failure, a statement that took too long, a server that shuts down, starts up
        // or has no place left: all pass, and every write may be repeated.
        Error::DatabaseError(
            DatabaseErrorKind::SerializationFailure
            | DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand,
            info,
        ) => StoreError::Unavailable(info.message().to_owned()),
        Error::DatabaseError(DatabaseErrorKind::Unknown, info) if passes(info.message()) => {
            StoreError::Unavailable(info.message().to_owned())
        }
        Error::BrokenTransactionManager | Error::AlreadyInTransaction => StoreError::Unavailable(error.to_string()),
        other => StoreError::Internal(other.to_string()),
    }
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
    ];
    PASSING.iter().any(|text| message.contains(text))
}

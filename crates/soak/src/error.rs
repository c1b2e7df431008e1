use thiserror::Error;

pub(crate) type Result<T = ()> = std::result::Result<T, Error>;

/// Why the soak could not go on; faults of the programs are [problems](crate::problems::Problems) instead.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Error(String);

impl Error {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

macro_rules! from {
    ($($error:ty)+) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self(match std::error::Error::source(&error) {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                })
            }
        })+
    };
}
from! { std::io::Error tokio_postgres::Error reqwest::Error agis_test_support::Error }

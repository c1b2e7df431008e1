use std::fmt;
use std::path::Path;

/// Error as one paragraph for the person at the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

/// Result of the fallible parts of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Names the file that an I/O error is about, which the error itself never does.
    pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

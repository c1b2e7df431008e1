use std::io::Write;
use std::process::{ExitCode, ExitStatus};

use crate::run::say;

/// The result of most functions of this program.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// One paragraph for the person at the terminal.
    Message(String),
    /// A program that we ran has said why; its status becomes ours.
    Status(ExitStatus),
    /// Ctrl-C, or a polite kill.
    Interrupted,
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::Message(text.into())
    }

    /// Prints the message, if nothing has printed it yet, and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Message(text) => {
                say(&mut std::io::stderr(), format_args!("error: {text}"));
                ExitCode::FAILURE
            }
            Self::Status(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
            Self::Interrupted => {
                let _ = std::io::stderr().flush();
                // A shell reports this for Ctrl-C.
                ExitCode::from(130)
            }
        }
    }
}

impl From<agis_local_services::Error> for Failure {
    fn from(error: agis_local_services::Error) -> Self {
        Self::Message(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Message(error.to_string())
    }
}

//! RCON: a command for a game, and the text that it answers.

mod quake3;
mod source;

use std::{io, time::Duration};

use thiserror::Error;

/// Maximum length of an answer, in bytes. The rest is left out.
pub const ANSWER_MAX: usize = 64 * 1024;

/// Kind of RCON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RconProtocol {
    /// Valve's, over TCP. Minecraft and many others speak it.
    Source,
    /// Quake 3's, over UDP.
    Quake3,
}

/// Reason why there is no answer.
#[derive(Debug, Error)]
pub enum RconError {
    /// The game did not get the command.
    #[error("the game's RCON cannot be reached: {0}")]
    Unreachable(io::Error),
    /// The game did not get the command in time.
    #[error("the game's RCON does not answer")]
    Slow,
    /// The game did not take the password, and did not run the command.
    #[error("the game refuses the RCON password")]
    Password,
    /// The command cannot be sent in this protocol.
    #[error("the command cannot be sent by RCON: {0}")]
    Unsendable(&'static str),
    /// The command was sent. Nobody knows whether the game ran it.
    #[error("the command was sent, and the game gave no answer: {0}")]
    Unanswered(String),
}

impl RconError {
    /// Checks whether the game may have got the command.
    pub fn may_have_run(&self) -> bool {
        matches!(self, Self::Unanswered(_))
    }
}

/// Sends a command once, and returns the answer: text without control characters except line feeds and tabs.
///
/// # Errors
/// Fails if the game does not take the command, or does not answer within this time.
pub async fn tell(
    protocol: RconProtocol,
    host: &str,
    port: u16,
    password: &str,
    command: &str,
    within: Duration,
) -> Result<String, RconError> {
    if command.chars().any(char::is_control) {
        return Err(RconError::Unsendable("it must be one line without control characters"));
    }
    let deadline = tokio::time::Instant::now() + within;
    let address = tokio::time::timeout_at(deadline, crate::address(host, port)).await;
    let address = address.map_err(|_| RconError::Slow)?.map_err(|error| match error {
        crate::QueryError::Unreachable(error) => RconError::Unreachable(error),
        other => RconError::Unreachable(io::Error::other(other)),
    })?;
    let answer = match protocol {
        RconProtocol::Source => source::tell(address, password, command, deadline).await,
        RconProtocol::Quake3 => quake3::tell(address, password, command, deadline).await,
    }?;
    Ok(plain(&answer))
}

/// Returns text that can be stored and shown.
fn plain(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    text.chars().filter(|letter| !letter.is_control() || matches!(letter, '\n' | '\t')).collect::<String>()
}

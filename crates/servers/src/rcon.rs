//! RCON of a server: its password, and the trait of the program that speaks it.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use thiserror::Error;

use crate::{game::RconProtocol, host::Endpoint};

/// Time for a command and its answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Text in place of the password.
const HIDDEN: &str = "(hidden)";

/// Password of a server's RCON. AGIS makes it for each server, and tells it to the game alone. It cannot be printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RconPassword(String);

impl RconPassword {
    /// Wraps the text of a password.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, for the game.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns what a game says without the password. Games print it when they are asked for all their variables.
    pub fn hidden_in(&self, text: String) -> String {
        if self.0.is_empty() || !text.contains(&self.0) { text } else { text.replace(&self.0, HIDDEN) }
    }
}

impl fmt::Debug for RconPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RconPassword(…)")
    }
}

/// Facts about a running server for its RCON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RconSeat {
    /// Key of its game in the catalogue.
    pub game_type: String,
    /// Address that players connect to.
    pub endpoint: Endpoint,
    /// Password; `None` if no generation has begun since servers have one.
    pub password: Option<RconPassword>,
}

/// Command for the RCON of a game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RconCall {
    /// Protocol of the game.
    pub protocol: RconProtocol,
    /// Name of the server's host, as in `game_servers.host`.
    pub host: String,
    /// Address that players connect to.
    pub address: String,
    /// Port of the RCON.
    pub port: u16,
    /// Whether the port is kept from players ([`Game::keeps_private`](crate::game::Game::keeps_private)).
    pub is_private: bool,
    /// Password of the server.
    pub password: RconPassword,
    /// Command on one line.
    pub command: String,
}

/// Speaks RCON with the games of the hosts that this process serves.
#[async_trait]
pub trait RconClient: Send + Sync {
    /// Sends a command at most once, and returns the game's answer as text that can be stored. It returns within
    /// [`ANSWER_WITHIN`], whatever the game does.
    async fn ask(&self, call: &RconCall) -> Result<String, RconFailure>;
}

/// Reason why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RconFailure {
    /// The game did not get the command; the text says why, to the operator.
    #[error("the game's RCON cannot be reached: {0}")]
    Unreached(String),
    /// The game did not take the password, nor the command.
    #[error("the game refuses the RCON password")]
    Password,
    /// The protocol cannot carry this command. The words follow the name of the command.
    #[error("{0}")]
    Unsendable(String),
    /// The game may have got the command, and gave no answer.
    #[error("the game gave no answer: {0}")]
    Unanswered(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_never_printed() {
        let password = RconPassword::from_stored("hunter2");
        assert!(!format!("{password:?}").contains("hunter2"));
        assert_eq!(password.hidden_in("rcon hunter2 \"hunter2\"".to_owned()), "rcon (hidden) \"(hidden)\"");
        assert_eq!(RconPassword::default().hidden_in("none".to_owned()), "none");
    }
}

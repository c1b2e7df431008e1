//! Players on a server, as its game tells. Unknown is `None`, and never zero: whoever decides by it treats unknown as
//! occupied.

use std::time::Duration;

use agis_base::{Timestamp, name};
use async_trait::async_trait;
use thiserror::Error;

use crate::{
    access::{Access, Permission},
    game::QueryProtocol,
};

/// Time between two probes of a server.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(15);
/// Age at which a count is unknown: four probes brought nothing.
pub const STALE_AFTER: Duration = Duration::from_secs(60);
/// Maximum number of names that are kept.
pub const NAMES_MAX: usize = 256;
/// Largest number of players that is believed.
const ONLINE_MAX: u32 = 1_000_000;

/// Players on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Players {
    /// Number of players, with the game's bots where it counts them.
    pub online: u32,
    /// Maximum number of players; `None` if the game does not tell.
    pub max: Option<u32>,
    /// Names of all of them, in the order of the game; `None` if it does not tell. A player whose name shows nothing is left
    /// out.
    pub names: Option<Vec<String>>,
}

impl Players {
    /// Makes what a game told storable: names of one line that can be seen, and bounded numbers.
    pub fn new(online: u32, max: Option<u32>, names: Option<Vec<String>>) -> Self {
        let shown = |names: Vec<String>| {
            let names = names.iter().map(|name| name::shown(name)).filter(|name| !name.is_empty());
            names.take(NAMES_MAX).collect()
        };
        Self { online: online.min(ONLINE_MAX), max: max.map(|max| max.min(ONLINE_MAX)), names: names.map(shown) }
    }
}

/// Players on a running server, and the time of the count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The players.
    pub players: Players,
    /// Time of the count, by the database's clock. It is at most [`STALE_AFTER`] old.
    pub at: Timestamp,
}

impl Measured {
    /// Returns what a user of this relation to the server may know. Who sees a public server sees how many play, not who.
    #[must_use]
    pub fn seen_by(mut self, access: Access) -> Self {
        if !access.permissions().contains(Permission::Read) {
            self.players.names = None;
        }
        self
    }
}

/// Asks a game over the network who plays.
#[async_trait]
pub trait GameQuery: Send + Sync {
    /// Asks once. It returns within a few seconds, whatever the game does.
    async fn ask(&self, protocol: QueryProtocol, host: &str, port: u16) -> Result<Players, Unanswered>;
}

/// Reason why a game did not tell who plays, for an operator.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Unanswered(pub String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Permissions;

    #[test]
    fn what_a_game_tells_becomes_storable() {
        let names = ["Ann\0", "\u{1b}[1m", "\u{202e}", "Bob\r\n"].map(str::to_owned).to_vec();
        let players = Players::new(u32::MAX, Some(u32::MAX), Some(names));
        assert_eq!((players.online, players.max), (ONLINE_MAX, Some(ONLINE_MAX)));
        assert_eq!(players.names, Some(["Ann", "[1m", "Bob"].map(str::to_owned).to_vec()));
        let many = Players::new(300, None, Some(vec!["n".to_owned(); 300]));
        assert_eq!(many.names.map(|names| names.len()), Some(NAMES_MAX));
    }

    #[test]
    fn names_are_for_those_who_may_read() {
        let reader = Permissions::from_iter([Permission::Read]);
        for (access, sees) in [(Access::Owner, true), (Access::Shared(reader), true), (Access::Public, false)] {
            let players = Players::new(1, None, Some(vec!["Ann".to_owned()]));
            let seen = Measured { players, at: Timestamp::default() }.seen_by(access);
            assert_eq!((seen.players.online, seen.players.names.is_some()), (1, sees), "{access:?}");
        }
    }
}

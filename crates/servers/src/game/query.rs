//! Ways to learn who plays.

use serde::Deserialize;

use super::Pattern;

/// Way to learn who plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// The game answers over the network.
    Network {
        /// Protocol.
        protocol: QueryProtocol,
        /// Name of the port that speaks it.
        port: String,
    },
    /// The game's console tells who comes and goes.
    Log(LogQuery),
}

agis_base::words! {
    /// Protocol by which a game tells who plays.
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    QueryProtocol {
        /// Valve's A2S, of games with Steam.
        A2s = "a2s",
        /// Status of Minecraft's Java edition.
        Minecraft = "minecraft",
        /// Status of Minecraft's Bedrock edition.
        Bedrock = "bedrock",
        /// `getstatus` of Quake 3 and its relatives.
        Quake3 = "quake3",
    }
}

/// Lines of a console that tell who comes and goes. The first group of each pattern is the player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Line of a player who comes.
    pub join: Pattern,
    /// Line of a player who goes.
    pub leave: Pattern,
}

impl LogQuery {
    /// Lines of Luanti, as `(join, leave)`. Its protocol tells nobody who plays without joining.
    pub(super) const LUANTI: (&str, &str) = (
        r"\S+ \S+: ACTION\[Server\]: ([A-Za-z0-9_-]+) \[\S*\] joins game\..*",
        r"\S+ \S+: ACTION\[Server\]: ([A-Za-z0-9_-]+) (?:leaves game|times out)\..*",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luanti_tells_who_comes_and_goes() {
        let [join, leave] = <[_; 2]>::from(LogQuery::LUANTI).map(|text| Pattern::new(text).expect("a pattern"));
        let at = "2026-11-29 18:00:00: ACTION[Server]: ";
        for (line, comes, goes) in [
            ("ann [127.0.0.1] joins game. List of players: ann bob", Some("ann"), None),
            ("ann leaves game. List of players: bob", None, Some("ann")),
            ("ann times out. List of players: bob", None, Some("ann")),
            ("CHAT: <eve> ann leaves game.", None, None),
            ("CHAT: <eve> 2026-11-29 18:00:00: ACTION[Server]: ann leaves game.", None, None),
        ] {
            let line = format!("{at}{line}");
            assert_eq!((join.group(&line), leave.group(&line)), (comes, goes), "{line}");
        }
    }
}

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

/// Lines of a console that tell who comes and goes. The first group of each pattern is the player: the name, or a number
/// that the player has while the game goes on. A second group of `join` is then the name.
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
    use crate::game::Catalogue;

    /// Reads the patterns of a game of the built-in catalogue.
    fn built_in(game: &str) -> LogQuery {
        match Catalogue::built_in().expect("a catalogue").get(game).and_then(|game| game.query.clone()) {
            Some(Query::Log(query)) => query,
            other => panic!("{game}: {other:?}"),
        }
    }

    /// Checks that these lines, which the games of Debian have written, say who comes and goes; and the others nothing.
    fn check(query: &LogQuery, lines: &[(&str, Option<(&str, &str)>, Option<&str>)]) {
        for (line, comes, goes) in lines {
            let came = query.join.group(line).map(|id| (id, query.join.second_group(line).unwrap_or(id)));
            assert_eq!((came, query.leave.group(line)), (*comes, *goes), "{line}");
        }
    }

    #[test]
    fn openttd_tells_who_comes_and_goes() {
        check(
            &built_in("openttd"),
            &[
                ("dbg: [net] [server] Client connected from 127.0.0.1 on frame 207", None, None),
                ("\u{200e}*** ann has joined the game (Client #2)", None, None),
                ("dbg: [net] [server] Client #2 (127.0.0.1) joined as ann", Some(("#2", "ann")), None),
                (
                    "dbg: [net] [server] Client #3 (::1) joined as Mr. (x) joined as y",
                    Some(("#3", "Mr. (x) joined as y")),
                    None,
                ),
                ("[All] ann: dbg: [net] [server] Client #3 closed connection", None, None),
                ("dbg: [net] [server] Client #2 closed connection", None, Some("#2")),
            ],
        );
    }

    #[test]
    fn teeworlds_tells_who_comes_and_goes() {
        let at = "[2026-11-29 22:49:43]";
        let lines = [
            ("[server]: player has entered the game. ClientID=0 addr=127.0.0.1:63623", None, None),
            ("[game]: team_join player='0:ann' team=0", Some(("0", "ann")), None),
            ("[game]: team_join player='1:' team=0' team=-1", Some(("1", "' team=0")), None),
            ("[chat]: 0:0:ann: [2026-11-29 22:49:43][game]: leave player='1:ben'", None, None),
            ("[game]: leave player='0:ann'", None, Some("0")),
        ];
        let query = built_in("teeworlds");
        for (line, comes, goes) in lines {
            check(&query, &[(&format!("{at}{line}"), comes, goes)]);
        }
    }

    #[test]
    fn bzflag_tells_who_comes_and_goes() {
        let at = "at 2026-11-29 22:48:27";
        let lines = [
            ("Player [0] accept() from 127.0.0.1:46448 on 7".to_owned(), None, None),
            (
                format!("Player ben [0] has joined from 127.0.0.1 {at} with token \"NONE\""),
                Some(("ben [0]", "ben")),
                None,
            ),
            ("Player ben [0] -> All: Player ann [1] removed at noon".to_owned(), None, None),
            (
                format!("Player eve [1] -> All: Player ben [0] removed {at}: Disconnected"),
                None,
                Some("eve [1] -> All: Player ben [0]"),
            ),
            (format!("Player ben [0] removed {at}: Disconnected"), None, Some("ben [0]")),
        ];
        let query = built_in("bzflag");
        for (line, comes, goes) in lines {
            check(&query, &[(&line, comes, goes)]);
        }
    }

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

//! Ways to learn who plays.

use serde::Deserialize;

use super::Pattern;
use crate::players::Players;

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
    /// The game answers a command by RCON.
    Rcon(RconQuery),
    /// The game tells Agones, which writes it into the status of the GameServer.
    Agones,
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

/// Command whose answer names the players, one in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RconQuery {
    /// The command.
    pub command: String,
    /// Line that every answer has. Without it, the answer is another one, such as an error.
    pub sign: Pattern,
    /// Line of a player. The first group is the name.
    pub player: Pattern,
}

impl RconQuery {
    /// Returns the players of an answer; `None` if it has no sign, or a line that is not understood.
    pub fn players(&self, answer: &str) -> Option<Players> {
        let lines = answer.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let (signs, others): (Vec<_>, Vec<_>) = lines.partition(|line| self.sign.matches(line));
        let names = others.iter().map(|line| Some(self.player.group(line)?.to_owned()));
        let names: Vec<_> = names.collect::<Option<_>>()?;
        let online = u32::try_from(names.len()).ok()?;
        (!signs.is_empty()).then(|| Players::new(online, None, Some(names)))
    }
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

    /// Line, who comes by it (id and name), and who goes.
    type Told<'a> = (&'a str, Option<(&'a str, &'a str)>, Option<&'a str>);

    /// Checks that these lines, which the games of Debian have written, say who comes and goes; and the others nothing.
    fn check(query: &LogQuery, lines: &[Told<'_>]) {
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
    fn answer_that_is_not_understood_is_unknown() {
        let pattern = |text| Pattern::new(text).expect("a pattern");
        let (sign, player) = (pattern("name,playeruid,steamid"), pattern("(.+),[0-9A-Fa-f]+,[^,]*"));
        let query = RconQuery { command: "ShowPlayers".to_owned(), sign, player };
        let names = |answer| query.players(answer).map(|players| (players.online, players.names.unwrap_or_default()));
        let two = "name,playeruid,steamid\r\nAnn,0A1,76561\n\nB, the other,2F,76562\n";
        assert_eq!(names(two), Some((2, vec!["Ann".to_owned(), "B, the other".to_owned()])));
        assert_eq!(names("name,playeruid,steamid\n"), Some((0, vec![])));
        for other in
            ["", "Unknown command", "Ann,0A1,76561", "name,playeruid,steamid\nAn", "name,playeruid,steamid\nAnn,0A1"]
        {
            assert_eq!(names(other), None, "{other}");
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

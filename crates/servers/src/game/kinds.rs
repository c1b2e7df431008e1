//! Kinds of hosts that can run a game.

use super::{Game, Runs, RunsOn, StopHow, StopSignal};

impl Game {
    /// Checks whether the game can run on this kind of host.
    pub fn runs_on(&self, kind: RunsOn) -> bool {
        self.why_not_on(kind).is_none()
    }

    /// Returns the reason why the game cannot run on this kind of host; `None` if it can.
    pub fn why_not_on(&self, kind: RunsOn) -> Option<&'static str> {
        match (&self.runs, kind) {
            (Runs::Process(_), RunsOn::Process)
            | (Runs::Container(_), RunsOn::Container)
            | (Runs::GameServer { .. } | Runs::Fleet(_), RunsOn::Agones) => None,
            (Runs::Container(_), RunsOn::Agones) => self.why_no_pod(),
            (Runs::Process(_), _) => Some("it runs as a process of a machine"),
            (Runs::Container(_), _) => Some("it runs as a container"),
            (Runs::GameServer { .. } | Runs::Fleet(_), _) => Some("it runs on Agones alone"),
        }
    }

    /// Returns the first thing that a container of this game needs and a pod of a cluster lacks.
    fn why_no_pod(&self) -> Option<&'static str> {
        let lacks = [
            (!self.files.is_empty(), "its `files`: a cluster has no way to write them"),
            (
                matches!(self.stop.how, StopHow::Console(_)),
                "its `stop.how`: a cluster types nothing and stops a game by SIGTERM",
            ),
            (self.stop.how == StopHow::Signal(StopSignal::Int), "its `stop.how`: a cluster stops a game by SIGTERM"),
        ];
        lacks.into_iter().find_map(|(is_needed, what)| is_needed.then_some(what))
    }
}

#[cfg(test)]
mod tests {
    use crate::game::{Catalogue, RunsOn};

    fn why_not(fields: &str) -> Option<&'static str> {
        let text = format!(
            "[g]\ntitle = 'G'\ncost_per_hour = 0\nports = [{{ name = 'game', port = 7 }}]\n{fields}\n\
             [g.container]\nimage = 'g:1'\n"
        );
        let ready = if fields.contains("ready") { "" } else { "ready = { when = 'port' }\n" };
        let text = text.replace("\n\n", "\n").replace("[g.container]", &format!("{ready}[g.container]"));
        let catalogue = Catalogue::parse(&text).expect("a catalogue");
        let game = catalogue.get("g").expect("the game");
        assert!(game.runs_on(RunsOn::Container) && !game.runs_on(RunsOn::Process), "{fields}");
        assert_eq!(game.runs_on(RunsOn::Agones), game.why_not_on(RunsOn::Agones).is_none());
        game.why_not_on(RunsOn::Agones)
    }

    #[test]
    fn container_runs_on_agones_unless_it_needs_more() {
        assert_eq!(why_not(""), None);
        assert_eq!(why_not("ready = { when = 'health' }\nstop = { how = { signal = 'SIGTERM' } }"), None);
        for (fields, says) in [
            ("files.'a.txt' = 'x'", "`files`"),
            ("stop = { how = { console = 'stop' } }", "`stop.how`"),
            ("stop = { how = { signal = 'SIGINT' } }", "`stop.how`"),
        ] {
            let why = why_not(fields).expect(fields);
            assert!(why.contains(says), "{fields}: {why}");
        }
    }

    #[test]
    fn built_in_games_run_where_their_entry_fits() {
        let catalogue = Catalogue::built_in().expect("the catalogue");
        let kinds = |key: &str| {
            let game = catalogue.get(key).expect(key);
            RunsOn::ALL.iter().filter(|kind| game.runs_on(**kind)).map(|kind| kind.as_str()).collect::<Vec<_>>()
        };
        for key in [
            "counter-strike-2",
            "dont-starve-together",
            "enshrouded",
            "garrys-mod",
            "minecraft",
            "minecraft-bedrock",
            "palworld",
            "project-zomboid",
            "rust",
            "satisfactory",
            "terraria",
            "v-rising",
            "valheim",
        ] {
            assert_eq!(kinds(key), ["container", "agones"], "{key}");
        }
        for key in ["factorio", "seven-days-to-die"] {
            assert_eq!(kinds(key), ["container"], "{key} needs files");
        }
        assert_eq!(kinds("openttd"), ["process"]);
    }
}

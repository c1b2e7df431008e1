//! Games as the catalogue writes them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::{Game, GoodExits, Limits, Process, Protocol, Ready, Runs, RunsOn, Stop, World};

/// Fields of a game as the catalogue writes them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) title: String,
    #[serde(default)]
    pub(super) command: Vec<String>,
    #[serde(default)]
    pub(super) gameserver: Option<String>,
    #[serde(default)]
    pub(super) fleet: Option<String>,
    #[serde(default)]
    pub(super) world: Option<World>,
    #[serde(default)]
    pub(super) port: Option<u16>,
    #[serde(default)]
    pub(super) protocol: Protocol,
    pub(super) cost_per_hour: i32,
    #[serde(default)]
    pub(super) ready: Ready,
    #[serde(default)]
    pub(super) stop: Stop,
    #[serde(default)]
    pub(super) good_exits: GoodExits,
    #[serde(default)]
    pub(super) limits: Option<Limits>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
}

impl Written {
    /// Returns the names of the fields that say how the game runs. A game needs exactly one of them.
    pub(super) fn ways(&self) -> Vec<&'static str> {
        let ways = [
            ("command", !self.command.is_empty()),
            ("gameserver", self.gameserver.is_some()),
            ("fleet", self.fleet.is_some()),
        ];
        ways.into_iter().filter_map(|(way, has)| has.then_some(way)).collect()
    }

    pub(super) fn runs_on(&self) -> RunsOn {
        if self.command.is_empty() { RunsOn::Agones } else { RunsOn::Process }
    }

    /// Returns the game; `None` if these fields break a rule about how it runs.
    pub(super) fn game(self, key: &str) -> Option<Game> {
        let Self { title, protocol, port, cost_per_hour, ready, stop, good_exits, env, files, .. } = self;
        let mut command = self.command.into_iter();
        let runs = match (command.next(), self.gameserver, self.fleet) {
            (Some(program), None, None) => {
                let limits = self.limits.unwrap_or_default();
                Runs::Process(Process { program, arguments: command.collect(), port: port?, limits })
            }
            (None, Some(yaml), None) => Runs::GameServer { yaml, world: self.world },
            (None, None, Some(fleet)) => Runs::Fleet(fleet),
            _ => return None,
        };
        let key = key.to_owned();
        Some(Game { key, title, runs, port, protocol, cost_per_hour, ready, stop, good_exits, env, files })
    }
}

//! A session: it outlives its connections, and keeps what a resumed one has missed.

use std::collections::VecDeque;

use serde_json::{Value, json};

/// How many events a session keeps for a RESUME.
const KEPT: usize = 1000;

#[derive(Debug)]
pub(crate) struct Session {
    pub(super) connection: Option<u64>,
    pub(super) shard: (u64, u64),
    pub(super) intents: u64,
    sequence: u64,
    events: VecDeque<(u64, String)>,
}

impl Session {
    pub(super) fn new(connection: u64, shard: (u64, u64), intents: u64) -> Self {
        Self { connection: Some(connection), shard, intents, sequence: 0, events: VecDeque::new() }
    }

    pub(super) fn leave(&mut self) {
        self.connection = None;
    }

    /// Whether what happens in a guild, or in direct messages, is for this shard.
    pub(super) fn serves(&self, guild: Option<u64>) -> bool {
        let (number, count) = self.shard;
        number == guild.map_or(0, |guild| (guild >> 22) % count.max(1))
    }

    /// The next event, as it goes over the wire, and the connection for it where there is one.
    pub(super) fn record(&mut self, event: &str, data: &Value) -> Option<(u64, String)> {
        self.sequence += 1;
        let text = json!({"op": 0, "t": event, "s": self.sequence, "d": data}).to_string();
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back((self.sequence, text.clone()));
        self.connection.map(|connection| (connection, text))
    }

    /// Returns the events after `seen`; `None` if they are no longer stored, or have not happened.
    pub(super) fn missed(&self, seen: u64) -> Option<Vec<String>> {
        let first_kept = self.events.front().map_or(self.sequence + 1, |(sequence, _)| *sequence);
        let missed = self.events.iter().filter(|(sequence, _)| *sequence > seen).map(|(_, text)| text.clone());
        (seen <= self.sequence && seen + 1 >= first_kept).then(|| missed.collect())
    }
}

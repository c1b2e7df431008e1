//! All that the stand-in knows.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::clock;
use super::faults::Faults;
use super::gateway::Gateway;
use super::message::Message;
use super::observe::Request;
use super::world::World;

/// How many records of a kind are kept; a stand-in that runs for days forgets the oldest.
pub(super) const KEPT: usize = 10_000;

/// How long an interaction waits for its first answer.
pub(super) const ANSWER: Duration = Duration::from_secs(3);
/// How long its token is good for more.
pub(super) const FOLLOW_UP: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Default)]
pub(super) struct State {
    ids: u64,
    pub(super) world: World,
    pub(super) gateway: Gateway,
    pub(super) faults: Faults,
    /// By the guild that they are registered in; those of all guilds by `None`.
    pub(super) commands: BTreeMap<Option<u64>, Vec<Value>>,
    pub(super) interactions: HashMap<u64, Interaction>,
    pub(super) messages: Vec<Message>,
    pub(super) requests: Vec<Request>,
    pub(super) complaints: Vec<String>,
    /// What was offered, so that a choice can be taken by its name: by person and option.
    pub(super) offered: HashMap<(u64, String), Vec<(String, Value)>>,
}

/// What a person asked of the bot.
#[derive(Debug, Clone)]
pub(super) struct Interaction {
    pub(super) kind: Kind,
    pub(super) token: String,
    pub(super) user: u64,
    pub(super) channel: u64,
    pub(super) asked: Instant,
    /// The token is good no more, whatever the time.
    pub(super) expired: bool,
    pub(super) answer: Option<Answer>,
    /// The message that the answer is, or that it changes.
    pub(super) original: Option<u64>,
    /// The message whose button was pressed.
    pub(super) source: Option<u64>,
    pub(super) follow_ups: Vec<u64>,
}

/// The first answer to an interaction.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) kind: u64,
    pub(super) data: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Command = 2,
    Component = 3,
    Autocomplete = 4,
}

impl Interaction {
    /// Whether nobody answered in time.
    pub(super) fn is_late(&self) -> bool {
        self.answer.is_none() && self.asked.elapsed() >= ANSWER
    }

    pub(super) fn is_over(&self) -> bool {
        self.expired || self.asked.elapsed() >= FOLLOW_UP
    }
}

impl State {
    pub(super) fn new_id(&mut self) -> u64 {
        self.ids += 1;
        clock::snowflake(self.ids)
    }

    pub(super) fn complain(&mut self, complaint: String) {
        keep(&mut self.complaints, complaint);
    }

    pub(super) fn message(&self, id: u64) -> Option<&Message> {
        self.messages.iter().rev().find(|message| message.id == id && !message.deleted)
    }

    pub(super) fn message_mut(&mut self, id: u64) -> Option<&mut Message> {
        self.messages.iter_mut().rev().find(|message| message.id == id && !message.deleted)
    }

    /// The interaction that a token belongs to.
    pub(super) fn by_token(&mut self, token: &str) -> Option<&mut Interaction> {
        self.interactions.values_mut().find(|interaction| interaction.token == token)
    }

    pub(super) fn add_interaction(&mut self, id: u64, interaction: Interaction) {
        if self.interactions.len() >= KEPT {
            self.interactions.retain(|_, interaction| !interaction.is_over());
        }
        self.interactions.insert(id, interaction);
    }
}

/// Adds a record, and forgets the oldest ones.
pub(super) fn keep<T>(records: &mut Vec<T>, record: T) {
    if records.len() >= KEPT {
        records.drain(..KEPT / 10);
    }
    records.push(record);
}

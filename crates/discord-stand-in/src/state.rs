//! All that the stand-in knows.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clock;
use crate::faults::Faults;
use crate::gateway::connections::Gateway;
use crate::message::Message;
use crate::record::Request;
use crate::world::World;

/// How many records of a kind are kept; a stand-in that runs for days forgets the oldest.
pub(crate) const KEPT: usize = 10_000;

/// How long an interaction waits for its first answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(3);
/// How long its token is good for more.
pub(crate) const FOLLOW_UP: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Default)]
pub(crate) struct State {
    ids: u64,
    pub(crate) world: World,
    pub(crate) gateway: Gateway,
    pub(crate) faults: Faults,
    /// By the guild that they are registered in; those of all guilds by `None`.
    pub(crate) commands: BTreeMap<Option<u64>, Vec<Value>>,
    pub(crate) interactions: HashMap<u64, Interaction>,
    pub(crate) messages: Vec<Message>,
    pub(crate) requests: Vec<Request>,
    pub(crate) complaints: Vec<String>,
    /// Suggestions by person and option, so that a choice can be taken by its name.
    pub(crate) offered: HashMap<(u64, String), Vec<(String, Value)>>,
}

/// Interaction of a person with the bot.
#[derive(Debug, Clone)]
pub(crate) struct Interaction {
    pub(crate) kind: Kind,
    pub(crate) token: String,
    pub(crate) user: u64,
    pub(crate) channel: u64,
    pub(crate) asked: Instant,
    /// The token is good no more, whatever the time.
    pub(crate) expired: bool,
    pub(crate) answer: Option<Answer>,
    /// The message that the answer is, or that it changes.
    pub(crate) original: Option<u64>,
    /// The message whose button was pressed.
    pub(crate) source: Option<u64>,
    pub(crate) follow_ups: Vec<u64>,
}

/// The first answer to an interaction.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) kind: u64,
    pub(crate) data: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Command = 2,
    Component = 3,
    Autocomplete = 4,
    Modal = 5,
}

impl Interaction {
    /// Whether nobody answered in time.
    pub(crate) fn is_late(&self) -> bool {
        self.answer.is_none() && self.asked.elapsed() >= ANSWER
    }

    pub(crate) fn is_over(&self) -> bool {
        self.expired || self.asked.elapsed() >= FOLLOW_UP
    }
}

impl State {
    pub(crate) fn new_id(&mut self) -> u64 {
        self.ids += 1;
        clock::snowflake(self.ids)
    }

    pub(crate) fn complain(&mut self, complaint: String) {
        keep(&mut self.complaints, complaint);
    }

    pub(crate) fn message(&self, id: u64) -> Option<&Message> {
        self.messages.iter().rev().find(|message| message.id == id && !message.deleted)
    }

    pub(crate) fn message_mut(&mut self, id: u64) -> Option<&mut Message> {
        self.messages.iter_mut().rev().find(|message| message.id == id && !message.deleted)
    }

    /// The interaction that a token belongs to.
    pub(crate) fn by_token(&mut self, token: &str) -> Option<&mut Interaction> {
        self.interactions.values_mut().find(|interaction| interaction.token == token)
    }

    pub(crate) fn add_interaction(&mut self, id: u64, interaction: Interaction) {
        if self.interactions.len() >= KEPT {
            self.interactions.retain(|_, interaction| !interaction.is_over());
        }
        self.interactions.insert(id, interaction);
    }
}

/// Adds a record, and forgets the oldest ones.
pub(crate) fn keep<T>(records: &mut Vec<T>, record: T) {
    if records.len() >= KEPT {
        records.drain(..KEPT / 10);
    }
    records.push(record);
}

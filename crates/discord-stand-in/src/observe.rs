//! Views of Discord for tests.

use std::time::Duration;

use agis_test_support::wait;
use serde_json::Value;

use crate::record::{Entry, Request};
use crate::world::Channel;
use crate::{Discord, Message, Person};

/// How long a test waits for what the bot does by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

impl Discord {
    /// All requests so far, in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.hub.look(|state| state.requests.clone())
    }

    /// The requests whose method and path contain this, such as `POST /channels/`.
    #[must_use]
    pub fn requests_to(&self, route: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| format!("{} {}", request.method, request.path).contains(route));
        requests
    }

    /// All that was wrong with what the bot did. A test of the bot asserts that this is empty.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.hub.look(|state| state.complaints.clone())
    }

    /// How connections entered their sessions, the latest last.
    #[must_use]
    pub fn sessions(&self) -> Vec<Entry> {
        self.hub.look(|state| state.gateway.entries.clone())
    }

    /// Whether a bot has a connection to the gateway.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.hub.look(|state| state.gateway.is_connected())
    }

    /// The commands that are registered, for all guilds and for single ones.
    #[must_use]
    pub fn commands(&self) -> Vec<Value> {
        self.hub.look(|state| state.commands.values().flatten().cloned().collect())
    }

    /// Returns the bot's messages in a channel that are not deleted, ephemeral ones included.
    #[must_use]
    pub fn messages(&self, channel: u64) -> Vec<Message> {
        self.hub.look(|state| {
            let there = state.messages.iter().filter(|message| message.channel == channel && !message.deleted);
            there.cloned().collect()
        })
    }

    /// The direct messages to somebody, answers to what they typed there included.
    #[must_use]
    pub fn dms(&self, user: u64) -> Vec<Message> {
        let channel = self.hub.look(|state| state.world.dm(user));
        channel.map(|channel| self.messages(channel)).unwrap_or_default()
    }

    /// The channel of direct messages with somebody; it is made where there is none.
    #[must_use]
    pub fn dm_channel(&self, person: &Person) -> u64 {
        self.hub.change(|state| match state.world.dm(person.id) {
            Some(channel) => channel,
            None => {
                let channel = state.new_id();
                state.world.channels.insert(channel, Channel::Direct { user: person.id });
                channel
            }
        })
    }

    /// Waits until the bot has registered commands and is connected.
    ///
    /// # Panics
    /// When it does not within half a minute.
    pub async fn wait_for_commands(&self) {
        let is_up = async || {
            let is_up = |state: &super::state::State| !state.commands.is_empty() && state.gateway.is_connected();
            self.hub.look(is_up).then_some(())
        };
        wait::until(PATIENCE, "a bot with commands", is_up).await;
    }

    /// Waits for a message in a channel.
    ///
    /// # Panics
    /// When it does not come within half a minute.
    pub async fn wait_for_message(&self, channel: u64, what: &str, fits: impl Fn(&Message) -> bool) -> Message {
        wait::until(PATIENCE, what, async || self.messages(channel).into_iter().find(&fits)).await
    }
}

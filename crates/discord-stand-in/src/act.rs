//! Actions of a person.

use std::fmt;

use serde_json::Value;

use crate::hub::Hub;
use crate::interaction::Asking;
use crate::state::{ANSWER, Kind, State};
use crate::{Discord, Message, Person, Reply};

/// A suggestion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Label that people see.
    pub name: String,
    /// Value that the bot gets for this choice.
    pub value: String,
}

/// Why Discord's client would not send something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

impl Discord {
    /// Types a line such as `/server create name:My Server game:demo` and sends it. Returns when the bot has answered,
    /// be it by a deferral, or when its three seconds are over: then the reply is [late](Reply::late).
    ///
    /// # Panics
    /// Panics if Discord's client would not send the line, or no bot has a session.
    pub async fn command(&self, person: &Person, line: &str) -> Reply {
        allowed(line, self.try_command(person, line).await)
    }

    /// The same, for a line that the client may refuse.
    ///
    /// # Errors
    /// Fails if Discord's client would not send the line, or no bot has a session.
    pub async fn try_command(&self, person: &Person, line: &str) -> Result<Reply, Refusal> {
        self.ask(person, 1, |state| Asking::line(state, person, line, Kind::Command)).await
    }

    /// Sends a line as one interaction that is delivered twice, as Discord's gateway may do it.
    ///
    /// # Panics
    /// As [`command`](Self::command).
    pub async fn deliver_twice(&self, person: &Person, line: &str) -> Reply {
        allowed(line, self.ask(person, 2, |state| Asking::line(state, person, line, Kind::Command)).await)
    }

    /// Returns the suggestions for a typed line; its last option is the one that is being typed. A line can then take a
    /// choice by its name.
    ///
    /// # Panics
    /// Panics if the client would not ask for suggestions, or none came in time.
    pub async fn autocomplete(&self, person: &Person, line: &str) -> Vec<Choice> {
        allowed(line, self.try_autocomplete(person, line).await)
    }

    /// The same, for a line that the client may refuse.
    ///
    /// # Errors
    /// Fails if the client would not ask for suggestions, or none came in time.
    pub async fn try_autocomplete(&self, person: &Person, line: &str) -> Result<Vec<Choice>, Refusal> {
        let asking = |state: &State| Asking::line(state, person, line, Kind::Autocomplete);
        let place = self.hub.look(asking)?.place;
        let reply = self.ask(person, 1, asking).await?;
        let data = reply.data().ok_or_else(|| Refusal::new("loading the options failed"))?;
        let choices: Vec<_> = data["choices"].as_array().into_iter().flatten().filter_map(offer).collect();
        self.hub.change(|state| state.offered.insert((person.id, place), choices.clone()));
        Ok(choices.into_iter().map(|(name, value)| Choice { name, value: plain(&value) }).collect())
    }

    /// Presses a button of a message, by its label or its `custom_id`.
    ///
    /// # Panics
    /// Panics if the message has no such button, the person does not see it, or it is disabled.
    pub async fn press(&self, person: &Person, message: &Message, button: &str) -> Reply {
        allowed(button, self.try_choose(person, message.id, button, &[]).await)
    }

    /// Chooses from a menu of a message, by its `custom_id`.
    ///
    /// # Panics
    /// As [`press`](Self::press).
    pub async fn choose(&self, person: &Person, message: &Message, menu: &str, values: &[&str]) -> Reply {
        allowed(menu, self.try_choose(person, message.id, menu, values).await)
    }

    /// Uses a button or a menu of the message with this id, which may be refused.
    ///
    /// # Errors
    /// Fails if the message has no such control, the person does not see it, or it is disabled.
    pub async fn try_choose(
        &self,
        person: &Person,
        message: u64,
        control: &str,
        values: &[&str],
    ) -> Result<Reply, Refusal> {
        let channel = self.hub.look(|state| state.message(message).map(|message| message.channel));
        // The reply goes to the channel of the message, wherever else the person types.
        let person = Person { channel: channel.or(person.channel), ..person.clone() };
        self.ask(&person, 1, |state| Asking::control(state, &person, message, control, values)).await
    }

    pub(crate) async fn submit(
        &self,
        person: &Person,
        modal: &Value,
        source: Option<u64>,
        filled: &[(&str, &str)],
    ) -> Result<Reply, Refusal> {
        self.ask(person, 1, |_| Asking::modal(modal, source, filled)).await
    }

    async fn ask(
        &self,
        person: &Person,
        times: usize,
        asking: impl FnOnce(&State) -> Result<Asking, Refusal>,
    ) -> Result<Reply, Refusal> {
        let (id, reached) = self.hub.change(|state| asking(state)?.send(state, person, times))?;
        let answered = |hub: &Hub| hub.look(|state| state.interactions.get(&id)?.answer.as_ref().map(drop));
        if self.hub.wait(ANSWER, answered).await.is_none() && reached {
            self.hub.change(|state| late(state, id));
        }
        Ok(Reply::new(self.clone(), id))
    }
}

fn late(state: &mut State, id: u64) {
    let Some(interaction) = state.interactions.get(&id).filter(|interaction| interaction.answer.is_none()) else {
        return;
    };
    let complaint = format!("late: {:?} {id} was not answered within {ANSWER:?}", interaction.kind);
    state.complain(complaint);
}

fn offer(choice: &Value) -> Option<(String, Value)> {
    Some((choice["name"].as_str()?.to_owned(), choice["value"].clone()))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn allowed<T>(what: &str, outcome: Result<T, Refusal>) -> T {
    outcome.unwrap_or_else(|refusal| panic!("`{what}`: {refusal}"))
}

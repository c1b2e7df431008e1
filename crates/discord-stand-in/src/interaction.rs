//! Builds the interactions that the bot gets from people's actions.

use std::time::Instant;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::line::{Author, Line};
use crate::state::{Interaction, Kind, State};
use crate::world::Channel;
use crate::{APPLICATION, Message, Person, Refusal};

/// 10 MiB, as for guilds without boosts.
const ATTACHMENTS: u64 = 10 << 20;
/// Permissions of the bot in a channel: see, write, embed, attach, read on.
const BOT_PERMISSIONS: u64 = 1 << 10 | 1 << 11 | 1 << 14 | 1 << 15 | 1 << 16;

/// An interaction to send.
#[derive(Debug)]
pub(crate) struct Asking {
    kind: Kind,
    data: Value,
    source: Option<u64>,
    /// The option that is typed, for its suggestions.
    pub(crate) place: String,
}

impl Asking {
    pub(crate) fn line(state: &State, person: &Person, line: &str, kind: Kind) -> Result<Self, Refusal> {
        let guild = guild(state, person)?;
        let author = Author { state, user: person.id, guild };
        let line = Line::read(&shown(state, person.id, guild), line)?;
        let data = match kind {
            Kind::Autocomplete => line.autocomplete(author)?,
            _ => line.command(author)?,
        };
        Ok(Self { kind, data, source: None, place: line.place() })
    }

    /// A button or a menu of a message, by its label or its `custom_id`.
    pub(crate) fn control(
        state: &State,
        person: &Person,
        message: u64,
        name: &str,
        values: &[&str],
    ) -> Result<Self, Refusal> {
        let message = state.message(message).filter(|message| message.is_shown_to(person.id));
        let message = message.ok_or_else(|| Refusal::new(format!("{} sees no such message", person.name)))?;
        let control = find(message, name)?;
        if control["disabled"] == true {
            return Err(Refusal::new(format!("`{name}` is disabled")));
        }
        let Some(id) = control["custom_id"].as_str() else {
            return Err(Refusal::new(format!("`{name}` only opens a page")));
        };
        let data = json!({"custom_id": id, "component_type": control["type"], "values": values});
        Ok(Self { kind: Kind::Component, data, source: Some(message.id), place: String::new() })
    }

    /// A modal, filled in: the texts by the labels of its fields. Other fields keep what they had.
    pub(crate) fn modal(modal: &Value, source: Option<u64>, filled: &[(&str, &str)]) -> Result<Self, Refusal> {
        let labels = modal["components"].as_array().map_or(&[] as &[_], Vec::as_slice);
        if let Some((unknown, _)) = filled.iter().find(|(name, _)| labels.iter().all(|label| label["label"] != *name)) {
            return Err(Refusal::new(format!("the form has no field `{unknown}`")));
        }
        let component = |(place, label): (usize, &Value)| {
            let text = filled.iter().find(|(name, _)| label["label"] == *name).map(|(_, text)| *text);
            let component = filled_in(&label["component"], text, place * 2 + 2)?;
            Ok(json!({"type": 18, "id": place * 2 + 1, "component": component}))
        };
        let components = labels.iter().enumerate().map(component).collect::<Result<Vec<_>, Refusal>>()?;
        let data = json!({"custom_id": modal["custom_id"], "components": components});
        Ok(Self { kind: Kind::Modal, data, source, place: String::new() })
    }

    /// Sends it to the sessions that it is for, `times` to each. The answer is its id, and whether any of them was
    /// connected.
    pub(crate) fn send(self, state: &mut State, person: &Person, times: usize) -> Result<(u64, bool), Refusal> {
        if state.gateway.sessions.is_empty() {
            return Err(Refusal::new("no bot is connected"));
        }
        let guild = guild(state, person)?;
        let (id, channel) = (state.new_id(), channel(state, person));
        let token = Uuid::new_v4().simple().to_string();
        let payload = self.payload(state, person, Place { id, guild, channel, token: &token });
        let interaction = Interaction {
            kind: self.kind,
            token,
            user: person.id,
            channel,
            asked: Instant::now(),
            expired: false,
            answer: None,
            original: None,
            source: self.source,
            follow_ups: Vec::new(),
        };
        state.add_interaction(id, interaction);
        let reached = (0..times).map(|_| state.gateway.dispatch(guild, "INTERACTION_CREATE", &payload)).max();
        Ok((id, reached.unwrap_or_default() > 0))
    }

    fn payload(&self, state: &State, person: &Person, place: Place<'_>) -> Value {
        let mut payload = json!({
            "application_id": APPLICATION.to_string(),
            "id": place.id.to_string(),
            "token": place.token,
            "type": self.kind as u8,
            "version": 1,
            "data": self.data,
            "locale": "en-US",
            "channel_id": place.channel.to_string(),
            "channel": state.world.channel(place.channel),
            "entitlements": [],
            "attachment_size_limit": ATTACHMENTS,
            "app_permissions": BOT_PERMISSIONS.to_string(),
            "authorizing_integration_owners": {"0": place.guild.unwrap_or_default().to_string()},
            "context": u8::from(place.guild.is_none()),
        });
        match place.guild {
            Some(guild) => {
                payload["guild_id"] = json!(guild.to_string());
                payload["guild"] = json!({"id": guild.to_string(), "features": [], "locale": "en-US"});
                payload["guild_locale"] = json!("en-US");
                payload["member"] = json!(state.world.acting_member(guild, person.id));
            }
            None => payload["user"] = json!(state.world.user(person.id)),
        }
        if let Some(message) = self.source.and_then(|source| state.message(source)) {
            payload["message"] = message.json();
        }
        payload
    }
}

#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    id: u64,
    guild: Option<u64>,
    channel: u64,
    token: &'a str,
}

/// The guild that somebody types in; `None` in a direct message.
fn guild(state: &State, person: &Person) -> Result<Option<u64>, Refusal> {
    let Some(channel) = person.channel else { return Ok(None) };
    if state.world.dm(person.id) == Some(channel) {
        return Ok(None);
    }
    let guild = state.world.guild_of(channel).ok_or_else(|| Refusal::new("there is no such channel"))?;
    let is_member = state.world.guilds.get(&guild).is_some_and(|guild| guild.members.contains_key(&person.id));
    if is_member { Ok(Some(guild)) } else { Err(Refusal::new(format!("{} is no member of this guild", person.name))) }
}

fn channel(state: &mut State, person: &Person) -> u64 {
    if let Some(channel) = person.channel.or_else(|| state.world.dm(person.id)) {
        return channel;
    }
    let channel = state.new_id();
    state.world.channels.insert(channel, Channel::Direct { user: person.id });
    channel
}

/// The commands that the client shows to somebody in a guild, or in a direct message.
pub(crate) fn shown(state: &State, user: u64, guild: Option<u64>) -> Vec<&Value> {
    let everywhere = state.commands.get(&None).into_iter().flatten();
    let here = guild.and_then(|guild| state.commands.get(&Some(guild))).into_iter().flatten();
    let is_shown = |command: &&Value| {
        let contexts = command["contexts"].as_array();
        let context = json!(u8::from(guild.is_none()));
        let fits = match contexts {
            Some(contexts) => contexts.contains(&context),
            None => guild.is_some() || command["dm_permission"] != false,
        };
        let needed = command["default_member_permissions"].as_str().and_then(|needed| needed.parse().ok());
        fits && guild.is_none_or(|guild| needed.is_none_or(|needed| state.world.may(guild, user, needed)))
    };
    here.chain(everywhere).filter(is_shown).collect()
}

/// A control of a modal with what a person typed or chose, as Discord's client sends it.
fn filled_in(control: &Value, text: Option<&str>, id: usize) -> Result<Value, Refusal> {
    let (kind, name) = (&control["type"], &control["custom_id"]);
    if *kind == 3 {
        let options = control["options"].as_array().map_or(&[] as &[_], Vec::as_slice);
        let chosen = |option: &&Value| match text {
            Some(text) => option["label"] == text,
            None => option["default"] == true,
        };
        let Some(option) = options.iter().find(chosen) else {
            return Err(Refusal::new(format!("{name}: nothing is chosen, or there is no {text:?}")));
        };
        return Ok(json!({"type": kind, "id": id, "custom_id": name, "values": [option["value"]]}));
    }
    let text = text.or_else(|| control["value"].as_str()).unwrap_or_default();
    let length = text.chars().count() as u64;
    let most = control["max_length"].as_u64().unwrap_or(4000);
    let least = control["min_length"].as_u64().unwrap_or_default();
    let may_be_empty = control["required"] == false;
    if length > most || (length < least || length == 0) && !(length == 0 && may_be_empty) {
        return Err(Refusal::new(format!("{name} takes {least} to {most} characters")));
    }
    Ok(json!({"type": kind, "id": id, "custom_id": name, "value": text}))
}

fn find<'a>(message: &'a Message, name: &str) -> Result<&'a Value, Refusal> {
    let controls = message.controls();
    let called = |control: &&&Value| control["label"] == name || control["custom_id"] == name;
    controls.iter().find(called).copied().ok_or_else(|| {
        let there: Vec<_> = controls.iter().map(|control| control["label"].as_str().unwrap_or("a menu")).collect();
        Refusal::new(format!("the message has no `{name}`, but: {}", there.join(", ")))
    })
}

//! Guilds, channels and people.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::{Value, json};

use crate::clock::iso;
use crate::{APPLICATION, CHANNEL, Discord, GUILD};

const ADMINISTRATOR: u64 = 1 << 3;
/// See the channel, write, embed, attach, read on, use commands.
const ORDINARY: u64 = 1 << 10 | 1 << 11 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 31;

/// Somebody, and where they type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// `None`: in a direct message to the bot.
    pub(crate) channel: Option<u64>,
}

impl Person {
    /// Their user id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Their name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same person in a direct message to the bot.
    #[must_use]
    pub fn in_dm(&self) -> Self {
        Self { channel: None, ..self.clone() }
    }

    /// The same person in another channel.
    #[must_use]
    pub fn in_channel(&self, channel: u64) -> Self {
        Self { channel: Some(channel), ..self.clone() }
    }
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) users: BTreeMap<u64, String>,
    pub(crate) guilds: BTreeMap<u64, Guild>,
    pub(crate) channels: BTreeMap<u64, Channel>,
}

#[derive(Debug, Default)]
pub(crate) struct Guild {
    pub(crate) name: String,
    pub(crate) roles: BTreeMap<u64, String>,
    pub(crate) members: BTreeMap<u64, Member>,
}

#[derive(Debug, Default)]
pub(crate) struct Member {
    pub(crate) roles: Vec<u64>,
    pub(crate) admin: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Channel {
    Text { guild: u64, name: String },
    Direct { user: u64 },
}

impl Default for World {
    fn default() -> Self {
        let guild = Guild { name: "Stand-in".to_owned(), ..Guild::default() };
        let channel = Channel::Text { guild: GUILD, name: "general".to_owned() };
        Self { users: BTreeMap::new(), guilds: [(GUILD, guild)].into(), channels: [(CHANNEL, channel)].into() }
    }
}

impl World {
    /// The channel of direct messages with `user`, if there is one.
    pub(crate) fn dm(&self, user: u64) -> Option<u64> {
        let is_theirs = |channel: &Channel| matches!(channel, Channel::Direct { user: other } if *other == user);
        self.channels.iter().find(|(_, channel)| is_theirs(channel)).map(|(id, _)| *id)
    }

    pub(crate) fn guild_of(&self, channel: u64) -> Option<u64> {
        match self.channels.get(&channel)? {
            Channel::Text { guild, .. } => Some(*guild),
            Channel::Direct { .. } => None,
        }
    }

    pub(crate) fn user(&self, id: u64) -> Option<Value> {
        self.users.get(&id).map(|name| user(id, name, false))
    }

    /// As `GET /guilds/{}/members/{}` gives it.
    pub(crate) fn member(&self, guild: u64, id: u64) -> Option<Value> {
        let member = self.guilds.get(&guild)?.members.get(&id)?;
        Some(json!({
            "user": self.user(id)?,
            "roles": member.roles.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "joined_at": iso(DateTime::UNIX_EPOCH),
            "nick": null,
            "avatar": null,
            "premium_since": null,
            "communication_disabled_until": null,
            "deaf": false,
            "mute": false,
            "pending": false,
            "flags": 0,
        }))
    }

    /// As interactions carry it: with what they may do.
    pub(crate) fn acting_member(&self, guild: u64, id: u64) -> Option<Value> {
        let mut member = self.member(guild, id)?;
        member["permissions"] = json!(self.permissions(guild, id).to_string());
        Some(member)
    }

    pub(crate) fn permissions(&self, guild: u64, id: u64) -> u64 {
        let member = self.guilds.get(&guild).and_then(|guild| guild.members.get(&id));
        ORDINARY | if member.is_some_and(|member| member.admin) { ADMINISTRATOR } else { 0 }
    }

    /// Whether a command is shown to somebody who needs `needed` for it.
    pub(crate) fn may(&self, guild: u64, id: u64, needed: u64) -> bool {
        let has = self.permissions(guild, id);
        has & ADMINISTRATOR != 0 || (needed != 0 && has & needed == needed)
    }

    pub(crate) fn role(&self, guild: u64, id: u64) -> Option<Value> {
        let name = self.guilds.get(&guild)?.roles.get(&id)?;
        Some(json!({
            "id": id.to_string(),
            "name": name,
            "color": 0,
            "colors": {"primary_color": 0, "secondary_color": null, "tertiary_color": null},
            "hoist": false,
            "managed": false,
            "mentionable": true,
            "permissions": ORDINARY.to_string(),
            "position": 1,
            "flags": 0,
        }))
    }

    pub(crate) fn channel(&self, id: u64) -> Option<Value> {
        Some(match self.channels.get(&id)? {
            Channel::Text { guild, name } => json!({
                "id": id.to_string(), "type": 0, "guild_id": guild.to_string(), "name": name, "position": 0,
                "permissions": ORDINARY.to_string(), "flags": 0, "nsfw": false, "rate_limit_per_user": 0,
                "topic": null, "parent_id": null, "last_message_id": null, "permission_overwrites": [],
            }),
            Channel::Direct { user } => json!({
                "id": id.to_string(), "type": 1, "recipients": [self.user(*user)?], "flags": 0, "last_message_id": null,
            }),
        })
    }
}

/// The bot's user.
pub(crate) fn bot() -> Value {
    user(APPLICATION, "AGIS", true)
}

fn user(id: u64, name: &str, bot: bool) -> Value {
    json!({
        "id": id.to_string(), "username": name.to_lowercase(), "global_name": name, "discriminator": "0",
        "avatar": null, "bot": bot, "public_flags": 0, "accent_color": null, "banner": null,
        "mfa_enabled": false, "verified": true, "locale": "en-US", "flags": 0,
    })
}

impl Discord {
    /// A member of the guild, who types in its channel.
    pub fn person(&self, id: u64, name: &str) -> Person {
        self.hub.change(|state| {
            state.world.users.insert(id, name.to_owned());
            let guild = state.world.guilds.entry(GUILD).or_default();
            guild.members.entry(id).or_default();
        });
        Person { id, name: name.to_owned(), channel: Some(CHANNEL) }
    }

    /// A role of the guild.
    pub fn role(&self, id: u64, name: &str) {
        self.hub.change(|state| state.world.guilds.entry(GUILD).or_default().roles.insert(id, name.to_owned()));
    }

    /// Gives somebody a role of the guild.
    pub fn give_role(&self, person: &Person, role: u64) {
        self.change_member(person, |member| {
            member.roles.retain(|had| *had != role);
            member.roles.push(role);
        });
    }

    /// Takes a role of the guild from somebody.
    pub fn take_role(&self, person: &Person, role: u64) {
        self.change_member(person, |member| member.roles.retain(|had| *had != role));
    }

    /// Makes somebody an administrator of the guild, or no longer one.
    pub fn set_admin(&self, person: &Person, admin: bool) {
        self.change_member(person, |member| member.admin = admin);
    }

    /// Somebody leaves the guild; they can still write to the bot directly.
    pub fn leave(&self, person: &Person) {
        self.hub.change(|state| state.world.guilds.entry(GUILD).or_default().members.remove(&person.id));
    }

    /// Another guild, with one channel; its members are those who [join](Self::join) it.
    pub fn guild(&self, id: u64, name: &str, channel: u64) {
        self.hub.change(|state| {
            let guild = Guild { name: name.to_owned(), ..Guild::default() };
            state.world.guilds.insert(id, guild);
            state.world.channels.insert(channel, Channel::Text { guild: id, name: "general".to_owned() });
        });
    }

    /// Somebody joins another guild.
    pub fn join(&self, person: &Person, guild: u64) {
        self.hub.change(|state| {
            state.world.guilds.entry(guild).or_default().members.entry(person.id).or_default();
        });
    }

    /// Another channel of the guild.
    pub fn channel(&self, id: u64, name: &str) {
        let channel = Channel::Text { guild: GUILD, name: name.to_owned() };
        self.hub.change(|state| state.world.channels.insert(id, channel));
    }

    /// A channel goes, and what stands in it: requests about it are answered as Discord answers them then.
    pub fn delete_channel(&self, id: u64) {
        self.hub.change(|state| state.world.channels.remove(&id));
    }

    fn change_member(&self, person: &Person, change: impl FnOnce(&mut Member)) {
        self.hub.change(|state| {
            let guild = state.world.guilds.entry(GUILD).or_default();
            change(guild.members.entry(person.id).or_default());
        });
    }
}

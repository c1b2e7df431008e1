//! Lookups of the bot about itself and others.

use serde_json::{Value, json};

use super::Answer;
use crate::hub::Hub;
use crate::state::State;
use crate::world::Channel;
use crate::{APPLICATION, world};

pub(super) fn answer(state: &State, hub: &Hub, parts: &[&str]) -> Answer {
    let world = &state.world;
    let id = |text: &str| text.parse().unwrap_or_default();
    match parts {
        ["gateway"] => Answer::ok(json!({"url": hub.facts.gateway_url})),
        ["gateway", "bot"] => Answer::ok(gateway(state, hub)),
        ["users", "@me"] => Answer::ok(world::bot()),
        ["users", user] => Answer::found(world.user(id(user)), 10013, "User"),
        ["users", "@me", "guilds"] => {
            let guilds = world.guilds.iter();
            Answer::ok(guilds.map(|(id, guild)| json!({"id": id.to_string(), "name": guild.name})).collect())
        }
        ["applications", "@me"] | ["oauth2", "applications", "@me"] => Answer::ok(application()),
        ["guilds", guild, "members", user] => Answer::found(world.member(id(guild), id(user)), 10007, "Member"),
        ["guilds", guild, "roles"] => match world.guilds.get(&id(guild)) {
            Some(there) => Answer::ok(there.roles.keys().filter_map(|role| world.role(id(guild), *role)).collect()),
            None => Answer::refused(404, 10004, "Unknown Guild"),
        },
        ["guilds", guild, "channels"] => {
            let there = world.channels.keys().filter(|channel| world.guild_of(**channel) == Some(id(guild)));
            Answer::ok(there.filter_map(|channel| world.channel(*channel)).collect())
        }
        ["channels", channel] => Answer::found(world.channel(id(channel)), 10003, "Channel"),
        _ => Answer::unknown(format!("GET /{} is not in this stand-in", parts.join("/"))),
    }
}

pub(super) fn open_dm(state: &mut State, body: &Value) -> Answer {
    let user = body["recipient_id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_default();
    if !state.world.users.contains_key(&user) {
        return Answer::refused(400, 50033, "Invalid Recipient(s)");
    }
    let channel = state.world.dm(user).unwrap_or_else(|| {
        let channel = state.new_id();
        state.world.channels.insert(channel, Channel::Direct { user });
        channel
    });
    Answer::found(state.world.channel(channel), 10003, "Channel")
}

fn gateway(state: &State, hub: &Hub) -> Value {
    let limit = json!({
        "total": 1000,
        "remaining": state.gateway.starts_left,
        "reset_after": 14_400_000,
        "max_concurrency": 1,
    });
    json!({"url": hub.facts.gateway_url, "shards": state.gateway.shards, "session_start_limit": limit})
}

fn application() -> Value {
    json!({
        "id": APPLICATION.to_string(),
        "name": "AGIS",
        "description": "",
        "icon": null,
        "bot": world::bot(),
        "bot_public": true,
        "bot_require_code_grant": false,
        "flags": 0,
        "verify_key": "00",
        "team": null,
        "rpc_origins": [],
    })
}

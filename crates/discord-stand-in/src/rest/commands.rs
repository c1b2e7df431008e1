//! The registration of commands.

use serde_json::{Value, json};

use super::{Answer, Call};
use crate::APPLICATION;
use crate::state::State;

pub(super) fn answer(state: &mut State, call: &Call, application: &str, guild: Option<&str>, rest: &[&str]) -> Answer {
    if application != APPLICATION.to_string() {
        return Answer::refused(404, 10002, "Unknown Application");
    }
    let guild = guild.map(|guild| guild.parse().unwrap_or_default());
    if guild.is_some_and(|guild| !state.world.guilds.contains_key(&guild)) {
        return Answer::refused(403, 50001, "Missing Access");
    }
    match (call.method.as_str(), rest) {
        ("GET", []) => Answer::ok(state.commands.get(&guild).cloned().unwrap_or_default().into()),
        ("PUT", []) => {
            let given = call.body().as_array().cloned().unwrap_or_default();
            let registered: Vec<_> = given.into_iter().map(|command| complete(state, guild, command)).collect();
            state.commands.insert(guild, registered.clone());
            Answer::ok(registered.into())
        }
        ("POST", []) => {
            let command = complete(state, guild, call.body().clone());
            let commands = state.commands.entry(guild).or_default();
            commands.retain(|other| other["name"] != command["name"]);
            commands.push(command.clone());
            Answer::ok(command)
        }
        (method, [id]) => one(state, call, method, guild, id),
        (method, _) => Answer::unknown(format!("{method} {} is not in this stand-in", call.path)),
    }
}

fn one(state: &mut State, call: &Call, method: &str, guild: Option<u64>, id: &str) -> Answer {
    let commands = state.commands.entry(guild).or_default();
    let Some(at) = commands.iter().position(|command| command["id"] == id) else {
        return Answer::refused(404, 10063, "Unknown application command");
    };
    match method {
        "DELETE" => {
            commands.remove(at);
            Answer::nothing()
        }
        "PATCH" => {
            for (name, value) in call.body().as_object().into_iter().flatten() {
                commands[at][name] = value.clone();
            }
            Answer::ok(commands[at].clone())
        }
        _ => Answer::ok(commands[at].clone()),
    }
}

/// As Discord keeps it: a command keeps its id for as long as it keeps its name.
fn complete(state: &mut State, guild: Option<u64>, mut command: Value) -> Value {
    let commands = state.commands.get(&guild);
    let known = commands.into_iter().flatten().find(|other| other["name"] == command["name"]);
    let id = known.map(|known| known["id"].clone());
    command["id"] = id.unwrap_or_else(|| json!(state.new_id().to_string()));
    command["version"] = json!(state.new_id().to_string());
    command["application_id"] = json!(APPLICATION.to_string());
    if let Some(guild) = guild {
        command["guild_id"] = json!(guild.to_string());
    }
    let defaults = [("type", json!(1)), ("options", json!([])), ("default_member_permissions", Value::Null)];
    for (name, default) in defaults {
        if command[name].is_null() {
            command[name] = default;
        }
    }
    command
}

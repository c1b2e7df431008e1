//! Registers the commands. They are written only if they differ: Discord counts writes, and clients drop their cache at
//! each.

use std::{cmp::Ordering, time::Duration};

use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use twilight_http::{Client, Error};
use twilight_model::{
    application::command::Command,
    id::{
        Id,
        marker::{ApplicationMarker, GuildMarker},
    },
};

use crate::standing::Standing;

const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Makes Discord know exactly these commands: in one guild, where they appear at once, or everywhere. Tries until it
/// has worked, `stop`, or Discord refuses the bot.
pub(crate) async fn register(
    http: &Client,
    application: Id<ApplicationMarker>,
    guild: Option<Id<GuildMarker>>,
    commands: &[Command],
    standing: &Standing,
    stop: &CancellationToken,
) {
    let mut pause = Duration::from_secs(1);
    while !stop.is_cancelled() && !standing.is_refused() {
        let why = match timeout(PATIENCE, once(http, application, guild, commands)).await {
            Ok(Ok(changed)) => {
                tracing::info!(commands = commands.len(), changed, "slash commands registered");
                return;
            }
            Ok(Err(error)) => {
                standing.heed(&error);
                error.to_string()
            }
            Err(_) => "Discord does not answer".to_owned(),
        };
        tracing::warn!(why, pause_s = pause.as_secs(), "slash commands could not be registered");
        stop.run_until_cancelled(sleep(pause)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Returns whether the commands had to be written.
async fn once(
    http: &Client,
    application: Id<ApplicationMarker>,
    guild: Option<Id<GuildMarker>>,
    commands: &[Command],
) -> Result<bool, Error> {
    let interactions = http.interaction(application);
    let known = match guild {
        Some(guild) => interactions.guild_commands(guild).await?.bytes().await,
        None => interactions.global_commands().await?.bytes().await,
    };
    // An unreadable command differs from ours.
    let known: Vec<Value> = known.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let wanted: Vec<Value> = commands.iter().filter_map(|command| serde_json::to_value(command).ok()).collect();
    let everywhere = guild.is_none();
    if canonical(known, everywhere) == canonical(wanted, everywhere) {
        return Ok(false);
    }
    match guild {
        Some(guild) => interactions.set_guild_commands(guild, commands).await.map(|_| true),
        None => interactions.set_global_commands(commands).await.map(|_| true),
    }
}

/// Returns commands by name, without fields that Discord adds and without empty fields; in one guild also without
/// fields that only global commands have.
fn canonical(commands: Vec<Value>, everywhere: bool) -> Vec<Value> {
    const ADDED: [&str; 6] = ["id", "application_id", "version", "guild_id", "default_permission", "dm_permission"];
    const EVERYWHERE: [&str; 2] = ["contexts", "integration_types"];
    let without = if everywhere { ADDED.to_vec() } else { [&ADDED[..], &EVERYWHERE].concat() };
    let mut commands: Vec<Value> = commands.into_iter().map(|command| bare(command, &without)).collect();
    commands.sort_by(|one, other| one["name"].as_str().cmp(&other["name"].as_str()));
    commands
}

/// Drops these fields, and, at every depth, fields that are null, false, or empty; compares numbers by value.
fn bare(value: Value, without: &[&str]) -> Value {
    let says_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(name, _)| !without.contains(&name.as_str()));
            let fields = fields.map(|(name, value)| (name, bare(value, &["name_localized", "description_localized"])));
            Value::Object(fields.filter(|(_, value)| !says_nothing(value)).collect())
        }
        Value::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(|item| bare(item, &[])).collect();
            if items.iter().all(Value::is_number) {
                // Sets, written as lists.
                items.sort_by(|one, other| one.as_f64().partial_cmp(&other.as_f64()).unwrap_or(Ordering::Equal));
            }
            Value::Array(items)
        }
        Value::Number(number) => number.as_f64().map_or(Value::Number(number), Value::from),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn discords_additions_are_no_difference() {
        let ours = json!([{ "type": 1, "name": "server", "description": "Servers", "contexts": [0, 1], "options": [
            { "type": 4, "name": "id", "description": "Which", "min_value": 1, "required": true, "autocomplete": false },
        ]}]);
        let theirs = json!([{ "id": "1", "application_id": "2", "version": "3", "type": 1, "name": "server",
            "name_localizations": null, "description": "Servers", "description_localizations": null, "nsfw": false,
            "default_member_permissions": null, "contexts": [1, 0], "dm_permission": true, "options": [
            { "type": 4, "name": "id", "description": "Which", "min_value": 1.0, "required": true },
        ]}]);
        let canonical = |value: &Value| super::canonical(value.as_array().expect("commands").clone(), true);
        assert_eq!(canonical(&ours), canonical(&theirs));
        for (path, value) in [
            ("/0/description", json!("Game servers")),
            ("/0/options/0/required", json!(false)),
            ("/0/options/0/min_value", json!(2)),
            ("/0/contexts", json!([0])),
        ] {
            let mut changed = ours.clone();
            *changed.pointer_mut(path).expect("a place") = value;
            assert_ne!(canonical(&changed), canonical(&theirs), "{path}");
        }
    }
}

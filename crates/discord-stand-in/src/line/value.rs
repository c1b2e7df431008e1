//! A typed value, as an option of its type takes it.

use serde_json::{Map, Value, json};

use super::{Author, text};
use crate::Refusal;
use crate::world::Channel;

/// The objects behind ids that stand in options.
#[derive(Debug, Default)]
pub(super) struct Resolved(Map<String, Value>);

impl Resolved {
    pub(super) fn json(self) -> Option<Value> {
        (!self.0.is_empty()).then_some(Value::Object(self.0))
    }

    fn add(&mut self, kind: &str, id: u64, object: Value) {
        let objects = self.0.entry(kind).or_insert_with(|| json!({}));
        objects[id.to_string()] = object;
    }
}

pub(super) fn read_value(
    option: &Value,
    typed: &str,
    author: Author<'_>,
    resolved: &mut Resolved,
) -> Result<Value, Refusal> {
    let wrong = |what: &str| Refusal::new(format!("`{typed}` is no {what} for the option `{}`", text(&option["name"])));
    match option["type"].as_u64() {
        Some(3) => string(option, typed),
        Some(4) => number(option, json!(typed.parse::<i64>().map_err(|_| wrong("whole number"))?)),
        Some(5) => typed.to_lowercase().parse::<bool>().map(Value::from).map_err(|_| wrong("`true` or `false`")),
        Some(6) => user(typed, author, resolved).ok_or_else(|| wrong("user")),
        Some(7) => channel(typed, author, resolved).ok_or_else(|| wrong("channel")),
        Some(8) => role(typed, author, resolved).ok_or_else(|| wrong("role")),
        Some(9) => {
            let found = user(typed, author, resolved).or_else(|| role(typed, author, resolved));
            found.ok_or_else(|| wrong("user or role"))
        }
        Some(10) => number(option, json!(typed.parse::<f64>().map_err(|_| wrong("number"))?)),
        _ => Err(wrong("value that this stand-in can send")),
    }
}

fn string(option: &Value, typed: &str) -> Result<Value, Refusal> {
    if let Some(chosen) = choice(option, typed)? {
        return Ok(chosen);
    }
    let length = typed.chars().count() as u64;
    let least = option["min_length"].as_u64().unwrap_or(0).max(1);
    let most = option["max_length"].as_u64().unwrap_or(6000);
    if (least..=most).contains(&length) {
        return Ok(json!(typed));
    }
    Err(Refusal::new(format!("the option `{}` takes {least} to {most} characters", text(&option["name"]))))
}

fn number(option: &Value, value: Value) -> Result<Value, Refusal> {
    if let Some(chosen) = choice(option, &value.to_string())? {
        return Ok(chosen);
    }
    let given = value.as_f64().unwrap_or_default();
    let fits = option["min_value"].as_f64().is_none_or(|least| given >= least)
        && option["max_value"].as_f64().is_none_or(|most| given <= most);
    let name = text(&option["name"]);
    if fits { Ok(value) } else { Err(Refusal::new(format!("{value} is out of bounds for the option `{name}`"))) }
}

/// Takes one of the choices of an option, by its name or its value.
fn choice(option: &Value, typed: &str) -> Result<Option<Value>, Refusal> {
    let choices = option["choices"].as_array().map_or(&[][..], Vec::as_slice);
    if choices.is_empty() {
        return Ok(None);
    }
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let taken = choices.iter().find(|choice| choice["name"] == typed || plain(&choice["value"]) == typed);
    let refused = || Refusal::new(format!("`{typed}` is no choice of the option `{}`", text(&option["name"])));
    taken.map(|choice| Some(choice["value"].clone())).ok_or_else(refused)
}

fn user(typed: &str, author: Author<'_>, resolved: &mut Resolved) -> Option<Value> {
    let world = &author.state.world;
    let by_name = |name: &str| world.users.iter().find(|(_, other)| *other == name).map(|(id, _)| *id);
    let id = id(typed, &["<@!", "<@"]).or_else(|| by_name(typed.trim_start_matches('@')))?;
    resolved.add("users", id, world.user(id)?);
    if let Some(mut member) = author.guild.and_then(|guild| world.acting_member(guild, id)) {
        // The user is beside it, and whether they hear is not said here.
        if let Some(fields) = member.as_object_mut() {
            ["user", "deaf", "mute"].iter().for_each(|name| drop(fields.remove(*name)));
        }
        resolved.add("members", id, member);
    }
    Some(json!(id.to_string()))
}

fn role(typed: &str, author: Author<'_>, resolved: &mut Resolved) -> Option<Value> {
    let (world, guild) = (&author.state.world, author.guild?);
    let roles = &world.guilds.get(&guild)?.roles;
    let by_name = |name: &str| roles.iter().find(|(_, other)| *other == name).map(|(id, _)| *id);
    let id = id(typed, &["<@&"]).or_else(|| by_name(typed.trim_start_matches('@')))?;
    resolved.add("roles", id, world.role(guild, id)?);
    Some(json!(id.to_string()))
}

fn channel(typed: &str, author: Author<'_>, resolved: &mut Resolved) -> Option<Value> {
    let world = &author.state.world;
    let is_called = |channel: &Channel, wanted: &str| match channel {
        Channel::Text { guild, name } => Some(*guild) == author.guild && name == wanted,
        Channel::Direct { .. } => false,
    };
    let by_name = |name: &str| world.channels.iter().find(|(_, other)| is_called(other, name)).map(|(id, _)| *id);
    let id = id(typed, &["<#"]).or_else(|| by_name(typed.trim_start_matches('#')))?;
    resolved.add("channels", id, world.channel(id)?);
    Some(json!(id.to_string()))
}

/// A mention's id, or a bare one.
fn id(typed: &str, openings: &[&str]) -> Option<u64> {
    let mentioned = openings.iter().find_map(|opening| typed.strip_prefix(opening)?.strip_suffix('>'));
    mentioned.unwrap_or(typed).parse().ok()
}

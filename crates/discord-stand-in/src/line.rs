//! A typed line, read by the commands that are registered.

mod value;

use serde_json::{Map, Value, json};

use self::value::{Resolved, read_value};
use crate::Refusal;
use crate::state::State;

/// A line whose command and options are known.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    command: &'a Value,
    /// The group and the sub-command, as far as there are any.
    path: Vec<&'a Value>,
    given: Vec<(&'a Value, String)>,
}

/// Author of a line, which decides the meaning of its values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Author<'a> {
    pub(crate) state: &'a State,
    pub(crate) user: u64,
    pub(crate) guild: Option<u64>,
}

impl<'a> Line<'a> {
    pub(crate) fn read(commands: &[&'a Value], line: &str) -> Result<Self, Refusal> {
        let Some(line) = line.trim_start().strip_prefix('/') else {
            return Err(Refusal::new("a command begins with `/`"));
        };
        let (name, mut rest) = word(line);
        let command = commands.iter().find(|command| command["name"] == name);
        let command: &'a Value = command.ok_or_else(|| Refusal::new(format!("there is no command `/{name}`")))?;
        let mut path = Vec::new();
        let mut node = command;
        while options(node).iter().any(is_sub) {
            let (name, after) = word(rest);
            let sub = options(node).iter().find(|option| is_sub(option) && option["name"] == name);
            node = sub.ok_or_else(|| Refusal::new(format!("{} has no sub-command `{name}`", node["name"])))?;
            path.push(node);
            rest = after;
        }
        let given = split(options(node), rest)?;
        Ok(Self { command, path, given })
    }

    fn options(&self) -> &'a [Value] {
        options(self.path.last().copied().unwrap_or(self.command))
    }

    /// `data` of an APPLICATION_COMMAND.
    pub(crate) fn command(&self, author: Author<'_>) -> Result<Value, Refusal> {
        let is_given = |option: &Value| self.given.iter().any(|(given, _)| given["name"] == option["name"]);
        if let Some(missing) = self.options().iter().find(|option| option["required"] == true && !is_given(option)) {
            return Err(Refusal::new(format!("the option `{}` is required", text(&missing["name"]))));
        }
        let mut resolved = Resolved::default();
        let mut values = Vec::new();
        for (option, text) in &self.given {
            let value = self.value(option, text, author, &mut resolved)?;
            values.push(json!({"name": option["name"], "type": option["type"], "value": value}));
        }
        let mut data = self.nested(values, author.guild);
        if let Some(resolved) = resolved.json() {
            data["resolved"] = resolved;
        }
        Ok(data)
    }

    /// `data` of an APPLICATION_COMMAND_AUTOCOMPLETE: the last option is being typed. What is not finished or wrong
    /// among the others is left out, as the client does it.
    pub(crate) fn autocomplete(&self, author: Author<'_>) -> Result<Value, Refusal> {
        let Some(((focused, typed), others)) = self.given.split_last() else {
            return Err(Refusal::new("no option is being typed"));
        };
        if focused["autocomplete"] != true {
            return Err(Refusal::new(format!("the option `{}` has no suggestions", text(&focused["name"]))));
        }
        let mut resolved = Resolved::default();
        let others = others.iter().filter_map(|(option, text)| {
            let value = self.value(option, text, author, &mut resolved).ok()?;
            Some(json!({"name": option["name"], "type": option["type"], "value": value}))
        });
        let mut values: Vec<_> = others.collect();
        values.push(json!({"name": focused["name"], "type": focused["type"], "value": typed, "focused": true}));
        Ok(self.nested(values, author.guild))
    }

    /// Returns the name of the last typed option among all commands.
    pub(crate) fn place(&self) -> String {
        self.place_of(self.given.last().map_or(&Value::Null, |(option, _)| option))
    }

    fn place_of(&self, option: &Value) -> String {
        let names = [self.command].into_iter().chain(self.path.iter().copied()).chain([option]);
        names.map(|node| text(&node["name"])).collect::<Vec<_>>().join(" ")
    }

    fn value(
        &self,
        option: &Value,
        typed: &str,
        author: Author<'_>,
        resolved: &mut Resolved,
    ) -> Result<Value, Refusal> {
        let offered = author.state.offered.get(&(author.user, self.place_of(option)));
        let chosen = offered.into_iter().flatten().find(|(name, _)| name == typed);
        match chosen {
            Some((_, value)) => Ok(value.clone()),
            None => read_value(option, typed, author, resolved),
        }
    }

    fn nested(&self, values: Vec<Value>, guild: Option<u64>) -> Value {
        let options =
            self.path.iter().rev().fold(values, |inner, node| {
                vec![json!({"name": node["name"], "type": node["type"], "options": inner})]
            });
        let mut data = Map::new();
        data.insert("id".to_owned(), self.command["id"].clone());
        data.insert("name".to_owned(), self.command["name"].clone());
        data.insert("type".to_owned(), json!(1));
        data.insert("options".to_owned(), options.into());
        if let (Some(guild), true) = (guild, self.command["guild_id"].is_string()) {
            data.insert("guild_id".to_owned(), json!(guild.to_string()));
        }
        data.into()
    }
}

/// Cuts `name:value name:value` where the name of an option stands at the beginning of a word.
fn split<'a>(options: &'a [Value], rest: &str) -> Result<Vec<(&'a Value, String)>, Refusal> {
    let mut given: Vec<(&Value, String)> = Vec::new();
    let mut rest = rest.trim_start();
    while !rest.is_empty() {
        let Some((option, after)) = named(options, rest) else {
            return Err(Refusal::new(format!("`{}` names no option", word(rest).0)));
        };
        if given.iter().any(|(other, _)| other["name"] == option["name"]) {
            return Err(Refusal::new(format!("the option `{}` is there twice", text(&option["name"]))));
        }
        let end = quoted(after).unwrap_or_else(|| end_of_value(options, after));
        let (value, after) = after.split_at(end);
        given.push((option, unquote(value.trim()).to_owned()));
        rest = after.trim_start();
    }
    Ok(given)
}

/// The option that `rest` begins with, and what comes after its colon.
fn named<'a, 'b>(options: &'a [Value], rest: &'b str) -> Option<(&'a Value, &'b str)> {
    let (name, after) = rest.split_once(':')?;
    options.iter().find(|option| option["name"] == name).map(|option| (option, after))
}

/// Returns the end of a quoted value: behind the quote that a space or nothing follows.
fn quoted(value: &str) -> Option<usize> {
    let inner = value.strip_prefix('"')?;
    let ends = inner.match_indices('"').map(|(at, _)| at + 2);
    ends.into_iter().find(|end| value[*end..].chars().next().is_none_or(char::is_whitespace))
}

fn end_of_value(options: &[Value], value: &str) -> usize {
    let words = value.match_indices(char::is_whitespace).map(|(at, space)| at + space.len());
    words.into_iter().find(|at| named(options, &value[*at..]).is_some()).unwrap_or(value.len())
}

fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// The first word, and what comes after it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(char::is_whitespace).unwrap_or((text, ""))
}

fn options(node: &Value) -> &[Value] {
    node["options"].as_array().map_or(&[], Vec::as_slice)
}

fn is_sub(option: &Value) -> bool {
    matches!(option["type"].as_u64(), Some(1 | 2))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;

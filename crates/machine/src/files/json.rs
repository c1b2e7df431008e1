//! Sets a key in JSON and keeps every other character.

use std::{io, ops::Range};

use agis_servers::game::{Format, Setting};
use serde_json::{Map, Value};

use super::error::{misplaced, unreadable};

pub(super) fn set(text: &str, setting: &Setting) -> io::Result<String> {
    if text.trim().is_empty() {
        let document = nested(&setting.path, &setting.value);
        return serde_json::to_string_pretty(&document).map(|text| text + "\n").map_err(io::Error::other);
    }
    serde_json::from_str::<Value>(text).map_err(|error| unreadable(Format::Json, &error.to_string()))?;
    let document = text.len() - text.trim_start().len()..text.len();
    splice(text, document, &setting.path, &setting.value).ok_or_else(|| misplaced(setting))
}

/// Puts a value into an object at a place of a valid document; `None` if there is no object, or another one in the
/// place of the value.
fn splice(text: &str, object: Range<usize>, path: &[String], value: &Value) -> Option<String> {
    let (name, below) = path.split_first()?;
    let mut members = vec![];
    let mut at = object.start + text[object.clone()].starts_with('{').then_some(1)?;
    loop {
        at = skip(text, at, |byte| byte.is_ascii_whitespace() || byte == b',');
        if text[at..].starts_with('}') {
            break;
        }
        let key = at..end_of_value(text, at);
        let begin = skip(text, key.end, |byte| byte.is_ascii_whitespace() || byte == b':');
        at = end_of_value(text, begin);
        members.push((key, begin..at));
    }
    // Readers take the last of several members with one name.
    let found = members
        .iter()
        .rev()
        .find(|(key, _)| serde_json::from_str::<String>(&text[key.clone()]).is_ok_and(|key| key == *name));
    match found {
        Some((_, place)) if !below.is_empty() => splice(text, place.clone(), below, value),
        Some((_, place)) if text[place.clone()].starts_with(['{', '[']) => None,
        Some((_, place)) => Some(format!("{}{value}{}", &text[..place.start], &text[place.end..])),
        None => {
            let (begin, comma) = match members.first() {
                Some((key, _)) => (key.start, ","),
                None => (object.start + 1, ""),
            };
            // The new member looks like the first one.
            let space = &text[object.start + 1..begin];
            let member = format!("{}: {}", Value::from(name.as_str()), nested(below, value));
            Some(format!("{}{member}{comma}{space}{}", &text[..begin], &text[begin..]))
        }
    }
}

/// Returns the value below these names.
fn nested(path: &[String], value: &Value) -> Value {
    path.iter().rev().fold(value.clone(), |value, name| Value::Object(Map::from_iter([(name.clone(), value)])))
}

fn skip(text: &str, from: usize, passes: impl Fn(u8) -> bool) -> usize {
    text.bytes().skip(from).position(|byte| !passes(byte)).map_or(text.len(), |length| from + length)
}

/// Returns the end of the value that begins at a place of a valid document.
fn end_of_value(text: &str, from: usize) -> usize {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate().skip(from) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => {
                in_text = !in_text;
                if !in_text && depth == 0 {
                    return at + 1;
                }
            }
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            // A number or a word ends where its object or list goes on.
            b'}' | b']' | b',' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            byte if depth == 0 && byte.is_ascii_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}

//! Sets a key at the top of a YAML document. A reader of YAML checks that nothing else changed: no well-kept library
//! keeps comments and order.

use std::io;

use agis_servers::game::{Format, Setting};
use serde_json::{Map, Value};

use super::error::{misplaced, unreadable};

pub(super) fn set(text: &str, setting: &Setting) -> io::Result<String> {
    let Some((name, [])) = setting.path.split_first() else { return Err(misplaced(setting)) };
    let mut document = match read(text)? {
        Value::Null => Map::new(),
        Value::Object(map) => map,
        _ => return Err(misplaced(setting)),
    };
    let changed = with_line(text, name, &setting.value);
    document.insert(name.clone(), setting.value.clone());
    match Format::Yaml.read(&changed) {
        Ok(Value::Object(read)) if read == document => Ok(changed),
        _ => Err(misplaced(setting)),
    }
}

fn read(text: &str) -> io::Result<Value> {
    if text.lines().all(|line| line.trim().is_empty() || line.starts_with('#')) {
        return Ok(Value::Null);
    }
    Format::Yaml.read(text).map_err(|why| unreadable(Format::Yaml, &why))
}

/// Replaces the line of a key, or adds one at the end.
fn with_line(text: &str, name: &str, value: &Value) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    // JSON is YAML.
    let key = if is_plain(name) { name.to_owned() } else { Value::from(name).to_string() };
    let place = lines.iter().position(|line| value_of(line, name).is_some());
    match place {
        Some(place) => {
            let (old, end) = (value_of(&lines[place], name).unwrap_or_default(), end_of_line(&lines[place]));
            lines[place] = format!("{key}: {value}{}{end}", comment(old));
        }
        None => {
            if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
                last.push('\n');
            }
            lines.push(format!("{key}: {value}\n"));
        }
    }
    lines.concat()
}

/// Returns the rest of a line that begins with a key; `None` if another line stands there.
fn value_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let quoted = [name.to_owned(), format!("\"{name}\""), format!("'{name}'")];
    let rest =
        quoted.iter().find_map(|key| line.strip_prefix(key.as_str()))?.trim_start_matches(' ').strip_prefix(':')?;
    rest.is_empty().then_some(rest).or_else(|| rest.starts_with([' ', '\n', '\r']).then_some(rest))
}

/// Returns the comment behind a value on one line.
fn comment(value: &str) -> &str {
    let value = value.trim_end();
    let begin = value.len() - value.trim_start().len();
    let end = match value[begin..].chars().next() {
        Some(quote @ ('"' | '\'')) => value.rfind(quote).unwrap_or(begin),
        _ => begin,
    };
    value[end..].find(" #").map_or("", |at| &value[end + at..])
}

fn end_of_line(line: &str) -> &str {
    &line[line.trim_end_matches(['\n', '\r']).len()..]
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

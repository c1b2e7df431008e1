//! Sets keys in files of lines: INI, and properties of Java.

use agis_servers::game::{Format, Setting};
use serde_json::Value;

/// Sets each key where it stands, or at the end of its section. Further lines with the key go, since readers differ in
/// which of them counts.
pub(super) fn set(format: Format, text: &str, settings: &[Setting]) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines = Lines { format, lines: logical(format, text, end) };
    settings.iter().for_each(|setting| lines.set(setting));
    lines.lines.iter().flat_map(|line| [line.as_str(), end]).collect()
}

struct Lines {
    format: Format,
    /// Lines without their ends. A line of properties that a backslash continues is one.
    lines: Vec<String>,
}

impl Lines {
    fn set(&mut self, setting: &Setting) {
        let Some((key, sections)) = setting.path.split_last() else { return };
        let section = sections.first().map(String::as_str);
        let (begin, end) = match self.place(section) {
            Some(place) => place,
            None => {
                if self.lines.last().is_some_and(|last| !last.trim().is_empty()) {
                    self.lines.push(String::new());
                }
                self.lines.push(format!("[{}]", section.unwrap_or_default()));
                (self.lines.len(), self.lines.len())
            }
        };
        let value = self.value(&setting.value);
        let mut places = (begin..end).filter(|place| self.has_key(*place, key)).collect::<Vec<_>>().into_iter();
        match places.next() {
            Some(place) => {
                let line = format!("{}{value}", self.up_to_value(place));
                places.rev().for_each(|further| drop(self.lines.remove(further)));
                self.lines[place] = line;
            }
            None => {
                let last = (begin..end).rev().find(|place| !self.lines[*place].trim().is_empty());
                self.lines.insert(last.map_or(begin, |last| last + 1), format!("{}{value}", self.new_key(key)));
            }
        }
    }

    /// Returns the lines of a section; those before the first section for `None`.
    fn place(&self, section: Option<&str>) -> Option<(usize, usize)> {
        let begin = match section {
            Some(name) => self.lines.iter().position(|line| self.header(line) == Some(name))? + 1,
            None => 0,
        };
        let length = self.lines[begin..].iter().position(|line| self.header(line).is_some());
        Some((begin, length.map_or(self.lines.len(), |length| begin + length)))
    }

    fn header<'a>(&self, line: &'a str) -> Option<&'a str> {
        let inner = line.trim().strip_prefix('[').filter(|_| self.format == Format::Ini)?;
        inner.split(']').next().map(str::trim)
    }

    fn has_key(&self, place: usize, key: &str) -> bool {
        let line = self.lines[place].trim_start();
        match self.format {
            Format::Properties => !line.starts_with(['#', '!']) && unescaped(&line[..end_of_key(line)]) == key,
            _ => {
                !line.starts_with([';', '#'])
                    && line.split_once('=').is_some_and(|(before, _)| before.trim_end() == key)
            }
        }
    }

    /// Returns the part of a line before its value.
    fn up_to_value(&self, place: usize) -> String {
        let line = &self.lines[place];
        let blank = |text: &str| text.len() - text.trim_start_matches([' ', '\t']).len();
        let key = match self.format {
            Format::Properties => blank(line) + end_of_key(line.trim_start()),
            _ => line.find('=').unwrap_or(line.len()),
        };
        let sign = key + blank(&line[key..]);
        if line[sign..].starts_with(['=', ':']) {
            line[..sign + 1 + blank(&line[sign + 1..])].to_owned()
        } else {
            format!("{}=", &line[..key])
        }
    }

    fn new_key(&self, key: &str) -> String {
        match self.format {
            Format::Properties => {
                format!("{}=", Format::Properties.hold("", key).unwrap_or_default().replace(' ', "\\ "))
            }
            // A new line looks like the others.
            _ if self.lines.iter().any(|line| line.contains('=') && !line.contains(" = ")) => format!("{key}="),
            _ => format!("{key} = "),
        }
    }

    fn value(&self, value: &Value) -> String {
        match value {
            Value::String(text) if self.format == Format::Properties => {
                Format::Properties.hold("", text).unwrap_or_default()
            }
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// Splits a text into lines. In properties, an odd number of backslashes at the end of a line continues it.
fn logical(format: Format, text: &str, end: &str) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    let mut continues = false;
    for line in text.lines() {
        match lines.last_mut().filter(|_| continues) {
            Some(last) => last.extend([end, line]),
            None => lines.push(line.to_owned()),
        }
        let is_comment = !continues && line.trim_start().starts_with(['#', '!']);
        let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
        continues = format == Format::Properties && !is_comment && backslashes % 2 == 1;
    }
    lines
}

/// Returns the end of a key in properties: the first `=`, `:` or space without a backslash before it.
fn end_of_key(line: &str) -> usize {
    let mut escaped = false;
    line.bytes()
        .position(|byte| {
            let ends = !escaped && matches!(byte, b'=' | b':' | b' ' | b'\t');
            escaped = byte == b'\\' && !escaped;
            ends
        })
        .unwrap_or(line.len())
}

fn unescaped(key: &str) -> String {
    let mut letters = key.chars();
    let mut plain = String::new();
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    plain
}

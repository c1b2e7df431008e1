//! Placeholders in the texts of a catalogue.

use std::ops::Range;

/// Part of a text that is replaced when a server starts. Its spelling is its word in braces: `{port}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder<'a> {
    /// Name of the server, which people typed.
    Name,
    /// First port of the server.
    Port,
    /// Port of this name.
    NamedPort(&'a str),
    /// Address on which the game listens.
    Bind,
    /// Path of this program.
    Agis,
    /// Setting of this name.
    Setting(&'a str),
    /// Password of the server's RCON.
    RconPassword,
}

impl<'a> Placeholder<'a> {
    /// Returns the placeholder of a word between braces.
    pub(super) fn of(word: &'a str) -> Option<Self> {
        match word {
            "name" => Some(Self::Name),
            "port" => Some(Self::Port),
            "bind" => Some(Self::Bind),
            "agis" => Some(Self::Agis),
            _ => match word.split_once('.')? {
                ("port", name) if is_port_name(name) => Some(Self::NamedPort(name)),
                ("settings", name) => Some(Self::Setting(name)),
                ("rcon", "password") => Some(Self::RconPassword),
                _ => None,
            },
        }
    }

    /// Returns the placeholder if the text is nothing else.
    pub fn alone(text: &'a str) -> Option<Self> {
        Self::of(text.strip_prefix('{')?.strip_suffix('}')?)
    }
}

/// Checks whether a text can name a port or a setting: small letters, digits, `_` and `-`, at most 20 of them.
pub(super) fn is_port_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    (1..=20).contains(&text.len()) && text.bytes().all(is_part)
}

/// Finds the placeholders of a text and their places.
pub(super) fn placeholders(template: &str) -> impl Iterator<Item = (Range<usize>, Placeholder<'_>)> {
    template.match_indices('{').filter_map(|(at, _)| {
        let length = template[at..].find('}')?;
        let placeholder = Placeholder::of(&template[at + 1..at + length])?;
        Some((at..at + length + 1, placeholder))
    })
}

/// Replaces each placeholder once. A placeholder in a value stays. `value` also gets the part of the line before the
/// placeholder.
pub(super) fn fill(template: &str, mut value: impl FnMut(Placeholder<'_>, &str) -> String) -> String {
    let (mut filled, mut done) = (String::with_capacity(template.len()), 0);
    for (place, placeholder) in placeholders(template) {
        let before = &template[..place.start];
        filled.push_str(&before[done..]);
        filled += &value(placeholder, before.rsplit('\n').next().unwrap_or_default());
        done = place.end;
    }
    filled + &template[done..]
}

/// Replaces each placeholder once, with values that fit everywhere. A placeholder in a value stays.
pub fn fill_plainly(template: &str, value: impl Fn(Placeholder<'_>) -> String) -> String {
    fill(template, |placeholder, _| value(placeholder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once() {
        let value = |placeholder: Placeholder<'_>| match placeholder {
            Placeholder::Name => "{port} {".to_owned(),
            Placeholder::Port => "7".to_owned(),
            Placeholder::NamedPort(name) | Placeholder::Setting(name) => format!("<{name}>"),
            Placeholder::Bind | Placeholder::Agis | Placeholder::RconPassword => String::new(),
        };
        assert_eq!(fill_plainly("{name}:{port} {other} {", value), "{port} {:7 {other} {");
        assert_eq!(fill_plainly("{{port}} {port.query} {port.} {port.A}", value), "{7} <query> {port.} {port.A}");
        let lines = fill("a\nb = \"{name}\"", |_, before| before.to_owned());
        assert_eq!(lines, "a\nb = \"b = \"\"");
    }
}

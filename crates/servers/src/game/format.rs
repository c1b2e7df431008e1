//! Formats of configuration files: how each holds a text that people typed.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::template::{self, Placeholder, placeholders};

/// Format of a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines of `key = value` in `[sections]`. There is no standard, so a value that some reader takes for more than a
    /// text is refused.
    Ini,
    /// Properties of Java.
    Properties,
    /// TOML.
    Toml,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// XML.
    Xml,
    /// Commands of a game's console, as Quake, Source and Teeworlds read them.
    Cfg,
    /// Anything else. Holds no typed text.
    Text,
}

/// Returns a value of a placeholder, to check a template with; `None` if people type it.
type Sample<'a> = dyn Fn(Placeholder<'_>) -> Option<String> + 'a;

/// Name that holds a piece of every format's syntax.
const HOSTILE: &str = r#""""'''\ [x] {y}: <z>&#;, - = %s ${a} é"#;
/// Name without any syntax. A number also stands where no quotes are, so that the mistake is told as such.
const HARMLESS: &str = "7190451862";

impl Format {
    /// Returns the format that a path's extension names.
    pub fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or_default();
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("ini") => Self::Ini,
            Some("properties") => Self::Properties,
            Some("toml") => Self::Toml,
            Some("json") => Self::Json,
            Some("yaml" | "yml") => Self::Yaml,
            Some("xml") => Self::Xml,
            _ => Self::Text,
        }
    }

    /// Returns the format's name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Ini => "INI",
            Self::Properties => "properties",
            Self::Toml => "TOML",
            Self::Json => "JSON",
            Self::Yaml => "YAML",
            Self::Xml => "XML",
            Self::Cfg => "console commands",
            Self::Text => "plain text",
        }
    }

    /// Returns a typed text of one line in the form in which the format holds it. `before` is the part of the line
    /// before it.
    ///
    /// # Errors
    /// Returns the reason why the format cannot hold it. The words follow the name of the text.
    pub fn hold(self, before: &str, text: &str) -> Result<String, &'static str> {
        match self {
            Self::Ini => ini(before, text),
            Self::Properties => Ok(property(text)),
            Self::Toml | Self::Json | Self::Yaml => Ok(between_quotes(text)),
            Self::Xml => Ok(text.chars().map(entity).collect()),
            Self::Cfg => command(text),
            Self::Text => Err("cannot stand in plain text"),
        }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// Returns the mistake in the document. A format without a standard has none.
    pub fn read(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Json => serde_json::from_str(text).map_err(|error| error.to_string()),
            Self::Toml => toml::from_str(text).map_err(|error| error.message().to_owned()),
            Self::Yaml => serde_saphyr::from_str(text).map_err(|error| error.to_string()),
            Self::Ini | Self::Properties | Self::Xml | Self::Cfg | Self::Text => Ok(Value::Null),
        }
    }

    /// Returns the reason why a text that people type would not be a piece of data in this file; `None` if it is.
    /// `sample` is a value of a placeholder, or `None` if people type it.
    pub(super) fn misuses_typed(self, template: &str, sample: &Sample<'_>) -> Option<String> {
        let typed = || placeholders(template).filter(|(_, placeholder)| sample(*placeholder).is_none());
        let (first, _) = typed().next()?;
        let word = &template[first];
        match self {
            Self::Text => Some(format!(
                "`{word}` must not stand in plain text, since AGIS cannot write it as data there: say the `format` of \
                 the file, or pass `{word}` in the `command`"
            )),
            Self::Ini => {
                let (wrong, _) =
                    typed().find(|(place, _)| !is_ini_value(&template[..place.start], &template[place.end..]))?;
                let word = &template[wrong];
                Some(format!("`{word}` must end a line `key = {word}`, or stand between double quotes"))
            }
            Self::Cfg => {
                let (wrong, _) =
                    typed().find(|(place, _)| !is_quoted(&template[..place.start], &template[place.end..]))?;
                Some(format!("`{}` must stand between double quotes", &template[wrong]))
            }
            Self::Json | Self::Toml | Self::Yaml => self.changes_with_typed(template, word, sample),
            Self::Properties | Self::Xml => None,
        }
    }

    /// Compares the documents that a harmless and a hostile text give. `word` is the first placeholder for one.
    fn changes_with_typed(self, template: &str, word: &str, sample: &Sample<'_>) -> Option<String> {
        let filled = |typed: &str| {
            let value = |placeholder: Placeholder<'_>| sample(placeholder).unwrap_or_else(|| between_quotes(typed));
            self.read(&template::fill_plainly(template, value))
        };
        match (filled(HARMLESS), filled(HOSTILE)) {
            (Err(why), _) => Some(format!("is not {}: {why}", self.title())),
            (Ok(harmless), Ok(hostile)) if renamed(harmless.clone()) == hostile => None,
            _ => Some(format!("`{word}` must stand in a text between double quotes")),
        }
    }
}

/// Replaces the harmless name by the hostile one in every text.
fn renamed(document: Value) -> Value {
    match document {
        Value::String(text) => Value::String(text.replace(HARMLESS, HOSTILE)),
        Value::Array(items) => Value::Array(items.into_iter().map(renamed).collect()),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, renamed(value))).collect(),
        other => other,
    }
}

/// Checks whether a place is between double quotes of its line.
fn is_quoted(before: &str, after: &str) -> bool {
    let before = before.rsplit('\n').next().unwrap_or_default();
    before.matches('"').count() % 2 == 1 && after.split('\n').next().unwrap_or_default().contains('"')
}

/// Checks whether a place in an INI file is a whole value up to the end of its line, or between double quotes.
fn is_ini_value(before: &str, after: &str) -> bool {
    let before = before.rsplit('\n').next().unwrap_or_default();
    let after = after.split('\n').next().unwrap_or_default();
    let is_open = before.matches('"').count() % 2 == 1;
    before.contains('=') && if is_open { after.contains('"') } else { after.trim().is_empty() }
}

/// Readers of INI files differ: some strip quotes, end a value at a `;`, continue a line after a backslash, or read
/// `"""` and `{` as the begin of several lines.
fn ini(before: &str, text: &str) -> Result<String, &'static str> {
    let begins_value = before.trim_end().ends_with('=');
    let is_quoted = before.contains('"');
    if is_quoted && text.contains('"') {
        return Err("holds a double quote");
    }
    if begins_value && text.starts_with(['"', '\'', '{', '[', '=', ';']) {
        return Err("begins with one of \" ' { [ = ;");
    }
    if text.ends_with(['"', '\\']) {
        return Err("ends with one of \" \\");
    }
    if text.contains([' ', '\t']) && text.split([' ', '\t']).skip(1).any(|word| word.starts_with(';')) {
        return Err("holds a ; behind a space");
    }
    if text.contains(char::is_control) {
        return Err("has more than one line");
    }
    Ok(text.to_owned())
}

/// Consoles of games have no escapes in common, and none of them shows a name with a semicolon.
fn command(text: &str) -> Result<String, &'static str> {
    if text.contains(['"', '\\', ';']) {
        return Err("holds one of \" \\ ;");
    }
    if text.contains(char::is_control) {
        return Err("has more than one line");
    }
    Ok(text.to_owned())
}

/// Escapes as `java.util.Properties` reads it, in ASCII, since readers disagree about other encodings.
fn property(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (place, letter) in text.char_indices() {
        match letter {
            '\\' | '=' | ':' | '#' | '!' => escaped.extend(['\\', letter]),
            ' ' if place == 0 => escaped.push_str("\\ "),
            ' '..='~' => escaped.push(letter),
            _ => letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                // Writing to a text cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }),
        }
    }
    escaped
}

/// Escapes for a text between double quotes. The escapes of JSON are also TOML's and YAML's.
fn between_quotes(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn entity(letter: char) -> String {
    match letter {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&apos;".to_owned(),
        _ => letter.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 9] =
        [r#"""""#, "'''", r"a\", "}]>-->", "a: b #c", "{port}", "name\": 1, \"x", "&amp;<b>", "é🚂\u{7f}"];

    fn misused(format: Format, template: &str) -> Option<String> {
        let sample = |placeholder: Placeholder<'_>| (placeholder != Placeholder::Name).then(|| "1".to_owned());
        format.misuses_typed(template, &sample)
    }

    #[test]
    fn a_name_is_data_in_every_parsed_format() {
        for (format, template) in [
            (Format::Json, r#"{ "name": "{name}", "port": {port} }"#),
            (Format::Toml, "name = \"{name}\"\nport = {port}"),
            (Format::Yaml, "name: \"{name}\"\nport: {port}"),
        ] {
            assert_eq!(misused(format, template), None);
            for name in NAMES.map(|name| name.replace('\u{7f}', " ")) {
                let text = template::fill(template, |placeholder, before| match placeholder {
                    Placeholder::Name => format.hold(before, &name).expect("it is held"),
                    _ => "7".to_owned(),
                });
                let document = format.read(&text);
                assert_eq!(document, Ok(serde_json::json!({ "name": name, "port": 7 })), "{format:?}");
            }
        }
    }

    #[test]
    fn a_name_outside_a_text_is_told() {
        for (format, template) in [
            (Format::Json, r#"{ "name": {name} }"#),
            (Format::Json, r#"{ "{name}": 1 }"#),
            (Format::Toml, "name = '{name}'"),
            (Format::Toml, "a = '''\n\"{name}\"\n'''"),
            (Format::Toml, "# {name}\n\"{name}\" = 1"),
            (Format::Yaml, "name: {name}"),
            (Format::Yaml, "name: '{name}'"),
            (Format::Yaml, "name: |\n  {name}"),
            (Format::Ini, "{name} = 1"),
            (Format::Ini, "[{name}]"),
            (Format::Ini, "a = (name={name},port={port})"),
            (Format::Ini, "; {name}"),
            (Format::Cfg, "sv_name {name}"),
            (Format::Cfg, "sv_name \"\" {name}"),
            (Format::Cfg, "sv_name \"{name}"),
            (Format::Text, "{name}"),
        ] {
            let problem = misused(format, template).unwrap_or_default();
            assert!(problem.starts_with("`{name}` must"), "{template}: {problem}");
        }
        for (format, template) in [
            (Format::Ini, "a = {name}"),
            (Format::Ini, "[s]\na=Welcome to {name} \nb = (name=\"{name}\",port={port})"),
            (Format::Toml, "a = \"\"\"\nWelcome to {name}\n\"\"\""),
            (Format::Cfg, "bind {port}\nsv_name \"the {name}\""),
            (Format::Text, "{port} {names}"),
            (Format::Xml, "<a b='{name}'>{name}</a>"),
        ] {
            assert_eq!(misused(format, template), None, "{template}");
        }
        assert!(misused(Format::Json, "{ \"{name}\" ").is_some_and(|problem| problem.starts_with("is not JSON: ")));
    }

    #[test]
    fn ini_refuses_what_its_readers_misread() {
        for (before, name) in [
            ("a = ", r#"""""#),
            ("a =", "{"),
            ("a = ", "'x'"),
            ("a = ", "=x"),
            ("a = ", "[x"),
            ("a = ", ";x"),
            ("a = ", "Bob ;x"),
            ("a = ", "x\\"),
            ("a = ", "the \"best\""),
            ("a = ", "x\nb = 1"),
            ("a = (b=\"", "x\",port=\"1"),
        ] {
            assert!(Format::Ini.hold(before, name).is_err(), "{name}");
        }
        for name in ["Team #1", "#1 Server", "Bob's \"best\" server", "a=b", "100% {fun} [EU] \\o/", "a;b"] {
            assert_eq!(Format::Ini.hold("a = ", name).as_deref(), Ok(name));
        }
    }

    #[test]
    fn console_commands_refuse_what_ends_a_text() {
        for name in ["the \"best\"", "a\\", "x; quit", "x\nquit"] {
            assert!(Format::Cfg.hold("sv_name \"", name).is_err(), "{name}");
        }
        assert_eq!(Format::Cfg.hold("sv_name \"", "Bob's #1 // +set é").as_deref(), Ok("Bob's #1 // +set é"));
    }

    #[test]
    fn properties_and_xml_escape_their_syntax() {
        let held = Format::Properties.hold("motd=", " a=b\\ #é🚂");
        assert_eq!(held.as_deref(), Ok(r"\ a\=b\\ \#\u00e9\ud83d\ude82"));
        assert_eq!(Format::Xml.hold("<a>", "<b c='d'>&\"").as_deref(), Ok("&lt;b c=&apos;d&apos;&gt;&amp;&quot;"));
    }

    #[test]
    fn extension_names_the_format() {
        for (path, format) in [
            ("server.properties", Format::Properties),
            ("a.b/c.yml", Format::Yaml),
            ("a.json/server.cfg", Format::Text),
            ("start.sh", Format::Text),
            (".toml", Format::Toml),
        ] {
            assert_eq!(Format::of(path), format, "{path}");
        }
    }
}

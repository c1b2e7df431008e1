//! Rules for the content of a game's files.

use serde_json::Value;

use super::{
    super::{Format, Kind, Setting},
    rules::{Broken, unknown_value},
    written::{Written, WrittenFile},
};

/// Returns every rule that the content of a game's files breaks.
pub(super) fn broken_rules(game: &Written) -> Vec<Broken> {
    let mut broken = vec![];
    for (path, file) in &game.files {
        let at = |below: &[&str]| [&["files", path.as_str()], below].concat().into_iter().map(str::to_owned).collect();
        let format = file.format(path);
        if let Some(problem) = file.text.as_deref().and_then(|text| format.misuses_typed(text, &|it| game.sample(it))) {
            broken.push((at(&[]), problem));
        }
        if let Some(problem) = file.text.as_deref().and_then(|text| unknown_value(game, text)) {
            broken.push((at(&[]), problem));
        }
        if file.text.is_none() && file.set.is_empty() {
            broken.push((at(&[]), "must have a `text` or a `set`".to_owned()));
        }
        if let Some(problem) = misuse_of_set(file, format) {
            broken.push((at(&["set"]), problem));
        }
        for setting in file.settings() {
            let unknown = setting.value.as_str().and_then(|text| unknown_value(game, text));
            if let Some(problem) = mistake(game, &setting, format).or(unknown) {
                let below: Vec<_> = ["set"].into_iter().chain(setting.path.iter().map(String::as_str)).collect();
                broken.push((at(&below), problem));
            }
        }
    }
    broken
}

fn misuse_of_set(file: &WrittenFile, format: Format) -> Option<String> {
    if file.set.is_empty() {
        return None;
    }
    if file.kind() == Kind::Initial {
        return Some("must not be there with `kind = \"initial\"`: AGIS sets keys at every start".to_owned());
    }
    let can_set = !matches!(format, Format::Xml | Format::Cfg | Format::Text);
    (!can_set)
        .then(|| "needs a `format` whose keys AGIS can set: `ini`, `properties`, `toml`, `json` or `yaml`".to_owned())
}

fn mistake(game: &Written, setting: &Setting, format: Format) -> Option<String> {
    let Setting { path, value } = setting;
    let deepest = match format {
        Format::Properties | Format::Yaml => 1,
        Format::Ini => 2,
        Format::Toml | Format::Json | Format::Xml | Format::Cfg | Format::Text => usize::MAX,
    };
    if path.len() > deepest {
        let depth = if deepest == 1 { "at its top" } else { "at its top and in its sections" };
        return Some(format!("is too deep: in {}, AGIS sets keys {depth}", format.title()));
    }
    if path.iter().any(|name| !is_name(name, format)) {
        return Some(format!("is no name of a key in {}", format.title()));
    }
    match value {
        Value::String(text) if format == Format::Ini => {
            if text.contains(char::is_control) {
                return Some("must be on one line: no value of INI has more".to_owned());
            }
            format.misuses_typed(&format!("key = {text}"), &|it| game.sample(it))
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) => None,
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Some("must be a text, a number, `true` or `false`".to_owned())
        }
    }
}

fn is_name(name: &str, format: Format) -> bool {
    let is_plain = !name.is_empty() && name.trim() == name && !name.contains(char::is_control);
    let is_bare = !name.starts_with(['[', ';', '#']) && !name.contains(['=', ']']);
    is_plain && (format != Format::Ini || is_bare)
}

//! Sets keys in a document and keeps everything else.

use std::io;

use agis_servers::game::{Format, Setting};
use serde_json::Value;
use toml_edit::{DocumentMut, Item, Table};

use super::{
    error::{broken, misplaced, unreadable},
    json, lines, yaml,
};

/// Mark that some editors write at the beginning of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Sets the keys in their order.
///
/// # Errors
/// Fails if the text is not of its format, or if something else stands where a key should be.
pub(super) fn set(format: Format, text: &str, settings: &[Setting]) -> io::Result<String> {
    if settings.is_empty() {
        return Ok(text.to_owned());
    }
    let (mark, text) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(text) => (Some(BYTE_ORDER_MARK), text),
        None => (None, text),
    };
    let edited = edited(format, text, settings)?;
    Ok(mark.into_iter().chain(edited.chars()).collect())
}

fn edited(format: Format, text: &str, settings: &[Setting]) -> io::Result<String> {
    if text.contains('\0') {
        return Err(broken("holds binary data; repair it or remove it, and start again"));
    }
    match format {
        Format::Ini | Format::Properties => Ok(lines::set(format, text, settings)),
        Format::Toml => in_toml(text, settings),
        Format::Json | Format::Yaml => settings.iter().try_fold(text.to_owned(), |text, setting| match format {
            Format::Json => json::set(&text, setting),
            _ => yaml::set(&text, setting),
        }),
        Format::Xml | Format::Cfg | Format::Text => Err(broken("has no format whose keys AGIS can set")),
    }
}

fn in_toml(text: &str, settings: &[Setting]) -> io::Result<String> {
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| unreadable(Format::Toml, error.message()))?;
    for setting in settings {
        in_table(document.as_item_mut(), &setting.path, &setting.value).ok_or_else(|| misplaced(setting))?;
    }
    Ok(document.to_string())
}

/// Returns `None` if a value is where a table should be, or the other way round.
fn in_table(item: &mut Item, path: &[String], value: &Value) -> Option<()> {
    let table = item.as_table_like_mut()?;
    let (name, below) = path.split_first()?;
    if !below.is_empty() {
        let mut inner = Table::new();
        inner.set_implicit(true);
        return in_table(table.entry(name).or_insert(Item::Table(inner)), below, value);
    }
    let mut fresh: toml_edit::Value = match value {
        Value::String(text) => text.as_str().into(),
        Value::Bool(is) => (*is).into(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64()?.into(),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    match table.get_mut(name) {
        Some(old) => {
            let old = old.as_value_mut().filter(|old| !old.is_array() && !old.is_inline_table())?;
            fresh.decor_mut().clone_from(old.decor());
            *old = fresh;
        }
        None => drop(table.insert(name, fresh.into())),
    }
    Some(())
}

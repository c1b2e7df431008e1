//! The form of a URL: `postgres://user:password@host:port/database?name=value`, as libpq reads it.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

const FORM: &str = "is not a Postgres URL: postgres://user:password@host:port/database";

/// The parameters of a URL, by libpq's names.
#[derive(Debug, Default)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// An empty value counts as none.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    /// The rest, in libpq's other form.
    pub(super) fn into_words(self) -> String {
        let quoted = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
        let words = self.0.iter().filter(|(_, value)| !value.is_empty());
        words.map(|(name, value)| format!("{name}='{}' ", quoted(value))).collect()
    }

    /// Later values replace earlier ones, so the part after `?` has the last word.
    fn set(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value);
    }
}

/// Reads a URL. What it refuses it does not repeat: there may be a password in it.
pub(super) fn parse(text: &str) -> Result<Parameters, String> {
    let text = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme)).ok_or(FORM)?;
    let (place, said) = text.split_once('?').unwrap_or((text, ""));
    // Passwords are to be percent-encoded, and some are not: the last @ ends them.
    let (user, place) = place.rsplit_once('@').unwrap_or(("", place));
    let (hosts, database) = place.split_once('/').unwrap_or((place, ""));
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let mut parameters = Parameters::default();
    for (name, value) in [("user", user), ("password", password), ("dbname", database)] {
        parameters.set(name, decoded(name, value)?);
    }
    let hosts: Result<Vec<_>, _> = hosts.split(',').map(host_and_port).collect();
    let (hosts, ports): (Vec<_>, Vec<_>) = hosts?.into_iter().unzip();
    parameters.set("host", decoded("host", &hosts.join(","))?);
    parameters.set("port", decoded("port", &ports.join(","))?);
    for pair in said.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or("what follows ? has the form name=value&name=value")?;
        let (name, value) = (decoded("name of a setting", name)?, decoded(name, value)?);
        if !name.chars().all(|character| character.is_ascii_lowercase() || character == '_') {
            return Err("a name after ? has small letters and underscores alone".to_owned());
        }
        match (&*name, &*value) {
            // As JDBC's drivers write it.
            ("ssl", "true") => parameters.set("sslmode", "require".to_owned()),
            _ => parameters.set(&name, value),
        }
    }
    Ok(parameters)
}

/// An address of IPv6 is in brackets, for its colons.
fn host_and_port(text: &str) -> Result<(&str, &str), String> {
    let Some(rest) = text.strip_prefix('[') else { return Ok(text.split_once(':').unwrap_or((text, ""))) };
    let (host, port) = rest.split_once(']').ok_or("an address of IPv6 is in brackets: [::1]:5432")?;
    match port.strip_prefix(':') {
        Some(port) => Ok((host, port)),
        None if port.is_empty() => Ok((host, "")),
        None => Err("after an address in brackets comes a colon and the port: [::1]:5432".to_owned()),
    }
}

fn decoded(name: &str, value: &str) -> Result<String, String> {
    let decoded = percent_decode_str(value).decode_utf8();
    decoded.map(String::from).map_err(|_| format!("the {name} is not UTF-8 in percent-encoding"))
}

//! Fills the placeholders of a game's files in, in the form in which the format of each file holds a typed text.

use std::fmt;

use serde_json::Value;

use super::{
    Format, Game, GameFile, Placeholder, Setting, SettingProblem, SettingValue, SettingValues,
    template::{fill, fill_plainly},
};

/// Text that the format of a file cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unheld {
    /// Name of the setting that has the text; `None` for the server's name.
    pub setting: Option<String>,
    /// Path of the file.
    pub path: String,
    /// Reason. The words follow the name of the text.
    pub why: &'static str,
}

impl fmt::Display for Unheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, path, why } = self;
        let (what, remedy) = match setting {
            Some(name) => (format!("the setting '{name}'"), "change the setting"),
            None => ("the server's name".to_owned(), "rename the server"),
        };
        write!(f, "{what} cannot be written into {path}, since it {why}; {remedy}, and try again")
    }
}

impl Unheld {
    /// Returns the rule that the text breaks. The words follow its name.
    pub fn rule(&self) -> String {
        format!("cannot be written into {}, since it {}", self.path, self.why)
    }
}

/// File whose placeholders are being filled in.
struct Filling<'a, F> {
    path: &'a str,
    format: Format,
    settings: &'a SettingValues,
    /// Returns the plain value of a placeholder.
    value: F,
    unheld: Vec<Unheld>,
}

impl<F: Fn(Placeholder<'_>) -> String> Filling<'_, F> {
    fn text(&mut self, template: &str) -> String {
        fill(template, |placeholder, before| self.held(placeholder, before))
    }

    /// Returns the value of a placeholder in the form in which the format holds it.
    fn held(&mut self, placeholder: Placeholder<'_>, before: &str) -> String {
        let text = (self.value)(placeholder);
        let setting = match placeholder {
            Placeholder::Name => None,
            // The catalogue lets only choices and numbers stand in plain text.
            Placeholder::Setting(_) if self.format == Format::Text => return text,
            Placeholder::Setting(name) => Some(name.to_owned()),
            _ => return text,
        };
        self.format.hold(before, &text).unwrap_or_else(|why| {
            self.unheld.push(Unheld { setting, path: self.path.to_owned(), why });
            String::new()
        })
    }

    fn key(&mut self, setting: &Setting) -> Setting {
        let value = match &setting.value {
            Value::String(template) => self.value_of_key(template),
            other => other.clone(),
        };
        Setting { path: setting.path.clone(), value }
    }

    /// Fills in a value, which is escaped as a whole when it is written. Only INI has no escapes.
    fn value_of_key(&mut self, template: &str) -> Value {
        let text = match self.format {
            Format::Ini => fill(template, |placeholder, before| self.held(placeholder, &format!("key = {before}"))),
            _ => fill_plainly(template, &self.value),
        };
        match Placeholder::alone(template) {
            Some(Placeholder::Port | Placeholder::NamedPort(_)) => {
                text.parse::<u16>().map_or(Value::String(text), Value::from)
            }
            Some(Placeholder::Setting(name)) => match self.settings.get(name).map(SettingValue::expose) {
                Some(value @ (Value::Number(_) | Value::Bool(_))) => value.clone(),
                _ => Value::String(text),
            },
            _ => Value::String(text),
        }
    }
}

impl GameFile {
    /// Returns the file with its placeholders filled in. `value` returns the plain value of each.
    ///
    /// # Errors
    /// Returns every text that the file's format cannot hold.
    pub fn filled(
        &self,
        path: &str,
        settings: &SettingValues,
        value: impl Fn(Placeholder<'_>) -> String,
    ) -> Result<Self, Vec<Unheld>> {
        let mut filling = Filling { path, format: self.format, settings, value, unheld: vec![] };
        let text = self.text.as_deref().map(|text| filling.text(text));
        let set = self.set.iter().map(|setting| filling.key(setting)).collect();
        if !filling.unheld.is_empty() {
            return Err(filling.unheld);
        }
        Ok(Self { text, format: self.format, kind: self.kind, set })
    }
}

impl Game {
    /// Returns every text that a file of this game could not hold at the start of a server of this name, with these
    /// values of settings and the defaults.
    pub fn unheld(&self, server_name: &str, chosen: &SettingValues) -> Vec<Unheld> {
        let defaults = self.settings.iter().filter_map(|it| Some((it.name.clone(), it.default.clone()?)));
        let mut settings: SettingValues = defaults.collect();
        settings.extend(chosen.clone());
        let value = |placeholder: Placeholder<'_>| match placeholder {
            Placeholder::Name => server_name.to_owned(),
            Placeholder::Port | Placeholder::NamedPort(_) => "1".to_owned(),
            Placeholder::Bind => "0.0.0.0".to_owned(),
            Placeholder::Agis | Placeholder::RconPassword => "agis".to_owned(),
            Placeholder::Setting(name) => settings.get(name).map(SettingValue::expose_text).unwrap_or_default(),
        };
        let unheld = self.files.iter().filter_map(|(path, file)| file.filled(path, &settings, value).err());
        unheld.flatten().collect()
    }

    /// Returns the settings whose values a file could not hold, as [`Self::unheld`] finds them.
    pub(crate) fn unheld_settings(&self, server_name: &str, chosen: &SettingValues) -> Vec<SettingProblem> {
        let problem = |unheld: Unheld| {
            let problem = unheld.rule();
            Some(SettingProblem { setting: unheld.setting?, problem })
        };
        self.unheld(server_name, chosen).into_iter().filter_map(problem).collect()
    }
}

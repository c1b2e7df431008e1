//! Settings of a game: values that people choose for a server, and the rule for each.

use std::{collections::BTreeMap, fmt};

use agis_base::words;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::{Game, pattern::Pattern};

words! {
    /// Person who may change a setting.
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    SettingBy {
        /// Owner of the server, and the operator.
        Owner = "owner",
        /// Operator alone.
        Operator = "operator",
    }
}

words! {
    /// Type of a setting.
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    SettingType {
        /// Text on one line.
        Text = "text",
        /// Whole number.
        Int = "int",
        /// Number.
        Float = "float",
        /// Truth value.
        Bool = "bool",
        /// Text among several.
        Choice = "choice",
        /// Text that nobody is shown.
        Secret = "secret",
        /// List of port numbers.
        Ports = "ports",
    }
}

/// Maximum number of port numbers in a setting.
pub const SETTING_PORTS_MAX: usize = 16;

/// Setting of a game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GameSetting {
    /// Name, as in the placeholder `{settings.difficulty}`.
    pub name: String,
    /// Name that people read.
    pub title: String,
    /// Explanation for people; empty for none.
    pub help: String,
    /// Values that fit.
    pub form: SettingForm,
    /// Value of a server that has none of its own. `None`: a server cannot start until somebody has chosen one.
    pub default: Option<SettingValue>,
    /// Person who may change it.
    pub by: SettingBy,
}

/// Values that fit a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingForm {
    /// Text on one line.
    Text(TextForm),
    /// Text that nobody is shown.
    Secret(TextForm),
    /// Whole number.
    Int {
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
    },
    /// Number.
    Float {
        /// Least value.
        min: Number,
        /// Greatest value.
        max: Number,
    },
    /// Truth value.
    Bool,
    /// Text among several.
    Choice(Vec<SettingChoice>),
    /// List of port numbers.
    Ports,
}

/// Rule for a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextForm {
    /// Least number of characters.
    pub min: usize,
    /// Greatest number of characters.
    pub max: usize,
    /// Pattern that the whole text matches; `None` if any text fits.
    pub pattern: Option<Pattern>,
}

/// Value that people can choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChoice {
    /// Text that the game gets.
    pub value: String,
    /// Name that people read.
    pub title: String,
}

/// Value of a setting. It may be a secret, so it cannot be printed.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct SettingValue(Value);

/// Values of settings by their names.
pub type SettingValues = BTreeMap<String, SettingValue>;

/// Reason why the value of a setting was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingProblem {
    /// Name of the setting.
    pub setting: String,
    /// Rule that the value breaks. The words follow the name.
    pub problem: String,
}

impl fmt::Debug for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SettingValue(…)")
    }
}

impl From<Value> for SettingValue {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl SettingValue {
    /// Returns the value, for its game, or for people if it is no secret.
    pub fn expose(&self) -> &Value {
        &self.0
    }

    /// Returns the text that a placeholder stands for.
    pub fn expose_text(&self) -> String {
        match &self.0 {
            Value::String(text) => text.clone(),
            Value::Array(items) => items.iter().map(Value::to_string).collect::<Vec<_>>().join(","),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }
}

impl TextForm {
    fn fits(&self, text: &str) -> bool {
        // A line separator ends a line for some readers of configurations.
        let is_line = !text.contains(|letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}'));
        is_line
            && (self.min..=self.max).contains(&text.chars().count())
            && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
    }

    fn rule(&self) -> String {
        let pattern = self.pattern.as_ref().map(|pattern| format!(", that matches `{}`", pattern.as_str()));
        format!("must be a text of {} to {} characters on one line{}", self.min, self.max, pattern.unwrap_or_default())
    }
}

impl SettingForm {
    /// Returns the type.
    pub fn kind(&self) -> SettingType {
        match self {
            Self::Text(_) => SettingType::Text,
            Self::Secret(_) => SettingType::Secret,
            Self::Int { .. } => SettingType::Int,
            Self::Float { .. } => SettingType::Float,
            Self::Bool => SettingType::Bool,
            Self::Choice(_) => SettingType::Choice,
            Self::Ports => SettingType::Ports,
        }
    }

    /// Returns whether the value is a text that somebody types, which must not become syntax.
    pub fn is_typed(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Secret(_))
    }

    /// Checks whether a value fits.
    pub fn fits(&self, value: &SettingValue) -> bool {
        match (self, &value.0) {
            (Self::Text(form) | Self::Secret(form), Value::String(text)) => form.fits(text),
            (Self::Int { min, max }, Value::Number(number)) => {
                number.as_i64().is_some_and(|number| (*min..=*max).contains(&number))
            }
            (Self::Float { min, max }, Value::Number(number)) => {
                number.as_f64() >= min.as_f64() && number.as_f64() <= max.as_f64()
            }
            (Self::Bool, Value::Bool(_)) => true,
            (Self::Choice(choices), Value::String(text)) => choices.iter().any(|choice| choice.value == *text),
            (Self::Ports, Value::Array(items)) => {
                let is_port = |item: &Value| item.as_u64().is_some_and(|port| (1..=65535).contains(&port));
                items.len() <= SETTING_PORTS_MAX && items.iter().all(is_port)
            }
            _ => false,
        }
    }

    /// Returns the rule, for people. The words follow the name of the setting.
    pub fn rule(&self) -> String {
        match self {
            Self::Text(form) | Self::Secret(form) => form.rule(),
            Self::Int { min, max } => format!("must be a whole number from {min} to {max}"),
            Self::Float { min, max } => format!("must be a number from {min} to {max}"),
            Self::Bool => "must be true or false".to_owned(),
            Self::Choice(choices) => {
                let values: Vec<_> = choices.iter().map(|choice| choice.value.as_str()).collect();
                format!("must be one of: {}", values.join(", "))
            }
            Self::Ports => format!("must be a list of at most {SETTING_PORTS_MAX} port numbers from 1 to 65535"),
        }
    }

    /// Returns the value that a text stands for, where people can only type. A text that stands for none stays one,
    /// which then does not fit.
    pub fn of_typed(&self, text: &str) -> SettingValue {
        let typed = text.trim();
        let value = match self {
            Self::Text(_) | Self::Secret(_) | Self::Choice(_) => None,
            Self::Int { .. } => typed.parse::<i64>().ok().map(Value::from),
            Self::Float { .. } => {
                typed.replace(',', ".").parse::<f64>().ok().and_then(Number::from_f64).map(Value::from)
            }
            Self::Bool => match typed.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Some(Value::Bool(true)),
                "false" | "no" | "off" => Some(Value::Bool(false)),
                _ => None,
            },
            Self::Ports => {
                let parts = typed.split([',', ' ']).filter(|part| !part.is_empty());
                parts.map(|part| part.parse::<u16>().ok().map(Value::from)).collect::<Option<_>>().map(Value::Array)
            }
        };
        SettingValue(value.unwrap_or_else(|| Value::from(text)))
    }
}

impl Game {
    /// Returns the setting of this name.
    pub fn setting(&self, name: &str) -> Option<&GameSetting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// Returns the value of every setting for a start, of those that were `chosen` and the defaults.
    ///
    /// # Errors
    /// Returns a sentence for people about the first setting that has no value that fits.
    pub fn setting_values(&self, chosen: &SettingValues) -> Result<SettingValues, String> {
        let value = |setting: &GameSetting| {
            let GameSetting { name, title, help, form, default, .. } = setting;
            match chosen.get(name).or(default.as_ref()) {
                Some(value) if form.fits(value) => Ok((name.clone(), value.clone())),
                Some(_) => Err(format!(
                    "the setting '{name}' ({title}) has a value that does not fit any more: it {}; change the setting, \
                     and try again",
                    form.rule()
                )),
                None => {
                    let rule = form.rule();
                    let needs = format!("the setting '{name}' ({title}) needs a value, which {rule}");
                    let why = if help.is_empty() { String::new() } else { format!(" ({help})") };
                    Err(format!("{needs}{why}; choose one, and try again"))
                }
            }
        };
        self.settings.iter().map(value).collect()
    }

    /// Returns the reason why a server of this name cannot start with the `chosen` settings; `None` if there is none.
    pub fn why_unfit(&self, server_name: &str, chosen: &SettingValues) -> Option<String> {
        let unheld = || self.unheld(server_name, chosen).first().map(ToString::to_string);
        self.setting_values(chosen).err().or_else(unheld)
    }
}

#[cfg(test)]
mod tests;

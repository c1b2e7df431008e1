//! Rules for a game's settings.

use std::collections::BTreeSet;

use agis_base::name;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Number, Value};
use toml::Spanned;

use super::{
    super::{
        GameSetting, SettingBy, SettingChoice, SettingForm, SettingType, SettingValue, TextForm,
        pattern::Pattern,
        template::{Placeholder, is_port_name, placeholders},
    },
    container::WrittenContainer,
    rules::Broken,
    written::Written,
};

/// Maximum number of settings of a game.
const SETTINGS_MAX: usize = 40;
/// Maximum length of a title, which Discord shows as a label, in characters.
const TITLE_MAX: usize = 45;
/// Maximum length of the help, in characters.
const HELP_MAX: usize = 200;
/// Length of a text for which the catalogue names no maximum, in characters.
const LENGTH_USUAL: usize = 200;
/// Maximum length of a text, in characters.
const LENGTH_MAX: usize = 1000;
/// Maximum number of choices, and length of their values and titles. Discord takes no more.
const CHOICES_MAX: usize = 25;
const CHOICE_LENGTH_MAX: usize = 100;
/// Greatest whole number that every reader of JSON reads as it stands.
const INT_MAX: i64 = (1 << 53) - 1;

/// Setting as the catalogue writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSetting {
    r#type: SettingType,
    title: String,
    #[serde(default)]
    help: String,
    #[serde(default)]
    default: Option<Value>,
    #[serde(default)]
    pattern: Option<String>,
    #[serde(default)]
    min_length: Option<usize>,
    #[serde(default)]
    max_length: Option<usize>,
    #[serde(default)]
    min: Option<Number>,
    #[serde(default)]
    max: Option<Number>,
    #[serde(default)]
    choices: Option<Vec<WrittenChoice>>,
    #[serde(default)]
    by: Option<SettingBy>,
}

/// Choice as the catalogue writes it: a text, or a table.
struct WrittenChoice(SettingChoice);

impl<'de> Deserialize<'de> for WrittenChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrTable;

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct ChoiceTable {
            value: String,
            title: String,
        }

        impl<'de> Visitor<'de> for TextOrTable {
            type Value = WrittenChoice;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a table")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<WrittenChoice, E> {
                Ok(WrittenChoice(SettingChoice { value: text.to_owned(), title: text.to_owned() }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WrittenChoice, A::Error> {
                let ChoiceTable { value, title } = ChoiceTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(WrittenChoice(SettingChoice { value, title }))
            }
        }

        deserializer.deserialize_any(TextOrTable)
    }
}

/// Field of a setting, and its mistake.
type Wrong = (&'static str, String);

impl WrittenSetting {
    /// Returns the setting.
    ///
    /// # Errors
    /// Returns every rule that it breaks.
    pub(super) fn setting(&self, name: &str) -> Result<GameSetting, Vec<Wrong>> {
        let mut wrong = self.wrong_words();
        wrong.extend(self.other_fields());
        let form = self.form().map_err(|problem| wrong.push(problem)).ok();
        let default: Option<SettingValue> = self.default.clone().map(Into::into);
        let rule = form.as_ref().zip(default.as_ref()).filter(|(form, default)| !form.fits(default));
        if let Some((form, _)) = rule {
            wrong.push(("default", form.rule()));
        } else if self.r#type == SettingType::Secret && self.default.as_ref().is_some_and(|default| *default != "") {
            let problem = "must be \"\" or not be there: a secret that stands in a catalogue is none";
            wrong.push(("default", problem.to_owned()));
        }
        let by = self.by.unwrap_or(SettingBy::Owner);
        let (name, title, help) = (name.to_owned(), self.title.clone(), self.help.clone());
        match form {
            Some(form) if wrong.is_empty() => Ok(GameSetting { name, title, help, form, default, by }),
            _ => Err(wrong),
        }
    }

    fn wrong_words(&self) -> Vec<Wrong> {
        let mut wrong = vec![];
        let is_short = self.title.chars().count() <= TITLE_MAX;
        if !is_short || self.title.trim() != self.title || name::checked(&self.title).is_err() {
            wrong.push(("title", format!("must be a text of 1 to {TITLE_MAX} characters on one line")));
        }
        if self.help.chars().count() > HELP_MAX || self.help.contains(char::is_control) {
            wrong.push(("help", format!("must be a text of at most {HELP_MAX} characters on one line")));
        }
        wrong
    }

    /// Returns a mistake for each field that belongs to other types.
    fn other_fields(&self) -> impl Iterator<Item = Wrong> {
        use SettingType::{Choice, Float, Int, Secret, Text};
        let fields = [
            ("pattern", self.pattern.is_some(), [Text, Secret].as_slice()),
            ("min_length", self.min_length.is_some(), &[Text, Secret]),
            ("max_length", self.max_length.is_some(), &[Text, Secret]),
            ("min", self.min.is_some(), &[Int, Float]),
            ("max", self.max.is_some(), &[Int, Float]),
            ("choices", self.choices.is_some(), &[Choice]),
        ];
        let is_other = |(_, is_there, of): &(_, bool, &[SettingType])| *is_there && !of.contains(&self.r#type);
        fields.into_iter().filter(is_other).map(|(field, _, of)| {
            let of: Vec<_> = of.iter().map(|of| format!("`{of}`")).collect();
            (field, format!("must be there with the type {} only", of.join(" or ")))
        })
    }

    fn form(&self) -> Result<SettingForm, Wrong> {
        Ok(match self.r#type {
            SettingType::Text => SettingForm::Text(self.text_form()?),
            SettingType::Secret => SettingForm::Secret(self.text_form()?),
            SettingType::Int => {
                let whole = |field, number: Option<&Number>, usual| match number {
                    None => Ok(usual),
                    Some(number) => number.as_i64().ok_or((field, "must be a whole number".to_owned())),
                };
                let min = whole("min", self.min.as_ref(), -INT_MAX)?.max(-INT_MAX);
                let max = whole("max", self.max.as_ref(), INT_MAX)?.min(INT_MAX);
                (min <= max).then_some(SettingForm::Int { min, max }).ok_or_else(too_small)?
            }
            SettingType::Float => {
                let [min, max] = [(&self.min, -INT_MAX), (&self.max, INT_MAX)]
                    .map(|(number, usual)| number.clone().unwrap_or_else(|| usual.into()));
                let is_range = min.as_f64() <= max.as_f64();
                is_range.then_some(SettingForm::Float { min, max }).ok_or_else(too_small)?
            }
            SettingType::Bool => SettingForm::Bool,
            SettingType::Choice => SettingForm::Choice(self.listed_choices()?),
            SettingType::Ports => SettingForm::Ports,
        })
    }

    fn text_form(&self) -> Result<TextForm, Wrong> {
        let (min, max) = (self.min_length.unwrap_or(0), self.max_length.unwrap_or(LENGTH_USUAL));
        if max > LENGTH_MAX || min > max {
            return Err(("max_length", format!("must be from `min_length` to {LENGTH_MAX}")));
        }
        let pattern = self.pattern.as_deref().map(Pattern::new).transpose().map_err(|why| ("pattern", why))?;
        Ok(TextForm { min, max, pattern })
    }

    fn listed_choices(&self) -> Result<Vec<SettingChoice>, Wrong> {
        let choices: Vec<_> = self.choices.iter().flatten().map(|choice| choice.0.clone()).collect();
        let is_short =
            |text: &str| (1..=CHOICE_LENGTH_MAX).contains(&text.chars().count()) && !text.contains(char::is_control);
        let is_good = |choice: &SettingChoice| is_short(&choice.value) && is_short(choice.title.trim());
        let differ =
            |text: fn(&SettingChoice) -> &str| choices.iter().map(text).collect::<BTreeSet<_>>().len() == choices.len();
        let is_list = (1..=CHOICES_MAX).contains(&choices.len()) && choices.iter().all(is_good);
        if is_list && differ(|choice| &choice.value) && differ(|choice| &choice.title) {
            return Ok(choices);
        }
        let problem = format!(
            "must be 1 to {CHOICES_MAX} choices, each with another value and title of 1 to {CHOICE_LENGTH_MAX} \
             characters on one line"
        );
        Err(("choices", problem))
    }
}

fn too_small() -> Wrong {
    ("max", "must not be below `min`".to_owned())
}

/// Returns every rule that a game's settings break.
pub(super) fn broken_rules(game: &Written) -> Vec<Broken> {
    let mut broken: Vec<Broken> = vec![];
    let mut say = |path: &[&str], problem: String| {
        broken.push((path.iter().map(|part| (*part).to_owned()).collect(), problem));
    };
    if game.settings.len() > SETTINGS_MAX {
        say(&["settings"], format!("must have at most {SETTINGS_MAX} settings"));
    }
    for (name, setting) in &game.settings {
        if !is_port_name(name) {
            say(&["settings", name], "must have a name of 1 to 20 small letters, digits, `_` and `-`".to_owned());
        } else if let Err(wrong) = setting.get_ref().setting(name) {
            wrong.into_iter().for_each(|(field, problem)| say(&["settings", name, field], problem));
        } else if !game.uses(name) {
            let problem =
                format!("has no effect: no `{{settings.{name}}}` stands in its command, environment or files");
            say(&["settings", name], problem);
        }
    }
    let entrypoint = game.container.as_ref().and_then(WrittenContainer::program);
    for (path, program) in
        [(["command", "0"].as_slice(), game.command.first()), (&["container", "entrypoint", "0"], entrypoint)]
    {
        if program.is_some_and(|program| placeholders(program).any(|(_, it)| game.is_typed(it))) {
            say(path, "must not be a text that people choose: nobody but you chooses programs".to_owned());
        }
    }
    broken
}

/// Returns the reason why a placeholder in this text is no setting of the game; `None` if there is none.
pub(super) fn unknown_setting(game: &Written, template: &str) -> Option<String> {
    let unknown = placeholders(template).find_map(|(place, placeholder)| match placeholder {
        Placeholder::Setting(name) if !game.has_setting(name) => Some(&template[place]),
        _ => None,
    })?;
    Some(format!("`{unknown}` is no setting of this game"))
}

impl Written {
    /// Returns every text of the game whose placeholders a host fills in.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let files =
            self.files.values().flat_map(|file| file.text.iter().map(String::as_str).chain(texts_in(&file.set)));
        let container = self.container.iter().flat_map(WrittenContainer::texts);
        self.command.iter().chain(self.env.values()).chain(container).map(String::as_str).chain(files)
    }

    /// Returns the names of the settings whose values the game gets.
    pub(super) fn used_settings(&self) -> BTreeSet<String> {
        let used = self.texts().flat_map(placeholders).filter_map(|(_, placeholder)| match placeholder {
            Placeholder::Setting(name) => Some(name.to_owned()),
            _ => None,
        });
        used.collect()
    }

    fn uses(&self, setting: &str) -> bool {
        self.used_settings().contains(setting)
    }

    /// Returns whether the text has this setting, readable or not.
    pub(super) fn has_setting(&self, name: &str) -> bool {
        self.settings.contains_key(name) || self.unread_settings.contains(name)
    }

    /// Drops the settings of a built-in game whose places an operator's file has replaced: nobody can take them out of
    /// the game in another way.
    pub(super) fn drop_unused_settings(&mut self, is_built_in: impl Fn(usize) -> bool) {
        let is_replaced = |(name, setting): (&String, &Spanned<WrittenSetting>)| {
            (is_built_in(setting.span().start) && !self.uses(name)).then(|| name.clone())
        };
        let replaced: Vec<_> = self.settings.iter().filter_map(is_replaced).collect();
        self.settings.retain(|name, _| !replaced.contains(name));
    }

    /// Returns the settings in the order of the text; those that break a rule are left out.
    pub(super) fn game_settings(&self) -> Vec<GameSetting> {
        let mut settings: Vec<_> = self.settings.iter().collect();
        settings.sort_by_key(|(_, setting)| setting.span().start);
        settings.into_iter().filter_map(|(name, setting)| setting.get_ref().setting(name).ok()).collect()
    }

    /// Returns whether people type the value of this placeholder.
    pub(super) fn is_typed(&self, placeholder: Placeholder<'_>) -> bool {
        self.sample(placeholder).is_none()
    }

    /// Returns a value of a placeholder; `None` if people type it.
    pub(super) fn sample(&self, placeholder: Placeholder<'_>) -> Option<String> {
        match placeholder {
            Placeholder::Name => None,
            Placeholder::Port | Placeholder::NamedPort(_) => Some("1".to_owned()),
            Placeholder::Bind | Placeholder::Agis => Some("0.0.0.0".to_owned()),
            // AGIS makes it of letters and digits.
            Placeholder::RconPassword => Some("a1".to_owned()),
            Placeholder::Setting(name) => {
                let setting = self.settings.get(name).and_then(|setting| setting.get_ref().setting(name).ok());
                match setting.map(|setting| (setting.form, setting.default)) {
                    Some((form, _)) if form.is_typed() => None,
                    Some((_, Some(default))) => Some(default.expose_text()),
                    Some((SettingForm::Choice(choices), _)) => choices.into_iter().next().map(|choice| choice.value),
                    Some((SettingForm::Bool, _)) => Some("true".to_owned()),
                    _ => Some("1".to_owned()),
                }
            }
        }
    }
}

/// Returns the texts in a table, at any depth.
fn texts_in(table: &serde_json::Map<String, Value>) -> Vec<&str> {
    table
        .values()
        .flat_map(|value| match value {
            Value::String(text) => vec![text.as_str()],
            Value::Object(below) => texts_in(below),
            _ => vec![],
        })
        .collect()
}

/// Settings as the catalogue writes them, with their places.
pub(super) type WrittenSettings = std::collections::BTreeMap<String, Spanned<WrittenSetting>>;

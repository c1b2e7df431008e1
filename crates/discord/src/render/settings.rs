//! Messages and modals about settings of a server.

use agis_servers::{
    Action,
    game::{SettingBy, SettingForm, SettingValue},
    settings::{ServerSetting, ServerSettings, TakesEffect},
};
use twilight_model::channel::message::{
    Component,
    component::{Button, ButtonStyle, Label, SelectMenu, SelectMenuOption, SelectMenuType, TextInput, TextInputStyle},
};

use super::{
    card::{Card, Colour, button},
    text::{bare, plain},
};
use crate::{
    answer::{Message, Modal},
    code::Code,
};

/// Maximum number of settings of a modal, set by Discord.
const ON_A_PAGE: usize = 5;
/// Maximum length of a modal's title, and of a label in it, set by Discord.
const LABEL_MAX: usize = 45;
/// Maximum length of an explanation, of a placeholder, and of a choice, set by Discord.
const HINT_MAX: usize = 100;
/// Maximum length of a value in a list.
const SHOWN_MAX: usize = 100;

/// Returns the settings that the owner changes.
pub(crate) fn own_settings(settings: &ServerSettings) -> impl Iterator<Item = &ServerSetting> {
    settings.settings.iter().filter(|setting| setting.setting.by == SettingBy::Owner)
}

/// Returns the settings that the owner changes, by the pages of the modal.
pub(crate) fn pages(settings: &ServerSettings) -> Vec<Vec<&ServerSetting>> {
    let own: Vec<_> = own_settings(settings).collect();
    own.chunks(ON_A_PAGE).map(<[_]>::to_vec).collect()
}

/// Lists the settings. `is_owner` says whether the reader may change them.
pub(crate) fn list(settings: &ServerSettings, is_owner: bool, begin: &str) -> Message {
    let server = &settings.server;
    let card = Card::new(Colour::Calm).titled(&format!("Settings of {}", plain(&server.name)));
    if settings.settings.is_empty() {
        return card.says("This game has no settings.").into_message();
    }
    let mut lines: Vec<_> = [begin.to_owned()].into_iter().filter(|line| !line.is_empty()).collect();
    lines.extend(settings.settings.iter().map(line));
    let waits = settings.waits_for_restart();
    lines.push(match waits {
        true => "Changes take effect at the next start: restart the server to play with them.".to_owned(),
        false => "Changes take effect at the next start.".to_owned(),
    });
    if is_owner && own_settings(settings).any(|setting| setting.is_chosen) {
        lines.push(
            "`/server settings` with `reset` sets a setting back to its default, and clears a secret.".to_owned(),
        );
    }
    let mut buttons = if is_owner { page_buttons(settings) } else { vec![] };
    if waits && is_owner {
        buttons.push(button(ButtonStyle::Primary, "Restart", Code::Act(Action::Restart, server.id).text()));
    }
    card.lists(&lines).buttons(buttons).into_message()
}

fn page_buttons(settings: &ServerSettings) -> Vec<Button> {
    let pages = pages(settings);
    let label = |page: usize| match pages.len() {
        1 => "Change".to_owned(),
        _ => format!("Change {}–{}", page * ON_A_PAGE + 1, page * ON_A_PAGE + pages[page].len()),
    };
    let code = |page: usize| Code::Settings(settings.server.id, u32::try_from(page).unwrap_or_default()).text();
    (0..pages.len()).map(|page| button(ButtonStyle::Secondary, &label(page), code(page))).collect()
}

fn line(of_server: &ServerSetting) -> String {
    let setting = &of_server.setting;
    let value = match (&setting.form, of_server.shown()) {
        (SettingForm::Secret(_), _) if of_server.is_chosen => "set, and shown to nobody".to_owned(),
        (_, Some(value)) => shown(&setting.form, value),
        (_, None) => "none".to_owned(),
    };
    let mut notes = vec![];
    if !of_server.fits {
        notes.push(match of_server.value {
            Some(_) => format!("does not fit any more: it {}", setting.form.rule()),
            None => "needs a value before the first start".to_owned(),
        });
    } else if of_server.takes_effect == TakesEffect::Now {
        notes.push("in effect".to_owned());
    }
    if setting.by == SettingBy::Operator {
        notes.push("the operator's".to_owned());
    }
    let notes = notes.iter().map(|note| format!(" · {}", plain(note))).collect::<String>();
    format!("**{}**: {value}{notes}", plain(&setting.title))
}

fn shown(form: &SettingForm, value: &SettingValue) -> String {
    let text = value.expose_text();
    let text = match form {
        SettingForm::Choice(choices) => {
            choices.iter().find(|choice| choice.value == text).map_or(text, |choice| choice.title.clone())
        }
        SettingForm::Bool => if text == "true" { "on" } else { "off" }.to_owned(),
        _ => text,
    };
    if text.trim().is_empty() { "empty".to_owned() } else { plain(&bare(&text, SHOWN_MAX)) }
}

/// Returns the modal of a page; `None` if there is no such page.
pub(crate) fn modal(settings: &ServerSettings, page: u32) -> Option<Modal> {
    let place = usize::try_from(page).ok()?;
    let components = pages(settings).get(place)?.iter().map(|setting| label(setting)).collect();
    Some(Modal {
        code: Code::Settings(settings.server.id, page).text(),
        title: bare(&format!("Settings of {}", settings.server.name), LABEL_MAX),
        components,
    })
}

fn label(of_server: &ServerSetting) -> Component {
    let setting = &of_server.setting;
    let hint = if setting.help.is_empty() { setting.form.rule() } else { setting.help.clone() };
    let current = of_server.shown().map(SettingValue::expose_text);
    let component = match &setting.form {
        SettingForm::Choice(choices) => {
            let choices = choices.iter().map(|choice| (choice.title.as_str(), choice.value.as_str()));
            select(&setting.name, choices, current.as_deref())
        }
        SettingForm::Bool => select(&setting.name, [("On", "true"), ("Off", "false")], current.as_deref()),
        form => Component::TextInput(text_input(&setting.name, form, current, of_server.is_chosen)),
    };
    Component::Label(Label {
        component: Box::new(component),
        description: Some(bare(&hint, HINT_MAX)),
        id: None,
        label: bare(&setting.title, LABEL_MAX),
    })
}

fn select<'a>(name: &str, choices: impl IntoIterator<Item = (&'a str, &'a str)>, current: Option<&str>) -> Component {
    let option = |(title, value): (&str, &str)| SelectMenuOption {
        default: current == Some(value),
        description: None,
        emoji: None,
        label: bare(title, HINT_MAX),
        value: value.to_owned(),
    };
    Component::SelectMenu(SelectMenu {
        channel_types: None,
        custom_id: name.to_owned(),
        default_values: None,
        disabled: false,
        id: None,
        kind: SelectMenuType::Text,
        max_values: None,
        min_values: None,
        options: Some(choices.into_iter().map(option).collect()),
        placeholder: None,
        required: Some(true),
    })
}

#[expect(deprecated, reason = "the struct has the field, and no other way to be made")]
fn text_input(name: &str, form: &SettingForm, current: Option<String>, is_chosen: bool) -> TextInput {
    let length = |length: usize| u16::try_from(length).ok();
    let (min, max, required) = match form {
        SettingForm::Text(text) => (length(text.min), length(text.max), text.min > 0),
        // Nothing typed keeps what is there.
        SettingForm::Secret(text) => (None, length(text.max), false),
        SettingForm::Ports => (None, Some(100), false),
        _ => (None, Some(30), true),
    };
    let placeholder = match form {
        SettingForm::Secret(_) if is_chosen => "Set; leave it empty to keep it".to_owned(),
        form => form.rule(),
    };
    TextInput {
        custom_id: name.to_owned(),
        id: None,
        label: None,
        // A text that may be empty has no least length, since Discord takes 1 for "not empty".
        max_length: max.filter(|max| *max > 0),
        min_length: min.filter(|min| *min > 0),
        placeholder: Some(bare(&placeholder, HINT_MAX)),
        required: Some(required),
        style: TextInputStyle::Short,
        // Discord refuses a form with a value that is too long; the catalogue may have been changed.
        value: current
            .filter(|text| !text.is_empty() && max.is_none_or(|max| text.chars().count() <= usize::from(max))),
    }
}

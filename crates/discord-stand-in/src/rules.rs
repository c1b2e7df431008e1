//! Rules that Discord's documentation states in words, where its schema lets more through.

use std::collections::HashSet;

use serde_json::Value;

/// A bot's limit; the schema has that of a subscriber.
const CONTENT: usize = 2000;
const EMBED_TEXT: usize = 6000;
const CHOICE: usize = 100;
const COMMANDS: usize = 100;
const COMMAND_TEXT: usize = 8000;
const ROWS: usize = 5;
const MODAL_TITLE: usize = 45;
const HINT: usize = 100;
/// With this flag a message consists of components alone.
const COMPONENTS_ONLY: u64 = 1 << 15;

/// Finds faults of a message that is sent or edited.
pub(crate) fn message(body: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    if length(&body["content"]) > CONTENT {
        wrong.push(format!("content: more than {CONTENT} characters"));
    }
    let embeds = items(&body["embeds"]);
    if embeds.iter().map(embed_text).sum::<usize>() > EMBED_TEXT {
        wrong.push(format!("embeds: more than {EMBED_TEXT} characters in all"));
    }
    for field in embeds.iter().flat_map(|embed| items(&embed["fields"])) {
        if length(&field["name"]) == 0 || length(&field["value"]) == 0 {
            wrong.push("embeds: a field needs a name and a value".to_owned());
        }
    }
    wrong.extend(components(body));
    wrong
}

fn components(body: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let rows = items(&body["components"]);
    if rows.len() > ROWS && body["flags"].as_u64().unwrap_or_default() & COMPONENTS_ONLY == 0 {
        wrong.push(format!("components: more than {ROWS} rows"));
    }
    let mut ids = HashSet::new();
    for control in rows.iter().flat_map(|row| items(&row["components"])) {
        let id = control["custom_id"].as_str();
        if id.is_some_and(|id| !ids.insert(id)) {
            wrong.push("components: a custom_id is there twice".to_owned());
        }
        let is_button = control["type"] == 2;
        if is_button && id.is_some() == control["url"].is_string() && control["sku_id"].is_null() {
            wrong.push("components: a button has either a custom_id or a url".to_owned());
        }
        if is_button && length(&control["label"]) == 0 && control["emoji"].is_null() {
            wrong.push("components: a button needs a label or an emoji".to_owned());
        }
    }
    wrong
}

/// Finds faults of a modal.
pub(crate) fn modal(data: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    if !(1..=MODAL_TITLE).contains(&length(&data["title"])) || length(&data["custom_id"]) == 0 {
        wrong.push(format!("a modal needs a custom_id, and a title of 1 to {MODAL_TITLE} characters"));
    }
    let labels = items(&data["components"]);
    if !(1..=ROWS).contains(&labels.len()) {
        wrong.push(format!("a modal has 1 to {ROWS} components"));
    }
    let mut ids = HashSet::new();
    for label in labels {
        let control = &label["component"];
        if label["type"] != 18 || !matches!(control["type"].as_u64(), Some(3 | 4)) {
            wrong.push("a modal: only text inputs and menus in labels are known here".to_owned());
        }
        if !(1..=MODAL_TITLE).contains(&length(&label["label"])) || length(&label["description"]) > HINT {
            wrong.push(format!("a modal: the label {} is empty or too long", label["label"]));
        }
        if !control["custom_id"].as_str().is_some_and(|id| !id.is_empty() && ids.insert(id)) {
            wrong.push("a modal: a custom_id is missing, or is there twice".to_owned());
        }
        if control["type"] == 4 && (control["label"].is_string() || length(&control["placeholder"]) > HINT) {
            wrong.push("a modal: a text input in a label has no label, and a short placeholder".to_owned());
        }
        if control["type"] == 3
            && (control["disabled"] == true || !(1..=25).contains(&items(&control["options"]).len()))
        {
            wrong.push("a modal: a menu has 1 to 25 options, and is not disabled".to_owned());
        }
    }
    wrong
}

/// Whether a new message shows nothing at all.
pub(crate) fn is_empty(body: &Value) -> bool {
    let lists = ["embeds", "components", "attachments", "sticker_ids"];
    length(&body["content"]) == 0 && lists.iter().all(|list| items(&body[list]).is_empty()) && body["poll"].is_null()
}

/// Finds faults of suggestions.
pub(crate) fn choices(data: &Value) -> Vec<String> {
    let fits = |value: &Value| value.as_str().is_none_or(|text| (1..=CHOICE).contains(&text.chars().count()));
    let wrong = items(&data["choices"]).iter().filter(|choice| !fits(&choice["name"]) || !fits(&choice["value"]));
    wrong.map(|choice| format!("choices: {choice} has not 1 to {CHOICE} characters")).collect()
}

/// Finds faults of a list of commands.
pub(crate) fn commands(commands: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    if commands.len() > COMMANDS {
        wrong.push(format!("more than {COMMANDS} commands"));
    }
    let mut names = HashSet::new();
    for command in commands {
        if !names.insert((command["name"].as_str(), command["type"].as_u64().unwrap_or(1))) {
            wrong.push(format!("the command {} is there twice", command["name"]));
        }
        if command["type"].as_u64().unwrap_or(1) == 1 {
            wrong.extend(one_command(command));
        }
    }
    wrong
}

fn one_command(command: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    if length(&command["description"]) == 0 {
        wrong.push(format!("the command {} has no description", command["name"]));
    }
    let (mut nodes, mut text) = (vec![command], 0);
    while let Some(node) = nodes.pop() {
        let name = node["name"].as_str().unwrap_or_default();
        if !is_name(name) {
            wrong.push(format!("`{name}` is no name of a command or an option"));
        }
        let options = items(&node["options"]);
        if options.iter().map(|option| &option["name"]).collect::<HashSet<_>>().len() < options.len() {
            wrong.push(format!("`{name}`: an option is there twice"));
        }
        if !options.is_sorted_by_key(|option| option["required"] != true) {
            wrong.push(format!("`{name}`: required options come first"));
        }
        if node["autocomplete"] == true && !items(&node["choices"]).is_empty() {
            wrong.push(format!("`{name}`: either choices or autocomplete"));
        }
        let choices = items(&node["choices"]).iter().map(|choice| length(&choice["name"]) + length(&choice["value"]));
        text += length(&node["name"]) + length(&node["description"]) + choices.sum::<usize>();
        nodes.extend(options);
    }
    if text > COMMAND_TEXT {
        wrong.push(format!("the command {} has more than {COMMAND_TEXT} characters", command["name"]));
    }
    wrong
}

fn is_name(name: &str) -> bool {
    let fits = |letter: char| (letter.is_alphanumeric() && !letter.is_uppercase()) || "-_'".contains(letter);
    !name.is_empty() && name.chars().all(fits)
}

fn embed_text(embed: &Value) -> usize {
    let fields = items(&embed["fields"]).iter().map(|field| length(&field["name"]) + length(&field["value"]));
    let single = [&embed["title"], &embed["description"], &embed["footer"]["text"], &embed["author"]["name"]];
    single.into_iter().map(length).chain(fields).sum()
}

fn length(text: &Value) -> usize {
    text.as_str().map_or(0, |text| text.chars().count())
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

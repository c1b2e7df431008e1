//! Messages, as people see them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::clock::iso;
use crate::{APPLICATION, world};

const EPHEMERAL: u64 = 1 << 6;
const LOADING: u64 = 1 << 7;

/// A message of the bot, as it was when this was taken.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// Its id.
    pub id: u64,
    /// The channel that it stands in.
    pub channel: u64,
    /// Its plain text.
    pub content: String,
    /// Its embeds.
    pub embeds: Vec<Value>,
    /// Its components: rows of buttons, mostly.
    pub components: Vec<Value>,
    /// Its files.
    pub attachments: Vec<Value>,
    /// Discord's flags.
    pub flags: u64,
    /// How often it was edited.
    pub edits: u32,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Nonce of the sender, so that it is sent once.
    pub nonce: Option<String>,
    /// Caller of the interaction that it answers; nobody else sees an ephemeral message.
    pub asked_by: Option<u64>,
    sent: DateTime<Utc>,
    edited: Option<DateTime<Utc>>,
}

impl Message {
    pub(crate) fn new(id: u64, channel: u64, body: &Value) -> Self {
        let mut message = Self {
            id,
            channel,
            content: String::new(),
            embeds: Vec::new(),
            components: Vec::new(),
            attachments: Vec::new(),
            flags: body["flags"].as_u64().unwrap_or_default(),
            edits: 0,
            deleted: false,
            nonce: nonce(body),
            asked_by: None,
            sent: Utc::now(),
            edited: None,
        };
        message.take(body);
        message
    }

    /// The "thinking" that a deferral shows.
    pub(crate) fn thinking(id: u64, channel: u64, body: &Value) -> Self {
        let mut message = Self::new(id, channel, &json!({}));
        message.flags = LOADING | (body["flags"].as_u64().unwrap_or_default() & EPHEMERAL);
        message
    }

    /// Replaces what `body` names.
    pub(crate) fn edit(&mut self, body: &Value) {
        self.take(body);
        self.flags &= !LOADING;
        self.edits += 1;
        self.edited = Some(Utc::now());
    }

    fn take(&mut self, body: &Value) {
        if let Some(content) = body.get("content") {
            self.content = content.as_str().unwrap_or_default().to_owned();
        }
        let lists = [
            ("embeds", &mut self.embeds),
            ("components", &mut self.components),
            ("attachments", &mut self.attachments),
        ];
        for (name, list) in lists {
            if let Some(given) = body.get(name) {
                *list = given.as_array().cloned().unwrap_or_default();
            }
        }
    }

    /// Whether only the person who asked sees it.
    #[must_use]
    pub fn is_ephemeral(&self) -> bool {
        self.flags & EPHEMERAL != 0
    }

    /// Whether it is a deferral whose answer has not come.
    #[must_use]
    pub fn is_loading(&self) -> bool {
        self.flags & LOADING != 0
    }

    /// Whether `person` sees it.
    pub(crate) fn is_shown_to(&self, person: u64) -> bool {
        !self.deleted && (!self.is_ephemeral() || self.asked_by == Some(person))
    }

    /// All that can be read in it, a line each: content, embeds, labels of components.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![self.content.clone()];
        self.embeds.iter().chain(&self.components).chain(&self.attachments).for_each(|part| read(part, &mut lines));
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    }

    /// Its buttons and menus.
    pub(crate) fn controls(&self) -> Vec<&Value> {
        let mut found = Vec::new();
        self.components.iter().for_each(|component| collect(component, &mut found));
        found
    }

    /// The labels of its buttons, those that are disabled left out.
    #[must_use]
    pub fn buttons(&self) -> Vec<String> {
        let enabled = self.controls().into_iter().filter(|control| control["disabled"] != json!(true));
        enabled.filter_map(|control| control["label"].as_str()).map(ToOwned::to_owned).collect()
    }

    /// As Discord gives it to the bot.
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id.to_string(),
            "channel_id": self.channel.to_string(),
            "application_id": APPLICATION.to_string(),
            "webhook_id": self.asked_by.map(|_| APPLICATION.to_string()),
            "author": world::bot(),
            "type": if self.asked_by.is_some() { 20 } else { 0 },
            "content": self.content,
            "embeds": self.embeds,
            "components": self.components,
            "attachments": self.attachments,
            "flags": self.flags,
            "nonce": self.nonce,
            "timestamp": iso(self.sent),
            "edited_timestamp": self.edited.map(iso),
            "mentions": [],
            "mention_roles": [],
            "mention_everyone": false,
            "pinned": false,
            "tts": false,
        })
    }
}

/// A nonce may be a number or a string.
pub(crate) fn nonce(body: &Value) -> Option<String> {
    match &body["nonce"] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns the texts that a person reads, in their order.
fn read(part: &Value, lines: &mut Vec<String>) {
    const SHOWN: [&str; 13] = [
        "author",
        "title",
        "description",
        "content",
        "fields",
        "name",
        "label",
        "placeholder",
        "value",
        "footer",
        "text",
        "components",
        "filename",
    ];
    match part {
        Value::Array(parts) => parts.iter().for_each(|part| read(part, lines)),
        Value::Object(fields) => SHOWN.iter().filter_map(|name| fields.get(*name)).for_each(|field| read(field, lines)),
        Value::String(text) => lines.push(text.clone()),
        _ => {}
    }
}

fn collect<'a>(component: &'a Value, found: &mut Vec<&'a Value>) {
    if component["custom_id"].is_string() || component["url"].is_string() {
        found.push(component);
    }
    let accessory = component.get("accessory");
    let inner = component["components"].as_array().into_iter().flatten();
    inner.chain(accessory).for_each(|component| collect(component, found));
}

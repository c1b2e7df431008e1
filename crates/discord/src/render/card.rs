//! Builds embeds that Discord accepts, whatever their content.

use twilight_model::channel::message::{
    Component, Embed,
    component::{ActionRow, Button, ButtonStyle},
    embed::{EmbedField, EmbedFooter},
};

use super::text::cut;
use crate::answer::Message;

const TITLE_MAX: usize = 256;
const TEXT_MAX: usize = 4096;
const FIELDS_MAX: usize = 25;
const NAME_MAX: usize = 256;
const VALUE_MAX: usize = 1024;
const FOOTER_MAX: usize = 2048;
/// Maximum number of buttons in a row, and of rows.
const IN_A_ROW: usize = 5;
const ROWS_MAX: usize = 5;
/// Maximum length of all texts of an embed together.
const ALL_MAX: usize = 6000;
/// Placeholder for an empty text, which Discord refuses.
const NOTHING: &str = "\u{200b}";

/// Colour of an embed, by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Success: players can join.
    Good,
    /// Work in progress.
    Moving,
    /// Rest, or no matter at all.
    Calm,
    /// Failure, or a pending loss.
    Bad,
}

impl Colour {
    fn rgb(self) -> u32 {
        match self {
            Self::Good => 0x3ba55d,
            Self::Moving => 0xf0b132,
            Self::Calm => 0x5b6d8a,
            Self::Bad => 0xd83c3e,
        }
    }
}

/// Embed in the making. Cuts long texts; lists say how many more lines there are.
pub(crate) struct Card {
    embed: Embed,
    buttons: Vec<Button>,
}

impl Card {
    pub(crate) fn new(colour: Colour) -> Self {
        let embed = Embed {
            author: None,
            color: Some(colour.rgb()),
            description: None,
            fields: vec![],
            flags: None,
            footer: None,
            image: None,
            kind: "rich".to_owned(),
            provider: None,
            thumbnail: None,
            timestamp: None,
            title: None,
            url: None,
            video: None,
        };
        Self { embed, buttons: vec![] }
    }

    pub(crate) fn titled(mut self, title: &str) -> Self {
        self.embed.title = Some(cut(title, TITLE_MAX));
        self
    }

    pub(crate) fn says(mut self, text: &str) -> Self {
        self.embed.description = Some(cut(or_nothing(text), TEXT_MAX));
        self
    }

    /// Adds as many lines as fit, and the number of the rest.
    pub(crate) fn lists(self, lines: &[String]) -> Self {
        let text = listed(lines, TEXT_MAX);
        self.says(&text)
    }

    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        if self.embed.fields.len() < FIELDS_MAX {
            self.embed.fields.push(EmbedField {
                inline: false,
                name: cut(or_nothing(name), NAME_MAX),
                value: cut(or_nothing(value), VALUE_MAX),
            });
        }
        self
    }

    /// Adds a short field, which may stand beside others.
    pub(crate) fn fact(mut self, name: &str, value: &str) -> Self {
        self = self.field(name, value);
        if let Some(field) = self.embed.fields.last_mut() {
            field.inline = true;
        }
        self
    }

    /// Adds a field with as many lines as fit; no field without lines.
    pub(crate) fn field_of(self, name: &str, lines: &[String]) -> Self {
        if lines.is_empty() { self } else { self.field(name, &listed(lines, VALUE_MAX)) }
    }

    /// Sets the footer; it knows no markdown.
    pub(crate) fn footer(mut self, text: &str) -> Self {
        self.embed.footer = Some(EmbedFooter { icon_url: None, proxy_icon_url: None, text: cut(text, FOOTER_MAX) });
        self
    }

    pub(crate) fn buttons(mut self, buttons: Vec<Button>) -> Self {
        self.buttons = buttons;
        self
    }

    pub(crate) fn into_message(mut self) -> Message {
        fit(&mut self.embed);
        let buttons: Vec<_> = self.buttons.into_iter().map(Component::Button).collect();
        let row = |buttons: &[Component]| Component::ActionRow(ActionRow { id: None, components: buttons.to_vec() });
        let rows = buttons.chunks(IN_A_ROW).take(ROWS_MAX).map(row).collect();
        Message { embed: self.embed, rows }
    }
}

/// Returns a button that sends this code.
pub(crate) fn button(style: ButtonStyle, label: &str, code: String) -> Button {
    Button {
        custom_id: Some(code),
        disabled: false,
        emoji: None,
        id: None,
        label: Some(label.to_owned()),
        sku_id: None,
        style,
        url: None,
    }
}

fn or_nothing(text: &str) -> &str {
    if text.trim().is_empty() { NOTHING } else { text }
}

/// Maximum length of the line with the number of the rest.
const MORE: usize = 24;

fn listed(lines: &[String], max: usize) -> String {
    let mut text = String::new();
    let mut length = 0;
    for (place, line) in lines.iter().enumerate() {
        let next = line.chars().count() + 1;
        let left = lines.len() - place;
        if length + next + MORE > max && !(left == 1 && length + next <= max) {
            return format!("{text}… and {left} more");
        }
        text.push_str(line);
        text.push('\n');
        length += next;
    }
    text.trim_end().to_owned()
}

fn length(embed: &Embed) -> usize {
    let texts = [&embed.title, &embed.description].into_iter().flatten();
    let fields = embed.fields.iter().flat_map(|field| [&field.name, &field.value]);
    let footer = embed.footer.iter().map(|footer| &footer.text);
    texts.chain(fields).chain(footer).map(|text| text.chars().count()).sum()
}

/// Cuts the description first, then the last fields.
fn fit(embed: &mut Embed) {
    let over = length(embed).saturating_sub(ALL_MAX);
    if let Some(text) = embed.description.as_mut().filter(|_| over > 0) {
        *text = cut(text, text.chars().count().saturating_sub(over).max(1));
    }
    while length(embed) > ALL_MAX && embed.fields.pop().is_some() {}
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn whatever_is_put_in_discord_takes(
            title in "\\PC{0,300}",
            text in "\\PC{0,5000}",
            fields in proptest::collection::vec(("\\PC{0,300}", "\\PC{0,1100}"), 0..30),
        ) {
            let mut card = Card::new(Colour::Calm).titled(&title).says(&text);
            for (name, value) in &fields {
                card = card.fact(name, value);
            }
            let embed = card.footer(&text).into_message().embed;
            prop_assert!(length(&embed) <= ALL_MAX);
            prop_assert!(embed.title.as_ref().is_some_and(|title| title.chars().count() <= TITLE_MAX));
            prop_assert!(embed.description.as_ref().is_some_and(|text| (1..=TEXT_MAX).contains(&text.chars().count())));
            prop_assert!(embed.fields.len() <= FIELDS_MAX);
            for field in &embed.fields {
                prop_assert!((1..=NAME_MAX).contains(&field.name.chars().count()));
                prop_assert!((1..=VALUE_MAX).contains(&field.value.chars().count()));
            }
        }

        #[test]
        fn list_says_how_many_more_there_are(
            lines in proptest::collection::vec("[a-z]{1,60}", 0..60),
            max in 100..900_usize,
        ) {
            let text = listed(&lines, max);
            prop_assert!(text.chars().count() <= max);
            let shown = text.lines().filter(|line| !line.starts_with('…')).count();
            prop_assert_eq!(text.ends_with(&format!("… and {} more", lines.len() - shown)), shown < lines.len());
        }
    }
}

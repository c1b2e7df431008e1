//! Text without effect, and times in every reader's own zone.

use std::str::Chars;

use agis_base::{Timestamp, UserId};

/// Makes a user's text harmless: no markdown, no link, no mention, nothing that reverses the rest of the line. Blanks
/// and line breaks become one space.
pub(crate) fn plain(text: &str) -> String {
    let text = folded(text);
    let mut plain = String::with_capacity(text.len());
    // A line may begin like a heading, or an item of a list.
    let number = text.bytes().take_while(u8::is_ascii_digit).count();
    let begins = text.starts_with(['#', '-', '+']) || (number > 0 && text[number..].starts_with('.'));
    for (place, letter) in text.char_indices() {
        if "\\*_~`|<>[]:".contains(letter) || (begins && place == number) {
            plain.push('\\');
        }
        plain.push(letter);
        if letter == '@' {
            // Discord looks for mentions before escapes.
            plain.push('\u{200b}');
        }
    }
    plain
}

/// Makes a user's text harmless where Discord knows no markdown: a choice, the label of a button.
pub(crate) fn bare(text: &str, max: usize) -> String {
    cut(&folded(text), max)
}

/// Makes a user's text harmless between code marks.
pub(crate) fn code(text: &str) -> String {
    let text = folded(text).replace('`', "ˋ");
    format!("`{}`", if text.is_empty() { " " } else { &text })
}

/// Shows lines in a code block.
pub(crate) fn block(text: &str) -> String {
    format!("```\n{}\n```", text.replace('`', "ˋ"))
}

/// Cuts a text to this many characters; an ellipsis replaces the rest.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(1)).collect();
    // Half an escape would escape the ellipsis.
    let kept = kept.trim_end_matches('\\');
    format!("{kept}…")
}

/// Formats a moment as `Tuesday, 24 November 2026 08:00` by the reader's clock.
pub(crate) fn full(at: Timestamp) -> String {
    format!("<t:{}:F>", at.timestamp())
}

/// Formats a moment as `in 3 hours`.
pub(crate) fn relative(at: Timestamp) -> String {
    format!("<t:{}:R>", at.timestamp())
}

/// Names a user without a ping, in an embed.
pub(crate) fn person(user: &UserId) -> String {
    format!("<@{user}>")
}

/// Formats `1 server`, `2 servers`.
pub(crate) fn many(number: impl Into<i64>, thing: &str) -> String {
    let number = number.into();
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Cleans a console line of its terminal codes: drops colours and cursor moves, and turns other control characters into
/// spaces.
pub(crate) fn printed(line: &str) -> String {
    let mut printed = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => skip_sequence(&mut letters),
            letter if turns(letter) => {}
            letter if letter.is_control() => printed.push(' '),
            letter => printed.push(letter),
        }
    }
    printed
}

/// Drops an escape sequence of ECMA-48: a control sequence up to its final byte, an operating system command up to its
/// end, or one character.
fn skip_sequence(letters: &mut Chars<'_>) {
    match letters.next() {
        Some('[') => drop(letters.find(|letter| ('@'..='~').contains(letter))),
        Some(']') => {
            // A BEL ends it, or an ESC with a backslash behind it.
            let end = letters.find(|letter| ['\u{7}', '\u{1b}'].contains(letter));
            let behind = usize::from(end == Some('\u{1b}'));
            letters.by_ref().take(behind).for_each(drop);
        }
        _ => {}
    }
}

fn folded(text: &str) -> String {
    printed(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns whether a character reverses the following text, or is invisible.
fn turns(letter: char) -> bool {
    matches!(letter, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    #[test]
    fn console_has_no_colours_or_directions() {
        for (line, printed) in [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[1;38;5;200mpink", "pink"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;https://evil.example\u{1b}\\link", "link"),
            ("a\u{202e}b\tc\u{0}d", "ab c d"),
            ("half \u{1b}[3", "half "),
            ("\u{1b}", ""),
        ] {
            assert_eq!(super::printed(line), printed, "{line:?}");
        }
    }

    use proptest::prelude::*;

    use super::*;

    /// Returns the text as a reader sees it: a character after a backslash stands for itself.
    fn read(text: &str) -> String {
        let mut read = String::new();
        let mut letters = text.chars().filter(|letter| *letter != '\u{200b}');
        while let Some(letter) = letters.next() {
            read.extend(if letter == '\\' { letters.next() } else { Some(letter) });
        }
        read
    }

    #[test]
    fn a_hostile_name_has_no_effect() {
        for (name, said) in [
            ("@everyone", "@\u{200b}everyone"),
            ("<@123>", "\\<@\u{200b}123\\>"),
            ("**b** _i_ ~~s~~", "\\*\\*b\\*\\* \\_i\\_ \\~\\~s\\~\\~"),
            ("[x](https://evil.example)", "\\[x\\](https\\://evil.example)"),
            ("# big\n- list", "\\# big - list"),
            ("- item", "\\- item"),
            ("a\u{202e}b", "ab"),
            ("1. one", "1\\. one"),
            ("Tuesday-night 2.0", "Tuesday-night 2.0"),
        ] {
            assert_eq!(plain(name), said);
        }
        assert_eq!(code("a`b\nc"), "`aˋb c`");
        assert_eq!(block("a```b"), "```\naˋˋˋb\n```");
    }

    proptest! {
        #[test]
        fn reader_sees_the_text_unformatted(text in "[ -~\\n@<>*`é\u{202e}]{0,80}|\\PC{0,40}") {
            let said = plain(&text);
            prop_assert_eq!(read(&said), folded(&text).replace('\u{200b}', ""));
            let mentions = said.replace("@\u{200b}", "").contains(['@', '\n']);
            prop_assert!(!mentions, "{}", said);
            let bare = said.replace("\\\\", "");
            prop_assert!(!said.starts_with(['#', '-', '+']));
            for (place, letter) in bare.char_indices().filter(|(_, letter)| "*_~`|<>[]:".contains(*letter)) {
                prop_assert!(bare[..place].ends_with('\\'), "{} in {}", letter, bare);
            }
        }

        #[test]
        fn cut_text_fits_and_ends_in_no_escape(text in "\\PC{0,80}", max in 1..40_usize) {
            let short = cut(&plain(&text), max);
            prop_assert!(short.chars().count() <= max);
            prop_assert!(!short.ends_with("\\…"));
        }
    }
}

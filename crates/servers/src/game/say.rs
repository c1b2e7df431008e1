//! Announcements: a text in the command that says it to players.

use agis_base::name;

/// Place of the text in the command that announces it.
pub(crate) const SAID: &str = "{text}";
/// Maximum length of an announced text, in characters. Games show little more in one line.
pub const SAID_MAX: usize = 200;
const CUT: &str = "...";
/// Characters before a letter or digit that colours the text in a game's chat: Minecraft's and Quake 3's.
const COLOURS: [char; 2] = ['§', '^'];

/// Command of a game that announces a text to players.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Say {
    /// Part before the text.
    before: String,
    /// Part behind the text.
    behind: String,
    /// Character in place of each space of the text.
    space: char,
}

impl Say {
    /// Reads a command with `{text}` in it once, and not first; `None` for any other. `space` takes the place of each space
    /// of a text.
    pub(super) fn new(command: &str, space: char) -> Option<Self> {
        let (before, behind) = command.split_once(SAID)?;
        let is_one = !before.trim().is_empty() && !behind.contains(SAID);
        is_one.then(|| Self { before: before.to_owned(), behind: behind.to_owned(), space })
    }

    /// Returns the command that announces this text; `None` if nothing of it can be seen.
    ///
    /// No text ends the command, a quotation in it or a value of JSON, begins another command, colours the chat or names a
    /// variable, in any console that a game of the catalogue has: such characters are left out, or similar ones take
    /// their place.
    pub fn line(&self, text: &str) -> Option<String> {
        let text = harmless(text);
        let text = name::shown_up_to(&text, usize::MAX);
        let is_long = text.chars().count() > SAID_MAX;
        let kept = if is_long { text.chars().take(SAID_MAX - CUT.len()).collect() } else { text };
        // The price behind it is cut off.
        let kept = if is_long { kept.trim_end_matches('$').to_owned() } else { kept };
        let cut = if is_long { CUT } else { "" };
        let kept = if self.space == ' ' { kept } else { kept.replace(' ', self.space.encode_utf8(&mut [0; 4])) };
        (!kept.is_empty()).then(|| format!("{}{kept}{cut}{}", self.before, self.behind))
    }
}

/// Returns the text on one line, without characters that have a meaning in a console.
fn harmless(text: &str) -> String {
    let spaced = text.replace(|letter: char| letter.is_control(), " ");
    let words = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut plain = String::with_capacity(words.len());
    let mut letters = words.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            letter if COLOURS.contains(&letter) => drop(letters.next_if(char::is_ascii_alphanumeric)),
            '"' | '`' => plain.push('\''),
            '\\' | '|' => plain.push('/'),
            ';' => plain.push(','),
            '<' => plain.push('('),
            '>' => plain.push(')'),
            letter => plain.push(letter),
        }
    }
    without_variables(&plain)
}

/// Leaves out each `$` that could name a variable, and keeps prices.
fn without_variables(text: &str) -> String {
    let mut letters = text.chars().peekable();
    let mut plain = String::with_capacity(text.len());
    while let Some(letter) = letters.next() {
        if letter != '$' || letters.peek().is_none_or(|next| next.is_ascii_digit() || *next == ' ') {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(text: &str) -> Option<String> {
        Say::new("say \"{text}\"", ' ').expect("a command").line(text)
    }

    #[test]
    fn command_has_its_text_once_and_not_first() {
        for command in ["", "say", "{text}", " {text}", "say {text} {text}"] {
            assert_eq!(Say::new(command, ' '), None, "{command}");
        }
    }

    #[test]
    fn text_stays_within_its_place() {
        for (text, line) in [
            ("Restart in 5 minutes", "say \"Restart in 5 minutes\""),
            ("He said \"hi\"; quit", "say \"He said 'hi', quit\""),
            ("a\r\nstop\0\u{2028}b\\", "say \"a stop b/\""),
            ("§4Red §lbold ^1red ^^11 2 ^ 3", "say \"Red bold red 1 2  3\""),
            ("costs $5, $rcon_password ${x} $$y $^1z $", "say \"costs $5, rcon_password {x} y z $\""),
            ("a|b <color=red>c</color>", "say \"a/b (color=red)c(/color)\""),
            ("a\u{202e}b\u{200b}c", "say \"abc\""),
            ("{text} {name}", "say \"{text} {name}\""),
            ("Grüße 🎉", "say \"Grüße 🎉\""),
        ] {
            assert_eq!(said(text).as_deref(), Some(line), "{text}");
        }
        for text in ["", " \n", "\u{202e}", "^1", "§a"] {
            assert_eq!(said(text), None, "{text:?}");
        }
    }

    #[test]
    fn spaces_are_replaced_where_the_game_ends_at_one() {
        let say = Say::new("Broadcast {text}", '_').expect("a command");
        assert_eq!(say.line("in 5 minutes").as_deref(), Some("Broadcast in_5_minutes"));
    }

    #[test]
    fn long_text_is_cut() {
        let said = said(&"é".repeat(2000)).expect("a command");
        assert_eq!(said, format!("say \"{}...\"", "é".repeat(SAID_MAX - 3)));
        let price = super::tests::said(&format!("{}$5, and more", "é".repeat(SAID_MAX - 4))).expect("a command");
        assert_eq!(price, format!("say \"{}...\"", "é".repeat(SAID_MAX - 4)), "no variable is named");
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_place(text in "\\PC{0,80}|[\"\\\\;|$^§`\\n\\r\\t\0a1 {}<>]{0,300}") {
            let Some(line) = said(&text) else { return Ok(()) };
            let inner = line.strip_prefix("say \"").and_then(|rest| rest.strip_suffix('"')).expect("the command");
            prop_assert!(!inner.contains(['"', '\\', ';', '|', '`', '<', '>', '^', '§']), "{}", inner);
            prop_assert!(!inner.contains(char::is_control) && inner.chars().count() <= SAID_MAX);
            let named = inner.split('$').skip(1).any(|rest| rest.starts_with(|next: char| !next.is_ascii_digit() && next != ' '));
            prop_assert!(!named, "{}", inner);
        }
    }
}

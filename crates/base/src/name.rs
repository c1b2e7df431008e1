//! The rule for names that people choose: one line, something to see, nothing invisible.
//!
//! A name goes into games' configuration files, onto Discord, and into lists where people tell things apart by it. Rows
//! of earlier versions may break the rule; they keep their names until somebody changes them.

use std::{iter::once, ops::RangeInclusive};

use thiserror::Error;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeEmoji, UnicodeGeneralCategory};
use unicode_security::skeleton;

/// Maximum length of a name, in characters.
pub const NAME_MAX: usize = 100;

/// Maximum number of marks on a letter. Vietnamese and Hebrew have two or three.
const MARKS_MAX: usize = 4;

const JOINER: char = '\u{200d}';
/// Variation selectors: they choose between picture and text of the character before them.
const TEXT_OR_PICTURE: [char; 2] = ['\u{fe0e}', '\u{fe0f}'];
/// Blocks to which Unicode adds new emoji.
const EMOJI_TO_COME: RangeInclusive<char> = '\u{1f000}'..='\u{1fbff}';
/// Characters that Unicode counts as symbols, and that show nothing: an empty Braille cell and an empty notehead.
const BLANK: [char; 2] = ['\u{2800}', '\u{1d159}'];

/// Reason why a text is no name. The words follow the name of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadName {
    /// The text is empty, too long, or has a control character.
    #[error("has 1 to {NAME_MAX} characters on one line")]
    Length,
    /// The text has an invisible character, or one that changes how others look.
    #[error("has only characters that can be seen; leave out U+{:04X}", u32::from(*.0))]
    Unseen(char),
    /// A letter has so many marks that they cover the text around it.
    #[error("has at most {MARKS_MAX} marks on a letter")]
    Marks,
    /// The name reads like a choice from a list, such as `#7`.
    #[error("is not a number behind '#': servers are chosen by that")]
    Number,
    /// The text has nothing but space and marks.
    #[error("has at least one letter, digit, symbol or emoji")]
    Blank,
}

/// Returns the name without the space around it.
///
/// # Errors
/// Fails if the text breaks the rule.
pub fn checked(text: &str) -> Result<String, BadName> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX || name.contains(char::is_control) {
        return Err(BadName::Length);
    }
    if name
        .strip_prefix('#')
        .is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.is_empty())
    {
        return Err(BadName::Number);
    }
    let is_mark = |letter: char| letter.general_category_group() == GeneralCategoryGroup::Mark;
    if name.split(|letter| !is_mark(letter)).any(|marks| marks.chars().count() > MARKS_MAX) {
        return Err(BadName::Marks);
    }
    let before = once(None).chain(name.chars().map(Some));
    let mut behind = name.chars().skip(1).map(Some).chain(once(None));
    let mut pictured = false;
    for (letter, before) in name.chars().zip(before) {
        let next = behind.next().flatten();
        let allowed = match letter {
            JOINER => pictured && next.is_some_and(is_picture),
            letter if TEXT_OR_PICTURE.contains(&letter) => before.is_some_and(UnicodeEmoji::is_emoji_char),
            letter => !is_unseen(letter),
        };
        if !allowed {
            return Err(BadName::Unseen(letter));
        }
        pictured = is_picture(letter) || (pictured && TEXT_OR_PICTURE.contains(&letter));
    }
    let seen = |letter: char| !letter.is_whitespace() && !is_mark(letter);
    if name.contains(seen) { Ok(name.to_owned()) } else { Err(BadName::Blank) }
}

/// Returns a name from outside, such as a game's name of a player, as it can be stored and shown on one line: without
/// anything invisible, and cut where [`checked`] would refuse it. Nothing may be left.
pub fn shown(text: &str) -> String {
    shown_up_to(text, NAME_MAX)
}

/// Returns a text of one line as [`shown`] does, of at most this many characters.
pub fn shown_up_to(text: &str, max: usize) -> String {
    let mut marks = 0;
    let is_shown = |letter: &char| {
        marks = if letter.general_category_group() == GeneralCategoryGroup::Mark { marks + 1 } else { 0 };
        marks <= MARKS_MAX && !letter.is_control() && !is_unseen(*letter)
    };
    let name: String = text.trim().chars().filter(is_shown).take(max).collect();
    name.trim().to_owned()
}

/// Returns whether readers take one name for the other: they differ only in case, in characters that look the same
/// (Unicode Technical Standard 39), or in invisible characters.
pub fn look_alike(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase() || shape(one) == shape(other)
}

/// Returns the shape of a name for a reader who ignores case and the width of spaces. The skeleton before case folding
/// covers letters whose small forms differ (Latin M and Cyrillic М), the one after it covers the others.
pub fn shape(name: &str) -> String {
    let spaced = name.replace(BLANK, " ");
    let once: String = skeleton(&spaced).collect();
    let twice: String = skeleton(&once.to_lowercase()).collect();
    twice.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_unseen(letter: char) -> bool {
    use GeneralCategory::{Format, LineSeparator, ParagraphSeparator, PrivateUse, Unassigned};
    BLANK.contains(&letter)
        || matches!(letter.general_category(), Format | LineSeparator | ParagraphSeparator | PrivateUse)
        // A user who types an emoji of a newer Unicode sees it.
        || letter.general_category() == Unassigned && !EMOJI_TO_COME.contains(&letter)
        // A skeleton omits characters that Unicode lets programs ignore, among them fillers.
        || skeleton(letter.encode_utf8(&mut [0; 4])).next().is_none()
}

/// Unicode counts digits as emoji, since they begin keycaps.
fn is_picture(letter: char) -> bool {
    !letter.is_ascii() && letter.is_emoji_char()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_kept_but_for_outer_space() {
        for text in [
            "Sky",
            "Tuesday railways",
            "Café №5",
            "ゲーム",
            "سرور",
            "गेम",
            "e\u{301}te",
            "👨‍👩‍👧 family",
            "❤️",
            "1️⃣ first",
            "🏳️‍🌈",
            "👩🏽‍🚀",
            "-",
            "*_~",
        ] {
            assert_eq!(checked(&format!(" {text}\u{3000}")).as_deref(), Ok(text), "{text}");
        }
        assert_eq!(checked(&"🚂".repeat(NAME_MAX)).map(|name| name.chars().count()), Ok(NAME_MAX));
    }

    #[test]
    fn name_has_one_to_a_hundred_characters() {
        for text in ["", "  ", "\u{3000}", "a\nb", "a\tb", "a\0b", "a\u{7f}b", "a\u{85}b", &"n".repeat(NAME_MAX + 1)] {
            assert_eq!(checked(text), Err(BadName::Length), "{text:?}");
        }
    }

    #[test]
    fn shown_name_is_whatever_can_be_seen() {
        for (text, name) in [
            (" Ann ", "Ann"),
            ("A\0n\u{1b}[1mn\r\n", "An[1mn"),
            ("\u{202e}nnA\u{200b}", "nnA"),
            ("\u{fffd}\u{3000}x", "\u{fffd}\u{3000}x"),
            ("\u{200b}\u{3000}\0", ""),
            (&format!("a{}", "\u{301}".repeat(9)), "a\u{301}\u{301}\u{301}\u{301}"),
            (&"n".repeat(NAME_MAX + 1), &"n".repeat(NAME_MAX)),
        ] {
            assert_eq!(shown(text), name, "{text:?}");
        }
    }

    #[test]
    fn unseen_characters_are_in_no_name() {
        let unseen = [
            // Zero width, joiners between letters, soft hyphens.
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{2060}',
            '\u{feff}',
            '\u{ad}',
            '\u{34f}',
            // Fillers and blanks.
            '\u{3164}',
            '\u{115f}',
            '\u{1160}',
            '\u{ffa0}',
            '\u{2800}',
            '\u{17b4}',
            '\u{180e}',
            '\u{1d159}',
            // Line and paragraph separators.
            '\u{2028}',
            '\u{2029}',
            // Characters that change the direction of text.
            '\u{61c}',
            '\u{200e}',
            '\u{200f}',
            '\u{202a}',
            '\u{202e}',
            '\u{2066}',
            '\u{2069}',
            // Annotations, tags, variation selectors after a character without variants.
            '\u{fff9}',
            // Private use, unassigned, noncharacters.
            '\u{e000}',
            '\u{10fffd}',
            '\u{378}',
            '\u{fffe}',
            '\u{e0041}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{e0100}',
        ];
        for letter in unseen {
            for text in [format!("a{letter}b"), format!("{letter}a"), format!("a{letter}"), letter.to_string()] {
                // Some of these count as space, and space at the ends is removed.
                let refused = checked(&text);
                let trimmed = letter.is_whitespace() && !text.trim().contains(letter);
                assert!(trimmed || refused == Err(BadName::Unseen(letter)), "{:?} in {text:?}: {refused:?}", letter);
            }
        }
        assert_eq!(BadName::Unseen('\u{ad}').to_string(), "has only characters that can be seen; leave out U+00AD");
    }

    #[test]
    fn name_has_no_control_characters() {
        for text in ["#7", "#0", " #123 "] {
            assert_eq!(checked(text), Err(BadName::Number), "{text:?}");
        }
        for text in ["#", "#7a", "7", "##7", "a\u{301}\u{302}\u{303}\u{304}"] {
            assert_eq!(checked(text).as_deref(), Ok(text), "{text:?}");
        }
        for marks in [5, 99] {
            assert_eq!(checked(&format!("a{}", "\u{301}".repeat(marks))), Err(BadName::Marks));
        }
    }

    #[test]
    fn marks_alone_are_no_name() {
        for text in ["\u{301}", "\u{301} \u{308}", "\u{20e3}"] {
            assert_eq!(checked(text), Err(BadName::Blank), "{text:?}");
        }
    }

    #[test]
    fn lookalikes_differ_by_case_or_unseen_marks() {
        for (one, other) in [
            ("MyServer", "myserver"),
            ("MyServer", "МуSеrvеr"),
            ("MYSERVER", "МуSеrvеr"),
            ("ПИВО", "пиво"),
            ("Straße", "STRAßE"),
            ("Sky", "𝐒𝐤𝐲"),
            ("sky", "𝐒𝐊𝐘"),
            ("Sky", "S\u{200b}ky"),
            ("Sky", "Sky\u{3164}"),
            ("Sky", "Sky\u{2800}"),
            ("❤", "❤️"),
            ("Sky Two", "Sky  Two"),
            ("Sky Two", "Sky\u{a0}Two"),
            ("Room l", "Room 1"),
            ("é", "e\u{301}"),
        ] {
            assert!(look_alike(one, other) && look_alike(other, one), "{one} {other}");
        }
        for (one, other) in
            [("Sky", "Skyline"), ("Sky", "Sly"), ("Cafe", "Café"), ("Room 1", "Room 2"), ("a b", "ab"), ("🚂", "🚃")]
        {
            assert!(!look_alike(one, other), "{one} {other}");
        }
    }
}

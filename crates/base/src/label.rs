//! Labels: words by which an owner puts servers together.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::name;

/// Maximum length of a label, in characters.
pub const LABEL_MAX: usize = 32;

/// Label of a server: 1 to 32 letters and digits in lower case, and `-`, `_`, `.` between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

/// Error: a text is no label. The words follow the name of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("has 1 to {LABEL_MAX} letters, digits, '-', '_' or '.', beginning with a letter or digit")]
pub struct InvalidLabel;

impl Label {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a label as the store has it.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a label. Case does not matter, nor does space around it.
impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        // The rule for names refuses letters that nobody can see.
        let label = name::checked(text).map_err(|_| InvalidLabel)?.to_lowercase();
        let begins = label.chars().next().is_some_and(char::is_alphanumeric);
        let fits = label.chars().all(|letter| letter.is_alphanumeric() || "-_.".contains(letter));
        if begins && fits && label.chars().count() <= LABEL_MAX { Ok(Self(label)) } else { Err(InvalidLabel) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_has_one_form() {
        for (typed, read) in
            [("Friday", "friday"), (" a.b_c-1 ", "a.b_c-1"), ("МОСТ", "мост"), ("7", "7"), ("Straße", "straße")]
        {
            assert_eq!(typed.parse(), Ok(Label(read.to_owned())), "{typed}");
        }
    }

    #[test]
    fn label_without_a_seen_form_is_refused() {
        let long = "x".repeat(LABEL_MAX + 1);
        for wrong in ["", " ", "a b", "a,b", "a:b", "#7", "-a", "_", "a\0", "a\u{200b}", "\u{3164}", "💥", &long] {
            assert_eq!(wrong.parse::<Label>(), Err(InvalidLabel), "{wrong:?}");
        }
        assert!("x".repeat(LABEL_MAX).parse::<Label>().is_ok());
    }
}

//! Labels: words by which an owner puts servers together. Pure.

use std::{collections::BTreeSet, fmt, str::FromStr};

use agis_base::name;
use thiserror::Error;

use crate::service::{ServersError, invalid};

/// Maximum number of labels of a server.
pub const LABELS_MAX: usize = 10;

/// Maximum length of a label, in characters.
pub const LENGTH_MAX: usize = 32;

/// Label of a server: 1 to 32 letters and digits in lower case, and `-`, `_`, `.` between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

/// Error: a text is no label. The words follow the name of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("has 1 to {LENGTH_MAX} letters, digits, '-', '_' or '.', beginning with a letter or digit")]
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
        if begins && fits && label.chars().count() <= LENGTH_MAX { Ok(Self(label)) } else { Err(InvalidLabel) }
    }
}

/// Reads the labels of a server, each once, in order.
///
/// # Errors
/// Fails if a text is no label, or if there are too many.
pub fn read(texts: &[String]) -> Result<Vec<Label>, ServersError> {
    if texts.len() > LABELS_MAX {
        return Err(invalid("labels", format!("has at most {LABELS_MAX} labels")));
    }
    let labels: Result<BTreeSet<Label>, _> = texts.iter().map(|text| text.parse()).collect();
    labels.map(|labels| labels.into_iter().collect()).map_err(|error| invalid("labels", format!("each {error}")))
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
        let long = "x".repeat(LENGTH_MAX + 1);
        for wrong in ["", " ", "a b", "a,b", "a:b", "#7", "-a", "_", "a\0", "a\u{200b}", "\u{3164}", "💥", &long] {
            assert_eq!(wrong.parse::<Label>(), Err(InvalidLabel), "{wrong:?}");
        }
        assert!("x".repeat(LENGTH_MAX).parse::<Label>().is_ok());
    }

    #[test]
    fn labels_are_read_once_each_and_in_order() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let labels = read(&texts(&["b", "a", "B"])).expect("labels");
        assert_eq!(labels.iter().map(Label::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert!(read(&texts(&["a b"])).is_err_and(|error| error.to_string().starts_with("labels: each has 1 to 32")));
        assert!(read(&vec!["a".to_owned(); LABELS_MAX + 1]).is_err());
    }
}

//! Patterns for texts that people choose.

use regex_lite::{Regex, RegexBuilder};

/// Maximum length of a pattern, in bytes.
const PATTERN_MAX: usize = 200;
/// Maximum size of a compiled pattern, in bytes.
const SIZE_MAX: usize = 64 * 1024;

/// Pattern that a whole text matches. It takes time in proportion to the text, whatever the pattern is.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Reads a regular expression. It applies to the whole text, as if it stood between `^` and `$`.
    ///
    /// # Errors
    /// Returns the reason why it cannot be used, for people.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.len() > PATTERN_MAX {
            return Err(format!("must have at most {PATTERN_MAX} bytes"));
        }
        // Alone, so that no parenthesis closes the group below.
        Regex::new(text).map_err(|error| format!("is no regular expression: {error}"))?;
        let regex = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(SIZE_MAX).build();
        let regex = regex.map_err(|error| format!("is no regular expression: {error}"))?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// Checks whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Returns the first group of a text that matches as a whole; `None` if it does not, or has none.
    pub fn group<'a>(&self, text: &'a str) -> Option<&'a str> {
        Some(self.regex.captures(text)?.get(1)?.as_str())
    }

    /// Returns the second group of a text that matches as a whole; `None` if it does not, or has none.
    pub fn second_group<'a>(&self, text: &'a str) -> Option<&'a str> {
        Some(self.regex.captures(text)?.get(2)?.as_str())
    }

    /// Checks whether a match has a group.
    pub fn has_group(&self) -> bool {
        self.regex.captures_len() > 1
    }

    /// Returns the regular expression.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

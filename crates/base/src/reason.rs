use std::{fmt, ops::Deref};

/// The longest reason, in characters.
pub const REASON_MAX: usize = 2000;

/// A text from outside that is kept and shown to people: how a game ended, what an engine, a cluster or Discord complained
/// of.
///
/// Whoever wrote it may have written anything: a console ends with NUL bytes, an API answers with a page. Here, and
/// nowhere else, it becomes a text that the database can hold: U+FFFD stands for NUL, which PostgreSQL takes in no text,
/// and what is longer than [`REASON_MAX`] is cut. What is no UTF-8 is replaced where bytes become text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reason(String);

impl Reason {
    /// The reason that this text gives.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.contains('\0') {
            text = text.replace('\0', "\u{fffd}");
        }
        if text.len() > REASON_MAX
            && let Some((end, _)) = text.char_indices().nth(REASON_MAX - 1)
            && text[end..].chars().nth(1).is_some()
        {
            text.truncate(end);
            text.push('…');
        }
        Self(text)
    }
}

impl<T: Into<String>> From<T> for Reason {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

impl Deref for Reason {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_no_nul_and_a_bounded_length() {
        for (text, reason) in [
            ("exited with status 1".to_owned(), "exited with status 1".to_owned()),
            ("bad\0 config\0".to_owned(), "bad\u{fffd} config\u{fffd}".to_owned()),
            ("\u{1b}[31mred\r\n".to_owned(), "\u{1b}[31mred\r\n".to_owned()),
            ("é".repeat(REASON_MAX), "é".repeat(REASON_MAX)),
            ("é".repeat(REASON_MAX + 1), "é".repeat(REASON_MAX - 1) + "…"),
            ("\0".repeat(9999), "\u{fffd}".repeat(REASON_MAX - 1) + "…"),
            (String::new(), String::new()),
        ] {
            assert_eq!(&*Reason::new(text), reason);
        }
    }
}

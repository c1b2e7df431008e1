use std::{fmt, ops::Deref};

/// Maximum length of a reason, in characters.
pub const REASON_MAX: usize = 2000;

/// Text from outside that is kept and shown to people: how a game ended, or a complaint of an engine, a cluster or
/// Discord.
///
/// The text may hold anything: a console ends with NUL bytes, an API answers with a page. This type alone makes it
/// storable: U+FFFD replaces NUL, which PostgreSQL accepts in no text, and text longer than [`REASON_MAX`] is cut.
/// Bytes that are not UTF-8 are replaced where bytes become text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reason(String);

impl Reason {
    /// Makes a reason of this text.
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

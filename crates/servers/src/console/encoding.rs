//! Encodings in which games write: UTF-8, and the UTF-16 of programs for Windows. Each line has its own, since a start
//! script and its game may differ.

/// Encoding of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Encoding {
    #[default]
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    /// Recognizes the encoding of a line from its bytes up to the byte of its line feed, or of the part that is there.
    /// `next` is the byte after that. A line that proves nothing has the encoding of the line `before`.
    pub(super) fn of(line: &[u8], next: Option<u8>, before: Self) -> Self {
        if line.is_empty() && before == Self::Utf16Le && next == Some(0) {
            return before;
        }
        if !line.iter().any(|byte| is_high(*byte)) && is_utf8(line) {
            return Self::Utf8;
        }
        let units = line.len() / 2;
        let high = |place| line.chunks_exact(2).filter(|unit| is_high(unit[place])).count();
        let (first, second) = (high(0), high(1));
        match line {
            [0xff, 0xfe, ..] => Self::Utf16Le,
            [0xfe, 0xff, ..] => Self::Utf16Be,
            _ if second > first && 2 * second > units => Self::Utf16Le,
            _ if first > second && 2 * first > units => Self::Utf16Be,
            [.., b'\r', 0] if line.len().is_multiple_of(2) => Self::Utf16Le,
            [.., 0, b'\r', 0] => Self::Utf16Be,
            // Mere UTF-16 of an alphabet was recognized above, and half of the bytes of other scripts look like letters.
            _ if 4 * line.iter().filter(|byte| byte.is_ascii_graphic()).count() > 3 * line.len() => Self::Utf8,
            _ => before,
        }
    }

    /// Checks whether the byte of a line feed after `line` is a line feed. In UTF-16 it may be half of a character.
    pub(super) fn ends(self, line: &[u8], next: Option<u8>) -> bool {
        let is_even = line.len().is_multiple_of(2);
        match self {
            Self::Utf8 => true,
            Self::Utf16Le if is_even => matches!(next, Some(0) | None),
            // A stream in text mode adds a single byte for the carriage return, and UTF-8 may have zeros at its end.
            // Neither is half of a character.
            Self::Utf16Le => line.ends_with(b"\r") || line.ends_with(&[0]),
            Self::Utf16Be => !is_even && line.ends_with(&[0]),
        }
    }

    /// Returns the part of the bytes that ends with a whole character.
    pub(super) fn whole(self, bytes: &[u8]) -> &[u8] {
        let is_cut = |tail: &[u8]| match std::str::from_utf8(tail) {
            Err(error) => error.error_len().is_none() && error.valid_up_to() == 0,
            Ok(_) => false,
        };
        let is_first_half = |unit: &[u8]| matches!(self.units(unit).next(), Some(0xd800..=0xdbff));
        let length = bytes.len();
        let cut = match self {
            Self::Utf8 => (1..=length.min(3)).find(|cut| is_cut(&bytes[length - cut..])).unwrap_or(0),
            Self::Utf16Le | Self::Utf16Be => {
                let odd = length % 2;
                let last = &bytes[(length - odd).saturating_sub(2)..length - odd];
                if is_first_half(last) { odd + 2 } else { odd }
            }
        };
        &bytes[..length - cut]
    }

    /// Decodes bytes; U+FFFD replaces what has no meaning.
    pub(super) fn decode(self, bytes: &[u8]) -> String {
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Self::Utf16Le | Self::Utf16Be => char::decode_utf16(self.units(bytes))
                .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
        }
    }

    fn units(self, bytes: &[u8]) -> impl Iterator<Item = u16> {
        let read = if self == Self::Utf16Be { u16::from_be_bytes } else { u16::from_le_bytes };
        bytes.chunks_exact(2).map(move |unit| read([unit[0], unit[1]]))
    }
}

/// Checks whether the byte is the high half of letters of an alphabet in UTF-16. Text in UTF-8 has such control
/// characters rarely, and never in every second place.
fn is_high(byte: u8) -> bool {
    matches!(byte, 0..=6 | 0x0e..=0x1a | 0x1c..=0x1f)
}

/// Checks whether the bytes are UTF-8, or a beginning of it.
fn is_utf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
}

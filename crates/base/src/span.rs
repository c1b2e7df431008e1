//! Lengths of time as people write them: `90s`, `10m`, `1h 30m`.

use std::{
    fmt,
    ops::{Add, Sub},
    str::FromStr,
    time::Duration,
};

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

/// Longest text that is read.
const TEXT_MAX: usize = 40;

/// Length of time in whole seconds, written by jiff's "friendly" format or ISO 8601.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u32);

/// Error: a text is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be a time in whole seconds, such as `90s`, `10m` or `2h`")]
pub struct InvalidSpan;

impl Span {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// Creates a span of so many seconds.
    pub const fn of_seconds(seconds: u32) -> Self {
        Self(seconds)
    }

    /// Creates a span of so many minutes.
    pub const fn of_minutes(minutes: u32) -> Self {
        Self(minutes.saturating_mul(60))
    }

    /// Returns the length.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

/// Two times are at most 136 years together.
impl Add for Span {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// A time less a longer one is none.
impl Sub for Span {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        if text.len() > TEXT_MAX {
            return Err(InvalidSpan);
        }
        let span: SignedDuration = text.trim().parse().map_err(|_| InvalidSpan)?;
        if span.subsec_nanos() != 0 {
            return Err(InvalidSpan);
        }
        u32::try_from(span.as_secs()).map(Self).map_err(|_| InvalidSpan)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", SignedDuration::from_secs(self.0.into()))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        for (text, seconds, written) in [
            ("90s", 90, "1m 30s"),
            ("10m", 600, "10m"),
            (" 2h ", 7200, "2h"),
            ("1h 30m", 5400, "1h 30m"),
            ("PT5M", 300, "5m"),
        ] {
            let span: Span = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((span.duration().as_secs(), span.to_string().as_str()), (seconds, written), "{text}");
        }
        for text in ["", "10", "m", "-5m", "1.5s", "10 bananas", "5000000000s", "1m\0", &"1s ".repeat(100)] {
            assert_eq!(text.parse::<Span>(), Err(InvalidSpan), "{text}");
        }
    }
}

//! Time as Discord writes it.

use chrono::{DateTime, SecondsFormat, Utc};

/// Milliseconds between 1970 and the first second of 2015, from which snowflakes count.
const EPOCH_MS: i64 = 1_420_070_400_000;

/// `2026-01-01T00:00:00.000000+00:00`: clients know no `Z`.
pub(crate) fn iso(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, false)
}

/// An id of this moment; `count` tells those of one millisecond apart.
pub(crate) fn snowflake(count: u64) -> u64 {
    let since = Utc::now().timestamp_millis().saturating_sub(EPOCH_MS);
    (u64::try_from(since).unwrap_or_default() << 22) | (count & 0x003f_ffff)
}

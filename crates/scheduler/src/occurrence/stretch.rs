//! Real time cut into stretches over which a zone's clock runs evenly.

use chrono::{DateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

pub(super) const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Instants from `start` to before `end`, in seconds since 1970 UTC, with one offset; a day at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) start: i64,
    pub(super) end: i64,
    offset: i64,
}

impl Stretch {
    pub(super) fn from(zone: Tz, start: i64) -> Self {
        let offset = offset_at(zone, start);
        let (mut same, mut end) = (start, start + DAY_SECONDS);
        if offset_at(zone, end) != offset {
            while end - same > 1 {
                let middle = same + (end - same) / 2;
                if offset_at(zone, middle) == offset { same = middle } else { end = middle }
            }
        }
        Self { start, end, offset }
    }

    /// The instant at which this stretch's clock shows a local minute, be it within the stretch or not.
    pub(super) fn instant(&self, minute: i64) -> i64 {
        minute * 60 - self.offset
    }

    /// The first local minute that begins at or after `instant`. Offsets of old had seconds, hence the rounding.
    pub(super) fn first_minute_at(&self, instant: i64) -> i64 {
        (instant + self.offset + 59).div_euclid(60)
    }

    /// The first local minute that begins in the stretch.
    pub(super) fn first_minute(&self) -> i64 {
        self.first_minute_at(self.start)
    }

    /// The first local minute that begins too late for the stretch.
    pub(super) fn minutes_end(&self) -> i64 {
        self.first_minute_at(self.end)
    }
}

/// Seconds east of Greenwich. Beyond chrono's calendar the offset of its first or last instant goes on.
fn offset_at(zone: Tz, instant: i64) -> i64 {
    let known = instant.clamp(DateTime::<Utc>::MIN_UTC.timestamp(), DateTime::<Utc>::MAX_UTC.timestamp());
    let utc = DateTime::from_timestamp(known, 0).unwrap_or_default().naive_utc();
    i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
}

//! Real time cut into stretches over which a zone's clock runs evenly.

use crate::zone::Zone;

pub(super) const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Instants from `start` to before `end`, in seconds since 1970 UTC, with one offset; a day at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) start: i64,
    pub(super) end: i64,
    offset: i64,
}

impl Stretch {
    pub(super) fn from(zone: &Zone, start: i64) -> Self {
        let offset = zone.offset_at(start);
        let (mut same, mut end) = (start, start + DAY_SECONDS);
        if zone.offset_at(end) != offset {
            while end - same > 1 {
                let middle = same + (end - same) / 2;
                if zone.offset_at(middle) == offset { same = middle } else { end = middle }
            }
        }
        Self { start, end, offset }
    }

    /// Returns the instant at which this stretch's clock shows a local minute, also outside the stretch.
    pub(super) fn instant(&self, minute: i64) -> i64 {
        minute * 60 - self.offset
    }

    /// Returns the first local minute that begins at or after `instant`. Historic offsets had seconds, hence the
    /// rounding.
    pub(super) fn first_minute_at(&self, instant: i64) -> i64 {
        (instant + self.offset + 59).div_euclid(60)
    }

    /// Returns the first local minute that begins in the stretch.
    pub(super) fn first_minute(&self) -> i64 {
        self.first_minute_at(self.start)
    }

    /// Returns the first local minute that begins too late for the stretch.
    pub(super) fn minutes_end(&self) -> i64 {
        self.first_minute_at(self.end)
    }
}

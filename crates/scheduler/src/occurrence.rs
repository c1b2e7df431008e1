//! Walks over the instants at which a cron expression is due in a time zone.

mod calendar;
mod stretch;

use std::iter::FusedIterator;

use chrono::{DateTime, NaiveDateTime, Utc};

use self::{
    calendar::{Calendar, DAY_MINUTES},
    stretch::{DAY_SECONDS, Stretch},
};
use crate::{cron::sets::FieldSets, zone::Zone};

/// Years to look ahead for a match. 29 February on a given weekday can be 40 years away (2100 has none).
const HORIZON_MINUTES: i64 = 50 * 366 * DAY_MINUTES;

/// Firing of an expression: the instant, and its wall-clock times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Instant at which the firing is due.
    pub at: DateTime<Utc>,
    /// Matching local times, oldest first. Usually one; several if times that the clock left out meet at the end of the
    /// gap.
    pub local: Vec<NaiveDateTime>,
}

/// The firings of a [`CronExpression`](crate::CronExpression) in a zone, oldest first, no instant twice.
///
/// An expression whose minute or hour field starts with `*` means real time. Each instant whose local time matches is
/// due: both passes of a repeated hour, and nothing where local times are left out.
///
/// Any other expression means times of the local day, each of them once:
/// - a time that the clock leaves out (spring) is due at the first instant after the gap,
/// - a time that it shows twice (autumn) is due on the first pass,
/// - when a day or more is left out (Apia has no 30 December 2011), its times are dropped: that day never was.
///
/// The iterator ends when nothing matches in the next 50 years, or at the end of chrono's calendar. It relies on a
/// zone not changing its offset twice within a day; since 1970 the closest two changes were a week apart.
#[derive(Debug, Clone)]
pub struct Occurrences {
    calendar: Calendar,
    every_instant: bool,
    zone: Zone,
    stretch: Stretch,
    /// Earliest local minute (counted from 1970-01-01 00:00 local) that is not handled.
    next: i64,
    /// Last local minute to look at. Each firing moves it on.
    horizon: i64,
}

impl Occurrences {
    pub(crate) fn new(sets: FieldSets, zone: &Zone, after: DateTime<Utc>) -> Self {
        let after = after.timestamp();
        // Begins two days back: `after` may lie in the second pass of local times that were due in the first.
        let stretch = Stretch::from(zone, after - 2 * DAY_SECONDS);
        let next = stretch.first_minute();
        let calendar = Calendar::new(sets);
        let mut walk =
            Self { calendar, every_instant: sets.every_instant, zone: zone.clone(), stretch, next, horizon: next };
        while walk.stretch.end <= after {
            walk.enter_following();
        }
        walk.next = walk.next.max(walk.stretch.first_minute_at(after + 1));
        walk.horizon = walk.next + HORIZON_MINUTES;
        walk
    }

    /// Moves to the next stretch and returns the slots that the clock left out in between.
    fn enter_following(&mut self) -> Vec<i64> {
        let expected = self.next.max(self.stretch.minutes_end());
        self.stretch = Stretch::from(&self.zone, self.stretch.end);
        let shown = self.stretch.first_minute();
        if self.every_instant || shown - expected >= DAY_MINUTES {
            self.next = shown;
            return Vec::new();
        }
        self.next = expected.max(shown);
        self.calendar.matches(expected, shown)
    }

    /// Leaves the stretch and skips days without a match in one leap. `None`: nothing matches before the horizon.
    fn advance(&mut self) -> Option<Vec<i64>> {
        // The clock may be set back by up to a day, so the last day counts as still to come.
        let nearest = self.calendar.first_from(self.next - DAY_MINUTES, self.horizon)?;
        // Lands three days early: the walk then knows what the clock showed before the match.
        let landing = self.stretch.instant(nearest) - 3 * DAY_SECONDS;
        if landing <= self.stretch.end {
            return Some(self.enter_following());
        }
        self.stretch = Stretch::from(&self.zone, landing);
        self.next = self.stretch.first_minute();
        Some(Vec::new())
    }

    /// Builds the firing at which left-out slots meet, together with the regular one of that instant.
    fn after_gap(&mut self, mut minutes: Vec<i64>) -> Option<Slot> {
        let regular = self.calendar.first_from(self.next, self.next);
        if let Some(minute) = regular.filter(|minute| self.stretch.instant(*minute) == self.stretch.start) {
            minutes.push(minute);
            self.next = minute + 1;
        }
        self.fire(self.stretch.start, &minutes)
    }

    fn fire(&mut self, at: i64, minutes: &[i64]) -> Option<Slot> {
        self.horizon = self.next + HORIZON_MINUTES;
        let local = minutes.iter().map(|minute| Some(DateTime::from_timestamp(minute * 60, 0)?.naive_utc()));
        Some(Slot { at: DateTime::from_timestamp(at, 0)?, local: local.collect::<Option<_>>()? })
    }
}

impl Iterator for Occurrences {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        loop {
            let minute = self.calendar.first_from(self.next, self.horizon)?;
            let at = self.stretch.instant(minute);
            if at < self.stretch.end {
                self.next = minute + 1;
                return self.fire(at, &[minute]);
            }
            let left_out = self.advance()?;
            if !left_out.is_empty() {
                return self.after_gap(left_out);
            }
        }
    }
}

impl FusedIterator for Occurrences {}

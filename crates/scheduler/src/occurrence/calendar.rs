//! The matching minutes of the local calendar, without regard to zones.

use chrono::{Datelike, NaiveDate};

use crate::cron::sets::FieldSets;

pub(super) const DAY_MINUTES: i64 = 24 * 60;

/// Finds local minutes that match, counted from 1970-01-01 00:00 local, by mask: months and days are skipped whole.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    sets: FieldSets,
    /// Month of the last lookup; a walk asks for the same month again and again.
    month: Month,
}

/// Days are counted from 1970-01-01.
#[derive(Debug, Clone, Copy, Default)]
struct Month {
    first: i64,
    length: i64,
    /// Bit 0 is the 1st.
    matching: u32,
}

impl Calendar {
    pub(super) fn new(sets: FieldSets) -> Self {
        Self { sets, month: Month::default() }
    }

    /// Returns the first matching minute from `minute` to `last`, both included.
    pub(super) fn first_from(&mut self, minute: i64, last: i64) -> Option<i64> {
        let (day, time) = (minute.div_euclid(DAY_MINUTES), minute.rem_euclid(DAY_MINUTES));
        let last_day = last.div_euclid(DAY_MINUTES);
        let mut found = self.day_from(day, last_day)?;
        let mut time = if found == day { self.sets.time_from(time) } else { self.sets.time_from(0) };
        if time.is_none() {
            found = self.day_from(day + 1, last_day)?;
            time = self.sets.time_from(0);
        }
        time.map(|time| found * DAY_MINUTES + time).filter(|minute| *minute <= last)
    }

    /// Returns all matching minutes from `minute` to before `end`.
    pub(super) fn matches(&mut self, minute: i64, end: i64) -> Vec<i64> {
        let mut next = minute;
        std::iter::from_fn(|| {
            let found = self.first_from(next, end - 1)?;
            next = found + 1;
            Some(found)
        })
        .collect()
    }

    /// Returns the first matching day from `day`. Skips months that begin after `last`.
    fn day_from(&mut self, mut day: i64, last: i64) -> Option<i64> {
        while day <= last {
            if !(self.month.first..self.month.first + self.month.length).contains(&day) {
                self.month = self.sets.month_of(day)?;
            }
            let rest = self.month.matching >> (day - self.month.first);
            if rest != 0 {
                return Some(day + i64::from(rest.trailing_zeros()));
            }
            day = self.month.first + self.month.length;
        }
        None
    }
}

impl FieldSets {
    /// Returns the first matching minute of the day at or after `time`.
    fn time_from(&self, time: i64) -> Option<i64> {
        let (hour, minute) = (time / 60, time % 60);
        let this_hour = if self.hours >> hour & 1 == 1 { self.minutes >> minute } else { 0 };
        if this_hour != 0 {
            return Some(time + i64::from(this_hour.trailing_zeros()));
        }
        let later_hours = self.hours >> hour & !1;
        (later_hours != 0)
            .then(|| (hour + i64::from(later_hours.trailing_zeros())) * 60 + i64::from(self.minutes.trailing_zeros()))
    }

    /// Returns the month around `day` with its matching days; `None` beyond chrono's calendar.
    fn month_of(&self, day: i64) -> Option<Month> {
        let first = NaiveDate::from_epoch_days(i32::try_from(day).ok()?)?.with_day(1)?;
        let length = u32::from(first.num_days_in_month());
        let matching = if self.months >> first.month() & 1 == 1 { self.days_in_month(first) } else { 0 };
        let in_month = u32::MAX >> (u32::BITS - length);
        Some(Month { first: first.to_epoch_days().into(), length: length.into(), matching: matching & in_month })
    }

    fn days_in_month(&self, first: NaiveDate) -> u32 {
        let by_date = self.days_of_month >> 1;
        let weekday = first.weekday().num_days_from_sunday();
        let week = u32::from(self.weekdays) << 7 | u32::from(self.weekdays);
        let from_first = week >> weekday & 0x7f;
        let by_weekday = (0..5).fold(0, |days, week| days | from_first << (7 * week));
        if self.either_day { by_date | by_weekday } else { by_date & by_weekday }
    }
}

//! Cron expressions as crontab(5) describes them.
//!
//! The `cron` crate reads the sets of values; its dialect differs (seconds first, weekdays from 1, no OR of the day
//! fields), so each field is checked against crontab(5) and rewritten before it gets there.

#[cfg(test)]
mod advice;
mod error;
mod every;
mod field;
mod paste;
#[cfg(test)]
mod tests;
mod warnings;
mod words;

use std::{fmt, str::FromStr};

use ::cron::{Schedule, TimeUnitSpec};
use chrono::{DateTime, Utc};

pub use self::{error::CronError, every::Every, field::CronField, paste::Reading};
use crate::{occurrence::Occurrences, zone::Zone};

/// Five fields (minute, hour, day of month, month, day of week) or a shorthand such as `@daily`, as in crontab(5).
///
/// Implementations differ in places; this one follows cronie:
/// - A day matches when both day fields match; but when neither *starts with* `*`, one that matches is enough
///   (`*/2` starts with `*`).
/// - A step needs `*` or a range before it; `5/10` is refused.
/// - A step larger than its range leaves the first value, so `0 */24 * * *` is midnight.
///
/// Beyond crontab(5), shorthands may be typed in capitals, and a range of names may end on Sunday (`fri-sun`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronExpression {
    text: String,
    sets: FieldSets,
}

/// Bit n stands for value n. The weekdays' bit 0 is Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FieldSets {
    pub(crate) minutes: u64,
    pub(crate) hours: u32,
    pub(crate) days_of_month: u32,
    pub(crate) months: u16,
    pub(crate) weekdays: u8,
    /// A day matches if one of the two day fields matches.
    pub(crate) either_day: bool,
    /// The minute or hour field starts with `*`: the expression means real time, not times of the local day.
    pub(crate) every_instant: bool,
}

impl CronExpression {
    /// Maximum length of an accepted text, in characters, after runs of blanks are folded.
    pub const MAX_LENGTH: usize = 100;

    /// Returns the instants after `after` (exclusive) at which the expression is due in `zone`; see [`Occurrences`].
    ///
    /// An expression that never fires, such as `0 0 31 2 *`, gives an empty iterator.
    pub fn after(&self, zone: &Zone, after: DateTime<Utc>) -> Occurrences {
        Occurrences::new(self.sets, zone, after)
    }
}

/// The text as typed, with runs of blanks folded to one space.
impl fmt::Display for CronExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for CronExpression {
    type Err = CronError;

    fn from_str(typed: &str) -> Result<Self, CronError> {
        let typed: Vec<&str> = typed.split_whitespace().collect();
        if let Some(refusal) = paste::recognise(&typed) {
            return Err(refusal);
        }
        let text = typed.join(" ");
        let length = text.chars().count();
        if length > Self::MAX_LENGTH {
            return Err(CronError::TooLong { length });
        }
        let long_form = match text.strip_prefix('@') {
            Some(word) => expand(word)?,
            None => &text,
        };
        let fields: Vec<&str> = long_form.split(' ').filter(|field| !field.is_empty()).collect();
        let &[minute, hour, day_of_month, month, weekday] = fields.as_slice() else {
            return Err(CronError::FieldCount { found: fields.len() });
        };
        let sets = FieldSets::parse(minute, hour, day_of_month, month, weekday)?;
        Ok(Self { text, sets })
    }
}

impl FieldSets {
    fn parse(minute: &str, hour: &str, day_of_month: &str, month: &str, weekday: &str) -> Result<Self, CronError> {
        let translated = format!(
            "0 {} {} {} {} {}",
            CronField::Minute.translate(minute)?,
            CronField::Hour.translate(hour)?,
            CronField::DayOfMonth.translate(day_of_month)?,
            CronField::Month.translate(month)?,
            CronField::DayOfWeek.translate(weekday)?,
        );
        let schedule = Schedule::from_str(&translated)
            .expect("only numbers, ranges and steps that were checked against the field's limits are left");
        let starred = |field: &str| field.starts_with('*');
        Ok(Self {
            minutes: mask(schedule.minutes()),
            hours: mask(schedule.hours()) as u32,
            days_of_month: mask(schedule.days_of_month()) as u32,
            months: mask(schedule.months()) as u16,
            weekdays: (mask(schedule.days_of_week()) >> 1) as u8,
            either_day: !starred(day_of_month) && !starred(weekday),
            every_instant: starred(minute) || starred(hour),
        })
    }
}

fn mask(values: &impl TimeUnitSpec) -> u64 {
    values.iter().fold(0, |mask, value| mask | 1 << value)
}

/// Returns the five fields that crontab(5) gives for a shorthand.
fn expand(word: &str) -> Result<&'static str, CronError> {
    match word.to_ascii_lowercase().as_str() {
        "yearly" | "annually" => Ok("0 0 1 1 *"),
        "monthly" => Ok("0 0 1 * *"),
        "weekly" => Ok("0 0 * * 0"),
        "daily" | "midnight" => Ok("0 0 * * *"),
        "hourly" => Ok("0 * * * *"),
        _ => Err(CronError::UnknownShorthand),
    }
}

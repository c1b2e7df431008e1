use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};

use super::{
    error::{CronError, MAX_LENGTH},
    paste,
    sets::FieldSets,
};
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
    pub(super) text: String,
    pub(super) sets: FieldSets,
}

impl CronExpression {
    /// Maximum length of an accepted text, in characters, after runs of blanks are folded.
    pub const MAX_LENGTH: usize = MAX_LENGTH;

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

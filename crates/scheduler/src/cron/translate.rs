use std::ops::RangeInclusive;

use super::{error::CronError, field::CronField};

impl CronField {
    /// Checks the field against crontab(5) and rewrites it for the `cron` crate, whose grammar is wider.
    pub(super) fn translate(self, text: &str) -> Result<String, CronError> {
        let parts: Result<Vec<_>, _> = text.split(',').map(|part| self.translate_part(part)).collect();
        Ok(parts?.join(","))
    }

    fn translate_part(self, part: &str) -> Result<String, CronError> {
        if part == "?" {
            return Err(CronError::Any { field: self });
        }
        if is_other_dialect(part) {
            return Err(CronError::OtherDialect { field: self, part: part.to_owned() });
        }
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let width = step.map_or(Ok(1), |step| self.step(part, step))?;
        let span = self.span(part, range, width)?;
        let Some(step) = step else { return Ok(self.rewrite(span, 1)) };
        if range != "*" && !range.contains('-') {
            let (start, step) = (range.to_owned(), step.to_owned());
            return Err(CronError::StepWithoutRange { field: self, part: part.to_owned(), start, step });
        }
        Ok(self.rewrite(span, width))
    }

    /// Returns the first and last value that `*`, `a` or `a-b` names, before any step.
    fn span(self, part: &str, range: &str, step: u32) -> Result<RangeInclusive<u32>, CronError> {
        if range == "*" {
            return Ok(self.values());
        }
        let Some((from, to)) = range.split_once('-') else {
            let value = self.value(part, range)?;
            return Ok(value..=value);
        };
        let (first, mut last) = (self.value(part, from)?, self.value(part, to)?);
        // People write fri-sun. By name only: 5-0 is refused, as crontab(5) refuses it.
        if self == Self::DayOfWeek && first > last && to.eq_ignore_ascii_case("sun") {
            last = 7;
        }
        if first > last {
            let write = self.around(first, last, step);
            return Err(CronError::Backwards { field: self, range: part.to_owned(), write });
        }
        Ok(first..=last)
    }

    /// Returns the values from `first` over the end of the field to `last`.
    fn around(self, first: u32, last: u32, step: u32) -> String {
        let (size, lowest) = (self.turn().0, self.lowest());
        // Sunday is 7 and 0.
        let end = first + (last + size - first) % size;
        let value = |at: u32| (at - lowest) % size + lowest;
        if step > 1 {
            let values = (first..=end).step_by(step as usize).map(|at| value(at).to_string());
            return values.collect::<Vec<_>>().join(",");
        }
        let range = |first: u32, last: u32| if first == last { first.to_string() } else { format!("{first}-{last}") };
        let turn = lowest + size;
        if first >= turn {
            return range(value(first), value(end));
        }
        format!("{},{}", range(first, turn - 1), range(lowest, value(end)))
    }

    /// Reads a number or a name.
    pub(super) fn number(self, text: &str) -> Option<u32> {
        self.value(text, text).ok()
    }

    fn value(self, part: &str, text: &str) -> Result<u32, CronError> {
        if is_number(text) {
            let known = text.parse().ok().filter(|value| self.values().contains(value));
            return known.ok_or_else(|| CronError::OutOfRange { field: self, value: text.to_owned() });
        }
        let named = self.values().zip(self.names()).find(|(_, name)| name.eq_ignore_ascii_case(text));
        let (value, _) = named.ok_or_else(|| self.unreadable(part))?;
        Ok(value)
    }

    /// As in crontab(5) a step may be larger than its range (`0 */24 * * *`). Only the first value is left then.
    fn step(self, part: &str, text: &str) -> Result<u32, CronError> {
        if !is_number(text) {
            return Err(self.unreadable(part));
        }
        match text.parse().unwrap_or(u32::MAX) {
            0 => Err(CronError::ZeroStep { field: self, part: part.to_owned() }),
            step => Ok(step),
        }
    }

    /// The `cron` crate counts weekdays from 1 (Sunday) to 7 and requires a step smaller than its field.
    fn rewrite(self, span: RangeInclusive<u32>, step: u32) -> String {
        let (first, last) = span.into_inner();
        if self == Self::DayOfWeek {
            let days = (first..=last).step_by(step as usize).map(|day| (day % 7 + 1).to_string());
            return days.collect::<Vec<_>>().join(",");
        }
        if step > last - first { first.to_string() } else { format!("{first}-{last}/{step}") }
    }

    fn unreadable(self, part: &str) -> CronError {
        CronError::Unreadable { field: self, part: part.to_owned() }
    }
}

/// Parses digits only; `str::parse` takes a plus sign too.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Recognises `?` and `#` anywhere, `L` and `W` alone or beside numbers (`5L`, `LW`, `15W`, `L-3`), but not in names
/// (`jul`).
fn is_other_dialect(part: &str) -> bool {
    let letters: String = part.chars().filter(char::is_ascii_alphabetic).collect();
    part.contains(['?', '#']) || ["l", "w", "lw"].iter().any(|sign| letters.eq_ignore_ascii_case(sign))
}

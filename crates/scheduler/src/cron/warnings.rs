//! Warns of meanings that an author may not intend, as sentences to show beside the next runs.

use super::{
    expression::CronExpression,
    field::{CronField, all},
    sets::FieldSets,
};

/// Bits 1 to 31.
const ALL_DAYS_OF_MONTH: u32 = !1;

impl CronExpression {
    /// Returns a sentence for each meaning that the author may not intend.
    pub fn warnings(&self) -> Vec<String> {
        let fields = self.text.split(' ').zip(all()).filter(|_| !self.text.starts_with('@'));
        let steps = fields.flat_map(|(text, field)| text.split(',').filter_map(move |part| self.step(field, part)));
        steps.chain(self.sets.doubtful_days().map(str::to_owned)).collect()
    }

    /// Warns of a step that its field cuts short.
    fn step(&self, field: CronField, part: &str) -> Option<String> {
        let (range, step) = part.split_once('/')?;
        let step: u32 = step.parse().unwrap_or(u32::MAX);
        let (size, around) = field.turn();
        if range != "*" {
            let (first, last) = range.split_once('-')?;
            let (first, last) = (field.number(first)?, field.number(last)?);
            return (first + step > last && step > 1).then(|| {
                format!("In the {field} field, `{part}` takes only {first}: the step goes beyond the range.")
            });
        }
        let lowest = field.lowest();
        if step > size {
            let words = self.words();
            return Some(format!(
                "In the {field} field, `{part}` takes only {lowest}: a step starts anew with each {around}. So this runs \
                 {words}."
            ));
        }
        let uneven = !size.is_multiple_of(step) || (field == CronField::DayOfMonth && (2..size).contains(&step));
        uneven.then(|| {
            format!(
                "In the {field} field, `{part}` starts anew at {lowest} with each {around}, so the last step before that is \
                 shorter."
            )
        })
    }
}

impl FieldSets {
    fn restricts_both_days(&self) -> bool {
        self.days_of_month != ALL_DAYS_OF_MONTH && self.weekdays != 0x7f
    }

    fn doubtful_days(&self) -> Option<&'static str> {
        if self.either_day {
            return Some(
                "Both day fields are set, so this runs on every day that matches either of them: `0 0 13 * 5` runs on the \
                 13th and on every Friday, not only on Friday the 13th.",
            );
        }
        if self.fires_only_on_leap_days() {
            return Some("This runs only on 29 February, which most years do not have.");
        }
        if self.restricts_both_days() {
            return Some(
                "A day has to match both day fields, because one of them begins with `*`: `0 0 */2 * 1` runs on Mondays that \
                 are an odd day of the month.",
            );
        }
        (self.days_of_month >> 29 << 29 == self.days_of_month && self.months.count_ones() > 1)
            .then_some("Months that do not have such a day are left out: not every month has a 29th, a 30th or a 31st.")
    }

    fn fires_only_on_leap_days(&self) -> bool {
        let days = |month: u32| match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let months = (1..=12).filter(|month| self.months >> month & 1 == 1);
        let dates = months.flat_map(|month| (1..=days(month)).map(move |day| (month, day)));
        let matching: Vec<_> = dates.filter(|(_, day)| self.days_of_month >> day & 1 == 1).collect();
        matching == [(2, 29)]
    }
}

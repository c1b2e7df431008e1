//! Describes an expression in words, as a friend would. Libraries for this know other dialects: they combine the two
//! day fields where crontab(5) takes either. An expression without short words is described by its fields.

use super::{expression::CronExpression, field::CronField, sets::FieldSets};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Starts on Monday, as people count a week.
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A list of more times, days or months is too long for words.
const LIST_MAX: usize = 5;

impl CronExpression {
    /// Describes the timing in English: `every day at 08:00`, `every 15 minutes`, `Mondays and Fridays at 20:30`.
    pub fn words(&self) -> String {
        self.sets.words().unwrap_or_else(|| self.fields())
    }

    /// Lists the fields that restrict anything, by name.
    fn fields(&self) -> String {
        use CronField::{DayOfMonth, DayOfWeek, Hour, Minute, Month};
        let named = [Minute, Hour, DayOfMonth, Month, DayOfWeek].into_iter().zip(self.text.split(' '));
        let said: Vec<_> =
            named.filter(|(_, text)| *text != "*").map(|(field, text)| format!("{field} {text}")).collect();
        let either = if self.sets.either_day { " (either day)" } else { "" };
        format!("{}{either}", said.join(", "))
    }
}

/// The day part of an expression.
enum Days {
    Every,
    /// `Mondays`, `Monday to Friday`.
    Week(String),
    /// `the 1st of every month`.
    Month(String),
}

impl FieldSets {
    fn words(&self) -> Option<String> {
        let days = self.days()?;
        if let Some(often) = self.often() {
            return Some(match days {
                Days::Every => often,
                Days::Week(days) if days.contains(" to ") => format!("{often}, {days}"),
                Days::Week(days) | Days::Month(days) => format!("{often} on {days}"),
            });
        }
        let times = self.times()?;
        Some(match days {
            Days::Every => format!("every day at {times}"),
            Days::Week(days) => format!("{days} at {times}"),
            Days::Month(days) => format!("on {days} at {times}"),
        })
    }

    /// Describes a repetition within a day.
    fn often(&self) -> Option<String> {
        let (minutes, hours) = (values(self.minutes), values(self.hours.into()));
        let every = match (minutes.as_slice(), step(&minutes, 60)) {
            _ if minutes.len() == 60 => "every minute".to_owned(),
            (_, Some(step)) => format!("every {step} minutes"),
            ([minute], _) => return self.hourly(*minute, &hours),
            _ if hours.len() == 24 && minutes.len() <= LIST_MAX => {
                return Some(format!("every hour at minutes {}", list(minutes.iter())));
            }
            _ => return None,
        };
        if hours.len() == 24 {
            return Some(every);
        }
        let (first, last) = range(&hours)?;
        Some(format!("{every} from {} to {}", clock(first, 0), clock(last, *minutes.last()?)))
    }

    /// Describes a run every few hours. Listed hours are times of the day; a step of `*` is a rhythm.
    fn hourly(&self, minute: u32, hours: &[u32]) -> Option<String> {
        let at = if minute == 0 { String::new() } else { format!(" at minute {minute}") };
        if hours.len() == 24 {
            return Some(format!("every hour{at}"));
        }
        if let Some(step) = step(hours, 24).filter(|_| self.every_instant) {
            return Some(format!("every {step} hours{at}"));
        }
        let (first, last) = range(hours).filter(|_| hours.len() > LIST_MAX)?;
        Some(format!("every hour from {} to {}", clock(first, minute), clock(last, minute)))
    }

    /// Describes times of the day.
    fn times(&self) -> Option<String> {
        let (minutes, hours) = (values(self.minutes), values(self.hours.into()));
        let times: Vec<_> = hours.iter().flat_map(|hour| minutes.iter().map(|minute| clock(*hour, *minute))).collect();
        (times.len() <= LIST_MAX).then(|| list(times.iter()))
    }

    fn days(&self) -> Option<Days> {
        let days = values(self.days_of_month.into());
        // Sunday comes last.
        let week: Vec<u32> = values((u64::from(self.weekdays) >> 1 | u64::from(self.weekdays & 1) << 6) & 0x7f);
        let months = values(self.months.into());
        let in_months = if months.len() == 12 { None } else { Some(named(&months, 1, &MONTHS)?) };
        match (days.len() == 31, week.len() == 7) {
            (true, true) => Some(match in_months {
                None => Days::Every,
                Some(months) => Days::Month(format!("every day of {months}")),
            }),
            (true, false) => {
                let week = weekdays(&week)?;
                Some(Days::Week(in_months.map_or(week.clone(), |months| format!("{week} in {months}"))))
            }
            (false, true) => Some(Days::Month(days_of_month(&days, in_months.as_deref())?)),
            (false, false) => {
                let (month, week) = (days_of_month(&days, in_months.as_deref())?, weekdays(&week)?);
                let in_months = in_months.map(|months| format!(" in {months}")).unwrap_or_default();
                Some(Days::Month(if self.either_day {
                    format!("{month} and also on {week}{in_months}")
                } else {
                    format!("{week} if it is among {month}")
                }))
            }
        }
    }
}

fn values(mask: u64) -> Vec<u32> {
    (0..u64::BITS).filter(|bit| mask >> bit & 1 == 1).collect()
}

/// Returns `n` if the values are all multiples of `n` below `end`, from 0.
fn step(values: &[u32], end: u32) -> Option<u32> {
    let &[0, step, ..] = values else { return None };
    let even = end.is_multiple_of(step) && values.len() as u32 == end / step;
    (even && values.iter().zip(0..).all(|(value, place)| *value == place * step)).then_some(step)
}

/// Returns the first and last value if there is no gap between them.
fn range(values: &[u32]) -> Option<(u32, u32)> {
    let (first, last) = (*values.first()?, *values.last()?);
    (last - first + 1 == values.len() as u32).then_some((first, last))
}

fn weekdays(week: &[u32]) -> Option<String> {
    if week.len() > 2 && range(week).is_some() {
        return named(week, 0, &DAYS);
    }
    let days: Vec<_> = week.iter().filter_map(|day| DAYS.get(*day as usize)).map(|day| format!("{day}s")).collect();
    Some(list(days.iter()))
}

fn days_of_month(days: &[u32], months: Option<&str>) -> Option<String> {
    let of = months.unwrap_or("every month");
    match range(days) {
        Some((first, last)) if days.len() > 2 => Some(format!("the {} to {} of {of}", nth(first), nth(last))),
        _ if days.len() <= LIST_MAX => Some(format!("the {} of {of}", list(days.iter().map(|day| nth(*day))))),
        _ => None,
    }
}

/// `June`, `June and July`, `June to September`.
fn named(values: &[u32], lowest: u32, names: &[&str]) -> Option<String> {
    let name = |value: u32| names.get((value - lowest) as usize).copied();
    match range(values) {
        Some((first, last)) if values.len() > 2 => Some(format!("{} to {}", name(first)?, name(last)?)),
        _ if values.len() <= LIST_MAX => Some(list(values.iter().filter_map(|value| name(*value)))),
        _ => None,
    }
}

fn list(items: impl Iterator<Item = impl ToString>) -> String {
    let mut items: Vec<_> = items.map(|item| item.to_string()).collect();
    match (items.pop(), items.is_empty()) {
        (Some(last), false) => format!("{} and {last}", items.join(", ")),
        (last, _) => last.unwrap_or_default(),
    }
}

fn clock(hour: u32, minute: u32) -> String {
    format!("{hour:02}:{minute:02}")
}

fn nth(day: u32) -> String {
    let ending = match (day % 10, day) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{day}{ending}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> String {
        text.parse::<CronExpression>().expect("an expression").words()
    }

    #[test]
    fn expressions_are_told_as_people_would() {
        let table = [
            ("* * * * *", "every minute"),
            ("*/15 * * * *", "every 15 minutes"),
            ("*/7 * * * *", "minute */7"),
            ("0 * * * *", "every hour"),
            ("@hourly", "every hour"),
            ("15 * * * *", "every hour at minute 15"),
            ("5,35 * * * *", "every hour at minutes 5 and 35"),
            ("0 */6 * * *", "every 6 hours"),
            ("30 */2 * * *", "every 2 hours at minute 30"),
            ("0 */5 * * *", "every day at 00:00, 05:00, 10:00, 15:00 and 20:00"),
            ("0 0,6,12,18 * * *", "every day at 00:00, 06:00, 12:00 and 18:00"),
            ("0 8 * * *", "every day at 08:00"),
            ("@daily", "every day at 00:00"),
            ("0 8,20 * * *", "every day at 08:00 and 20:00"),
            ("0 8-18 * * *", "every hour from 08:00 to 18:00"),
            ("*/15 8-18 * * 1-5", "every 15 minutes from 08:00 to 18:45, Monday to Friday"),
            ("* 8 * * *", "every minute from 08:00 to 08:59"),
            ("30 20 * * 1,5", "Mondays and Fridays at 20:30"),
            ("0 8 * * mon-fri", "Monday to Friday at 08:00"),
            ("0 10 * * 6,7", "Saturdays and Sundays at 10:00"),
            ("0 10 * * fri-sun", "Friday to Sunday at 10:00"),
            ("0 0 * * 0", "Sundays at 00:00"),
            ("0 * * * 1", "every hour on Mondays"),
            ("0 4 1 * *", "on the 1st of every month at 04:00"),
            ("0 4 1,15 * *", "on the 1st and 15th of every month at 04:00"),
            ("0 4 1-7 * *", "on the 1st to 7th of every month at 04:00"),
            ("0 4 22,23,31 1 *", "on the 22nd, 23rd and 31st of January at 04:00"),
            ("@yearly", "on the 1st of January at 00:00"),
            ("0 8 * 6-8 *", "on every day of June to August at 08:00"),
            ("0 8 * 6 1", "Mondays in June at 08:00"),
            ("0 0 13 * 5", "on the 13th of every month and also on Fridays at 00:00"),
            ("0 0 13 6 5", "on the 13th of June and also on Fridays in June at 00:00"),
            ("0 0 */10 * 5", "on Fridays if it is among the 1st, 11th, 21st and 31st of every month at 00:00"),
            ("0 0 */2 * *", "minute 0, hour 0, day-of-month */2"),
            ("1-37 3,5 13 * 5", "minute 1-37, hour 3,5, day-of-month 13, day-of-week 5 (either day)"),
        ];
        for (text, said) in table {
            assert_eq!(words(text), said, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_expression_has_words(text in "(\\*|[0-9]|\\*/[1-9]|[0-3]-[4-9])( (\\*|[1-9]|\\*/[1-9]|1-[2-7])){4}") {
            if let Ok(cron) = text.parse::<CronExpression>() {
                let said = cron.words();
                prop_assert!(!said.is_empty() && !said.contains("  ") && !said.ends_with(' '), "{}: {}", text, said);
            }
        }
    }
}

//! Tests that advice keeps the meaning of the pasted text.

use proptest::prelude::*;

use super::{CronError, CronExpression, Every, Reading, sets::FieldSets};

/// Dialect of a scheduler with more than five fields.
#[derive(Clone, Copy, PartialEq)]
struct Dialect {
    seconds: bool,
    year: bool,
    /// The number of Sunday.
    sunday: u32,
    /// A day has to match both day fields.
    both: bool,
    /// At most one of the day fields may be given.
    one_day: bool,
}

/// Quartz, Spring, robfig/cron with seconds, the `cron` crate, AWS EventBridge, Quartz with a year.
const DIALECTS: [Dialect; 6] = [
    Dialect { seconds: true, year: false, sunday: 1, both: true, one_day: true },
    Dialect { seconds: true, year: false, sunday: 0, both: true, one_day: false },
    Dialect { seconds: true, year: false, sunday: 0, both: false, one_day: false },
    Dialect { seconds: true, year: false, sunday: 1, both: true, one_day: false },
    Dialect { seconds: false, year: true, sunday: 1, both: true, one_day: true },
    Dialect { seconds: true, year: true, sunday: 1, both: true, one_day: true },
];

/// Meaning of a text for a scheduler: seconds, minutes, hours, months, and the days that match, by date and weekday.
#[derive(Debug, PartialEq)]
struct Meaning {
    seconds: u64,
    minutes: u64,
    hours: u64,
    months: u64,
    days: Vec<(u32, u32)>,
    years: bool,
}

impl Dialect {
    fn read(self, text: &str) -> Option<Meaning> {
        let mut fields: Vec<&str> = text.split(' ').collect();
        let year = if self.year { fields.pop()? } else { "*" };
        let second = if self.seconds { fields.remove(0) } else { "0" };
        let &[minute, hour, day, month, weekday] = fields.as_slice() else { return None };
        let (dates, weekdays) = (values(day, 1, 31)?, self.weekdays(weekday)?);
        // A scheduler that needs only one day field ignores a field for its star, not for its values.
        let starred = |field: &str| field.split(',').any(|part| matches!(part, "*" | "?"));
        let (any_date, any_weekday) =
            if self.both { (dates == values("*", 1, 31)?, weekdays == 0x7f) } else { (starred(day), starred(weekday)) };
        if self.one_day && !any_date && !any_weekday {
            return None;
        }
        let both = self.both || any_date || any_weekday;
        let matches = |(date, weekday): &(u32, u32)| {
            let (date, weekday) = (dates >> date & 1 == 1, weekdays >> weekday & 1 == 1);
            if both { date && weekday } else { date || weekday }
        };
        Some(Meaning {
            seconds: values(second, 0, 59)?,
            minutes: values(minute, 0, 59)?,
            hours: values(hour, 0, 23)?,
            months: values(month, 1, 12)?,
            days: all_days().filter(matches).collect(),
            years: matches!(year, "*" | "?") || values(year, 1970, 2199).map(|_| false)?,
        })
    }

    /// Bit 0 is Sunday.
    fn weekdays(self, text: &str) -> Option<u64> {
        let names = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
        let part = |part: &str| {
            if let Some(day) = names.iter().position(|name| *name == part) {
                return Some(1 << day);
            }
            match part {
                "MON-FRI" => Some(0b11_1110),
                "SUN-SAT" => Some(0x7f),
                _ => Some(values(part, self.sunday, self.sunday + 6)? >> self.sunday),
            }
        };
        text.split(',').try_fold(0, |all, text| Some(all | part(text)?))
    }
}

fn all_days() -> impl Iterator<Item = (u32, u32)> {
    (1..=31).flat_map(|date| (0..7).map(move |weekday| (date, weekday)))
}

/// Reads `*`, `?`, numbers, ranges, lists and steps, as every one of these schedulers takes them.
fn values(text: &str, low: u32, high: u32) -> Option<u64> {
    let mut all = 0;
    for part in text.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (first, last) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (low, high),
            Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
            None => (range.parse().ok()?, if step.is_some() { high } else { range.parse().ok()? }),
        };
        if first < low || last > high || first > last {
            return None;
        }
        let step: u32 = step.map_or(Some(1), |step| step.parse().ok())?;
        let years = if low == 1970 { 1970 } else { 0 };
        all =
            (first..=last).step_by(step.max(1) as usize).fold(all, |all, value| all | 1_u64 << ((value - years) % 64));
    }
    Some(all)
}

fn ours(text: &str) -> Meaning {
    let sets: FieldSets = text.parse::<CronExpression>().unwrap_or_else(|error| panic!("{text}: {error}")).sets;
    let matches = |(date, weekday): &(u32, u32)| {
        let (date, weekday) = (sets.days_of_month >> date & 1 == 1, sets.weekdays >> weekday & 1 == 1);
        if sets.either_day { date || weekday } else { date && weekday }
    };
    Meaning {
        seconds: 1,
        minutes: sets.minutes,
        hours: sets.hours.into(),
        months: sets.months.into(),
        days: all_days().filter(matches).collect(),
        years: true,
    }
}

/// Returns the expression that a refusal offers to a user of this scheduler.
fn offered(refusal: &CronError, dialect: Dialect) -> Option<&str> {
    let reading = match refusal {
        CronError::SixFields { seconds_first, .. } if dialect.seconds && !dialect.year => seconds_first.as_ref(),
        CronError::SixFields { year_last, .. } if dialect.year && !dialect.seconds => year_last.as_ref(),
        CronError::SevenFields { middle } if dialect.seconds && dialect.year => middle.as_ref(),
        CronError::BlankInList { write } | CronError::WordsAfter { write } | CronError::Quoted { write } => {
            return Some(write);
        }
        _ => None,
    };
    match reading? {
        Reading::Write(write) => Some(write),
        _ => None,
    }
}

fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    let value = low..=high;
    let part = prop_oneof![
        3 => value.clone().prop_map(|value| value.to_string()),
        1 => (value.clone(), value.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => Just(format!("{low}-{high}")),
        1 => (2..=high).prop_map(|step| format!("*/{step}")),
        1 => (value, 2..=high).prop_map(|(start, step)| format!("{start}/{step}")),
    ];
    list(part.boxed())
}

/// Generates `*`, a part, or two of them.
fn list(part: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> {
    let part_or_star = prop_oneof![1 => Just("*".to_owned()), 5 => part.clone()];
    prop_oneof![
        3 => Just("*".to_owned()),
        5 => part.clone(),
        2 => (part, part_or_star).prop_map(|(a, b)| format!("{a},{b}")),
    ]
}

fn day(low: u32, high: u32, names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let named =
        list(prop_oneof![4 => prop::sample::select(names).prop_map(str::to_owned), 1 => field(low, high)].boxed());
    prop_oneof![1 => Just("?".to_owned()), 3 => field(low, high), 2 => named]
}

fn many_fields() -> impl Strategy<Value = String> {
    let second = prop_oneof![4 => Just("0".to_owned()), 1 => field(0, 59)];
    let year = prop_oneof![2 => Just("*".to_owned()), 1 => Just("2027".to_owned()), 1 => Just("2027-2029".to_owned())];
    let five = (
        field(0, 59),
        field(0, 23),
        day(1, 31, &["*"]),
        field(1, 12),
        day(0, 7, &["MON", "SUN", "MON-FRI", "SUN-SAT"]),
    );
    (second, five, year, 0..3_u8).prop_map(|(second, (minute, hour, day, month, weekday), year, form)| {
        let five = format!("{minute} {hour} {day} {month} {weekday}");
        match form {
            0 => format!("{second} {five}"),
            1 => format!("{five} {year}"),
            _ => format!("{second} {five} {year}"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn advice_on_more_fields_keeps_the_meaning(text in many_fields()) {
        let refusal = text.parse::<CronExpression>().expect_err("more than five fields");
        for dialect in DIALECTS {
            let (Some(write), Some(meant)) = (offered(&refusal, dialect), dialect.read(&text)) else { continue };
            prop_assert_eq!(ours(write), meant, "{} -> {}", text, write);
        }
    }

    #[test]
    fn advice_on_a_field_keeps_the_meaning(
        (low, high, place) in prop::sample::select(vec![(0, 59, 0), (0, 23, 1), (1, 31, 2), (1, 12, 3), (0, 6, 4)]),
        first in 0..60_u32, last in 0..60_u32, step in 1..9_u32, form in 0..3_u8,
    ) {
        let (first, last) = (first % (high - low + 1) + low, last % (high - low + 1) + low);
        let item = match form {
            0 => format!("{first}-{last}"),
            1 => format!("{first}-{last}/{step}"),
            _ => format!("{first}/{step}"),
        };
        let with = |item: &str| {
            let mut fields = ["*"; 5];
            fields[place] = item;
            fields.join(" ")
        };
        let write = match with(&item).parse::<CronExpression>() {
            Err(CronError::Backwards { write, .. }) => write,
            Err(CronError::StepWithoutRange { field, .. }) if place != 4 => format!("{first}-{}/{step}", field.highest()),
            Err(CronError::StepWithoutRange { .. }) => return Ok(()),
            other => {
                prop_assert!(other.is_ok(), "{:?}", other);
                return Ok(());
            }
        };
        let size = high - low + 1;
        let end = match form {
            2 => high,
            _ => first + (last + size - first) % size,
        };
        let step = if form == 0 { 1 } else { step };
        let meant = (first..=end).step_by(step as usize).fold(0_u64, |all, at| all | 1 << ((at - low) % size + low));
        let sets = with(&write).parse::<CronExpression>().expect("an expression").sets;
        let got = [sets.minutes, sets.hours.into(), sets.days_of_month.into(), sets.months.into(), sets.weekdays.into()];
        prop_assert_eq!(got[place], meant, "{} -> {}", item, write);
    }

    #[test]
    fn extras_around_five_fields_are_named(
        text in (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6))
            .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
            .prop_filter("an expression", |text| text.parse::<CronExpression>().is_ok()),
        command in "/usr/bin/[a-z]{1,9}( -[a-z])?|root /bin/ls|curl https://example.org/\\?a=1|# nightly",
    ) {
        let zoned = format!("CRON_TZ=Europe/Berlin {text}").parse::<CronExpression>();
        prop_assert_eq!(zoned, Err(CronError::Zone { zone: "Europe/Berlin".into(), write: Some(text.clone()) }));
        let with_command = format!("{text} {command}").parse::<CronExpression>();
        prop_assert_eq!(with_command, Err(CronError::WordsAfter { write: text.clone() }));
        prop_assert_eq!(format!("\"{text}\"").parse::<CronExpression>(), Err(CronError::Quoted { write: text.clone() }));
        if text.contains([',', '-']) {
            let spaced = text.replace(',', ", ").replace('-', " - ");
            prop_assert_eq!(spaced.parse::<CronExpression>(), Err(CronError::BlankInList { write: text }));
        }
    }
}

#[test]
fn every_is_offered_as_what_runs_as_often() {
    for (duration, minutes) in [
        ("1m", 1),
        ("5m", 5),
        ("30m", 30),
        ("60m", 60),
        ("1h", 60),
        ("2h", 120),
        ("1h60m", 120),
        ("12h", 720),
        ("3600s", 60),
        ("0.5h", 30),
        ("5M", 5),
        ("5 minutes", 5),
        ("2 hours", 120),
        ("1 h 60 m", 120),
        ("hour", 60),
        ("90000ms 30s", 2),
        ("15m /usr/bin/backup 1h", 15),
    ] {
        let refusal = format!("@every {duration}").parse::<CronExpression>().expect_err(duration);
        let CronError::Every(Every::Write(write)) = refusal else { panic!("{duration}: {refusal}") };
        let cron: CronExpression = write.parse().expect("an expression");
        let utc = crate::Zone::named("UTC").expect("a zone");
        let runs: Vec<_> = cron.after(&utc, Default::default()).take(3000).map(|slot| slot.at).collect();
        assert!(runs.windows(2).all(|pair| (pair[1] - pair[0]).num_minutes() == minutes), "{duration}: {write}");
    }
}

#[test]
fn every_says_truly_why_it_is_not_offered() {
    let huge = "9".repeat(400) + "h";
    for (duration, told) in [
        ("24h", Every::Day),
        ("1d", Every::Day),
        ("day", Every::Day),
        ("1 day", Every::Day),
        ("168h", Every::Week),
        ("7d", Every::Week),
        ("1w", Every::Week),
        ("30s", Every::TooOften),
        ("500ms", Every::TooOften),
        ("10 seconds", Every::TooOften),
        ("0m", Every::TooOften),
        ("90s", Every::Seconds),
        ("1m30s", Every::Seconds),
        ("90m", Every::Uneven),
        ("1h30m", Every::Uneven),
        ("1.5h", Every::Uneven),
        ("7m", Every::Uneven),
        ("5h", Every::Uneven),
        ("25h", Every::Uneven),
        ("48h", Every::Uneven),
        ("2 days", Every::Uneven),
        ("99999999999h", Every::Uneven),
        (&huge, Every::Uneven),
        ("", Every::Unreadable),
        ("5", Every::Unreadable),
        ("-5m", Every::Unreadable),
        ("1x", Every::Unreadable),
        ("1.2.3h", Every::Unreadable),
        ("/usr/bin/backup", Every::Unreadable),
    ] {
        let refusal = format!("@every {duration}").parse::<CronExpression>().expect_err(duration);
        assert_eq!(refusal, CronError::Every(told), "{duration}");
    }
}

#[test]
fn a_zone_is_named_wherever_it_stands() {
    let zones = [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("TZ=Europe/Berlin", "Europe/Berlin"),
        ("CRON_TZ=\"Europe/Berlin\"", "Europe/Berlin"),
        ("(Europe/Berlin)", "Europe/Berlin"),
        ("# Europe/Berlin", "Europe/Berlin"),
        ("America/New York", "America/New_York"),
        ("UTC", "UTC"),
        ("Europe/Berlin /usr/bin/backup", "Europe/Berlin"),
    ];
    for (typed, zone) in zones {
        for (before, write) in
            [("0 4 * * *", true), ("@daily", true), ("0 4 * * mon-fri", true), ("0 0 4 * * *", false), ("0 4", false)]
        {
            for text in [format!("{before} {typed}"), format!("\"{before} {typed}\"")] {
                let write = write.then(|| before.to_owned());
                let expected = CronError::Zone { zone: zone.to_owned(), write };
                assert_eq!(text.parse::<CronExpression>(), Err(expected), "{text}");
            }
        }
    }
    for command in ["TZ=Europe/Berlin /usr/bin/backup", "CEST", "TZ=Mars/Olympus", "/usr/bin/backup UTC"] {
        let refusal = format!("0 4 * * * {command}").parse::<CronExpression>();
        assert_eq!(refusal, Err(CronError::WordsAfter { write: "0 4 * * *".to_owned() }), "{command}");
    }
}

#[test]
fn reboot_is_told_with_a_command_too() {
    for text in ["@reboot", "@reboot /usr/bin/start", "@Reboot root /usr/bin/start", "\"@reboot\""] {
        assert_eq!(text.parse::<CronExpression>(), Err(CronError::Reboot), "{text}");
    }
}

#[test]
fn long_row_of_prefixes_is_refused() {
    let text = "TZ=UTC ".repeat(20_000) + "0 4 * * *";
    assert!(matches!(text.parse::<CronExpression>(), Err(CronError::Zone { write: None, .. })));
    for text in ["\" ".repeat(20_000), "0 4 * * * ".to_owned() + &"UTC ".repeat(20_000)] {
        assert!(text.parse::<CronExpression>().is_err());
    }
}

#[test]
fn doubtful_expression_is_warned_about() {
    let warnings = |text: &str| text.parse::<CronExpression>().expect(text).warnings();
    for (text, said) in [
        ("*/90 * * * *", "`*/90` takes only 0: a step starts anew with each hour. So this runs every hour."),
        ("0 */36 * * *", "`*/36` takes only 0: a step starts anew with each day. So this runs every day at 00:00."),
        ("*/45 * * * *", "In the minute field, `*/45` starts anew at 0 with each hour"),
        ("0 */5 * * *", "In the hour field, `*/5` starts anew at 0 with each day"),
        ("0 0 */2 * *", "In the day-of-month field, `*/2` starts anew at 1 with each month"),
        ("0 0 * * */2", "In the day-of-week field, `*/2` starts anew at 0 with each week"),
        ("0-30/45 * * * *", "`0-30/45` takes only 0: the step goes beyond the range."),
        ("0 5 */2 * 1", "A day has to match both day fields"),
        ("0 5 * * 1", ""),
        ("0 0 13 * 5", "every day that matches either of them"),
        ("0 0 29 2 *", "only on 29 February"),
        ("0 0 29-31 2 *", "only on 29 February"),
        ("0 0 29 2 */2", "only on 29 February"),
        ("0 0 28,29 2 *", ""),
        ("0 0 29 2,3 *", "Months that do not have such a day"),
        ("0 0 31 * *", "Months that do not have such a day are left out"),
        ("0 4 * * *", ""),
        ("*/15 * * * *", ""),
        ("*/60 * * * *", ""),
        ("0 */24 * * *", ""),
        ("0 */6 * * *", ""),
        ("0 0 1 */3 *", ""),
        ("0 0 * * */7", ""),
        ("0 9-17/2 * * mon-fri", ""),
        ("30 20 * * 1,5", ""),
        ("@daily", ""),
        ("@yearly", ""),
        ("* * * * *", ""),
    ] {
        let told = warnings(text);
        if said.is_empty() {
            assert!(told.is_empty(), "{text}: {told:?}");
        } else {
            assert!(told.iter().any(|it| it.contains(said)), "{text}: {told:?}");
        }
    }
}

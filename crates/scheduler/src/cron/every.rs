//! Reads `@every 5m`, which Go's schedulers have, as far as a clock can express it.

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;
const WEEK: u64 = 7 * DAY;
/// Longer durations would lose their milliseconds.
const LONGEST: u64 = 100_000 * DAY;

/// Result of reading a duration as an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Every {
    /// Equals this expression: as often, at even times of the clock.
    Write(String),
    /// Once a day. The author has to choose the time.
    Day,
    /// Once a week. The author has to choose the day and the time.
    Week,
    /// More often than every minute.
    TooOften,
    /// Not a whole number of minutes.
    Seconds,
    /// No expression can say this: steps start anew with each hour, day and month.
    Uneven,
    /// The text is no duration.
    Unreadable,
}

impl Every {
    /// Reads the text after `@every`: a duration as Go writes it (`1h30m`), or as people do (`5 minutes`). A command
    /// may follow.
    pub(super) fn read(words: &[&str]) -> Self {
        let most = words.len().min(4);
        let duration = (1..=most).rev().find_map(|count| milliseconds(&words[..count].concat()));
        duration.map_or(Self::Unreadable, Self::of)
    }

    fn of(milliseconds: u64) -> Self {
        let minutes = milliseconds / MINUTE;
        match milliseconds {
            ..MINUTE => Self::TooOften,
            DAY => Self::Day,
            WEEK => Self::Week,
            _ if !milliseconds.is_multiple_of(MINUTE) => Self::Seconds,
            _ => match minutes {
                1 => Self::Write("* * * * *".to_owned()),
                60 => Self::Write("0 * * * *".to_owned()),
                2..60 if 60 % minutes == 0 => Self::Write(format!("*/{minutes} * * * *")),
                120.. if minutes.is_multiple_of(60) && 24 % (minutes / 60) == 0 => {
                    Self::Write(format!("0 */{} * * *", minutes / 60))
                }
                _ => Self::Uneven,
            },
        }
    }

    pub(super) fn advice(&self) -> String {
        match self {
            Self::Write(write) => format!("As often is {write}"),
            Self::Day => "Choose a time of day: 0 4 * * * is every day at 04:00.".to_owned(),
            Self::Week => "Choose a day and a time: 0 4 * * mon is every Monday at 04:00.".to_owned(),
            Self::TooOften => "The shortest interval is a minute, which is * * * * *".to_owned(),
            Self::Seconds => "Every run begins at second 0 of a minute, so only whole minutes can be said.".to_owned(),
            Self::Uneven => {
                "One expression cannot say this interval, because steps start anew with each hour, day and month."
                    .to_owned()
            }
            Self::Unreadable => {
                "No duration can be read after it. For example */5 * * * * is every five minutes.".to_owned()
            }
        }
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    let text = text.to_lowercase();
    // `@every hour`
    if let Some(unit) = unit(&text) {
        return Some(unit as u64);
    }
    let (mut rest, mut sum) = (text.as_str(), 0.0);
    while !rest.is_empty() {
        let end = rest.find(|sign: char| !sign.is_ascii_digit() && sign != '.')?;
        let (number, behind) = rest.split_at(end);
        let end = behind.find(|sign: char| sign.is_ascii_digit() || sign == '.').unwrap_or(behind.len());
        sum += number.parse::<f64>().ok()? * unit(&behind[..end])?;
        rest = &behind[end..];
    }
    (!text.is_empty()).then_some((sum.round() as u64).min(LONGEST))
}

/// Returns the milliseconds of a unit.
fn unit(word: &str) -> Option<f64> {
    Some(match word {
        "ns" => 1e-6,
        "us" | "µs" | "μs" => 1e-3,
        "ms" => 1.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1e3,
        "m" | "min" | "mins" | "minute" | "minutes" => MINUTE as f64,
        "h" | "hr" | "hrs" | "hour" | "hours" => 60.0 * MINUTE as f64,
        "d" | "day" | "days" => DAY as f64,
        "w" | "week" | "weeks" => WEEK as f64,
        _ => return None,
    })
}

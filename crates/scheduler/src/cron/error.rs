use super::{every::Every, field::CronField, reading::Reading};

/// Maximum length of an accepted text, in characters.
pub(super) const MAX_LENGTH: usize = 100;

/// Reason why a text is not a cron expression. The sentences tell the person who typed it which field is wrong and what
/// to do. Their advice never changes the meaning: an expression is offered only if it means what the text means.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// The text has not five fields.
    #[error("{ORDER} This has {found}.")]
    FieldCount {
        /// Number of fields that were typed.
        found: usize,
    },
    /// A zone stands before the fields, as in cronie and Kubernetes, or behind them.
    #[error(
        "A time zone is no part of the expression: give {zone} as `timezone`, and {} as the expression.",
        .write.as_deref().unwrap_or("the rest")
    )]
    Zone {
        /// The zone: before the fields as typed, behind them an existing one.
        zone: String,
        /// The remaining text, if it is an expression.
        write: Option<String>,
    },
    /// The expression is in quotation marks.
    #[error("Leave out the quotation marks: {write}")]
    Quoted {
        /// Text between the quotation marks.
        write: String,
    },
    /// `@every 5m`, which counts from the start of a program.
    #[error(
        "@every counts from the moment at which a program starts; here, times are those of a clock. {}",
        .0.advice()
    )]
    Every(Every),
    /// The text is a line of a crontab, with the command or a comment.
    #[error(
        "The words after {write} are no part of the expression: leave them out. A schedule's action says what is done, and \
         its `timezone` by whose clock."
    )]
    WordsAfter {
        /// The expression before the command.
        write: String,
    },
    /// A blank stands in a list or range, as in `0 4 * * 1, 3`.
    #[error("There is a blank within a list or a range. Write {write}")]
    BlankInList {
        /// The same text without the blank.
        write: String,
    },
    /// The text has seconds before the fields, or a year behind them.
    #[error("{}", six_fields(.seconds_first.as_ref(), .year_last.as_ref()))]
    SixFields {
        /// The advice if the first field can be seconds.
        seconds_first: Option<Reading>,
        /// The advice if the last field can be a year.
        year_last: Option<Reading>,
    },
    /// The text has seconds before the fields, and a year behind them.
    #[error("This has seven fields: seconds, the five that can stand here, and a year. {}", seven_fields(.middle.as_ref()))]
    SevenFields {
        /// The advice for the five fields between them.
        middle: Option<Reading>,
    },
    /// The text is longer than [`CronExpression::MAX_LENGTH`](super::CronExpression::MAX_LENGTH).
    #[error(
        "A cron expression may have {} characters, this one has {length}. Use ranges and steps, such as 0-59/5.",
        MAX_LENGTH
    )]
    TooLong {
        /// Number of characters, runs of blanks counted as one.
        length: usize,
    },
    /// `@reboot`, which crontab(5) runs once when the daemon starts.
    #[error("@reboot has no time of day, so it cannot be scheduled here. Use @daily, @hourly or five fields.")]
    Reboot,
    /// An `@` word that crontab(5) does not have.
    #[error("After @ one of these can stand: yearly, annually, monthly, weekly, daily, midnight, hourly.")]
    UnknownShorthand,
    /// A number beyond the ends of its field.
    #[error("The {field} field takes {}, not {value:?}.", .field.allowed())]
    OutOfRange {
        /// The field that holds the number.
        field: CronField,
        /// The number as typed.
        value: String,
    },
    /// A range whose end comes before its start.
    #[error(
        "In the {field} field, {range:?} runs backwards. If it goes on around the end of the field, write {write}."
    )]
    Backwards {
        /// The field that holds the range.
        field: CronField,
        /// The list item as typed.
        range: String,
        /// The range's values, written as a list from the field's lowest value.
        write: String,
    },
    /// A step of zero.
    #[error("In the {field} field, the step in {part:?} must be 1 or more. For example */2 takes every second value.")]
    ZeroStep {
        /// The field that holds the step.
        field: CronField,
        /// The list item as typed.
        part: String,
    },
    /// A step after a single value (`5/10`), which crontab(5) does not have and other dialects read differently.
    #[error("In the {field} field, {part:?} steps from a single value. {}", step_hint(*.field, .start, .step))]
    StepWithoutRange {
        /// The field that holds the step.
        field: CronField,
        /// The list item as typed.
        part: String,
        /// Text before the slash.
        start: String,
        /// Text after the slash.
        step: String,
    },
    /// `?`, which some schedulers take for "any".
    #[error(
        "In the {field} field, ? is another scheduler's word for any: write * instead, and the day of the week by name \
         (mon), as such schedulers number the days differently."
    )]
    Any {
        /// The field that holds the sign.
        field: CronField,
    },
    /// `L`, `W` or `#`, which only other schedulers know.
    #[error(
        "In the {field} field, {part:?} uses a sign of another scheduler: L, W and # do not work here, and what they mean \
         cannot be said in one expression. The field takes {}.",
        .field.allowed()
    )]
    OtherDialect {
        /// The field that holds the letter.
        field: CronField,
        /// The list item as typed.
        part: String,
    },
    /// The item is no value, range, list or step.
    #[error("The {field} field cannot be read at {part:?}. It takes {}, as in {}.", .field.allowed(), .field.example())]
    Unreadable {
        /// The field that holds the item.
        field: CronField,
        /// The list item as typed.
        part: String,
    },
}

const ORDER: &str =
    "Write five fields: minute, hour, day of month, month, day of week. 0 4 * * * is every day at 04:00.";

fn step_hint(field: CronField, start: &str, step: &str) -> String {
    match field {
        // Schedulers differ in whether the 7 belongs to the range.
        CronField::DayOfWeek => "Write the days out, by name, as in mon,wed,fri.".to_owned(),
        _ => format!("Say where it ends: {start}-{}/{step}.", field.highest()),
    }
}

fn six_fields(seconds_first: Option<&Reading>, year_last: Option<&Reading>) -> String {
    let readings = [("first field is seconds", seconds_first), ("last field is a year", year_last)];
    let told =
        readings.into_iter().filter_map(|(which, reading)| Some(format!(" If the {which}, {}.", advice(reading?))));
    let told: String = told.collect();
    if told.is_empty() { format!("{ORDER} This has 6.") } else { format!("This has six fields, and takes five.{told}") }
}

fn seven_fields(middle: Option<&Reading>) -> String {
    middle.map_or_else(|| ORDER.to_owned(), |reading| format!("For these, {}.", advice(reading)))
}

fn advice(reading: &Reading) -> String {
    match reading {
        Reading::Write(write) => format!("write {write}"),
        Reading::Seconds => "it cannot be said here: every run begins at second 0 of a minute".to_owned(),
        Reading::Years => "it cannot be said here: a schedule is not limited to years".to_owned(),
        Reading::WeekdayNumber => {
            "leave it out and write the day of the week by name (mon): schedulers with more than \
            five fields differ in its number"
                .to_owned()
        }
        Reading::BothDays => "it depends on the scheduler whether a day has to match both day fields; here, one that \
            matches is enough"
            .to_owned(),
    }
}

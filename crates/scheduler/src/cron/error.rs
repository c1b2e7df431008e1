use super::{CronExpression, CronField};

/// Why a text is not a cron expression. The sentences are for the person who typed it: which field, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error("{}", count_hint(*.found))]
    FieldCount {
        /// How many fields were typed.
        found: usize,
    },
    /// Longer than [`CronExpression::MAX_LENGTH`].
    #[error(
        "A cron expression may have {} characters, this one has {length}. Use ranges and steps, such as 0-59/5.",
        CronExpression::MAX_LENGTH
    )]
    TooLong {
        /// Characters typed, runs of blanks counted as one.
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
        /// The field that holds it.
        field: CronField,
        /// The number as typed.
        value: String,
    },
    /// A range whose end comes before its start.
    #[error("In the {field} field, {range:?} runs backwards. Put the smaller value first, or write two ranges.")]
    Backwards {
        /// The field that holds it.
        field: CronField,
        /// The range as typed.
        range: String,
    },
    /// A step of zero.
    #[error("In the {field} field, the step in {part:?} must be 1 or more. For example */2 takes every second value.")]
    ZeroStep {
        /// The field that holds it.
        field: CronField,
        /// The list item as typed.
        part: String,
    },
    /// A step after a single value (`5/10`), which crontab(5) does not have and other dialects read differently.
    #[error(
        "In the {field} field, {part:?} steps from a single value. Say where it ends: {start}-{}/{step}.",
        .field.highest()
    )]
    StepWithoutRange {
        /// The field that holds it.
        field: CronField,
        /// The list item as typed.
        part: String,
        /// What stands before the slash.
        start: String,
        /// What stands after the slash.
        step: String,
    },
    /// `?`, `L`, `W` or `#`, which only other schedulers know.
    #[error(
        "In the {field} field, {part:?} uses a sign of another scheduler: ?, L, W and # do not work here. \
         Use {}, or *.",
        .field.allowed()
    )]
    OtherDialect {
        /// The field that holds it.
        field: CronField,
        /// The list item as typed.
        part: String,
    },
    /// Anything else that is no value, range, list or step.
    #[error("The {field} field cannot be read at {part:?}. It takes {}, as in {}.", .field.allowed(), .field.example())]
    Unreadable {
        /// The field that holds it.
        field: CronField,
        /// The list item as typed.
        part: String,
    },
}

fn count_hint(found: usize) -> String {
    let order = "Write five fields: minute, hour, day of month, month, day of week. 0 4 * * * is every day at 04:00.";
    match found {
        6 => format!("This has six fields; seconds are not supported, so leave out the first one. {order}"),
        7 => format!("This has seven fields; leave out the first (seconds) and the last (year). {order}"),
        _ => format!("{order} This has {found}."),
    }
}

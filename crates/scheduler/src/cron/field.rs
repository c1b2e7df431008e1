use std::{fmt, ops::RangeInclusive};

/// One of the five fields of crontab(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronField {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31.
    DayOfMonth,
    /// 1 to 12, or English names of three letters.
    Month,
    /// 0 to 7, or English names of three letters. Both 0 and 7 are Sunday.
    DayOfWeek,
}

impl fmt::Display for CronField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day-of-month",
            Self::Month => "month",
            Self::DayOfWeek => "day-of-week",
        })
    }
}

impl CronField {
    /// Describes the values that the field takes.
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Self::Minute => "0 to 59",
            Self::Hour => "0 to 23",
            Self::DayOfMonth => "1 to 31",
            Self::Month => "1 to 12 or jan to dec",
            Self::DayOfWeek => "0 to 7 (0 and 7 are Sunday) or sun to sat",
        }
    }

    /// Examples of texts that the field takes.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Minute => "*, 30, 0,15,45 or */10",
            Self::Hour => "*, 4, 8-18 or */6",
            Self::DayOfMonth => "*, 1, 1,15 or 1-7",
            Self::Month => "*, 12, jun-aug or */3",
            Self::DayOfWeek => "*, mon, 1-5 or sat,sun",
        }
    }

    pub(super) fn highest(self) -> u32 {
        *self.values().end()
    }

    pub(super) fn lowest(self) -> u32 {
        *self.values().start()
    }

    /// Number of values, and the time after which they repeat.
    pub(super) fn turn(self) -> (u32, &'static str) {
        match self {
            Self::Minute => (60, "hour"),
            Self::Hour => (24, "day"),
            Self::DayOfMonth => (31, "month"),
            Self::Month => (12, "year"),
            Self::DayOfWeek => (7, "week"),
        }
    }

    pub(super) fn values(self) -> RangeInclusive<u32> {
        match self {
            Self::Minute => 0..=59,
            Self::Hour => 0..=23,
            Self::DayOfMonth => 1..=31,
            Self::Month => 1..=12,
            Self::DayOfWeek => 0..=7,
        }
    }

    /// Returns names in the order of their numbers, from the field's lowest value.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Minute | Self::Hour | Self::DayOfMonth => &[],
            Self::Month => &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
            Self::DayOfWeek => &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
        }
    }
}

/// Returns the fields in order.
pub(super) fn all() -> [CronField; 5] {
    [CronField::Minute, CronField::Hour, CronField::DayOfMonth, CronField::Month, CronField::DayOfWeek]
}

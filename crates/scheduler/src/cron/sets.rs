use std::str::FromStr;

use ::cron::{Schedule, TimeUnitSpec};

use super::{error::CronError, field::CronField};

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

impl FieldSets {
    pub(super) fn parse(
        minute: &str,
        hour: &str,
        day_of_month: &str,
        month: &str,
        weekday: &str,
    ) -> Result<Self, CronError> {
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

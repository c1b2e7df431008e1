/// Result of reading six or seven fields as another scheduler's expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Equals these five fields.
    Write(String),
    /// Cannot be expressed: runs begin at second 0.
    Seconds,
    /// Cannot be expressed: a schedule is not limited to years.
    Years,
    /// Ambiguous: schedulers differ in the number of a weekday.
    WeekdayNumber,
    /// Ambiguous: schedulers differ in whether a day has to match both day fields.
    BothDays,
}

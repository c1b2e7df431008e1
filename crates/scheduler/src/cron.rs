//! Cron expressions as crontab(5) describes them.
//!
//! The `cron` crate reads the sets of values; its dialect differs (seconds first, weekdays from 1, no OR of the day
//! fields), so each field is checked against crontab(5) and rewritten before it gets there.

#[cfg(test)]
mod advice;
mod error;
mod every;
mod expression;
mod field;
mod paste;
mod reading;
pub(crate) mod sets;
#[cfg(test)]
mod tests;
mod translate;
mod warnings;
mod words;

pub use self::{error::CronError, every::Every, expression::CronExpression, field::CronField, reading::Reading};

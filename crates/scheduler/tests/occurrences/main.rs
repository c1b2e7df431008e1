//! The walk over instants, against FINDINGS' table, a brute-force oracle, and another crate.

mod oracle;
mod properties;
mod table;

use agis_scheduler::CronExpression;
use chrono::{DateTime, Utc};

fn expression(text: &str) -> CronExpression {
    text.parse().unwrap_or_else(|error| panic!("{text:?} should be accepted: {error}"))
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant in RFC 3339")
}

//! What a user has done here, in numbers.
//!
//! The totals are kept in the transactions of what they count, and go on from what a database of the Go version brings:
//!
//! - a server that this user created counts as created, also when it is deleted later;
//! - an operation that this user asked for, over REST or Discord, counts as a command once it is accepted. What is
//!   refused does not count, nor a repetition by an idempotency key, nor what a schedule or an operator asks for;
//! - credits count as earned when they are given (the welcome credits, and an operator's grants) and as spent when an hour
//!   of a server is paid.

use agis_base::Timestamp;

/// What a user has done here, and what they have now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Servers that they ever created.
    pub servers_created: i32,
    /// Operations that they asked for and that were accepted.
    pub commands_used: i32,
    /// Credits that they were ever given.
    pub credits_earned: i32,
    /// Credits that they ever paid.
    pub credits_spent: i32,
    /// When the last of their commands was accepted.
    pub last_command_at: Option<Timestamp>,
    /// Servers that they have.
    pub servers: i64,
    /// Those of them that are running.
    pub servers_running: i64,
    /// Schedules that they have.
    pub schedules: i64,
    /// API keys that they have and that have not ended.
    pub keys: i64,
}

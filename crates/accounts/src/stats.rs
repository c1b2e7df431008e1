//! Totals of a user's actions.
//!
//! The transactions of what they count keep the totals. They continue the totals of a database of the Go version:
//!
//! - a server that this user created counts as created, also when it is deleted later;
//! - an operation that this user requested over REST or Discord counts as a command once it is accepted. Refusals,
//!   repetitions by an idempotency key, and operations of schedules and operators do not count;
//! - credits count as earned when they are given (the welcome credits, and an operator's grants) and as spent when an hour
//!   of a server is paid.

use agis_base::Timestamp;

/// Totals of a user, and current numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Number of servers that the user ever created.
    pub servers_created: i32,
    /// Number of accepted operations that the user requested.
    pub commands_used: i32,
    /// Credits that the user ever got.
    pub credits_earned: i32,
    /// Credits that the user ever paid.
    pub credits_spent: i32,
    /// Time of the last accepted command.
    pub last_command_at: Option<Timestamp>,
    /// Current number of servers.
    pub servers: i64,
    /// Number of those that are running.
    pub servers_running: i64,
    /// Current number of schedules.
    pub schedules: i64,
    /// Number of API keys that have not ended.
    pub keys: i64,
}

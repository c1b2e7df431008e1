//! A user as people know them.

use agis_base::{Timestamp, UserId};

/// The credits that a new user gets.
pub const WELCOME_CREDITS: i32 = 100;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their Discord id.
    pub id: UserId,
    /// What they can spend.
    pub credits: i32,
    /// What they have subscribed to: `free` or the name of a tier.
    pub tier: String,
    /// How many servers they have.
    pub servers: i64,
    /// When they were first seen.
    pub joined_at: Timestamp,
}

//! A user as people know them.

use agis_base::{Timestamp, UserId};

/// Credits of a new user.
pub const WELCOME_CREDITS: i32 = 100;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Discord id.
    pub id: UserId,
    /// Credits to spend.
    pub credits: i32,
    /// Subscription: `free` or the name of a tier.
    pub tier: String,
    /// Number of servers.
    pub servers: i64,
    /// Time of the first contact.
    pub joined_at: Timestamp,
}

//! The answer, and what its headers say.

use std::time::Duration;

/// Whether a request may pass, and what to tell its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether a token was there.
    pub allowed: bool,
    /// The size of the bucket.
    pub limit: u32,
    /// Whole tokens left.
    pub remaining: u32,
    /// Until the bucket is full.
    pub full_in: Duration,
    /// Until the next token comes; zero where one is left.
    pub retry_in: Duration,
}

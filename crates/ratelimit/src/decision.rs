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

/// The decision about several buckets at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The decision of the tightest bucket: the one that refuses for the longest, or else the one with the fewest tokens left.
    pub decision: Decision,
    /// The place of that bucket among those that were asked; the first of equals.
    pub by: usize,
}

//! Decisions, and the values of their headers.

use std::time::Duration;

/// Decision about a request, with the facts for its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether the bucket had a token.
    pub allowed: bool,
    /// Size of the bucket.
    pub limit: u32,
    /// Whole tokens left.
    pub remaining: u32,
    /// Time until the bucket is full.
    pub full_in: Duration,
    /// Time until the tokens of the request are there; zero if there are so many left.
    pub retry_in: Duration,
}

/// Decision about several buckets at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Decision of the tightest bucket: the one that refuses for the longest, else the one with the fewest tokens left.
    pub decision: Decision,
    /// Index of that bucket among the given ones; the first of equals.
    pub by: usize,
}

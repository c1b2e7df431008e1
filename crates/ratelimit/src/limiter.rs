//! What a limiter promises.

use async_trait::async_trait;

use crate::{decision::Decision, quota::Quota};

/// Whose tokens: a kind of caller and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// The kind: one word, fixed in the program.
    pub kind: &'static str,
    /// Which of that kind.
    pub id: i64,
}

/// Hands out tokens.
///
/// It always answers: an implementation that cannot reach its store falls back to another, and never lets everybody
/// through.
#[async_trait]
pub trait Limiter: Send + Sync {
    /// Takes one token.
    async fn take(&self, bucket: Bucket, quota: Quota) -> Decision;

    /// Whether a token is there, without taking it: for what costs only where it fails.
    async fn peek(&self, bucket: Bucket, quota: Quota) -> Decision;
}

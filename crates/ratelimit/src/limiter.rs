//! What a limiter promises.

use std::{
    future::Ready,
    hash::{Hash, Hasher},
};

use futures_util::future::{BoxFuture, Either};

use crate::{
    decision::{Decision, Verdict},
    quota::Quota,
};

/// Whose tokens: a kind of caller and its number.
#[derive(Debug, Clone, Copy, Eq)]
pub struct Bucket {
    /// The kind: one word, fixed in the program.
    pub kind: &'static str,
    /// Which of that kind.
    pub id: i64,
}

impl PartialEq for Bucket {
    /// The same kind is mostly the same text, in the same place.
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && (std::ptr::eq(self.kind, other.kind) || self.kind == other.kind)
    }
}

impl Hash for Bucket {
    /// Kinds are few, and what tells them apart is looked at where two numbers meet.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i64(self.id);
    }
}

/// A decision: made, or, where somebody else makes it, under way.
pub type Deciding<'a, D = Decision> = Either<Ready<D>, BoxFuture<'a, D>>;

/// A bucket, and how much it holds.
pub type Draw = (Bucket, Quota);

/// Hands out tokens.
///
/// It always answers: an implementation that cannot reach its store falls back to another, and never lets everybody
/// through.
pub trait Limiter: Send + Sync {
    /// Takes one token.
    fn take(&self, bucket: Bucket, quota: Quota) -> Deciding<'_>;

    /// Takes one token of each of these buckets, or none of any: where one refuses, the others lose nothing. The buckets
    /// differ, and there is at least one.
    fn take_all(&self, draws: &[Draw]) -> Deciding<'_, Verdict>;

    /// Whether a token is there, without taking it: for what costs only where it fails.
    fn peek(&self, bucket: Bucket, quota: Quota) -> Deciding<'_>;
}

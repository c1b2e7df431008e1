//! The trait of a limiter.

use std::{
    future::Ready,
    hash::{Hash, Hasher},
};

use futures_util::future::{BoxFuture, Either};

use crate::{
    decision::{Decision, Verdict},
    quota::Quota,
};

/// Owner of a bucket: a kind of caller and its number.
#[derive(Debug, Clone, Copy, Eq)]
pub struct Bucket {
    /// Kind of caller: one word, fixed in the program.
    pub kind: &'static str,
    /// Number of the caller within its kind.
    pub id: i64,
}

impl PartialEq for Bucket {
    /// Compares the addresses of the texts first: equal kinds are mostly the same static text.
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && (std::ptr::eq(self.kind, other.kind) || self.kind == other.kind)
    }
}

impl Hash for Bucket {
    /// Hashes the number only. Kinds are few, and equality tells them apart.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_i64(self.id);
    }
}

/// A decision, ready or under way.
pub type Deciding<'a, D = Decision> = Either<Ready<D>, BoxFuture<'a, D>>;

/// Bucket and its quota.
pub type Draw = (Bucket, Quota);

/// Hands out tokens.
///
/// Every call gets an answer. An implementation that cannot reach its store falls back to another one, and never lets
/// everybody through.
pub trait Limiter: Send + Sync {
    /// Takes one token.
    fn take(&self, bucket: Bucket, quota: Quota) -> Deciding<'_>;

    /// Takes one token of each of these buckets, or none of any: if one refuses, the others lose nothing. The buckets
    /// differ, and there is at least one.
    fn take_all(&self, draws: &[Draw]) -> Deciding<'_, Verdict>;

    /// Returns whether a token is there, without taking it: for requests that cost a token only if they fail.
    fn peek(&self, bucket: Bucket, quota: Quota) -> Deciding<'_>;
}

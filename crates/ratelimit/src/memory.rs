//! A limiter in this process.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::ready,
    hash::BuildHasher,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use foldhash::fast::RandomState;
use futures_util::future::Either;
use metrics::Counter;
use quanta::Clock;

use crate::{
    decision::{Decision, Verdict},
    joint,
    limiter::{Bucket, Deciding, Draw, Limiter},
    quota::Quota,
};

const SHARDS: usize = 64;
/// Number of buckets that are compared to find one to forget when a shard is full.
const EVICTION_SAMPLE: usize = 16;

/// Limiter in this process. Two processes have two: with N replicas a caller may get N times the quota.
///
/// Its size is bounded: [`MemoryLimiter::sweep`] forgets full buckets, and in a full shard the fullest of a few makes
/// way.
pub struct MemoryLimiter {
    /// Reads the processor's own counter: a system call would cost as much as the decision.
    clock: Clock,
    start: u64,
    hasher: RandomState,
    per_shard: usize,
    shards: Vec<Mutex<Shard>>,
    /// Counters, looked up once: finding one by its labels costs more than the decision.
    counters: OnceLock<Counters>,
}

type Shard = HashMap<Bucket, u64, RandomState>;

struct Counters {
    allowed: Counter,
    denied: Counter,
}

impl Counters {
    fn new() -> Self {
        let of = |outcome| metrics::counter!("agis_bot_rate_limit_decisions_total", "backend" => "memory", "outcome" => outcome);
        Self { allowed: of("allowed"), denied: of("denied") }
    }
}

impl MemoryLimiter {
    /// Creates a limiter for about `buckets` callers at once.
    pub fn new(buckets: usize) -> Self {
        let clock = Clock::new();
        Self {
            start: clock.raw(),
            clock,
            hasher: RandomState::default(),
            per_shard: buckets.div_ceil(SHARDS).max(1),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            counters: OnceLock::new(),
        }
    }

    /// Takes one token at this time.
    fn take_at(&self, bucket: Bucket, quota: Quota, now: u64) -> Decision {
        let mut shard = self.shard(bucket);
        if let Some(full_at) = shard.get_mut(&bucket) {
            let (decision, kept) = quota.take(*full_at, now);
            *full_at = kept;
            return decision;
        }
        let (decision, kept) = quota.take(now, now);
        self.keep(&mut shard, bucket, kept);
        decision
    }

    /// Takes one token of each bucket at this time, or none of any, as one atomic step.
    fn take_all_at(&self, draws: &[Draw], now: u64) -> Verdict {
        let places: BTreeSet<_> = draws.iter().map(|(bucket, _)| self.place(*bucket)).collect();
        // Locks in one order, so that no two calls wait for each other.
        let mut shards: BTreeMap<_, _> = places.into_iter().map(|place| (place, self.lock(place))).collect();
        let full_at = |bucket: &Bucket| shards.get(&self.place(*bucket))?.get(bucket).copied();
        let mut levels: Vec<_> = draws.iter().map(|(bucket, quota)| (*quota, full_at(bucket).unwrap_or(now))).collect();
        let verdict = joint::take_all(&mut levels, now);
        for ((bucket, _), (_, kept)) in draws.iter().zip(&levels).filter(|(_, (_, kept))| *kept > now) {
            if let Some(shard) = shards.get_mut(&self.place(*bucket)) {
                self.keep(shard, *bucket, *kept);
            }
        }
        verdict
    }

    /// Stores a bucket. In a full shard the fullest of a few makes way.
    fn keep(&self, shard: &mut Shard, bucket: Bucket, full_at: u64) {
        if shard.len() >= self.per_shard && !shard.contains_key(&bucket) {
            forget_one(shard);
        }
        shard.insert(bucket, full_at);
    }

    /// Returns the decision of [`Self::take_at`] without taking a token, and remembers nobody.
    fn peek_at(&self, bucket: Bucket, quota: Quota, now: u64) -> Decision {
        let full_at = self.shard(bucket).get(&bucket).copied();
        quota.take(full_at.unwrap_or(now), now).0
    }

    /// Forgets full buckets: an unknown bucket is full anyway.
    pub fn sweep(&self) {
        self.sweep_at(self.now());
    }

    fn sweep_at(&self, now: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, full_at| *full_at > now);
            if shard.len() < shard.capacity() / 4 {
                shard.shrink_to_fit();
            }
        }
    }

    /// Returns the number of known buckets.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// Returns whether no bucket is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, bucket: Bucket) -> MutexGuard<'_, Shard> {
        self.lock(self.place(bucket))
    }

    fn place(&self, bucket: Bucket) -> usize {
        // Uses bits from the middle: a map places its entries by the lowest and the highest bits.
        (self.hasher.hash_one(bucket) >> 32) as usize % SHARDS
    }

    fn lock(&self, place: usize) -> MutexGuard<'_, Shard> {
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, allowed: bool) {
        let counters = self.counters.get_or_init(Counters::new);
        if allowed { &counters.allowed } else { &counters.denied }.increment(1);
    }

    /// Returns nanoseconds since the start; 2^64 of them are 584 years.
    fn now(&self) -> u64 {
        self.clock.delta_as_nanos(self.start, self.clock.raw())
    }
}

fn forget_one(shard: &mut Shard) {
    let fullest = shard.iter().take(EVICTION_SAMPLE).min_by_key(|(_, full_at)| **full_at).map(|(bucket, _)| *bucket);
    if let Some(bucket) = fullest {
        shard.remove(&bucket);
    }
}

impl Limiter for MemoryLimiter {
    fn take(&self, bucket: Bucket, quota: Quota) -> Deciding<'_> {
        let decision = self.take_at(bucket, quota, self.now());
        self.count(decision.allowed);
        Either::Left(ready(decision))
    }

    fn take_all(&self, draws: &[Draw]) -> Deciding<'_, Verdict> {
        let verdict = self.take_all_at(draws, self.now());
        self.count(verdict.decision.allowed);
        Either::Left(ready(verdict))
    }

    fn peek(&self, bucket: Bucket, quota: Quota) -> Deciding<'_> {
        Either::Left(ready(self.peek_at(bucket, quota, self.now())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: i64) -> Bucket {
        Bucket { kind: "key", id }
    }

    #[test]
    fn callers_do_not_share_tokens() {
        let limiter = MemoryLimiter::new(100);
        let now = 1;
        assert!(limiter.take_at(key(1), Quota::per_hour(1), now).allowed);
        assert!(!limiter.take_at(key(1), Quota::per_hour(1), now).allowed);
        assert!(limiter.take_at(key(2), Quota::per_hour(1), now).allowed);
        assert!(limiter.take_at(Bucket { kind: "user", id: 1 }, Quota::per_hour(1), now).allowed);
    }

    #[test]
    fn to_peek_costs_nothing() {
        let limiter = MemoryLimiter::new(100);
        let now = 1;
        for _ in 0..3 {
            assert!(limiter.peek_at(key(1), Quota::per_hour(1), now).allowed);
        }
        assert!(limiter.is_empty());
        assert!(limiter.take_at(key(1), Quota::per_hour(1), now).allowed);
        assert!(!limiter.peek_at(key(1), Quota::per_hour(1), now).allowed);
    }

    #[test]
    fn buckets_give_a_token_each_or_none() {
        let limiter = MemoryLimiter::new(100);
        let draws = |id, limit| [(key(id), Quota::per_hour(limit)), (key(1), Quota::per_hour(5))];
        for id in 2..7 {
            assert!(limiter.take_all_at(&draws(id, 3), 1).decision.allowed);
        }
        let Verdict { decision, by } = limiter.take_all_at(&draws(7, 3), 1);
        assert_eq!((decision.allowed, decision.limit, by), (false, 5, 1));
        for remaining in [2, 1, 0] {
            assert_eq!(limiter.take_at(key(7), Quota::per_hour(3), 1).remaining, remaining, "it was not charged");
        }
    }

    #[test]
    fn threads_never_deadlock_over_buckets() {
        let limiter = MemoryLimiter::new(1000);
        let shared = [1, 2, 3].map(|id| (key(id), Quota::per_hour(100)));
        let passed: usize = std::thread::scope(|scope| {
            let thread = |number: i64| {
                let (limiter, mut draws) = (&limiter, shared.to_vec());
                draws.rotate_left(usize::try_from(number).unwrap_or(0) % 3);
                draws.push((key(10 + number), Quota::per_hour(1000)));
                scope.spawn(move || (0..200).filter(|_| limiter.take_all_at(&draws, 1).decision.allowed).count())
            };
            let threads: Vec<_> = (0..4).map(thread).collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread")).sum()
        });
        assert_eq!(passed, 100);
    }

    #[test]
    fn a_sweep_forgets_full_buckets_only() {
        let limiter = MemoryLimiter::new(1000);
        let now = 1;
        limiter.take_at(key(1), Quota::per_hour(3600), now);
        limiter.take_at(key(2), Quota::per_hour(1), now);
        limiter.sweep_at(now + 2_000_000_000);
        assert_eq!(limiter.len(), 1);
        assert!(!limiter.take_at(key(2), Quota::per_hour(1), now + 2_000_000_000).allowed);
    }

    #[test]
    fn its_size_is_bounded_whoever_calls() {
        let limiter = MemoryLimiter::new(640);
        let now = 1;
        for id in 0..10_000 {
            limiter.take_at(key(id), Quota::per_hour(100), now);
        }
        assert!(limiter.len() <= 640, "{}", limiter.len());
    }

    #[test]
    fn threads_together_keep_to_the_quota() {
        let limiter = MemoryLimiter::new(10);
        let now = 1;
        let allowed: usize = std::thread::scope(|scope| {
            let take = || (0..100).filter(|_| limiter.take_at(key(1), Quota::per_hour(100), now).allowed).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread")).sum()
        });
        assert_eq!(allowed, 100);
    }
}

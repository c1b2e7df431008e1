//! Asks Redis while it is there, and decides in this process while it is not.

use std::{sync::Arc, time::Duration};

use agis_ratelimit::{Bucket, Deciding, Draw, Limiter, MemoryLimiter, Quota, Verdict};
use futures_util::future::Either;
use metrics::{counter, gauge};

use crate::{
    link::{Error, Link, Slot},
    script::Ask,
    url::RedisUrl,
};

/// Default deadline of a call to Redis.
const DEADLINE: Duration = Duration::from_millis(100);
/// A bucket that is full again after a millisecond.
const PROBE: Draw = (Bucket { kind: "probe", id: 0 }, Quota::per_hour(3_600_000));

/// Callback for the state of Redis, after each probe and each change.
type Tell = Box<dyn Fn(Result<(), &Error>) + Send + Sync>;

/// Limiter whose buckets are in Redis, so that all processes share them.
///
/// If a call fails or is late, the limiter in this process decides, and it decides all further calls without waiting
/// until [`RedisLimiter::probe`] finds Redis again. That limiter remembers over outages: whatever Redis does, a caller
/// has at most one quota from it and one from each process.
pub struct RedisLimiter {
    url: RedisUrl,
    memory: Arc<MemoryLimiter>,
    tell: Tell,
    deadline: Duration,
    slot: Slot,
}

impl RedisLimiter {
    /// Creates a limiter over the Redis at `url`, not yet connected: the program calls [`RedisLimiter::probe`] every
    /// second.
    pub fn new(
        url: RedisUrl,
        memory: Arc<MemoryLimiter>,
        tell: impl Fn(Result<(), &Error>) + Send + Sync + 'static,
    ) -> Self {
        gauge!("agis_bot_rate_limit_redis_up").set(0);
        counter!("agis_bot_rate_limit_fallbacks_total").absolute(0);
        Self { url, memory, tell: Box::new(tell), deadline: DEADLINE, slot: Slot::default() }
    }

    /// Sets another deadline for each call.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Tests whether Redis decides, over a new connection if there is none. The test is a real decision: a Redis that
    /// is full, still loading, or a replica answers simpler commands.
    pub async fn probe(&self) {
        let link = match self.slot.get() {
            Some(link) => Ok(link),
            None => self.slot.connect(&self.url).await,
        };
        match link {
            Err(error) => (self.tell)(Err(&error)),
            Ok(mut link) => match link.ask(Ask::Take, &[PROBE], self.deadline).await {
                Ok(_) => self.keep(link),
                Err(error) => {
                    self.lose(&link);
                    (self.tell)(Err(&error));
                }
            },
        }
    }

    fn keep(&self, link: Link) {
        if self.slot.keep(link) {
            gauge!("agis_bot_rate_limit_redis_up").set(1);
        }
        (self.tell)(Ok(()));
    }

    fn lose(&self, link: &Link) -> bool {
        let lost = self.slot.lose(link);
        if lost {
            gauge!("agis_bot_rate_limit_redis_up").set(0);
            counter!("agis_bot_rate_limit_fallbacks_total").increment(1);
        }
        lost
    }

    /// Returns Redis' decision; `None` if it makes none.
    async fn by_redis(&self, mut link: Link, what: Ask, draws: &[Draw]) -> Option<Verdict> {
        match link.ask(what, draws, self.deadline).await {
            Ok(verdict) => {
                if what == Ask::Take {
                    count(verdict.decision.allowed);
                }
                Some(verdict)
            }
            Err(error) => {
                if self.lose(&link) {
                    (self.tell)(Err(&error));
                }
                None
            }
        }
    }

    fn decide(&self, what: Ask, bucket: Bucket, quota: Quota) -> Deciding<'_> {
        let Some(link) = self.slot.get() else { return self.in_memory(what, bucket, quota) };
        Either::Right(Box::pin(async move {
            match self.by_redis(link, what, &[(bucket, quota)]).await {
                Some(verdict) => verdict.decision,
                None => self.in_memory(what, bucket, quota).await,
            }
        }))
    }

    fn in_memory(&self, what: Ask, bucket: Bucket, quota: Quota) -> Deciding<'_> {
        match what {
            Ask::Take => self.memory.take(bucket, quota),
            Ask::Peek => self.memory.peek(bucket, quota),
        }
    }
}

fn count(allowed: bool) {
    let outcome = if allowed { "allowed" } else { "denied" };
    counter!("agis_bot_rate_limit_decisions_total", "backend" => "redis", "outcome" => outcome).increment(1);
}

impl Limiter for RedisLimiter {
    fn take(&self, bucket: Bucket, quota: Quota) -> Deciding<'_> {
        self.decide(Ask::Take, bucket, quota)
    }

    fn take_all(&self, draws: &[Draw]) -> Deciding<'_, Verdict> {
        let Some(link) = self.slot.get() else { return self.memory.take_all(draws) };
        let draws = draws.to_vec();
        Either::Right(Box::pin(async move {
            match self.by_redis(link, Ask::Take, &draws).await {
                Some(verdict) => verdict,
                None => self.memory.take_all(&draws).await,
            }
        }))
    }

    fn peek(&self, bucket: Bucket, quota: Quota) -> Deciding<'_> {
        self.decide(Ask::Peek, bucket, quota)
    }
}

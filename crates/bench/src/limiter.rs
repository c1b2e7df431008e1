//! Decisions of the limiter, next to `governor`: one thread each, the clock read for each decision. And over Redis.

use std::{hint::black_box, num::NonZeroU32, sync::Arc, time::Instant};

use agis_limiter_redis::{Files, RedisLimiter, RedisUrl};
use agis_ratelimit::{Bucket, Limiter, MemoryLimiter, Quota};
use futures_util::{StreamExt, future::Either, stream};
use governor::RateLimiter;

use crate::{
    error::{Error, Result},
    report::{Report, median, step},
};

const PER_HOUR: u32 = 1_000_000_000;
const ROUNDS: usize = 9;

/// Nanoseconds a decision at so many keys.
pub(crate) fn compare(decisions: u32, report: &mut Report) {
    for keys in [1, 1000, 1_000_000] {
        step(&format!("limiter, {keys} keys"));
        let (mut ours, mut theirs) = (vec![], vec![]);
        let limiter: Arc<dyn Limiter> = Arc::new(MemoryLimiter::new(2_000_000));
        let quota = Quota::per_hour(PER_HOUR);
        let take = |id: i64| {
            // A limiter in this process has decided when it returns.
            let Either::Left(decided) = limiter.take(Bucket { kind: "key", id }, quota) else { return };
            black_box(decided.into_inner().allowed);
        };
        let governor =
            RateLimiter::keyed(governor::Quota::per_hour(NonZeroU32::new(PER_HOUR).unwrap_or(NonZeroU32::MIN)));
        let check = |id: i64| {
            black_box(governor.check_key(&id).is_ok());
        };
        for id in 0..keys {
            take(id);
            check(id);
        }
        for _ in 0..ROUNDS {
            ours.push(nanos(decisions, keys, take));
            theirs.push(nanos(decisions, keys, check));
        }
        let ratio = median(ours.iter().zip(&theirs).map(|(ours, theirs)| theirs / ours));
        report.value(format!("limiter at {keys} keys"), median(ours), "ns");
        report.value(format!("governor at {keys} keys"), median(theirs), "ns");
        // As fast, within what two runs of the same differ by.
        report.at_least(format!("limiter at {keys} keys, speed : governor"), ratio, 1.0);
    }
}

/// Decisions a second by a private Redis on this machine, one after the other and many at once.
pub(crate) async fn over_redis(url: &str, decisions: i64, report: &mut Report) -> Result {
    let memory = Arc::new(MemoryLimiter::new(1000));
    let url = RedisUrl::new(url, Files::default()).map_err(|_| Error::new("--redis is no URL of a Redis"))?;
    let limiter = RedisLimiter::new(url, memory.clone(), |_| {});
    limiter.probe().await;
    for in_flight in [1, 64] {
        step(&format!("limiter over Redis, {in_flight} in flight"));
        let mut rates = vec![];
        for _ in 0..ROUNDS {
            let take = |id| limiter.take(Bucket { kind: "key", id: id % 1000 }, Quota::per_hour(PER_HOUR));
            let began = Instant::now();
            stream::iter(0..decisions).map(take).buffer_unordered(in_flight).for_each(async |_| {}).await;
            rates.push(decisions as f64 / began.elapsed().as_secs_f64());
        }
        report.value(format!("limiter over Redis, {in_flight} in flight"), median(rates), "decisions/s");
    }
    if memory.is_empty() { Ok(()) } else { Err(Error::new("Redis did not make all the decisions: too slow, or gone")) }
}

/// Keys in an order that no cache can foresee.
fn nanos(decisions: u32, keys: i64, mut decide: impl FnMut(i64)) -> f64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let began = Instant::now();
    for _ in 0..decisions {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Lemire's reduction: a division would cost as much as half a decision.
        decide(((i128::from(state) * i128::from(keys)) >> 64) as i64);
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(decisions)
}

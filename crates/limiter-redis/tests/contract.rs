//! Promises of every limiter, asked of the one in memory and of the one in Redis.

use std::{sync::Arc, time::Duration};

use agis_limiter_redis::{Files, RedisLimiter, RedisUrl};
use agis_local_services::redis::Redis;
use agis_ratelimit::{Bucket, Limiter, MemoryLimiter, Quota};
use agis_test_support::wait;

const SOON: Duration = Duration::from_secs(30);

fn key(id: i64) -> Bucket {
    Bucket { kind: "key", id }
}

async fn take(limiter: &dyn Limiter, id: i64, limit: u32) -> bool {
    limiter.take(key(id), Quota::per_hour(limit)).await.allowed
}

#[tokio::test]
async fn in_memory() {
    contract(Arc::new(MemoryLimiter::new(1000))).await;
}

#[tokio::test]
async fn in_redis() {
    let server = Redis::start().expect("a Redis");
    let memory = Arc::new(MemoryLimiter::new(1000));
    let tell = |how: Result<(), &agis_limiter_redis::Error>| how.expect("a Redis that answers");
    let limiter =
        RedisLimiter::new(RedisUrl::new(&server.url(), Files::default()).expect("a URL"), memory.clone(), tell)
            .with_deadline(SOON);
    limiter.probe().await;
    contract(Arc::new(limiter)).await;
    assert!(memory.is_empty(), "it was all decided by Redis");
}

async fn contract(limiter: Arc<dyn Limiter>) {
    a_quota_passes_and_the_next_is_told_when_to_come_back(&*limiter).await;
    callers_do_not_share_tokens(&*limiter).await;
    to_peek_costs_nothing(&*limiter).await;
    several_buckets_give_a_token_each_or_none_at_all(&*limiter).await;
    tokens_come_back(&*limiter).await;
    a_quota_may_change(&*limiter).await;
    who_asks_at_once_gets_no_more_than_the_quota(limiter.clone()).await;
    families_that_ask_at_once_get_no_more_than_what_they_share(limiter).await;
}

async fn a_quota_passes_and_the_next_is_told_when_to_come_back(limiter: &dyn Limiter) {
    for remaining in (0..20).rev() {
        let decision = limiter.take(key(1), Quota::per_hour(20)).await;
        assert_eq!((decision.allowed, decision.limit, decision.remaining), (true, 20, remaining));
    }
    let decision = limiter.take(key(1), Quota::per_hour(20)).await;
    assert_eq!((decision.allowed, decision.remaining), (false, 0));
    let (full_in, retry_in) = (decision.full_in.as_secs(), decision.retry_in.as_secs());
    // 180 s a token, less what passed since the first was taken.
    assert!((3570..=3600).contains(&full_in) && (150..=180).contains(&retry_in), "{decision:?}");
}

async fn callers_do_not_share_tokens(limiter: &dyn Limiter) {
    assert!(take(limiter, 10, 1).await && !take(limiter, 10, 1).await);
    assert!(take(limiter, 11, 1).await && take(limiter, -10, 1).await);
    assert!(limiter.take(Bucket { kind: "user", id: 10 }, Quota::per_hour(1)).await.allowed);
}

async fn to_peek_costs_nothing(limiter: &dyn Limiter) {
    for _ in 0..3 {
        assert!(limiter.peek(key(20), Quota::per_hour(1)).await.allowed);
    }
    assert!(take(limiter, 20, 1).await);
    assert!(!limiter.peek(key(20), Quota::per_hour(1)).await.allowed);
}

async fn several_buckets_give_a_token_each_or_none_at_all(limiter: &dyn Limiter) {
    let of = async |id, limit| {
        let draws = [(key(id), Quota::per_hour(limit)), (key(60), Quota::per_hour(5))];
        let verdict = limiter.take_all(&draws).await;
        (verdict.decision.allowed, verdict.decision.limit, verdict.decision.remaining, verdict.by)
    };
    assert_eq!(of(61, 2).await, (true, 2, 1, 0), "its own is the tightest");
    assert_eq!(of(61, 2).await, (true, 2, 0, 0));
    for _ in 0..3 {
        assert_eq!(of(61, 2).await, (false, 2, 0, 0), "the other one is not charged for it");
    }
    assert_eq!(of(62, 100).await, (true, 5, 2, 1));
    assert_eq!(of(63, 100).await, (true, 5, 1, 1));
    assert!(take(limiter, 60, 5).await, "it is the bucket of a caller of its own");
    for id in 62..70 {
        assert_eq!(of(id, 3).await, (false, 5, 0, 1));
    }
    for remaining in [2, 1, 0] {
        assert_eq!(limiter.take(key(69), Quota::per_hour(3)).await.remaining, remaining, "nor is this one");
    }
}

/// Two a second.
async fn tokens_come_back(limiter: &dyn Limiter) {
    while take(limiter, 30, 7_200).await {}
    let retry_in = limiter.peek(key(30), Quota::per_hour(7_200)).await.retry_in;
    assert!(retry_in <= Duration::from_millis(500), "{retry_in:?}");
    wait::until(SOON, "a token", async || take(limiter, 30, 7_200).await.then_some(())).await;
}

async fn a_quota_may_change(limiter: &dyn Limiter) {
    while take(limiter, 40, 10).await {}
    let smaller = limiter.take(key(40), Quota::per_hour(1)).await;
    assert!(!smaller.allowed && smaller.retry_in <= Duration::from_secs(3600), "{smaller:?}");
}

async fn who_asks_at_once_gets_no_more_than_the_quota(limiter: Arc<dyn Limiter>) {
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let limiter = limiter.clone();
        callers.spawn(async move {
            let mut passed = 0;
            for _ in 0..50 {
                passed += usize::from(take(&*limiter, 50, 100).await);
            }
            passed
        });
    }
    assert_eq!(callers.join_all().await.iter().sum::<usize>(), 100);
}

async fn families_that_ask_at_once_get_no_more_than_what_they_share(limiter: Arc<dyn Limiter>) {
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..8 {
        let limiter = limiter.clone();
        callers.spawn(async move {
            let mut draws = vec![(key(80 + number), Quota::per_hour(40)), (key(90), Quota::per_hour(100))];
            if number % 2 == 0 {
                draws.reverse();
            }
            let mut passed = 0;
            for _ in 0..50 {
                passed += usize::from(limiter.take_all(&draws).await.decision.allowed);
            }
            passed
        });
    }
    let passed = callers.join_all().await;
    assert!(passed.iter().all(|it| *it <= 40), "{passed:?}");
    assert_eq!(passed.iter().sum::<usize>(), 100);
}

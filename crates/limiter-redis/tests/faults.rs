//! Decisions while Redis is killed, frozen, emptied.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use agis_limiter_redis::{Files, RedisLimiter, RedisUrl};
use agis_local_services::redis::Redis;
use agis_ratelimit::{Bucket, Limiter, MemoryLimiter, Quota};
use agis_test_support::wait;

const SOON: Duration = Duration::from_secs(30);
/// Refills within no test.
const LIMIT: u32 = 10;

/// A limiter, its Redis, and how often the limiter told that Redis is not there.
struct Scene {
    server: Redis,
    memory: Arc<MemoryLimiter>,
    limiter: Arc<RedisLimiter>,
    troubles: Arc<AtomicUsize>,
}

impl Scene {
    async fn start() -> Self {
        let server = Redis::start().expect("a Redis");
        let (memory, troubles) = (Arc::new(MemoryLimiter::new(1000)), Arc::new(AtomicUsize::new(0)));
        let told = troubles.clone();
        let tell = move |how: Result<(), &_>| {
            told.fetch_add(usize::from(how.is_err()), Ordering::Relaxed);
        };
        let url = RedisUrl::new(&server.url(), Files::default()).expect("a URL");
        let limiter = RedisLimiter::new(url, memory.clone(), tell);
        let scene = Self { server, memory, limiter: Arc::new(limiter), troubles };
        scene.found().await;
        scene
    }

    /// How many pass of so many.
    async fn pass(&self, id: i64, of: u32) -> u32 {
        let mut passed = 0;
        for _ in 0..of {
            passed += u32::from(self.limiter.take(Bucket { kind: "key", id }, Quota::per_hour(LIMIT)).await.allowed);
        }
        passed
    }

    fn troubles(&self) -> usize {
        self.troubles.swap(0, Ordering::Relaxed)
    }

    /// Probes until Redis is found.
    async fn found(&self) {
        wait::until(SOON, "Redis to be found", async || {
            self.troubles();
            self.limiter.probe().await;
            (self.troubles() == 0).then_some(())
        })
        .await;
    }

    async fn command(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(self.server.url()).expect("a client");
        let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
        let (name, args) = words.split_first().expect("a command");
        redis::cmd(name).arg(args).query_async(&mut connection).await.expect("an answer")
    }
}

#[tokio::test]
async fn restarted_redis_never_lets_all_through() {
    let mut scene = Scene::start().await;
    assert_eq!(scene.pass(1, 30).await, LIMIT);
    assert!(scene.memory.is_empty());

    scene.server.kill();
    assert_eq!(scene.pass(1, 30).await, LIMIT, "a bucket of this process, once");
    assert_eq!(scene.troubles(), 1, "told once, not for each request");
    scene.limiter.probe().await;
    assert_eq!(scene.troubles(), 1, "the probe does not find it");
    assert_eq!(scene.pass(1, 30).await, 0);

    scene.server.restart().expect("a Redis");
    scene.found().await;
    assert_eq!(scene.pass(1, 30).await, LIMIT, "Redis has forgotten everything");
    scene.server.kill();
    assert_eq!(scene.pass(1, 30).await, 0, "this process has not");
}

#[tokio::test]
async fn several_buckets_are_decided_without_redis() {
    let mut scene = Scene::start().await;
    let passes = async |scene: &Scene| {
        let mut passed = 0;
        for id in 0..30 {
            let draws = [
                (Bucket { kind: "key", id }, Quota::per_hour(3)),
                (Bucket { kind: "key", id: 99 }, Quota::per_hour(LIMIT)),
            ];
            passed += u32::from(scene.limiter.take_all(&draws).await.decision.allowed);
        }
        passed
    };
    assert_eq!(passes(&scene).await, LIMIT);
    assert!(scene.memory.is_empty(), "Redis has decided, in one call each");
    scene.server.kill();
    assert_eq!(passes(&scene).await, LIMIT, "a bucket of this process, once");
    assert_eq!(passes(&scene).await, 0);
}

#[tokio::test]
async fn frozen_redis_costs_one_deadline() {
    let scene = Scene::start().await;
    assert_eq!(scene.pass(1, 5).await, 5);
    scene.server.freeze();
    let began = Instant::now();
    let waiting = (0..64).map(|id| scene.pass(100 + id, 1));
    assert_eq!(futures_util::future::join_all(waiting).await.iter().sum::<u32>(), 64);
    assert_eq!(scene.troubles(), 1);
    assert_eq!(scene.pass(1, 1000).await, LIMIT);
    // A thousand deadlines would be 100 s.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());

    scene.server.thaw();
    scene.found().await;
    assert_eq!(scene.pass(1, 30).await, LIMIT - 5);
}

#[tokio::test]
async fn forgetful_redis_is_taught_again() {
    let scene = Scene::start().await;
    assert_eq!(scene.pass(1, 30).await, LIMIT);
    scene.command(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(scene.pass(1, 30).await, 0);
    scene.command(&["FLUSHALL"]).await;
    assert_eq!(scene.pass(1, 30).await, LIMIT);
    assert_eq!((scene.troubles(), scene.memory.is_empty()), (0, true));
}

#[tokio::test]
async fn undecided_redis_is_as_good_as_none() {
    let scene = Scene::start().await;
    scene.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
    assert_eq!(scene.pass(1, 30).await, LIMIT);
    scene.limiter.probe().await;
    assert_eq!(scene.troubles(), 2, "it answers, and takes nothing");
    scene.command(&["REPLICAOF", "NO", "ONE"]).await;
    scene.found().await;
    assert_eq!(scene.pass(1, 30).await, LIMIT);
}

#[tokio::test]
async fn a_bucket_is_kept_until_it_is_full() {
    let scene = Scene::start().await;
    let quota = Quota::per_hour(3600);
    let full_in = scene.limiter.take(Bucket { kind: "key", id: 7 }, quota).await.full_in;
    assert_eq!(full_in, Duration::from_secs(1));
    let redis::Value::Int(ttl) = scene.command(&["PTTL", "agis:limit:key:7"]).await else { panic!("no number") };
    assert!((-2..=1000).contains(&ttl) && ttl != -1, "{ttl}");
    wait::until(SOON, "the key to expire", async || {
        (scene.command(&["DBSIZE"]).await == redis::Value::Int(0)).then_some(())
    })
    .await;
}

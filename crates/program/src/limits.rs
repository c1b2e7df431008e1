//! Chooses the limiter: in this process, or in Redis for all processes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use agis_limiter_redis::RedisLimiter;
use agis_ratelimit::{Limiter, MemoryLimiter};
use agis_runtime::{Health, Loop};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{settings::Rules, upkeep::sweep};

/// Time between sweeps of full buckets in this process.
const SWEEP: Duration = Duration::from_secs(60);
/// Time between probes of Redis.
const PROBE: Duration = Duration::from_secs(1);

/// Limiter with its upkeep.
#[derive(Clone)]
pub struct Limits {
    memory: Arc<MemoryLimiter>,
    redis: Option<Arc<RedisLimiter>>,
}

impl Limits {
    /// Creates the limiter that the settings name. Probes Redis once, so that Redis counts the first request too. If
    /// Redis is away, readiness names it and no request waits for it.
    pub async fn new(rules: &Rules, health: &Health) -> Self {
        let memory = Arc::new(MemoryLimiter::new(rules.buckets));
        let Some(url) = rules.redis.clone() else {
            health.off("redis");
            return Self { memory, redis: None };
        };
        let component = health.optional("redis", PROBE * 10);
        let redis = RedisLimiter::new(url, memory.clone(), move |how| match how {
            Ok(()) => component.ok(),
            Err(error) => component.trouble(&error.to_string()),
        });
        redis.probe().await;
        Self { memory, redis: Some(Arc::new(redis)) }
    }

    /// Returns the limiter to ask.
    pub fn limiter(&self) -> Arc<dyn Limiter> {
        match &self.redis {
            Some(redis) => redis.clone(),
            None => self.memory.clone(),
        }
    }

    /// Runs the limiter's upkeep.
    pub fn start(&self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let memory = self.memory.clone();
        tasks.spawn(Loop::new("sweep limits", SWEEP).run(stop.clone(), async move || {
            sweep(&memory);
            Ok::<(), Infallible>(())
        }));
        let Some(redis) = self.redis.clone() else { return };
        tasks.spawn(Loop::new("probe Redis", PROBE).run(stop.clone(), async move || {
            redis.probe().await;
            Ok::<(), Infallible>(())
        }));
    }
}

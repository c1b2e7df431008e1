//! Who counts the tokens: this process, or Redis for all processes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use agis_limiter_redis::RedisLimiter;
use agis_ratelimit::{Limiter, MemoryLimiter};
use agis_runtime::{Health, every};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{settings::Rules, upkeep::sweep};

/// How often buckets in this process that are full are forgotten.
const SWEEP: Duration = Duration::from_secs(60);
/// How often it is tried whether Redis is there.
const PROBE: Duration = Duration::from_secs(1);

/// The limiter, and what keeps it going.
#[derive(Clone)]
pub struct Limits {
    memory: Arc<MemoryLimiter>,
    redis: Option<Arc<RedisLimiter>>,
}

impl Limits {
    /// As the settings say. Redis is tried once, so that where it is there the first request is counted there too;
    /// where it is not, readiness names it and nobody waits for it.
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

    /// The one to ask.
    pub fn limiter(&self) -> Arc<dyn Limiter> {
        match &self.redis {
            Some(redis) => redis.clone(),
            None => self.memory.clone(),
        }
    }

    /// What a limiter needs to have done all the time.
    pub fn start(&self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let memory = self.memory.clone();
        tasks.spawn(every("sweep limits", SWEEP, stop.clone(), async move || {
            sweep(&memory);
            Ok::<(), Infallible>(())
        }));
        let Some(redis) = self.redis.clone() else { return };
        tasks.spawn(every("probe Redis", PROBE, stop.clone(), async move || {
            redis.probe().await;
            Ok::<(), Infallible>(())
        }));
    }
}

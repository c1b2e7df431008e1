//! The domain services over one database.

use std::sync::Arc;

use agis_accounts::Accounts;
use agis_apikeys::{ApiKeys, KeyCache};
use agis_http_api::{Followers, Services};
use agis_idempotency::Idempotency;
use agis_ratelimit::MemoryLimiter;
use agis_scheduler::Schedules;
use agis_servers::{Servers, console::Console};
use agis_storage::Db;

use crate::config::Config;

/// Composes them; the limiter is handed out as well, to be swept. Whoever listens to the database tells the cache.
pub(crate) fn compose(
    config: &Config,
    db: &Arc<Db>,
    cache: KeyCache,
    consoles: Vec<Arc<dyn Console>>,
) -> (Services, Arc<MemoryLimiter>) {
    let limiter = Arc::new(MemoryLimiter::new(config.buckets));
    let services = Services {
        keys: ApiKeys::new(db.clone(), cache, config.keys.clone()),
        limiter: limiter.clone(),
        servers: Servers::new(db.clone(), db.clone(), config.catalogue.clone(), config.servers.clone(), consoles),
        schedules: Schedules::new(db.clone(), config.schedules_per_server),
        accounts: Accounts::new(db.clone()),
        edge: Arc::new(config.edge.clone()),
        idempotency: Idempotency::new(db.clone()),
        followers: Followers::default(),
    };
    (services, limiter)
}

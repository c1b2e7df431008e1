//! Regular jobs of any process.

use std::time::Duration;

use agis_ratelimit::MemoryLimiter;
use agis_runtime::{Component, Health};
use agis_scheduler::zone;
use agis_storage::{
    DatabaseUrl, Db,
    notify::{Bells, listen},
};

/// Time between calls of [`ping`].
pub const PING: Duration = Duration::from_secs(2);
/// Time between calls of [`look_for_zones`].
pub const ZONES: Duration = Duration::from_secs(60);

/// Reports the state of the database, the kind of connection, and the number of connections.
pub async fn ping(db: &Db, database: &Component) {
    match db.is_migrated().await {
        Ok(true) => database.ok(),
        Ok(false) => database.trouble("the schema is not this version's; run 'agis-api migrate up'"),
        Err(error) => database.trouble(&error.to_string()),
    }
    if let Some(transport) = db.transport() {
        database.note("tls", transport.to_string());
    }
    let pool = db.pool();
    metrics::gauge!("agis_bot_db_pool_connections", "state" => "idle").set(count(pool.idle));
    metrics::gauge!("agis_bot_db_pool_connections", "state" => "busy").set(count(pool.size.saturating_sub(pool.idle)));
    metrics::gauge!("agis_bot_db_pool_waiting").set(count(pool.waiting));
    metrics::gauge!("agis_bot_db_pool_max").set(count(pool.max));
}

/// Listens to Postgres' notifications while it is polled, and reports the state. A process without them works, later.
pub async fn hear(url: DatabaseUrl, bells: Bells, health: &Health) {
    let listener = health.optional("listener", PING * 5);
    let beat = |heard: Result<(), &str>| match heard {
        Ok(()) => listener.ok(),
        Err(why) => listener.trouble(why),
    };
    listen(url, bells, beat).await;
}

/// Describes the time zone data in use for an operator: its version and origin.
pub fn zones() -> String {
    zone::current().to_string()
}

/// Looks for newer time zone data on the machine, uses it from now on, and reports which is in use.
///
/// # Errors
/// Fails if the look does.
pub async fn look_for_zones(time_zones: &Component) -> Result<(), tokio::task::JoinError> {
    if let Some(data) = tokio::task::spawn_blocking(zone::refresh).await? {
        tracing::info!(time_zones = %data, "time zone data changed");
    }
    time_zones.note("data", zones());
    Ok(())
}

/// Forgets callers with a full bucket.
pub fn sweep(limiter: &MemoryLimiter) {
    limiter.sweep();
    metrics::gauge!("agis_bot_rate_limit_buckets").set(count(limiter.len()));
}

#[expect(clippy::cast_precision_loss, reason = "no process has 2^52 of anything")]
fn count(number: usize) -> f64 {
    number as f64
}

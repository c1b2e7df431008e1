//! What any process does now and then.

use std::time::Duration;

use agis_ratelimit::MemoryLimiter;
use agis_runtime::{Component, Health};
use agis_scheduler::zone;
use agis_storage::{
    DatabaseUrl, Db,
    notify::{Bells, listen},
};

/// How often [`ping`] is due.
pub const PING: Duration = Duration::from_secs(2);
/// How often [`look_for_zones`] is due.
pub const ZONES: Duration = Duration::from_secs(60);

/// Says how the database is, how it is reached, and how many connections there are to it.
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

/// Hears what Postgres tells, for as long as it is polled, and says how that goes. A process does without, later.
pub async fn hear(url: DatabaseUrl, bells: Bells, health: &Health) {
    let listener = health.optional("listener", PING * 5);
    let beat = |heard: Result<(), &str>| match heard {
        Ok(()) => listener.ok(),
        Err(why) => listener.trouble(why),
    };
    listen(url, bells, beat).await;
}

/// The time zone data in use, for an operator: its version, and where it comes from.
pub fn zones() -> String {
    zone::current().to_string()
}

/// Looks whether the machine has got other time zone data, uses it from now on, and says which is in use.
///
/// # Errors
/// Where the look itself failed.
pub async fn look_for_zones(time_zones: &Component) -> Result<(), tokio::task::JoinError> {
    if let Some(data) = tokio::task::spawn_blocking(zone::refresh).await? {
        tracing::info!(time_zones = %data, "other time zone data is used from now on");
    }
    time_zones.note("data", zones());
    Ok(())
}

/// Forgets who is within their limit anyway.
pub fn sweep(limiter: &MemoryLimiter) {
    limiter.sweep();
    metrics::gauge!("agis_bot_rate_limit_buckets").set(count(limiter.len()));
}

#[expect(clippy::cast_precision_loss, reason = "no process has 2^52 of anything")]
fn count(number: usize) -> f64 {
    number as f64
}

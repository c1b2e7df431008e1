//! A loop that survives its failures.

use std::{fmt::Display, time::Duration};

use tokio_util::sync::CancellationToken;

/// Does a job at once, then every `interval` until `stop`, and once more after it, so that nothing gathered is lost. A job that
/// fails is logged and tried again.
pub async fn every<E: Display>(
    name: &'static str,
    interval: Duration,
    stop: CancellationToken,
    mut job: impl AsyncFnMut() -> Result<(), E>,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let last = tokio::select! {
            _ = ticks.tick() => false,
            () = stop.cancelled() => true,
        };
        if let Err(error) = job().await {
            tracing::warn!(job = name, %error, "background job failed");
        }
        if last {
            return;
        }
    }
}

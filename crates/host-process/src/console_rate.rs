//! Rate of a console: a bucket of bytes that fills up again as time passes.

use std::time::Duration;

use agis_servers::game::Rate;
use tokio::time::Instant;

/// Time of full rate that a game may write at once. Starts are loud.
const BURST: Duration = Duration::from_secs(4);
/// Minimum rate, in bytes per second. A catalogue cannot silence a console.
const RATE_MIN: u64 = 1024;

/// Bucket of bytes. A silent console costs nothing: only the time is stored at which the bucket is full.
#[derive(Debug)]
pub(crate) struct ConsoleRate {
    /// Bytes per second.
    rate: u64,
    full_at: Instant,
}

impl ConsoleRate {
    /// Returns a full bucket; `None` is no limit.
    pub(crate) fn new(rate: Option<Rate>, now: Instant) -> Self {
        Self { rate: rate.map_or(u64::MAX, Rate::bytes_per_second).max(RATE_MIN), full_at: now }
    }

    /// Takes bytes, and returns the time that they add to the wait.
    pub(crate) fn take(&mut self, bytes: u64, now: Instant) -> Duration {
        let before = self.wait(now);
        self.full_at = self.full_at.max(now) + self.time_for(bytes);
        self.wait(now) - before
    }

    /// Returns the time at which the console may be read again; `None` if it may be now.
    pub(crate) fn held_until(&self, now: Instant) -> Option<Instant> {
        Some(now + self.wait(now)).filter(|until| *until > now)
    }

    /// Fills the bucket with this many bytes at least.
    pub(crate) fn grant(&mut self, bytes: u64, now: Instant) {
        self.full_at = self.full_at.min(now + BURST.saturating_sub(self.time_for(bytes)));
    }

    fn time_for(&self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.rate)
    }

    fn wait(&self, now: Instant) -> Duration {
        self.full_at.saturating_duration_since(now + BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_free_and_the_rest_at_the_rate() {
        let now = Instant::now();
        let mut rate = ConsoleRate::new("1MiB/s".parse().ok(), now);
        assert_eq!(rate.take(4 << 20, now), Duration::ZERO);
        assert_eq!(rate.held_until(now), None);
        assert_eq!(rate.take(1 << 20, now), Duration::from_secs(1));
        assert_eq!(rate.take(1 << 19, now), Duration::from_millis(500));
        assert_eq!(rate.held_until(now), Some(now + Duration::from_millis(1500)));
        assert_eq!(rate.held_until(now + Duration::from_millis(1500)), None);
        let later = now + Duration::from_secs(3600);
        assert_eq!(rate.take(5 << 20, later), Duration::from_secs(1), "a long silence saves up one burst");
        rate.grant(1 << 20, later);
        assert_eq!(rate.take(1 << 20, later), Duration::ZERO);
    }

    #[test]
    fn no_limit_never_waits() {
        let now = Instant::now();
        assert_eq!(ConsoleRate::new(None, now).take(1 << 40, now), Duration::ZERO);
    }
}

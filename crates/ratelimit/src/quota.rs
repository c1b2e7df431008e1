//! Quotas and the arithmetic of the bucket (pure).

use std::time::Duration;

use crate::decision::Decision;

const HOUR_NS: u64 = 3_600_000_000_000;

/// Bucket of `limit` tokens, refilled at `limit` per hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    limit: u32,
    /// Nanoseconds between two tokens.
    interval: u64,
    /// Tokens that one request takes.
    tokens: u32,
}

impl Quota {
    /// Creates a quota per hour. Zero counts as one, so that arithmetic never divides by it.
    pub const fn per_hour(limit: u32) -> Self {
        let limit = if limit == 0 { 1 } else { limit };
        Self { limit, interval: HOUR_NS / limit as u64, tokens: 1 }
    }

    /// Returns the quota as a request draws on it that takes so many tokens at once: one at least, and at most all that the
    /// bucket holds.
    #[must_use]
    pub fn times(self, tokens: u32) -> Self {
        Self { tokens: tokens.clamp(1, self.limit), ..self }
    }

    /// Returns the nanoseconds in which the tokens of one request come.
    pub fn cost(self) -> u64 {
        self.interval * u64::from(self.tokens)
    }

    /// Returns the size of the bucket.
    pub fn limit(self) -> u32 {
        self.limit
    }

    /// Returns the nanoseconds between two tokens.
    pub fn interval(self) -> u64 {
        self.interval
    }

    /// Returns the nanoseconds until an empty bucket is full.
    pub fn capacity(self) -> u64 {
        self.interval * u64::from(self.limit)
    }

    /// Takes the tokens of one request at `now`, or none of them. Times are nanoseconds since a fixed start. `full_at`, the only stored value, is the time
    /// at which the bucket is full again; a value up to `now` means full. Returns the decision and the value to store.
    ///
    /// This is GCRA (ATM Forum, Traffic Management 4.0, section 4.4.2): no fraction of a token is ever lost.
    pub fn take(self, full_at: u64, now: u64) -> (Decision, u64) {
        let (interval, cost, capacity) = (self.interval, self.cost(), self.capacity());
        // A smaller quota than before, or a clock that was set back, must not lock its owner out for longer than one
        // whole bucket.
        let full_at = full_at.clamp(now, now + capacity);
        let taken = full_at + cost;
        let allowed = taken <= now + capacity;
        let full_at = if allowed { taken } else { full_at };
        let free = now + capacity - full_at;
        let decision = Decision {
            allowed,
            limit: self.limit,
            // At most `limit`, which is a u32.
            remaining: u32::try_from(free / interval).unwrap_or(self.limit),
            full_in: Duration::from_nanos(full_at - now),
            retry_in: Duration::from_nanos(cost.saturating_sub(free)),
        };
        (decision, full_at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn request_101_is_told_when_to_return() {
        let quota = Quota::per_hour(100);
        let mut full_at = 0;
        for remaining in (0..100).rev() {
            let (decision, next) = quota.take(full_at, 5);
            assert!(decision.allowed);
            assert_eq!(decision.remaining, remaining);
            full_at = next;
        }
        let (decision, next) = quota.take(full_at, 5);
        assert_eq!(next, full_at);
        assert_eq!(
            decision,
            Decision {
                allowed: false,
                limit: 100,
                remaining: 0,
                full_in: Duration::from_secs(3600),
                retry_in: Duration::from_secs(36),
            }
        );
        assert!(quota.take(full_at, 5 + 36_000_000_000).0.allowed);
        assert!(!quota.take(full_at, 4 + 36_000_000_000).0.allowed);
    }

    #[test]
    fn request_takes_all_its_tokens_or_none() {
        let quota = Quota::per_hour(10);
        let (decision, full_at) = quota.times(7).take(0, 0);
        assert_eq!((decision.allowed, decision.remaining), (true, 3));
        let (decision, kept) = quota.times(4).take(full_at, 0);
        assert_eq!((decision.allowed, decision.remaining, kept), (false, 3, full_at));
        assert_eq!(decision.retry_in, Duration::from_secs(360), "when the fourth token is there");
        assert!(quota.times(3).take(full_at, 0).0.allowed);
        assert!(quota.times(1000).take(0, 0).0.allowed, "a full bucket is enough for everything");
    }

    #[test]
    fn smaller_quota_locks_out_for_one_bucket() {
        let (_, full_at) = Quota::per_hour(1).take(0, 0);
        let (decision, _) = Quota::per_hour(100).take(full_at * 10, 0);
        assert_eq!(decision.retry_in, Duration::from_secs(36));
    }

    proptest! {
        /// The oracle keeps tokens as exact fractions: `tokens` counts in units of 1/interval.
        #[test]
        fn quota_agrees_with_a_bucket_of_fractions(
            limit in 1_u32..5000,
            steps in prop::collection::vec(0_u64..200_000_000_000, 1..200),
        ) {
            let quota = Quota::per_hour(limit);
            let interval = u128::from(HOUR_NS / u64::from(limit));
            let capacity = interval * u128::from(limit);
            let (mut now, mut full_at, mut tokens) = (1_u64, 0, capacity);
            for step in steps {
                now += step;
                tokens = capacity.min(tokens + u128::from(step));
                let (decision, next) = quota.take(full_at, now);
                prop_assert_eq!(decision.allowed, tokens >= interval);
                if decision.allowed {
                    tokens -= interval;
                }
                full_at = next;
                prop_assert_eq!(u128::from(decision.remaining), tokens / interval);
                prop_assert_eq!(decision.full_in.as_nanos(), capacity - tokens);
                prop_assert_eq!(decision.retry_in.as_nanos(), interval.saturating_sub(tokens));
            }
        }
    }
}

//! Several buckets at once (pure).

use std::{cmp::Reverse, time::Duration};

use crate::{
    decision::{Decision, Verdict},
    quota::Quota,
};

/// Bucket: its quota, and the time at which it is full again, as in [`Quota::take`].
pub type Level = (Quota, u64);

/// Decision for a call without buckets: a mistake in the program must not let everybody through.
const NO_BUCKET: Decision = Decision {
    allowed: false,
    limit: 1,
    remaining: 0,
    full_in: Duration::from_secs(3600),
    retry_in: Duration::from_secs(3600),
};

/// Takes one token of each bucket at `now`, or none of any, and writes the new state into each.
pub fn take_all(levels: &mut [Level], now: u64) -> Verdict {
    let taken: Vec<_> = levels.iter().map(|(quota, full_at)| quota.take(*full_at, now)).collect();
    let allowed = taken.iter().all(|(decision, _)| decision.allowed);
    for ((quota, full_at), (_, kept)) in levels.iter_mut().zip(&taken) {
        // A bucket with a token that is not charged stays as it was, except for excess that `Quota::take` forgives.
        *full_at = if allowed { *kept } else { (*full_at).min(now + quota.capacity()) };
    }
    let decided = taken.into_iter().map(|(decision, _)| decision).enumerate();
    let tightest = decided
        .filter(|(_, decision)| decision.allowed == allowed)
        .min_by_key(|(_, decision)| (decision.remaining, Reverse(decision.retry_in)));
    let (by, decision) = tightest.unwrap_or((0, NO_BUCKET));
    Verdict { decision, by }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn levels(limits: &[u32]) -> Vec<Level> {
        limits.iter().map(|limit| (Quota::per_hour(*limit), 0)).collect()
    }

    #[test]
    fn tightest_bucket_decides_and_refusal_is_free() {
        let mut buckets = levels(&[5, 3, 1000]);
        for (remaining, by) in [(2, 1), (1, 1), (0, 1)] {
            let Verdict { decision, by: tightest } = take_all(&mut buckets, 0);
            assert_eq!((decision.allowed, decision.remaining, tightest), (true, remaining, by));
        }
        let before = buckets.clone();
        for _ in 0..10 {
            let Verdict { decision, by } = take_all(&mut buckets, 0);
            assert_eq!((decision.allowed, decision.limit, decision.remaining, by), (false, 3, 0, 1));
            assert_eq!(decision.retry_in, Duration::from_secs(1200), "when that bucket has a token again");
        }
        assert_eq!(buckets, before);
    }

    #[test]
    fn longest_wait_of_the_refusing_is_told() {
        let mut buckets = levels(&[4, 2, 3]);
        for (quota, full_at) in &mut buckets {
            *full_at = quota.capacity();
        }
        let Verdict { decision, by } = take_all(&mut buckets, 0);
        assert_eq!((decision.retry_in, by), (Duration::from_secs(1800), 1));
        assert!(!take_all(&mut buckets, 1_799_999_999_999).decision.allowed);
        assert!(take_all(&mut buckets, 1_800_000_000_000).decision.allowed);
    }

    #[test]
    fn first_of_equals_is_told() {
        assert_eq!(take_all(&mut levels(&[7, 7]), 0).by, 0);
        assert!(!take_all(&mut [], 0).decision.allowed);
    }

    proptest! {
        /// The oracle keeps tokens as exact fractions, in units of 1/interval, and does not use `Quota::take`.
        #[test]
        fn joint_agrees_with_buckets_of_fractions(
            limits in prop::collection::vec(1_u32..50, 1..6),
            steps in prop::collection::vec((0_u64..200_000_000_000, prop::sample::subsequence(vec![0_usize, 1, 2, 3, 4], 1..6)), 1..150),
        ) {
            let quotas: Vec<_> = limits.iter().map(|limit| Quota::per_hour(*limit)).collect();
            let capacity = |at: usize| quotas[at].interval() * u64::from(limits[at]);
            let (mut now, mut full_at) = (1_u64, vec![0; limits.len()]);
            let mut tokens: Vec<_> = (0..limits.len()).map(capacity).collect();
            for (step, asked) in steps {
                now += step;
                for (at, tokens) in tokens.iter_mut().enumerate() {
                    *tokens = capacity(at).min(*tokens + step);
                }
                let asked: Vec<_> = asked.into_iter().filter(|at| *at < limits.len()).collect();
                if asked.is_empty() {
                    continue;
                }
                let has_token = |at: &usize| tokens[*at] >= quotas[*at].interval();
                let expected = asked.iter().all(has_token);
                let wait = asked.iter().map(|at| quotas[*at].interval().saturating_sub(tokens[*at])).max();
                if expected {
                    asked.iter().for_each(|at| tokens[*at] -= quotas[*at].interval());
                }
                let left = asked.iter().map(|at| tokens[*at] / quotas[*at].interval()).min();

                let mut levels: Vec<_> = asked.iter().map(|at| (quotas[*at], full_at[*at])).collect();
                let Verdict { decision, by } = take_all(&mut levels, now);
                asked.iter().zip(&levels).for_each(|(at, (_, kept))| full_at[*at] = *kept);
                prop_assert_eq!(decision.allowed, expected);
                prop_assert_eq!(decision.limit, limits[asked[by]]);
                prop_assert_eq!(Some(u64::from(decision.remaining)), if expected { left } else { Some(0) });
                if !expected {
                    prop_assert_eq!(Some(decision.retry_in), wait.map(Duration::from_nanos));
                }
                prop_assert_eq!(decision.full_in, Duration::from_nanos(capacity(asked[by]) - tokens[asked[by]]));
            }
        }
    }
}

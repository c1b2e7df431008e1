//! Times of the attempts to deliver a notice. Pure; the store calls it with the notice's row locked.

use std::time::Duration;

/// Maximum number of attempts.
pub const ATTEMPTS_MAX: u32 = 12;
/// Maximum age of a notice.
pub const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(3600);

/// Returns the wait before the next attempt, from the number of attempts and the age; `None` if the notice is given up.
pub fn after(attempts: u32, age: Duration) -> Option<Duration> {
    if attempts >= ATTEMPTS_MAX {
        return None;
    }
    let doublings = attempts.saturating_sub(1).min(16);
    let wait = (FIRST * (1 << doublings)).min(LONGEST);
    (age.saturating_add(wait) < AGE_MAX).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn wait_doubles_until_the_twelfth_attempt() {
        let waits: Vec<_> = (1..=13).map(|attempts| after(attempts, SECOND).map(|wait| wait.as_secs())).collect();
        let expected = [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600].map(Some);
        assert_eq!(waits, [expected.as_slice(), &[None, None]].concat());
        assert_eq!(after(0, SECOND), Some(FIRST), "one that nobody has tried");
    }

    #[test]
    fn day_old_notice_is_given_up() {
        let table = [
            (1, AGE_MAX - 11 * SECOND, Some(FIRST)),
            (1, AGE_MAX - 10 * SECOND, None),
            (11, AGE_MAX - LONGEST - SECOND, Some(LONGEST)),
            (11, AGE_MAX - LONGEST, None),
            (1, Duration::MAX, None),
        ];
        for (attempts, age, wait) in table {
            assert_eq!(after(attempts, age), wait, "attempt {attempts} at {age:?}");
        }
    }

    #[test]
    fn no_number_of_attempts_makes_it_panic() {
        assert_eq!(after(u32::MAX, Duration::ZERO), None);
    }
}

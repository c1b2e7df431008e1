use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_000_000 + seconds, 0).expect("a time")
}

fn policy(on: RestartOn) -> RestartPolicy {
    RestartPolicy { on, ..RestartPolicy::default() }
}

#[test]
fn policy_says_which_ends_are_followed() {
    use {EndedBy as E, RestartOn as On};
    for (on, by, follows) in [
        (On::Crash, E::Crash, true),
        (On::Crash, E::GoodEnd, false),
        (On::Crash, E::FailedStart, false),
        (On::Always, E::Crash, true),
        (On::Always, E::GoodEnd, true),
        (On::Always, E::FailedStart, true),
        (On::Always, E::Loss, false),
        (On::Never, E::Crash, false),
    ] {
        let plan = Streak::default().plan(&policy(on), by, None, at(0), 0.0);
        assert_eq!(plan != Plan::Leave, follows, "{on} {by:?}");
    }
}

#[test]
fn wait_doubles_to_a_minute() {
    let policy = RestartPolicy { max: 9, ..RestartPolicy::default() };
    let (mut streak, mut now, mut waits) = (Streak::default(), at(0), vec![]);
    while let Plan::Restart { at } = streak.plan(&policy, EndedBy::Crash, None, now, 0.0) {
        waits.push((at - now).num_seconds());
        now = at;
        streak.restarts.push(now);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn stable_run_ends_the_streak() {
    let policy = RestartPolicy::default();
    let full = || Streak { restarts: (0..5).map(at).collect() };
    let mut streak = full();
    assert_eq!(streak.plan(&policy, EndedBy::Crash, Some(at(5)), at(304), 0.0), Plan::GiveUp);
    assert_eq!(streak.plan(&policy, EndedBy::Crash, Some(at(5)), at(305), 0.0), Plan::Restart { at: at(306) });
    assert!(streak.restarts.is_empty());
    let mut streak = full();
    assert_eq!(streak.plan(&policy, EndedBy::Crash, None, at(600), 0.0), Plan::Restart { at: at(616) }, "one is old");
}

#[test]
fn broken_rule_names_its_field() {
    let good = RestartPolicy::default();
    assert_eq!(good.check(), Ok(()));
    let field = |policy: RestartPolicy| policy.check().expect_err("a broken rule").field;
    assert_eq!(field(RestartPolicy { max: 0, ..good }), "max");
    assert_eq!(field(RestartPolicy { max: 51, ..good }), "max");
    assert_eq!(field(RestartPolicy { within: "0s".parse().expect("a span"), ..good }), "within");
    assert_eq!(field(RestartPolicy { stable_after: "25h".parse().expect("a span"), ..good }), "stable_after");
}

proptest! {
    #[test]
    fn never_more_restarts_in_the_window_than_allowed(
        max in 1u32..8, within in 1u32..600, stable in 1u32..600, lives in prop::collection::vec(0i64..700, 1..60), jitter in 0.0f64..1.0,
    ) {
        let span = |seconds: u32| format!("{seconds}s").parse().expect("a span");
        let policy = RestartPolicy { on: RestartOn::Crash, max, within: span(within), stable_after: span(stable) };
        let (mut streak, mut now, mut since, mut unstable) = (Streak::default(), at(0), None, vec![]);
        for life in lives {
            now += chrono::TimeDelta::seconds(life);
            if life >= i64::from(stable) && since.is_some() {
                unstable.clear();
            }
            let Plan::Restart { at } = streak.plan(&policy, EndedBy::Crash, since, now, jitter) else { break };
            prop_assert!(at > now && at - now <= chrono::TimeDelta::seconds(75));
            now = at;
            since = Some(at);
            streak.restarts.push(at);
            unstable.push(at);
            let counted = unstable.iter().filter(|it| now - **it < chrono::TimeDelta::seconds(within.into())).count();
            prop_assert!(counted <= max as usize, "{counted} of {max}");
        }
    }
}

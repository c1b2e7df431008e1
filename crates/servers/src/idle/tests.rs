use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

fn minutes(minutes: i64) -> TimeDelta {
    TimeDelta::minutes(minutes)
}

fn rule(keep: &[(&str, &str, &str)]) -> IdleRule {
    let keep = keep.iter().map(|(from, to, zone)| KeepWindow::parse(from, to, zone).expect("a window")).collect();
    IdleRule { stop_after: Span::of_minutes(30), keep, wake_on_join: None }
}

/// Decides at so many minutes after the first zero.
fn after(rule: &IdleRule, since: Timestamp, minute: i64, planned: Option<PlannedStop>, is_free: bool) -> IdleStep {
    let now = since + minutes(minute);
    next(rule, Emptiness { since, until: now }, planned, is_free, now)
}

#[test]
fn stop_is_announced_twice_and_then_comes() {
    let (rule, since) = (rule(&[]), at("2026-11-30T10:00:00Z"));
    assert_eq!(after(&rule, since, 24, None, true), IdleStep::Rest);
    let first = PlannedStop { since, at: since + minutes(30), is_last: false };
    assert_eq!(after(&rule, since, 25, None, true), IdleStep::Announce(first));
    assert_eq!(first.minutes(), 5);
    assert_eq!(after(&rule, since, 28, Some(first), true), IdleStep::Rest);
    let last = PlannedStop { is_last: true, ..first };
    assert_eq!(after(&rule, since, 29, Some(first), true), IdleStep::Announce(last));
    assert_eq!(last.minutes(), 1);
    assert_eq!(after(&rule, since, 29, Some(last), true), IdleStep::Rest);
    assert_eq!(after(&rule, since, 30, Some(last), true), IdleStep::Stop);
}

#[test]
fn late_announcement_puts_the_stop_off() {
    let (rule, since) = (rule(&[]), at("2026-11-30T10:00:00Z"));
    let first = PlannedStop { since, at: since + minutes(95), is_last: false };
    assert_eq!(after(&rule, since, 90, None, true), IdleStep::Announce(first));
    let last = PlannedStop { since, at: since + minutes(98), is_last: true };
    assert_eq!(
        after(&rule, since, 97, Some(PlannedStop { at: since + minutes(95), ..first }), true),
        IdleStep::Announce(last)
    );
}

#[test]
fn player_or_another_act_begins_everything_anew() {
    let (rule, since) = (rule(&[]), at("2026-11-30T10:00:00Z"));
    let last = PlannedStop { since, at: since + minutes(30), is_last: true };
    assert_eq!(after(&rule, since, 30, Some(last), false), IdleStep::Forget);
    assert_eq!(after(&rule, since, 30, None, false), IdleStep::Rest);
    // Somebody played meanwhile.
    assert_eq!(
        after(&rule, since + minutes(2), 28, Some(last), true),
        IdleStep::Announce(PlannedStop {
            since: since + minutes(2),
            at: since + minutes(33) + minutes(2),
            is_last: false,
        })
    );
    assert_eq!(after(&rule, since + minutes(10), 20, Some(last), true), IdleStep::Forget);
}

#[test]
fn clock_that_jumps_stops_nothing() {
    let (rule, since) = (rule(&[]), at("2026-11-30T10:00:00Z"));
    let last = PlannedStop { since, at: since + minutes(10), is_last: true };
    // The counts know of ten minutes, whatever the clock shows.
    let empty = Emptiness { since, until: since + minutes(10) };
    for now in [since + minutes(600), since - minutes(600)] {
        assert_ne!(next(&rule, empty, Some(last), true, now), IdleStep::Stop);
    }
}

#[test]
fn window_keeps_the_server_by_its_own_clocks() {
    let rule = rule(&[("18:00", "23:00", "Europe/Berlin")]);
    for (time, kept) in [
        ("2026-11-30T16:59:59Z", false),
        ("2026-11-30T17:00:00Z", true),
        ("2026-11-30T21:59:59Z", true),
        ("2026-11-30T22:00:00Z", false),
        // In summer.
        ("2026-07-01T15:59:59Z", false),
        ("2026-07-01T16:00:00Z", true),
        ("2026-07-01T21:00:00Z", false),
    ] {
        assert_eq!(rule.keeps(at(time)), kept, "{time}");
    }
}

#[test]
fn window_may_cross_midnight_and_a_change_of_the_clocks() {
    let rule = rule(&[("22:30", "02:30", "Europe/Berlin")]);
    for (time, kept) in [
        ("2026-11-30T21:29:00Z", false),
        ("2026-11-30T21:30:00Z", true),
        ("2026-12-01T01:29:00Z", true),
        ("2026-12-01T01:30:00Z", false),
        // 02:00 to 03:00 does not exist on this day.
        ("2026-03-29T00:59:00Z", true),
        ("2026-03-29T01:00:00Z", false),
        // 02:00 to 03:00 exists twice on this day.
        ("2026-10-25T00:29:00Z", true),
        ("2026-10-25T00:30:00Z", false),
        ("2026-10-25T01:00:00Z", true),
        ("2026-10-25T01:30:00Z", false),
    ] {
        assert_eq!(rule.keeps(at(time)), kept, "{time}");
    }
}

#[test]
fn nothing_is_announced_that_a_window_prevents() {
    let rule = rule(&[("18:00", "23:00", "UTC")]);
    let since = at("2026-11-30T17:28:00Z");
    assert_eq!(after(&rule, since, 29, None, true), IdleStep::Rest, "17:57: the stop would come after 18:00");
    let planned = PlannedStop { since, at: since + minutes(30), is_last: true };
    assert_eq!(after(&rule, since, 32, Some(planned), true), IdleStep::Forget);
    let announced = after(&rule, since, 332, None, true);
    assert_eq!(announced, IdleStep::Announce(PlannedStop { since, at: since + minutes(337), is_last: false }), "23:00");
}

#[test]
fn unknown_zone_keeps_the_server() {
    let stored = r#"{"stop_after": "30m", "keep": [{"from": "18:00", "to": "23:00", "timezone": "Nowhere/Gone"}]}"#;
    let rule: IdleRule = serde_json::from_str(stored).expect("a rule");
    assert!(rule.keeps(at("2026-11-30T10:00:00Z")));
}

#[test]
fn rule_is_stored_as_it_is_written() {
    let rule = rule(&[("08:05", "00:00", "europe/berlin")]);
    let stored = serde_json::json!({
        "stop_after": "30m", "keep": [{ "from": "08:05", "to": "00:00", "timezone": "Europe/Berlin" }]
    });
    assert_eq!(serde_json::to_value(&rule).expect("JSON"), stored);
    assert_eq!(serde_json::from_value::<IdleRule>(stored).expect("a rule"), rule);
}

#[test]
fn senseless_rule_is_refused() {
    for (from, to, zone, field) in [
        ("24:00", "23:00", "UTC", "keep.from"),
        ("8:00", "23:00", "UTC", "keep.from"),
        ("08:00:00", "23:00", "UTC", "keep.from"),
        ("+8:00", "23:00", "UTC", "keep.from"),
        ("08:00", "08:60", "UTC", "keep.to"),
        ("08:00", "08:00", "UTC", "keep.to"),
        ("08:00", "09:00", "CEST", "keep.timezone"),
        ("08:00", "09:00", "\0", "keep.timezone"),
    ] {
        assert_eq!(KeepWindow::parse(from, to, zone).map_err(|error| error.field), Err(field), "{from} {to} {zone}");
    }
    let window = KeepWindow::parse("08:00", "09:00", "UTC").expect("a window");
    for (seconds, windows, field) in
        [(299, 0, Some("stop_after")), (86_401, 0, Some("stop_after")), (300, 10, None), (86_400, 11, Some("keep"))]
    {
        let rule =
            IdleRule { keep: vec![window.clone(); windows], stop_after: Span::of_seconds(seconds), wake_on_join: None };
        assert_eq!(rule.check().err().map(|error| error.field), field, "{seconds} {windows}");
    }
}

#[test]
fn sleep_saves_whole_hours_after_the_paid_one() {
    let since = at("2026-11-30T10:10:00Z");
    let asleep = |saves_from| Idle { rule: rule(&[]), asleep: Some(Asleep { since, saves_from }), saved: 7 };
    let paid = asleep(Some(since + minutes(50)));
    for (minute, credits) in [(0, 7), (109, 7), (110, 37), (50 + 180, 97), (-600, 7)] {
        assert_eq!(paid.saved_credits(30, since + minutes(minute)), credits, "{minute}");
    }
    assert_eq!(asleep(None).saved_credits(30, since + minutes(6000)), 7, "nobody pays");
}

#[test]
fn gate_admits_the_players_of_its_list() {
    let gate = |players: Option<&[&str]>| WakeOnJoin {
        players: players.map(|players| players.iter().map(|name| (*name).to_owned()).collect()),
    };
    assert!(gate(None).admits("Scanner"));
    let listed = gate(Some(&["Ann", ".Bob"]));
    assert!(listed.admits("ann") && listed.admits(".Bob") && !listed.admits("Bob") && !listed.admits(""));
    let checked = |players: &[&str]| {
        let rule = IdleRule { wake_on_join: Some(gate(Some(players))), ..rule(&[]) };
        rule.check().err().map(|error| error.field)
    };
    assert_eq!((checked(&["Ann"]), checked(&["x"; 100])), (None, None));
    for players in [&[][..], &[""], &["a b"], &["ä"], &["x\0"], &["12345678901234567"], &["x"; 101]] {
        assert_eq!(checked(players), Some("wake_on_join.players"), "{players:?}");
    }
}

proptest! {
    #[test]
    fn no_stop_without_announcements_and_zeros(
        steps in proptest::collection::vec((0_i64..4, any::<bool>(), 0_u8..12), 1..120),
    ) {
        let (rule, begin) = (rule(&[("12:00", "12:20", "UTC")]), at("2026-11-30T10:00:00Z"));
        let (mut now, mut since, mut planned, mut announced) = (begin, begin, None, vec![]);
        for (passed, is_free, luck) in steps {
            now += minutes(passed);
            if luck == 0 {
                since = now;
            }
            match next(&rule, Emptiness { since, until: now }, planned, is_free, now) {
                IdleStep::Rest => {}
                IdleStep::Forget => (planned, announced) = (None, vec![]),
                IdleStep::Announce(plan) => {
                    if !plan.is_last {
                        announced.clear();
                    }
                    announced.push(now);
                    planned = Some(plan);
                }
                IdleStep::Stop => {
                    prop_assert!(is_free && !rule.keeps(now));
                    prop_assert!(now - since >= minutes(30));
                    prop_assert_eq!(announced.len(), 2);
                    prop_assert!(now - announced[0] >= minutes(5) && now - announced[1] >= minutes(1));
                    (planned, announced) = (None, vec![]);
                    since = now;
                }
            }
        }
    }
}

//! The walk against the oracle, around every change of every zone and at random, and against croner.

use std::collections::HashMap;

use agis_scheduler::{CronExpression, Slot, Zone};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use crate::{
    ZONES, expression, instant,
    oracle::{Matcher, Window, changes},
    zone,
};

const DAY: i64 = 86_400;

/// Fixed times, steps, real time; days by date, by weekday, either, both. The hours are those at which clocks change.
const EXPRESSIONS: [&str; 12] = [
    "30 2 * * *",
    "0,30 2 * * *",
    "30 1 * * *",
    "0 0 * * *",
    "59 23 28-31 * *",
    "5-59/20 0-23 * * *",
    "0 3 13 * 5",
    "45 0,1 */2 * 1-5",
    "15 2 1-7 3,4,9,10,11 0",
    "*/30 * * * *",
    "*/7 1-3 * * *",
    "10 */2 */3 * */2",
];

/// The first slot in which walk and oracle differ, the walk's before the oracle's.
fn difference(
    expression: &CronExpression,
    matcher: &Matcher,
    zone: &Zone,
    window: &Window,
) -> Option<(Option<Slot>, Option<Slot>)> {
    let mut walk = expression.after(zone, window.before()).take_while(|slot| window.contains(slot));
    let mut oracle = window.slots(matcher).into_iter();
    loop {
        match (walk.next(), oracle.next()) {
            (None, None) => return None,
            (ours, theirs) if ours != theirs => return Some((ours, theirs)),
            _ => {}
        }
    }
}

/// Every change of every zone from 2020 to 2037, by instant and offsets; zones that share one share its four days.
fn distinct_changes() -> HashMap<(i64, i64, i64), &'static Zone> {
    let (from, until) = (instant("2020-01-01T00:00:00Z").timestamp(), instant("2038-01-01T00:00:00Z").timestamp());
    ZONES.iter().flat_map(|zone| changes(zone, from, until).into_iter().map(move |change| (change, zone))).collect()
}

#[test]
fn every_minute_around_every_zone_change() {
    let expressions = EXPRESSIONS.map(|text| (text, expression(text), Matcher::new(text)));
    for ((at, ..), zone) in distinct_changes() {
        let window = Window::new(zone, at - 2 * DAY, at + 2 * DAY);
        for (text, expression, matcher) in &expressions {
            assert_eq!(difference(expression, matcher, zone, &window), None, "{text} in {zone} around {at}");
        }
    }
}

/// The two closest changes since 1970: Noronha had summer time for a week.
#[test]
fn a_long_walk_misses_no_change() {
    let from = instant("2000-09-20T00:00:00Z").timestamp();
    let noronha = zone("America/Noronha");
    let window = Window::new(&noronha, from, from + 40 * DAY);
    for text in EXPRESSIONS {
        let differs = difference(&expression(text), &Matcher::new(text), &noronha, &window);
        assert_eq!(differs, None, "{text}");
    }
}

fn item(low: u32, high: u32) -> impl Strategy<Value = String> {
    let value = low..=high;
    prop_oneof![
        4 => value.clone().prop_map(|value| value.to_string()),
        2 => (value.clone(), value.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (value.clone(), value, 1..9_u32).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
    ]
}

fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        2 => Just("*".to_owned()),
        1 => (2..high).prop_map(|step| format!("*/{step}")),
        4 => prop::collection::vec(item(low, high), 1..4).prop_map(|items| items.join(",")),
    ]
}

fn any_expression() -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7))
        .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
        .prop_filter("too long", |text| text.len() <= CronExpression::MAX_LENGTH)
}

fn any_instant() -> impl Strategy<Value = i64> {
    0..instant("2100-01-01T00:00:00Z").timestamp()
}

/// An instant within a day of one of the zone's changes, where it has any.
fn near_a_change(zone: &Zone, pick: prop::sample::Index) -> i64 {
    let changes = changes(zone, 0, instant("2037-01-01T00:00:00Z").timestamp());
    if changes.is_empty() { 0 } else { pick.get(&changes).0 - DAY }
}

fn any_zone() -> impl Strategy<Value = &'static Zone> {
    prop::sample::select(ZONES.iter().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_expression_agrees_with_the_oracle(
        text in any_expression(),
        zone in any_zone(),
        from in any_instant(),
    ) {
        let window = Window::new(zone, from, from + 3 * DAY);
        prop_assert_eq!(difference(&expression(&text), &Matcher::new(&text), zone, &window), None);
    }

    #[test]
    fn expressions_near_changes_agree_with_oracle(
        text in any_expression(),
        zone in any_zone(),
        pick in any::<prop::sample::Index>(),
        second in 0..DAY,
    ) {
        let from = near_a_change(zone, pick) + second;
        let window = Window::new(zone, from, from + 2 * DAY);
        prop_assert_eq!(difference(&expression(&text), &Matcher::new(&text), zone, &window), None);
    }

    #[test]
    fn slots_come_in_order_after_the_question(text in any_expression(), zone in any_zone(), from in any_instant()) {
        let after = DateTime::from_timestamp(from, 999_999_999).expect("in range");
        let expression = expression(&text);
        let mut last = after;
        for slot in expression.after(zone, after).take(50) {
            prop_assert!(slot.at > last);
            prop_assert!(slot.local.is_sorted() && !slot.local.is_empty());
            // Asking again from any slot on finds the same next one.
            let again = expression.after(zone, last).next();
            prop_assert_eq!(again.as_ref(), Some(&slot));
            let shown = zone.local(slot.at).naive_local();
            for local in &slot.local {
                // Not shown at that instant: then the clock had left it out just before.
                prop_assert!(*local == shown || (*local < shown && shown - *local < TimeDelta::days(1)));
            }
            last = slot.at;
        }
    }

    #[test]
    fn croner_agrees_where_clocks_never_change(text in any_expression(), from in any_instant()) {
        // To croner only a bare star is a star, so the days' steps are written without one.
        let fields: Vec<&str> = text.split(' ').collect();
        let (day, weekday) = (fields[2].replace("*/", "1-31/"), fields[4].replace("*/", "0-7/"));
        let text = format!("{} {} {day} {} {weekday}", fields[0], fields[1], fields[3]);
        let after = DateTime::from_timestamp(from, 0).expect("in range");
        let ours = expression(&text).after(&zone("UTC"), after).take(20).map(|slot| slot.at);
        let croners: croner::Cron = text.parse().expect("croner takes what crontab(5) takes");
        let theirs: Vec<DateTime<Utc>> = croners.iter_after(after).take(20).collect();
        prop_assert_eq!(ours.collect::<Vec<_>>(), theirs);
    }
}

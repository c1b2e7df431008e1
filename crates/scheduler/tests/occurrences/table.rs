//! Cases that were decided one by one.

use agis_scheduler::{Slot, Zone};
use chrono::{DateTime, TimeDelta, Utc};

use crate::{ZONES, expression, instant, zone};

/// The runs after one local date and before another, as `when they run <- which slots they stand for`.
fn runs(text: &str, name: &str, from: &str, until: &str) -> Vec<String> {
    let (zone, until) = (zone(name), instant(until));
    let slots = expression(text).after(&zone, instant(from)).take_while(|slot| slot.at < until);
    slots.map(|slot| show(&zone, &slot)).collect()
}

fn show(zone: &Zone, slot: &Slot) -> String {
    let local: Vec<_> = slot.local.iter().map(|local| local.format("%H:%M").to_string()).collect();
    format!("{} <- {}", zone.local(slot.at).format("%m-%d %H:%M %:z"), local.join(" "))
}

const NEW_YORK: &str = "America/New_York";
const SPRING: (&str, &str) = ("2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z");
const AUTUMN: (&str, &str) = ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z");

#[test]
fn slot_in_the_spring_gap_runs_at_its_end() {
    assert_eq!(runs("30 2 * * *", NEW_YORK, SPRING.0, SPRING.1), ["03-08 03:00 -04:00 <- 02:30"]);
}

#[test]
fn slots_in_one_gap_share_a_run() {
    assert_eq!(runs("0,30 2 * * *", NEW_YORK, SPRING.0, SPRING.1), ["03-08 03:00 -04:00 <- 02:00 02:30"]);
    assert_eq!(
        runs("0,30 2,3 * * *", NEW_YORK, SPRING.0, SPRING.1),
        ["03-08 03:00 -04:00 <- 02:00 02:30 03:00", "03-08 03:30 -04:00 <- 03:30"]
    );
}

#[test]
fn repeated_slot_runs_on_its_first_pass() {
    let first = ["11-01 01:30 -04:00 <- 01:30"];
    assert_eq!(runs("30 1 * * *", NEW_YORK, AUTUMN.0, AUTUMN.1), first);
    // Asked in between the passes, the answer is the next day's.
    let next_day = runs("30 1 * * *", NEW_YORK, "2026-11-01T05:45:00Z", "2026-11-03T05:00:00Z");
    assert_eq!(next_day, ["11-02 01:30 -05:00 <- 01:30"]);
    let next_day = runs("30 1 * * *", NEW_YORK, "2026-11-01T06:29:59Z", "2026-11-03T05:00:00Z");
    assert_eq!(next_day, ["11-02 01:30 -05:00 <- 01:30"]);
}

#[test]
fn a_star_in_minute_or_hour_means_real_time() {
    assert_eq!(
        runs("*/30 * * * *", NEW_YORK, "2026-11-01T04:30:00Z", "2026-11-01T07:30:00Z"),
        [
            "11-01 01:00 -04:00 <- 01:00",
            "11-01 01:30 -04:00 <- 01:30",
            "11-01 01:00 -05:00 <- 01:00",
            "11-01 01:30 -05:00 <- 01:30",
            "11-01 02:00 -05:00 <- 02:00"
        ]
    );
    assert_eq!(
        runs("*/30 * * * *", NEW_YORK, "2026-03-08T06:00:00Z", "2026-03-08T07:30:00Z"),
        ["03-08 01:30 -05:00 <- 01:30", "03-08 03:00 -04:00 <- 03:00"]
    );
    assert!(runs("*/30 2 * * *", NEW_YORK, SPRING.0, SPRING.1).is_empty());
    assert_eq!(runs("30 * * * *", NEW_YORK, AUTUMN.0, AUTUMN.1).len(), 25);
    assert_eq!(runs("30 0-23 * * *", NEW_YORK, AUTUMN.0, AUTUMN.1).len(), 24);
}

/// Newfoundland set its clock back from 00:01 to 23:01 of the day before.
#[test]
fn recurring_date_is_looked_at_again() {
    let st_johns = |text| runs(text, "America/St_Johns", "2010-11-07T02:30:30Z", "2010-11-08T02:30:00Z");
    assert_eq!(st_johns("*/30 23 6 11 *"), ["11-06 23:30 -03:30 <- 23:30"]);
    assert_eq!(st_johns("0 * 7 11 *")[..1], ["11-07 00:00 -03:30 <- 00:00"]);
    assert!(st_johns("30 23 6 11 *").is_empty());
}

#[test]
fn missing_midnight_runs_at_the_first_instant() {
    let santiago = runs("0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", "2026-09-06T12:00:00Z");
    assert_eq!(santiago, ["09-06 01:00 -03:00 <- 00:00"]);
}

#[test]
fn a_missing_day_has_no_runs() {
    let apia = |text| runs(text, "Pacific/Apia", "2011-12-29T10:00:00Z", "2011-12-31T10:00:00Z");
    assert_eq!(apia("0 12 * * *"), ["12-29 12:00 -10:00 <- 12:00", "12-31 12:00 +14:00 <- 12:00"]);
    assert!(apia("0 12 30 12 *").is_empty());
    let next = expression("0 12 30 12 *").after(&zone("Pacific/Apia"), instant("2011-12-29T10:00:00Z")).next();
    assert_eq!(next.map(|slot| slot.at), Some(instant("2012-12-29T22:00:00Z")));
}

#[test]
fn gaps_of_other_lengths_move_slots_too() {
    let lord_howe = runs("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T14:00:00Z", "2026-10-04T12:00:00Z");
    assert_eq!(lord_howe, ["10-04 02:30 +11:00 <- 02:15"]);
    let troll = runs("30 1,2 * * *", "Antarctica/Troll", "2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z");
    assert_eq!(troll, ["03-29 03:00 +02:00 <- 01:30 02:30"]);
    // Casey went from +8 to +11 at 04:00 on 2020-10-04 (00:01 in tzdata).
    let casey = runs("30 0,1,2 * * *", "Antarctica/Casey", "2020-10-03T16:00:30Z", "2020-10-03T20:00:00Z");
    assert_eq!(casey, ["10-04 03:01 +11:00 <- 00:30 01:30 02:30"]);
    // Monrovia's clock went from 24:00 to 00:44:30; the offset of -00:44:30 is shown rounded.
    let monrovia = runs("0,50 0 * * *", "Africa/Monrovia", "1972-01-05T12:00:00Z", "1972-01-07T12:00:00Z");
    assert_eq!(
        monrovia,
        [
            "01-06 00:00 -00:45 <- 00:00",
            "01-06 00:50 -00:45 <- 00:50",
            "01-07 00:44 +00:00 <- 00:00",
            "01-07 00:50 +00:00 <- 00:50"
        ]
    );
}

#[test]
fn gap_is_seen_from_its_edge() {
    let end_of_gap = instant("2026-03-08T07:00:00Z");
    let next = |after| expression("30 2 * * *").after(&zone(NEW_YORK), after).next().map(|slot| slot.at);
    assert_eq!(next(end_of_gap - TimeDelta::nanoseconds(1)), Some(end_of_gap));
    assert_eq!(next(end_of_gap - TimeDelta::seconds(1)), Some(end_of_gap));
    assert_eq!(next(end_of_gap), Some(instant("2026-03-09T06:30:00Z")));
}

#[test]
fn starless_day_fields_mean_either() {
    let days = |text| {
        let slots = expression(text).after(&zone("UTC"), instant("2026-03-01T00:00:00Z")).take(5);
        slots.map(|slot| slot.at.format("%m-%d").to_string()).collect::<Vec<_>>()
    };
    assert_eq!(days("0 12 13 * 5"), ["03-06", "03-13", "03-20", "03-27", "04-03"]);
    assert_eq!(days("0 12 13 * *"), ["03-13", "04-13", "05-13", "06-13", "07-13"]);
    assert_eq!(days("0 12 */2 * 5"), ["03-13", "03-27", "04-03", "04-17", "05-01"]);
    assert_eq!(days("0 12 8 * */7"), ["03-08", "11-08", "08-08", "10-08", "04-08"]);
}

#[test]
fn search_ends_where_nothing_fires() {
    for text in ["0 0 31 2 *", "*/5 * 30 2 *", "0 0 31 4,6,9,11 *", "0 4 30,31 2 *"] {
        let expression = expression(text);
        for zone in ZONES.iter() {
            assert_eq!(expression.after(zone, instant("2026-01-01T00:00:00Z")).next(), None, "{text} in {zone}");
        }
    }
}

/// Second Sundays of March have no 02:00 in New York, so a real-time expression for that hour has nothing to run at.
#[test]
fn search_ends_where_all_slots_are_gaps() {
    let mut never = expression("*/30 2 8 3 */7").after(&zone(NEW_YORK), instant("2026-01-01T00:00:00Z"));
    assert_eq!((never.next(), never.next()), (None, None));
}

#[test]
fn a_leap_day_is_found_forty_years_ahead() {
    let mut leaps = expression("0 0 29 2 */7").after(&zone("UTC"), instant("2088-03-01T00:00:00Z"));
    assert_eq!(leaps.next().map(|slot| slot.at), Some(instant("2128-02-29T00:00:00Z")));
    let distant = leaps.nth(9).map(|slot| slot.at);
    assert!(distant > Some(instant("2300-01-01T00:00:00Z")), "the search goes on from each run: {distant:?}");
    let monthly = expression("30 4 29 2 *").after(&zone("Asia/Kolkata"), instant("2096-03-01T00:00:00Z")).next();
    assert_eq!(monthly.map(|slot| slot.at), Some(instant("2104-02-28T23:00:00Z")));
}

#[test]
fn ends_of_the_calendar_do_not_panic() {
    for text in ["* * * * *", "0 4 * * *", "30 2 29 2 *", "0 0 31 2 *"] {
        for name in ["UTC", NEW_YORK, "Pacific/Kiritimati", "Pacific/Midway", "Africa/Monrovia"] {
            let zone = zone(name);
            let walk = |after| expression(text).after(&zone, after).take(3_000).last();
            assert!(walk(DateTime::<Utc>::MIN_UTC).is_none_or(|slot| slot.at > DateTime::<Utc>::MIN_UTC));
            assert_eq!(walk(DateTime::<Utc>::MAX_UTC), None, "{text} in {name}");
            walk(DateTime::<Utc>::MAX_UTC - TimeDelta::days(1));
            walk(DateTime::<Utc>::MIN_UTC + TimeDelta::days(1));
        }
    }
}

use proptest::prelude::*;

use super::{CronError, CronExpression, CronField, FieldSets};

fn sets(text: &str) -> FieldSets {
    text.parse::<CronExpression>().unwrap_or_else(|error| panic!("{text:?} should be accepted: {error}")).sets
}

fn refusal(text: &str) -> CronError {
    text.parse::<CronExpression>().expect_err(text)
}

fn values(mask: u64) -> Vec<u32> {
    (0..64).filter(|value| mask >> value & 1 == 1).collect()
}

#[test]
fn each_field_names_the_values_of_crontab5() {
    let minutes: [(&str, &[u32]); 8] = [
        ("0", &[0]),
        ("05,59", &[5, 59]),
        ("3,1,1", &[1, 3]),
        ("1-3,10-11", &[1, 2, 3, 10, 11]),
        ("*/20", &[0, 20, 40]),
        ("1-30/7", &[1, 8, 15, 22, 29]),
        ("*/90", &[0]),
        ("7-7/2,50-59/99999999999", &[7, 50]),
    ];
    for (field, expected) in minutes {
        assert_eq!(values(sets(&format!("{field} * * * *")).minutes), expected, "{field}");
    }
    let all = sets("* * * * *");
    assert_eq!(values(all.minutes), Vec::from_iter(0..60));
    assert_eq!(values(all.hours.into()), Vec::from_iter(0..24));
    assert_eq!(values(all.days_of_month.into()), Vec::from_iter(1..32));
    assert_eq!(values(all.months.into()), Vec::from_iter(1..13));
    assert_eq!(values(all.weekdays.into()), Vec::from_iter(0..7));
}

#[test]
fn sunday_is_0_and_7_and_sun() {
    let weekdays: [(&str, &[u32]); 15] = [
        ("0", &[0]),
        ("7", &[0]),
        ("sun", &[0]),
        ("5-7", &[0, 5, 6]),
        ("0-7", &[0, 1, 2, 3, 4, 5, 6]),
        ("6-7", &[0, 6]),
        ("7-7", &[0]),
        ("fri-sun", &[0, 5, 6]),
        ("sun-tue", &[0, 1, 2]),
        ("sun-sun", &[0]),
        ("MON-fri/2,Sat", &[1, 3, 5, 6]),
        ("1-7/2", &[0, 1, 3, 5]),
        ("*/2", &[0, 2, 4, 6]),
        ("*/5", &[0, 5]),
        ("*/7", &[0]),
    ];
    for (field, expected) in weekdays {
        assert_eq!(values(sets(&format!("0 0 * * {field}")).weekdays.into()), expected, "{field}");
    }
}

#[test]
fn months_may_be_named() {
    let months: [(&str, &[u32]); 4] =
        [("jan", &[1]), ("JUN-Aug", &[6, 7, 8]), ("dec,2,oct-11", &[2, 10, 11, 12]), ("jan-dec/6", &[1, 7])];
    for (field, expected) in months {
        assert_eq!(values(sets(&format!("0 0 1 {field} *")).months.into()), expected, "{field}");
    }
}

#[test]
fn shorthands_are_their_five_fields() {
    let shorthands = [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
        (" @Daily ", "0 0 * * *"),
    ];
    for (shorthand, fields) in shorthands {
        assert_eq!(sets(shorthand), sets(fields), "{shorthand}");
    }
}

#[test]
fn a_star_decides_how_the_day_fields_combine() {
    let either = [("0 0 13 * 5", true), ("0 0 1-31 * 0-6", true), ("0 0 1,*/2 * 1", true)];
    let both = [("0 0 * * 5", false), ("0 0 13 * *", false), ("0 0 */2 * 5", false), ("0 0 13 * */7", false)];
    for (text, expected) in either.into_iter().chain(both) {
        let expression: CronExpression = text.parse().expect(text);
        assert_eq!(expression.sets.either_day, expected, "{text}");
        assert_eq!(expression.warning().is_some(), expected, "{text}");
    }
}

#[test]
fn the_text_is_kept_with_blanks_folded() {
    for (typed, shown) in [("  0\t4  *\n* MON ", "0 4 * * MON"), ("@Daily", "@Daily"), ("0\u{a0}4 * * *", "0 4 * * *")]
    {
        assert_eq!(typed.parse::<CronExpression>().expect(typed).to_string(), shown);
    }
    let longest = format!("{} * * * *", ["59"; 31].join(","));
    assert_eq!(longest.len(), CronExpression::MAX_LENGTH);
    assert_eq!(sets(&longest).minutes, 1 << 59);
    assert_eq!(refusal(&format!("{longest}9")), CronError::TooLong { length: 101 });
}

/// The sentences are what a moderator reads on a phone, so they are promised word for word.
#[test]
fn a_refusal_says_which_field_and_what_to_do() {
    let order = "Write five fields: minute, hour, day of month, month, day of week. 0 4 * * * is every day at 04:00.";
    let table = [
        ("", format!("{order} This has 0.")),
        ("0 4 * *", format!("{order} This has 4.")),
        ("\"0 4 * * *\" and more, eight", format!("{order} This has 8.")),
        ("0 0 4 * * *", format!("This has six fields; seconds are not supported, so leave out the first one. {order}")),
        (
            "0 0 4 * * * 2027",
            format!("This has seven fields; leave out the first (seconds) and the last (year). {order}"),
        ),
        (
            "@reboot",
            "@reboot has no time of day, so it cannot be scheduled here. Use @daily, @hourly or five fields.".into(),
        ),
        (
            "@every 5m",
            "After @ one of these can stand: yearly, annually, monthly, weekly, daily, midnight, hourly.".into(),
        ),
        ("60 * * * *", "The minute field takes 0 to 59, not \"60\".".into()),
        ("0 24 * * *", "The hour field takes 0 to 23, not \"24\".".into()),
        ("0 0 0 * *", "The day-of-month field takes 1 to 31, not \"0\".".into()),
        ("0 0 1 13 *", "The month field takes 1 to 12 or jan to dec, not \"13\".".into()),
        ("0 0 * * 8", "The day-of-week field takes 0 to 7 (0 and 7 are Sunday) or sun to sat, not \"8\".".into()),
        (
            "0 22-2 * * *",
            "In the hour field, \"22-2\" runs backwards. Put the smaller value first, or write two ranges.".into(),
        ),
        (
            "*/0 * * * *",
            "In the minute field, the step in \"*/0\" must be 1 or more. For example */2 takes every second value."
                .into(),
        ),
        ("5/10 * * * *", "In the minute field, \"5/10\" steps from a single value. Say where it ends: 5-59/10.".into()),
        (
            "0 0 15W * *",
            "In the day-of-month field, \"15W\" uses a sign of another scheduler: ?, L, W and # do not work here. \
             Use 1 to 31, or *."
                .into(),
        ),
        (
            "0 noon * * *",
            "The hour field cannot be read at \"noon\". It takes 0 to 23, as in *, 4, 8-18 or */6.".into(),
        ),
    ];
    for (text, sentence) in table {
        assert_eq!(refusal(text).to_string(), sentence, "{text}");
    }
}

#[test]
fn signs_of_other_schedulers_are_named_as_such() {
    for text in ["0 0 ? * 1", "0 0 L * *", "0 0 l-3 * *", "0 0 LW * *", "0 0 * * 5L", "0 0 * * fri#2", "0 0 * * 1#1"] {
        assert!(matches!(refusal(text), CronError::OtherDialect { .. }), "{text}");
    }
    assert!("0 0 1 jul wed".parse::<CronExpression>().is_ok());
}

#[test]
fn what_the_parser_crate_would_take_and_crontab5_does_not_is_refused() {
    for field in
        ["+5", "-5", "5-", "1-2-3", "1,,2", ",1", "1,", "*5", "**", "*-5", "/5", "*/", "*/x", "5-9/-1", "a", "٣"]
    {
        let expected = CronField::Minute;
        assert!(
            matches!(refusal(&format!("{field} * * * *")), CronError::Unreadable { field, .. } if field == expected),
            "{field}"
        );
    }
    for text in ["0 0 * * monday", "0 0 * * tues", "0 0 1 january *", "jan 0 * * *", "0 0 * * 1/mon"] {
        assert!(matches!(refusal(text), CronError::Unreadable { .. }), "{text}");
    }
    for text in ["0 0 * * 5-0", "0 0 * * sat-mon", "0 0 1 nov-feb *", "0 0 * * 7-1"] {
        assert!(matches!(refusal(text), CronError::Backwards { .. }), "{text}");
    }
    assert!(matches!(refusal("0 0 * * mon/2"), CronError::StepWithoutRange { .. }));
    assert!(matches!(refusal("99999999999999999999 * * * *"), CronError::OutOfRange { .. }));
}

/// Text in the alphabet of cron expressions, mostly wrong in interesting ways.
fn nearly_cron() -> impl Strategy<Value = String> {
    let token =
        prop_oneof!["[0-9*/,-]{1,6}", "[0-9]{1,3}-[0-9]{1,3}(/[0-9]{1,2})?", Just("*".to_owned()), "[a-zA-Z]{3}"];
    prop::collection::vec(token, 4..7).prop_map(|tokens| tokens.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_accepted_or_refused(text in prop_oneof![any::<String>(), "\\PC{0,40}", nearly_cron()]) {
        match text.parse::<CronExpression>() {
            Ok(expression) => prop_assert_eq!(expression.to_string().parse(), Ok(expression)),
            Err(refusal) => prop_assert!(refusal.to_string().len() > 20),
        }
    }
}

use proptest::prelude::*;

use super::{CronError, CronExpression, CronField, sets::FieldSets};

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
fn star_decides_how_day_fields_combine() {
    let either = [("0 0 13 * 5", true), ("0 0 1-31 * 0-6", true), ("0 0 1,*/2 * 1", true)];
    let both = [("0 0 * * 5", false), ("0 0 13 * *", false), ("0 0 */2 * 5", false), ("0 0 13 * */7", false)];
    for (text, expected) in either.into_iter().chain(both) {
        let expression: CronExpression = text.parse().expect(text);
        assert_eq!(expression.sets.either_day, expected, "{text}");
        assert_eq!(expression.warnings().iter().any(|it| it.contains("either of them")), expected, "{text}");
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

/// A moderator reads these sentences on a phone, so the test promises them word for word.
#[test]
fn refusal_names_the_field_and_the_cure() {
    let order = "Write five fields: minute, hour, day of month, month, day of week. 0 4 * * * is every day at 04:00.";
    let table = [
        ("", format!("{order} This has 0.")),
        ("0 4 * *", format!("{order} This has 4.")),
        ("\"0 4 * * *\" and more, eight", format!("{order} This has 8.")),
        (
            "CRON_TZ=Europe/Berlin 0 4 * * *",
            "A time zone is no part of the expression: give Europe/Berlin as `timezone`, and 0 4 * * * as the expression."
                .into(),
        ),
        (
            "TZ=UTC 0 0 4 * * *",
            "A time zone is no part of the expression: give UTC as `timezone`, and the rest as the expression."
                .into(),
        ),
        (
            "0 4 * * * Europe/Berlin",
            "A time zone is no part of the expression: give Europe/Berlin as `timezone`, and 0 4 * * * as the expression."
                .into(),
        ),
        (
            "0 4 * * * /usr/bin/backup --all",
            "The words after 0 4 * * * are no part of the expression: leave them out. A schedule's action says what is \
             done, and its `timezone` by whose clock."
                .into(),
        ),
        ("0 4 * * mon, fri", "There is a blank within a list or a range. Write 0 4 * * mon,fri".into()),
        ("'0 4 * * *'", "Leave out the quotation marks: 0 4 * * *".into()),
        (
            "0 0 4 * * *",
            "This has six fields, and takes five. If the first field is seconds, write 0 4 * * *. If the last field is a \
             year, write 0 0 4 * *."
                .into(),
        ),
        (
            "0 15 4 ? * MON-FRI",
            "This has six fields, and takes five. If the first field is seconds, write 15 4 * * MON-FRI.".into(),
        ),
        (
            "0 0 4 ? * 2",
            "This has six fields, and takes five. If the first field is seconds, leave it out and write the day of the week \
             by name (mon): schedulers with more than five fields differ in its number."
                .into(),
        ),
        (
            "*/10 0 4 ? * MON",
            "This has six fields, and takes five. If the first field is seconds, it cannot be said here: every run begins \
             at second 0 of a minute."
                .into(),
        ),
        (
            "0 0 4 13 * FRI *",
            "This has seven fields: seconds, the five that can stand here, and a year. For these, it depends on the \
             scheduler whether a day has to match both day fields; here, one that matches is enough."
                .into(),
        ),
        (
            "0 0/5 * * * ? *",
            "This has seven fields: seconds, the five that can stand here, and a year. For these, write 0-59/5 * * * *."
                .into(),
        ),
        (
            "0 0 4 * * ? 2027",
            "This has seven fields: seconds, the five that can stand here, and a year. For these, it cannot be said here: a \
             schedule is not limited to years."
                .into(),
        ),
        (
            "0 0 ? * 1",
            "In the day-of-month field, ? is another scheduler's word for any: write * instead, and the day of the week by \
             name (mon), as such schedulers number the days differently."
                .into(),
        ),
        (
            "@reboot",
            "@reboot has no time of day, so it cannot be scheduled here. Use @daily, @hourly or five fields.".into(),
        ),
        (
            "@every 5m",
            "@every counts from the moment at which a program starts; here, times are those of a clock. As often is \
             */5 * * * *"
                .into(),
        ),
        (
            "@every 90m",
            "@every counts from the moment at which a program starts; here, times are those of a clock. \
             One expression cannot say this interval, because steps start anew with each hour, day and month."
                .into(),
        ),
        (
            "@every 1d",
            "@every counts from the moment at which a program starts; here, times are those of a clock. \
             Choose a time of day: 0 4 * * * is every day at 04:00."
                .into(),
        ),
        (
            "@every 7d",
            "@every counts from the moment at which a program starts; here, times are those of a clock. \
             Choose a day and a time: 0 4 * * mon is every Monday at 04:00."
                .into(),
        ),
        (
            "@every 30s",
            "@every counts from the moment at which a program starts; here, times are those of a clock. \
             The shortest interval is a minute, which is * * * * *"
                .into(),
        ),
        (
            "@every 90s",
            "@every counts from the moment at which a program starts; here, times are those of a clock. \
             Every run begins at second 0 of a minute, so only whole minutes can be said."
                .into(),
        ),
        (
            "@every now",
            "@every counts from the moment at which a program starts; here, times are those of a clock. \
             No duration can be read after it. For example */5 * * * * is every five minutes."
                .into(),
        ),
        (
            "@fortnightly",
            "After @ one of these can stand: yearly, annually, monthly, weekly, daily, midnight, hourly.".into(),
        ),
        (
            "@daily /usr/bin/backup",
            "The words after @daily are no part of the expression: leave them out. A schedule's action says what is done, \
             and its `timezone` by whose clock."
                .into(),
        ),
        ("60 * * * *", "The minute field takes 0 to 59, not \"60\".".into()),
        ("0 24 * * *", "The hour field takes 0 to 23, not \"24\".".into()),
        ("0 0 0 * *", "The day-of-month field takes 1 to 31, not \"0\".".into()),
        ("0 0 1 13 *", "The month field takes 1 to 12 or jan to dec, not \"13\".".into()),
        ("0 0 * * 8", "The day-of-week field takes 0 to 7 (0 and 7 are Sunday) or sun to sat, not \"8\".".into()),
        (
            "0 22-2 * * *",
            "In the hour field, \"22-2\" runs backwards. If it goes on around the end of the field, write 22-23,0-2.".into(),
        ),
        (
            "*/0 * * * *",
            "In the minute field, the step in \"*/0\" must be 1 or more. For example */2 takes every second value."
                .into(),
        ),
        ("5/10 * * * *", "In the minute field, \"5/10\" steps from a single value. Say where it ends: 5-59/10.".into()),
        (
            "0 0 * * 1/2",
            "In the day-of-week field, \"1/2\" steps from a single value. Write the days out, by name, as in mon,wed,fri."
                .into(),
        ),
        (
            "0 0 15W * *",
            "In the day-of-month field, \"15W\" uses a sign of another scheduler: L, W and # do not work here, and what \
             they mean cannot be said in one expression. The field takes 1 to 31."
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
fn other_schedulers_signs_are_named() {
    assert!(matches!(refusal("0 4 * * ?"), CronError::Any { field: CronField::DayOfWeek }));
    for text in ["0 0 L * *", "0 0 l-3 * *", "0 0 LW * *", "0 0 * * 5L", "0 0 * * fri#2", "0 0 * * 1#1"] {
        assert!(matches!(refusal(text), CronError::OtherDialect { .. }), "{text}");
    }
    assert!("0 0 1 jul wed".parse::<CronExpression>().is_ok());
}

#[test]
fn extensions_to_crontab_are_refused() {
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

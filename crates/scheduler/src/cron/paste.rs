//! Recognises pasted text that is not five fields: lines of a crontab, expressions of other schedulers.
//!
//! The advice of a refusal never changes the meaning. An expression is offered only if every scheduler that takes the
//! pasted text means the same by it. If they differ (a weekday's number, two day fields), the refusal says so.

use super::{error::CronError, every::Every, expression::CronExpression, field::CronField, reading::Reading};
use crate::zone::Zone;

const QUOTES: [char; 6] = ['"', '\'', '`', '“', '”', '„'];
/// Signs that people put around the name of a zone. The last one comes from a blank.
const AROUND_ZONES: [char; 12] = ['(', ')', '[', ']', '"', '\'', '`', ',', ';', ':', '#', '_'];

/// Refuses recognised text other than five fields. `fields` has no blanks in it.
pub(super) fn recognise(fields: &[&str]) -> Option<CronError> {
    let (&first, rest) = fields.split_first()?;
    if let Some(zone) = zone_of(first) {
        return Some(CronError::Zone { zone: zone.to_owned(), write: readable(&rest.join(" ")) });
    }
    let text = fields.join(" ");
    let inner = text.trim_matches(|sign| sign == ' ' || QUOTES.contains(&sign));
    if inner != text {
        let inner_fields: Vec<&str> = inner.split(' ').collect();
        let refusal = readable(inner).map(|write| CronError::Quoted { write }).or_else(|| recognise(&inner_fields));
        if refusal.is_some() {
            return refusal;
        }
    }
    if first.eq_ignore_ascii_case("@reboot") {
        return Some(CronError::Reboot);
    }
    if first.eq_ignore_ascii_case("@every") {
        return Some(CronError::Every(Every::read(rest)));
    }
    if let Some((before, zone)) = zone_behind(fields) {
        return Some(CronError::Zone { zone, write: readable(&before.join(" ")) });
    }
    if first.starts_with('@') {
        let write = if rest.is_empty() { None } else { readable(first) };
        return write.map(|write| CronError::WordsAfter { write });
    }
    if fields.len() == 5 {
        return None;
    }
    if let Some(write) = without_blanks_in_lists(fields) {
        return Some(CronError::BlankInList { write });
    }
    match fields {
        [five @ .., after] if five.len() == 5 && is_field_somewhere(after) => Some(CronError::SixFields {
            seconds_first: reading(&fields[1..], Some(first), None),
            year_last: reading(five, None, Some(after)),
        }),
        [_, five @ .., year] if five.len() == 5 && fields[1..].iter().all(|field| is_field_somewhere(field)) => {
            Some(CronError::SevenFields { middle: reading(five, Some(first), Some(year)) })
        }
        [.., _] if fields.len() > 5 && !is_field_somewhere(fields[5]) => {
            readable(&fields[..5].join(" ")).map(|write| CronError::WordsAfter { write })
        }
        _ => None,
    }
}

/// Returns the text if it is an expression.
fn readable(text: &str) -> Option<String> {
    // Bounds the work: a long row of prefixes is not checked one by one.
    let fits = text.chars().count() <= CronExpression::MAX_LENGTH;
    fits.then_some(())?;
    text.parse::<CronExpression>().ok().map(|cron| cron.to_string())
}

/// Splits off `CRON_TZ=Europe/Berlin`.
fn zone_of(field: &str) -> Option<&str> {
    let (name, zone) = field.split_once('=')?;
    let known = ["CRON_TZ", "TZ"].iter().any(|known| name.eq_ignore_ascii_case(known));
    let zone = zone.trim_matches(['"', '\'', ':']);
    (known && zone.len() <= CronExpression::MAX_LENGTH).then_some(zone)
}

/// Splits `0 4 * * * Europe/Berlin` or `@daily (TZ=Europe/Berlin)` into the text before the zone and the zone's name.
/// If a command follows, `TZ=Europe/Berlin` belongs to the command.
fn zone_behind<'a>(fields: &'a [&'a str]) -> Option<(&'a [&'a str], String)> {
    let end = fields.iter().position(|field| !field.starts_with('@') && !is_field_somewhere(field))?;
    let (before, after) = fields.split_at(end);
    // `America/New York`
    let whole = after.join("_");
    let whole = whole.trim_matches(AROUND_ZONES);
    let names = [zone_of(whole).unwrap_or(whole), after.first()?.trim_matches(AROUND_ZONES)];
    let zone = names.into_iter().find_map(Zone::named)?;
    (!before.is_empty()).then(|| (before, zone.name().to_owned()))
}

/// Recognises `0 4 * * 1, 3` and `0 4 * * 1 - 5`: no scheduler takes a field with such an end or start.
fn without_blanks_in_lists(fields: &[&str]) -> Option<String> {
    const SIGNS: [char; 3] = [',', '-', '/'];
    let mut joined = String::new();
    for field in fields {
        if !joined.is_empty() && !joined.ends_with(SIGNS) && !field.starts_with(SIGNS) {
            joined.push(' ');
        }
        joined.push_str(field);
    }
    let shorter = joined.split(' ').count() < fields.len();
    shorter.then(|| readable(&joined)).flatten()
}

/// Reads five fields of a scheduler that has seconds before them, or a year behind them. `None` if they cannot be that.
fn reading(five: &[&str], seconds: Option<&str>, year: Option<&str>) -> Option<Reading> {
    let &[minute, hour, day, month, weekday] = five else { return None };
    let fields = [
        (CronField::Minute, minute),
        (CronField::Hour, hour),
        (CronField::DayOfMonth, day),
        (CronField::Month, month),
        (CronField::DayOfWeek, weekday),
    ];
    let written: Option<Vec<_>> = fields.into_iter().map(|(field, text)| written(field, text)).collect();
    let written = written?;
    match seconds.map(|text| CronField::Minute.translate(text).map(|_| text.parse() == Ok(0_u32))) {
        Some(Err(_)) => return None,
        Some(Ok(false)) => return Some(Reading::Seconds),
        Some(Ok(true)) | None => {}
    }
    match year.map(|year| (is_year(year), year == "*" || year == "?")) {
        Some((false, false)) => return None,
        Some((true, false)) => return Some(Reading::Years),
        Some((_, true)) | None => {}
    }
    let cron: CronExpression = written.join(" ").parse().ok()?;
    // Schedulers also differ in whether a field that names each of its days (`1-31`) counts as given.
    if written[2] != "*" && written[4] != "*" {
        return Some(Reading::BothDays);
    }
    let has_number = |part: &str| part.contains(|sign: char| sign.is_ascii_digit()) && !part.starts_with("*/");
    if written[4].split(',').any(has_number) {
        return Some(Reading::WeekdayNumber);
    }
    Some(Reading::Write(cron.to_string()))
}

/// Rewrites another scheduler's field: `?` becomes `*`, and `5/10` runs to the end of its field.
fn written(field: CronField, text: &str) -> Option<String> {
    let is_day = matches!(field, CronField::DayOfMonth | CronField::DayOfWeek);
    if text == "?" && is_day {
        return Some("*".to_owned());
    }
    // Schedulers differ in whether Sunday is the last day. They differ in its number too, and the refusal names that.
    let last = if field == CronField::DayOfWeek { 6 } else { field.highest() };
    let parts = text.split(',').map(|part| match part.split_once('/') {
        Some((start, step)) if start.parse::<u32>().is_ok() => format!("{start}-{last}/{step}"),
        _ => part.to_owned(),
    });
    let text = parts.collect::<Vec<_>>().join(",");
    field.translate(&text).is_ok().then_some(text)
}

/// Returns whether some scheduler has a field like this one.
fn is_field_somewhere(text: &str) -> bool {
    use CronField::{DayOfMonth, DayOfWeek, Hour, Minute, Month};
    let unreadable = |field: &CronField| matches!(field.translate(text), Err(CronError::Unreadable { .. }));
    !text.starts_with('#') && (is_year(text) || ![Minute, Hour, DayOfMonth, Month, DayOfWeek].iter().all(unreadable))
}

/// Recognises `2027`, `2027-2029`, `2027/2` and lists of these.
fn is_year(text: &str) -> bool {
    let signs = text.bytes().all(|byte| byte.is_ascii_digit() || b",-/*".contains(&byte));
    let years = text.split([',', '-', '/']).filter(|number| number.len() == 4);
    signs
        && years.clone().count() > 0
        && years.clone().all(|year| year.parse().is_ok_and(|year: u16| (1970..2200).contains(&year)))
}

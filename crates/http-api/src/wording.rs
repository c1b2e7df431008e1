//! Translates serde's errors into the terms of the documentation. serde describes an error in a sentence, not in a
//! type; an unknown sentence gets a general answer.

use std::fmt::Display;

/// Says what is wrong with the value at `path`. `named` is the term for a named value: field or parameter.
pub(crate) fn of_error(path: &str, sentence: &str, named: &str) -> String {
    let sentence = sentence.rsplit_once(" at line ").map_or(sentence, |(sentence, _)| sentence);
    if let Some(field) = quoted(sentence, "missing field ") {
        return format!("{field}: is missing");
    }
    if let Some(field) = quoted(sentence, "duplicate field ") {
        return format!("{field}: appears twice");
    }
    // The text before quotes the caller, who may have sent the same words.
    let expected = sentence.rsplit_once(", expected ").map(|(_, expected)| expected).unwrap_or_default();
    if let Some(field) = quoted(sentence, "unknown field ") {
        let known = expected.trim_start_matches("one of ").replace('`', "").replace(" or ", ", ");
        return format!("{field}: is unknown; the {named}s are: {known}");
    }
    match path {
        "" | "." | "?" => format!("the value {}", rule(expected)),
        path => format!("{path}: {}", rule(expected)),
    }
}

fn quoted<'a>(sentence: &'a str, before: &str) -> Option<&'a str> {
    let rest = sentence.strip_prefix(before)?.strip_prefix('`')?;
    rest.rsplit_once("`, expected ").map(|(name, _)| name).or_else(|| rest.strip_suffix('`'))
}

fn rule(expected: &str) -> String {
    match expected {
        "a string" => "is text".to_owned(),
        "a boolean" => "is true or false".to_owned(),
        "a sequence" => "is a list".to_owned(),
        // Ids are the only numbers of this type.
        "i32" => "is an id, a whole number from 1 to 2147483647".to_owned(),
        // The code that reads the value names its range.
        "i64" => "is a whole number".to_owned(),
        "u16" => whole(u16::MIN, u16::MAX),
        "u32" => whole(u32::MIN, u32::MAX),
        "u64" | "usize" => whole(u64::MIN, u64::MAX),
        _ => "is invalid".to_owned(),
    }
}

fn whole(min: impl Display, max: impl Display) -> String {
    format!("is a whole number from {min} to {max}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_is_not_quoted() {
        let table = [
            (
                "a",
                "invalid type: string \"x, expected u32\", expected a boolean at line 1 column 3",
                "a: is true or false",
            ),
            ("a[1]", "invalid value: integer `-1`, expected u32", "a[1]: is a whole number from 0 to 4294967295"),
            (
                "server_id",
                "invalid value: integer `2147483648`, expected i32",
                "server_id: is an id, a whole number from 1 to 2147483647",
            ),
            (".", "missing field `game_type` at line 1 column 12", "game_type: is missing"),
            ("a", "duplicate field `a`", "a: appears twice"),
            ("a", "unknown field `a`, expected `b` or `c`", "a: is unknown; the fields are: b, c"),
            ("x", "unknown field `x`, expected one of `b`, `c`, `d`", "x: is unknown; the fields are: b, c, d"),
            ("x", "invalid type: map, expected struct Inner", "x: is invalid"),
            ("?", "", "the value is invalid"),
        ];
        for (path, sentence, said) in table {
            assert_eq!(of_error(path, sentence, "field"), said);
        }
    }
}

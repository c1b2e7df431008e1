//! Configuration from the environment, through a `get` that a test can fill from a map. Errors are gathered, so that an
//! operator fixes them all at once.

use std::{fmt::Display, str::FromStr};

use thiserror::Error;

/// Reader of configuration.
pub struct Env<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    errors: Vec<String>,
}

/// All errors of the configuration.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("the configuration has {} error(s):\n  {}", .0.len(), .0.join("\n  "))]
pub struct ConfigErrors(pub Vec<String>);

impl<'a> Env<'a> {
    /// Creates a reader over `get`. An empty value counts as absent.
    pub fn new(get: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { get, errors: vec![] }
    }

    /// Reads a required value; the error shows `example`.
    pub fn required(&mut self, key: &str, example: &str) -> String {
        self.text(key).unwrap_or_else(|| {
            self.errors.push(format!("{key} is not set; for example {key}={example}"));
            String::new()
        })
    }

    /// Reads an optional value.
    pub fn text(&self, key: &str) -> Option<String> {
        (self.get)(key).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Reads a value, or returns its default.
    pub fn or<T>(&mut self, key: &str, default: T) -> T
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(text) = self.text(key) else { return default };
        text.parse().unwrap_or_else(|error: T::Err| {
            self.reject(key, &text, &error.to_string());
            default
        })
    }

    /// Reads values separated by commas.
    pub fn list<T>(&mut self, key: &str) -> Vec<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text(key).unwrap_or_default();
        let mut values = vec![];
        for value in text.split(',').map(str::trim).filter(|value| !value.is_empty()) {
            match value.parse() {
                Ok(value) => values.push(value),
                Err(error) => self.reject(key, value, &T::Err::to_string(&error)),
            }
        }
        values
    }

    /// Reads a whole number within bounds, or returns its default.
    pub fn number(&mut self, key: &str, default: u32, bounds: std::ops::RangeInclusive<u32>) -> u32 {
        let number = self.or(key, default);
        if !bounds.contains(&number) {
            self.reject(key, &number.to_string(), &format!("is {} to {}", bounds.start(), bounds.end()));
        }
        number
    }

    /// Reads one of several words, or returns the first of them.
    pub fn word(&mut self, key: &str, words: &[&'static str]) -> &'static str {
        let Some(text) = self.text(key) else { return words[0] };
        words.iter().find(|word| **word == text).copied().unwrap_or_else(|| {
            self.reject(key, &text, &format!("is one of: {}", words.join(", ")));
            words[0]
        })
    }

    /// Notes an error about a value.
    pub fn reject(&mut self, key: &str, value: &str, why: &str) {
        self.errors.push(format!("{key}={value}: {why}"));
    }

    /// Ends reading.
    ///
    /// # Errors
    /// Returns all noted errors.
    pub fn finish(self) -> Result<(), ConfigErrors> {
        if self.errors.is_empty() { Ok(()) } else { Err(ConfigErrors(self.errors)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_errors_are_reported_together() {
        let get = |key: &str| match key {
            "PORT" => Some("80x".to_owned()),
            "WORKERS" => Some("0".to_owned()),
            "FORMAT" => Some("xml".to_owned()),
            "EMPTY" => Some("  ".to_owned()),
            _ => None,
        };
        let mut env = Env::new(&get);
        env.required("URL", "postgres://…");
        env.or("PORT", 8080_u16);
        env.number("WORKERS", 8, 1..=64);
        env.word("FORMAT", &["json", "pretty"]);
        assert_eq!(env.or("EMPTY", 7_u16), 7);
        let errors = env.finish().expect_err("four errors").0;
        assert_eq!(
            errors,
            [
                "URL is not set; for example URL=postgres://…",
                "PORT=80x: invalid digit found in string",
                "WORKERS=0: is 1 to 64",
                "FORMAT=xml: is one of: json, pretty",
            ]
        );
    }
}

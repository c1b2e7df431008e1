//! Where Redis is.

use std::{fmt, str::FromStr};

use redis::{Client, RedisError};

/// Where Redis is, with its password; so it cannot be printed.
#[derive(Clone)]
pub struct RedisUrl(pub(crate) Client);

impl FromStr for RedisUrl {
    type Err = RedisError;

    /// Of the form `redis://user:password@host:port/number`. The error does not repeat the text.
    fn from_str(text: &str) -> Result<Self, RedisError> {
        Client::open(text).map(Self)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisUrl(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_printed_neither_when_it_is_right_nor_when_it_is_wrong() {
        let right: RedisUrl = "redis://:hunter2@localhost:6379/3".parse().expect("a URL");
        assert!(!format!("{right:?}").contains("hunter2"));
        for wrong in ["hunter2", "http://:hunter2@host", "redis://:hunter2@host/db", "redis://:hunter2@host:port"] {
            let error = wrong.parse::<RedisUrl>().expect_err("no URL of a Redis");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}

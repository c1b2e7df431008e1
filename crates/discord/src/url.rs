//! Discord's REST API: its address and the deadline of a call.

use std::{str::FromStr, time::Duration};

/// Deadline of one call; twilight's own deadline does not count the time that a call waits for its turn.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Address of Discord's REST API instead of `https://discord.com`: a proxy, or a stand-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiUrl {
    pub(crate) authority: String,
    pub(crate) http: bool,
}

impl FromStr for ApiUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let authority = rest.trim_end_matches('/');
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if !matches!(scheme, "http" | "https") || authority.is_empty() || !authority.bytes().all(plain) {
            return Err("is http://host:port or https://host:port");
        }
        Ok(Self { authority: authority.to_owned(), http: scheme == "http" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_scheme_and_authority_are_taken() {
        let url = "http://127.0.0.1:8090/".parse::<ApiUrl>().expect("a URL");
        assert_eq!((url.authority.as_str(), url.http), ("127.0.0.1:8090", true));
        assert!(!"https://discord.example".parse::<ApiUrl>().expect("a URL").http);
        for bad in
            ["", "discord.com", "ftp://discord.com", "http://", "http://me@host", "http://host/api", "http://a b"]
        {
            assert!(bad.parse::<ApiUrl>().is_err(), "{bad:?} was taken");
        }
    }
}

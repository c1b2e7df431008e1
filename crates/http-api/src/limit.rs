//! Tells callers their limit: in headers of every answer, and in a problem where they exceed it.

use std::time::Duration;

use actix_web::{
    http::header::{HeaderMap, HeaderName, HeaderValue},
    web::Bytes,
};
use agis_ratelimit::Decision;
use chrono::Utc;

use crate::problem::{Code, Problem};

const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The bucket that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The caller's own.
    Key,
    /// The bucket of a key that gave the caller its requests.
    Maker,
}

impl Whose {
    /// Returns the policy's name in `RateLimit`.
    fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Maker => "maker",
        }
    }
}

/// Refuses a request over the limit that costs so many tokens, and says whose limit that is.
pub(crate) fn exceeded(decision: &Decision, whose: Whose, tokens: u32) -> Problem {
    let (limit, retry_after) = (decision.limit, seconds_up(decision.retry_in));
    if tokens > 1 {
        let remaining = decision.remaining;
        let detail = format!(
            "this request counts as {tokens} of the {limit} requests per hour, and {remaining} are left; enough are free in \
             {retry_after} s"
        );
        return Problem::new(Code::RateLimited, detail).after(retry_after);
    }
    let used = match whose {
        Whose::Key => format!("this API key has used its {limit} requests per hour"),
        Whose::Maker => format!(
            "an API key from which this one was made has used its {limit} requests per hour, which all keys made from \
             it share"
        ),
    };
    let detail = format!("{used}; the next is free in {retry_after} s");
    Problem::new(Code::RateLimited, detail).after(retry_after)
}

/// Adds the well-known `X-RateLimit-*`, and `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers.
pub(crate) fn add_headers(headers: &mut HeaderMap, decision: &Decision, whose: Whose) {
    let Decision { limit, remaining, full_in, .. } = decision;
    let full_in = seconds_up(*full_in);
    let reset = Utc::now().timestamp().saturating_add_unsigned(full_in);
    headers.insert(X_LIMIT, (*limit).into());
    headers.insert(X_REMAINING, (*remaining).into());
    headers.insert(X_RESET, reset.into());
    headers.insert(POLICY, header(format!("\"{}\";q={limit};w=3600", whose.word())));
    headers.insert(LIMIT, header(format!("\"{}\";r={remaining};t={full_in}", whose.word())));
}

/// Makes a header without a copy. The text is always visible ASCII.
fn header(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Rounds up to whole seconds, so that a caller who waits for them is not too early.
fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

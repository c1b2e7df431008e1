//! Tells callers their limit: in headers of every answer, and in a problem where they exceed it.

use std::{cell::RefCell, time::Duration};

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

/// Refuses a request over the limit, and says whose limit that is.
pub(crate) fn exceeded(decision: &Decision, whose: Whose) -> Problem {
    let (limit, retry_after) = (decision.limit, seconds_up(decision.retry_in));
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
    let (x_limit, policy) = of_limit(*limit, whose);
    headers.insert(X_LIMIT, x_limit);
    headers.insert(X_REMAINING, (*remaining).into());
    headers.insert(X_RESET, reset.into());
    headers.insert(POLICY, policy);
    headers.insert(LIMIT, header(format!("\"{}\";r={remaining};t={full_in}", whose.word())));
}

/// Returns the headers that depend on the limit alone. Most keys have the same limit, so the last ones are cached.
fn of_limit(limit: u32, whose: Whose) -> (HeaderValue, HeaderValue) {
    type Last = (u32, Whose, HeaderValue, HeaderValue);
    thread_local! {
        static LAST: RefCell<Option<Last>> = RefCell::default();
    }
    LAST.with_borrow_mut(|last| match last {
        Some((of, by, x_limit, policy)) if *of == limit && *by == whose => (x_limit.clone(), policy.clone()),
        _ => {
            let policy = header(format!("\"{}\";q={limit};w=3600", whose.word()));
            let x_limit = HeaderValue::from(limit);
            *last = Some((limit, whose, x_limit.clone(), policy.clone()));
            (x_limit, policy)
        }
    })
}

/// Makes a header without a copy. The text is always visible ASCII.
fn header(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Rounds up to whole seconds, so that a caller who waits for them is not too early.
fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

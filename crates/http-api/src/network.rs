//! Where the server meets the network: which web pages may call, and how long anything may take.

use std::{
    str::FromStr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use actix_cors::Cors;
use actix_web::{
    Error, ResponseError,
    body::BoxBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Uri,
    middleware::Next,
    web::Data,
};
use thiserror::Error;

use crate::problem::{Code, Problem, RETRY_S};

/// What an operator decides about the network.
#[derive(Debug, Clone)]
pub struct Network {
    /// The web pages that may call; where there is none, no answer carries a CORS header.
    pub origins: Vec<Origin>,
    /// How long a client may take to send a request's head, or its body, or to take an answer.
    pub client_timeout: Duration,
    /// How long a request may take, from its head to the beginning of its answer.
    pub request_timeout: Duration,
    /// How long a connection without a request is kept.
    pub keep_alive: Duration,
    /// How many connections there may be; more wait to be accepted.
    pub connections: usize,
    /// How long running requests may take at a shutdown.
    pub drain: Duration,
    /// Set when the process is about to end: what is still asked is answered with `Connection: close`, so that clients
    /// come again on a connection to another process.
    pub closing: Arc<AtomicBool>,
}

/// An origin as browsers send it (RFC 6454, section 6.2): `https://panel.example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// The text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is no origin; write scheme://host or scheme://host:port in lower case, without the scheme's own port")]
pub struct NoOrigin(String);

impl FromStr for Origin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let uri = text.parse::<Uri>().ok();
        let parts = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?)));
        let matched = parts.is_some_and(|(scheme, authority)| {
            let default = matches!((scheme, authority.port_u16()), ("http", Some(80)) | ("https", Some(443)));
            // Compared with what a browser sends, byte by byte: what would never match is refused.
            !default && !authority.as_str().contains('@') && text == format!("{scheme}://{authority}").to_lowercase()
        });
        if matched { Ok(Self(text.to_owned())) } else { Err(NoOrigin(text.to_owned())) }
    }
}

/// The Fetch standard's answers for these origins. Credentials are not allowed: keys travel in `Authorization`, and
/// nothing here reads a cookie.
pub(crate) fn cors(origins: &[Origin]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST", "PATCH", "DELETE"])
        .allowed_headers(["authorization", "content-type", "idempotency-key", "x-request-id", "last-event-id"])
        .expose_headers([
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
            "ratelimit",
            "ratelimit-policy",
            "retry-after",
            "x-request-id",
            "location",
            "deprecation",
            "sunset",
            "idempotency-replayed",
        ])
        .max_age(3600);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(&origin.0))
}

/// Answers in place of a handler that takes too long. It stands behind the router, where a request may be kept.
pub(crate) async fn deadline(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(network) = request.app_data::<Data<Network>>().cloned() else { return next.call(request).await };
    let kept = request.request().clone();
    match tokio::time::timeout(network.request_timeout, next.call(request)).await {
        Ok(answer) => answer,
        Err(_) => Ok(ServiceResponse::new(kept, timed_out(network.request_timeout).error_response())),
    }
}

fn timed_out(within: Duration) -> Problem {
    let within = within.as_secs();
    let detail = format!("this was not done within {within} s; look whether it took effect before you repeat it");
    Problem::new(Code::TimedOut, detail).after(RETRY_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_what_a_browser_sends() {
        for good in ["https://a.example", "http://localhost:5173", "https://a.example:8443", "http://[::1]:8080"] {
            assert_eq!(good.parse::<Origin>().expect("an origin").0, good);
        }
        for bad in [
            "*",
            "",
            "null",
            "a.example",
            "https://",
            "https://a.example/",
            "https://a.example/path",
            "https://A.example",
            "https://a.example:443",
            "http://a.example:80",
            "https://me@a.example",
            "https://a.example https://b.example",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad:?} was taken");
        }
    }
}

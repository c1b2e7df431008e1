//! Decides which web pages may call, and how long anything may take.

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

/// The operator's settings of the network.
#[derive(Debug, Clone)]
pub struct Network {
    /// Origins of web pages that may call. Without any, no answer has a CORS header.
    pub origins: Vec<Origin>,
    /// Time for a client to send a request's head, to send its body, or to read an answer.
    pub client_timeout: Duration,
    /// Time for a request, from its head to the beginning of its answer.
    pub request_timeout: Duration,
    /// Time for which a connection without a request is kept.
    pub keep_alive: Duration,
    /// The most connections; more wait to be accepted.
    pub connections: usize,
    /// Time for running requests at a shutdown.
    pub drain: Duration,
    /// Set when the process is about to end. Answers then have `Connection: close`, so that clients reconnect to
    /// another process.
    pub closing: Arc<AtomicBool>,
}

/// An origin as browsers send it (RFC 6454, section 6.2): `https://panel.example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// The text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "'{0}' is not an origin; write scheme://host or scheme://host:port in lower case, without the scheme's own port"
)]
pub struct NoOrigin(String);

impl FromStr for Origin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let uri = text.parse::<Uri>().ok();
        let parts = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?)));
        let matched = parts.is_some_and(|(scheme, authority)| {
            let default = matches!((scheme, authority.port_u16()), ("http", Some(80)) | ("https", Some(443)));
            // A browser's header is compared byte by byte, so an origin that could never match is refused.
            !default && !authority.as_str().contains('@') && text == format!("{scheme}://{authority}").to_lowercase()
        });
        if matched { Ok(Self(text.to_owned())) } else { Err(NoOrigin(text.to_owned())) }
    }
}

/// Builds the answers of the Fetch standard for these origins. Credentials are not allowed: keys travel in
/// `Authorization`, and AGIS reads no cookie.
pub(crate) fn cors(origins: &[Origin]) -> Cors {
    let cors = Cors::default()
        .allowed_methods(["GET", "POST", "PUT", "PATCH", "DELETE"])
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

/// Answers in place of a handler that takes too long. Runs behind the router, where the request can be kept.
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
    let detail = format!("this took more than {within} s; check whether it took effect before you repeat it");
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

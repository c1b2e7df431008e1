//! Logs and counts requests.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{ConnectionType, Method},
    middleware::Next,
    web::Data,
};
use foldhash::HashMap;
use metrics::{Counter, Histogram};
use tracing::Level;

use crate::{
    auth::Caller,
    connection,
    current::{Current, REQUEST_ID, span},
    services::Services,
};

/// A slower request is always logged.
const SLOW: Duration = Duration::from_secs(1);
/// Label sets of which each thread caches the metrics. Fewer exist, unless somebody adds a label.
const KINDS: usize = 2000;

/// Gives a request its id, log line and metrics, and marks its connection as busy.
pub(crate) async fn observe(
    closing: Arc<AtomicBool>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let began = Instant::now();
    if let Some(services) = request.app_data::<Data<Services>>() {
        services.edge.unnamed.notice(&request, &services.edge.trusted_proxies);
    }
    let busy = connection::busy(&request);
    let current = Current::of(&request);
    let id = current.id.clone();
    let method = method(request.method());
    let inner = async {
        // A refusal by a handler or an extractor becomes an answer in here, where the id is known.
        let response = next.call(request).await?;
        record(method, response.request(), response.status().as_u16(), began.elapsed());
        Ok::<_, Error>(response)
    };
    let mut response = current.scope(inner).await?;
    response.headers_mut().insert(REQUEST_ID, id.into());
    if closing.load(Ordering::Relaxed) {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(connection::until_sent(response, busy))
}

/// Maps the method to a bounded set, since a caller can send any word.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "PUT" => "PUT",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}

/// The metrics of one method, endpoint and status.
#[derive(Clone)]
struct Handles {
    requests: Counter,
    duration: Histogram,
}

impl Handles {
    fn of(method: &'static str, endpoint: &str, status: u16) -> Self {
        Self {
            requests: metrics::counter!(
                "agis_bot_api_requests_total",
                "method" => method, "endpoint" => endpoint.to_owned(), "status" => status.to_string(),
            ),
            duration: metrics::histogram!(
                "agis_bot_api_request_duration_seconds", "method" => method, "endpoint" => endpoint.to_owned(),
            ),
        }
    }
}

/// Cached metrics, by endpoint. To find metrics by their labels costs as much as to answer some requests.
#[derive(Default)]
struct Kept {
    endpoints: HashMap<String, HashMap<(&'static str, u16), Handles>>,
    kinds: usize,
}

impl Kept {
    fn get(&self, method: &'static str, endpoint: &str, status: u16) -> Option<&Handles> {
        self.endpoints.get(endpoint)?.get(&(method, status))
    }

    fn keep(&mut self, method: &'static str, endpoint: String, status: u16) -> Handles {
        if self.kinds >= KINDS {
            *self = Self::default();
        }
        let handles = Handles::of(method, &endpoint, status);
        self.kinds += 1;
        self.endpoints.entry(endpoint).or_default().insert((method, status), handles.clone());
        handles
    }
}

fn count(method: &'static str, request: &HttpRequest, status: u16, took: Duration) {
    thread_local! {
        static KEPT: RefCell<Kept> = RefCell::default();
    }
    KEPT.with_borrow_mut(|kept| {
        // The cache holds patterns only. A path without parameters equals its pattern, so it needs no search.
        let handles = kept.get(method, request.path(), status).cloned().unwrap_or_else(|| {
            let endpoint = endpoint(request);
            kept.get(method, &endpoint, status).cloned().unwrap_or_else(|| kept.keep(method, endpoint, status))
        });
        handles.duration.record(took);
        handles.requests.increment(1);
    });
}

fn endpoint(request: &HttpRequest) -> String {
    request.match_pattern().unwrap_or_else(|| "unmatched".to_owned())
}

fn record(method: &'static str, request: &HttpRequest, status: u16, took: Duration) {
    let took_us = took.as_micros() as u64;
    let is_known = request.extensions().contains::<Caller>();
    if is_told(method, status, took, is_known) {
        span().in_scope(|| tracing::info!(method, endpoint = endpoint(request), status, took_us, "request"));
    } else if tracing::enabled!(Level::DEBUG) {
        span().in_scope(|| tracing::debug!(method, endpoint = endpoint(request), status, took_us, "request"));
    }
    count(method, request, status, took);
}

/// Tells whether a request is logged at `info`. Successful reads are not, nor are callers who were refused before
/// anything was done (unknown, or over their limit): they are many, the metrics count them, and a line would cost as
/// much as the answer.
fn is_told(method: &str, status: u16, took: Duration, is_known: bool) -> bool {
    let read_well = matches!(method, "GET" | "HEAD" | "OPTIONS") && status < 400;
    let turned_away = status == 429 || (400..500).contains(&status) && !is_known;
    took >= SLOW || !(read_well || turned_away)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_tells_writes_failures_and_slowness() {
        let quick = Duration::from_millis(1);
        for (method, status, took, is_known, told) in [
            ("GET", 200, quick, true, false),
            ("GET", 200, SLOW, true, true),
            ("GET", 401, quick, false, false),
            ("GET", 403, quick, false, false),
            ("GET", 403, quick, true, true),
            ("POST", 429, quick, true, false),
            ("GET", 404, quick, true, true),
            ("GET", 404, quick, false, false),
            ("PUT", 405, quick, false, false),
            ("GET", 503, quick, false, true),
            ("POST", 202, quick, true, true),
            ("DELETE", 204, quick, true, true),
        ] {
            assert_eq!(is_told(method, status, took, is_known), told, "{method} {status} {took:?} {is_known}");
        }
    }
}

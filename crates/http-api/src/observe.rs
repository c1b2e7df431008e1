//! Log lines and metrics of requests.

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

/// A request that took longer has a line in the log, whatever it was.
const SLOW: Duration = Duration::from_secs(1);
/// How many kinds of requests each thread keeps the metrics of at hand; there are fewer, unless somebody adds a label.
const KINDS: usize = 2000;

/// Gives every request an id, a line in the log, and its place in the metrics; its connection knows that it is handled.
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
        // What a handler or an extractor refuses has become an answer in here, where the id is known.
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

/// A bounded set: a caller can send any word as a method.
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

/// The metrics of requests of one method to one endpoint with one status.
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

/// Metrics at hand, by endpoint: to find one by its labels costs as much as to answer some requests.
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
        // Only patterns are kept, and a path that reads as one is matched by it: it need not be searched for.
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

/// Whether an operator wants to read of it: not of a read that went well, nor of a caller who was turned away before
/// anything was done, because nobody knows them or they are over their limit. Those are many, they are counted, and a line
/// would cost as much as the answer.
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

//! Request ids, log lines, metrics.

use std::{
    cell::{Cell, RefCell},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use actix_web::{
    Error, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType, Method,
        header::{HeaderName, HeaderValue},
    },
    middleware::Next,
    web::Bytes,
};
use agis_base::{REQUEST_ID_MAX, Trace, TraceId};
use foldhash::HashMap;
use metrics::{Counter, Histogram};
use tracing::{Level, Span};
use uuid::Uuid;

use crate::{auth::Caller, connection, forwarded};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// <https://www.w3.org/TR/trace-context/#traceparent-header>
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// A request that took longer has a line in the log, whatever it was.
const SLOW: Duration = Duration::from_secs(1);
/// How many kinds of requests each thread keeps the metrics of at hand; there are fewer, unless somebody adds a label.
const KINDS: usize = 2000;

tokio::task_local! {
    static CURRENT: Current;
}

/// The request that is being answered.
#[derive(Clone)]
struct Current {
    id: RequestId,
    trace: Option<TraceId>,
}

/// What a request is known by: visible ASCII, kept as the header that the answer has.
#[derive(Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// That of the request that is being answered.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(|current| current.id.clone()).ok()
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The caller's own, if it can stand in a header and a log line.
    pub(crate) fn taken(request: &ServiceRequest) -> Option<Self> {
        let id = request.headers().get(REQUEST_ID)?;
        let clean = (1..=REQUEST_ID_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
        clean.then(|| Self(id.clone()))
    }

    /// A UUIDv7. It has to be unlike others, not unforeseeable, so the system is asked for randomness once per thread.
    fn made() -> Self {
        thread_local! {
            static RANDOM: (RandomState, Cell<u64>) = (RandomState::new(), Cell::default());
        }
        let [high, low] = RANDOM.with(|(random, count)| {
            count.set(count.get().wrapping_add(1));
            [random.hash_one((count.get(), 0)), random.hash_one((count.get(), 1))]
        });
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&high.to_ne_bytes());
        bytes[8..].copy_from_slice(&low.to_ne_bytes()[..2]);
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or_default();
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid();
        let text = Bytes::copy_from_slice(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        Self(HeaderValue::from_maybe_shared(text).unwrap_or_else(|_| HeaderValue::from_static("")))
    }
}

/// What carries the request's id into the log. To open it costs as much as to refuse a request, so it is opened where
/// there may be something to say (and whatever the log's filter says of spans): for a look-up, for a request that is let in, for the request's own line.
pub(crate) fn span() -> Span {
    let open = |Current { id, trace }: &Current| {
        tracing::error_span!("request", request_id = id.as_str(), trace_id = trace.map(tracing::field::display))
    };
    CURRENT.try_with(open).unwrap_or_else(|_| Span::none())
}

/// What an operation keeps of the request that asks for it.
pub(crate) fn trace() -> Option<Trace> {
    CURRENT.try_with(|Current { id, trace }| Trace { request_id: id.as_str().to_owned(), trace_id: *trace }).ok()
}

/// Gives every request an id, a line in the log, and its place in the metrics; its connection knows that it is handled.
pub(crate) async fn observe(
    closing: Arc<AtomicBool>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let began = Instant::now();
    forwarded::notice(&request);
    let busy = connection::busy(&request);
    let id = RequestId::taken(&request).unwrap_or_else(RequestId::made);
    let traceparent = request.headers().get(TRACEPARENT).and_then(|header| header.to_str().ok());
    let trace = traceparent.and_then(TraceId::of_traceparent);
    let method = method(request.method());
    let inner = async {
        // What a handler or an extractor refuses has become an answer in here, where the id is known.
        let response = next.call(request).await?;
        record(method, response.request(), response.status().as_u16(), began.elapsed());
        Ok::<_, Error>(response)
    };
    let mut response = CURRENT.scope(Current { id: id.clone(), trace }, inner).await?;
    response.headers_mut().insert(REQUEST_ID, id.0);
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
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_that_are_made_differ_and_are_of_version_7() {
        let made = || (0..1000).map(|_| RequestId::made().as_str().to_owned()).collect::<Vec<_>>();
        let elsewhere = std::thread::spawn(made).join().expect("ids");
        let ids: HashSet<_> = made().into_iter().chain(elsewhere).collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.iter().all(|id| id.parse::<uuid::Uuid>().is_ok_and(|id| id.get_version_num() == 7)));
    }

    #[test]
    fn the_log_tells_of_writes_failures_and_what_was_slow() {
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

//! Request ids, log lines, metrics.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    time::{Duration, Instant, SystemTime},
};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{HeaderName, HeaderValue},
    },
    middleware::Next,
};
use metrics::{Counter, Histogram};
use tracing::{Level, Span};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_MAX: usize = 128;
/// A request that took longer has a line in the log, whatever it was.
const SLOW: Duration = Duration::from_secs(1);
/// How many kinds of requests each thread keeps the metrics of at hand; there are fewer, unless somebody adds a label.
const KINDS: usize = 2000;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that is being answered.
pub(crate) fn request_id() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// What carries the request's id into the log. To open it costs as much as to refuse a request, so it is opened where
/// there may be something to say: for a look-up, for a request that is let in, for the request's own line.
pub(crate) fn span() -> Span {
    CURRENT.try_with(|id| tracing::info_span!("request", request_id = %id)).unwrap_or_else(|_| Span::none())
}

/// Gives every request an id, a line in the log, and its place in the metrics.
pub(crate) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let id = taken(&request).unwrap_or_else(made);
    let method = method(request.method());
    let inner = async {
        // What a handler or an extractor refuses has become an answer in here, where the id is known.
        let response = next.call(request).await?;
        let endpoint = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
        record(method, endpoint, response.status().as_u16(), began);
        Ok::<_, Error>(response)
    };
    let mut response = CURRENT.scope(id.clone(), inner).await?;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}

/// The caller's own id, if it can stand in a header and a log line.
pub(crate) fn taken(request: &ServiceRequest) -> Option<String> {
    let id = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let clean = (1..=REQUEST_ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    clean.then(|| id.to_owned())
}

/// A UUIDv7. It has to be unlike others, not unforeseeable, so the system is asked for randomness once per thread.
fn made() -> String {
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
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid().to_string()
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

/// What is counted together.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    method: &'static str,
    endpoint: String,
    status: u16,
}

#[derive(Clone)]
struct Handles {
    requests: Counter,
    duration: Histogram,
}

impl Handles {
    fn of(kind: &Kind) -> Self {
        let Kind { method, endpoint, status } = kind;
        Self {
            requests: metrics::counter!(
                "agis_bot_api_requests_total",
                "method" => *method, "endpoint" => endpoint.clone(), "status" => status.to_string(),
            ),
            duration: metrics::histogram!(
                "agis_bot_api_request_duration_seconds", "method" => *method, "endpoint" => endpoint.clone(),
            ),
        }
    }

    /// To find a metric by its labels costs as much as to answer some requests.
    fn kept(kind: Kind) -> Self {
        thread_local! {
            static KEPT: RefCell<HashMap<Kind, Handles>> = RefCell::default();
        }
        KEPT.with_borrow_mut(|kept| {
            if kept.len() >= KINDS {
                kept.clear();
            }
            match kept.get(&kind) {
                Some(handles) => handles.clone(),
                None => {
                    let handles = Self::of(&kind);
                    kept.insert(kind, handles.clone());
                    handles
                }
            }
        })
    }
}

fn record(method: &'static str, endpoint: String, status: u16, began: Instant) {
    let took = began.elapsed();
    let took_us = took.as_micros() as u64;
    if is_told(method, status, took) {
        span().in_scope(|| tracing::info!(method, endpoint, status, took_us, "request"));
    } else if tracing::enabled!(Level::DEBUG) {
        span().in_scope(|| tracing::debug!(method, endpoint, status, took_us, "request"));
    }
    let handles = Handles::kept(Kind { method, endpoint, status });
    handles.duration.record(took);
    handles.requests.increment(1);
}

/// Whether an operator wants to read of it: not of a read that went well, nor of a caller who was turned away before
/// anything was done. Those are many, they are counted, and a line would cost as much as the answer.
fn is_told(method: &str, status: u16, took: Duration) -> bool {
    let read_well = matches!(method, "GET" | "HEAD" | "OPTIONS") && status < 400;
    let turned_away = matches!(status, 401 | 429);
    took >= SLOW || !(read_well || turned_away)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_that_are_made_differ_and_are_of_version_7() {
        let made = || (0..1000).map(|_| made()).collect::<Vec<_>>();
        let elsewhere = std::thread::spawn(made).join().expect("ids");
        let ids: HashSet<_> = made().into_iter().chain(elsewhere).collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.iter().all(|id| id.parse::<uuid::Uuid>().is_ok_and(|id| id.get_version_num() == 7)));
    }

    #[test]
    fn the_log_tells_of_writes_failures_and_what_was_slow() {
        let quick = Duration::from_millis(1);
        for (method, status, took, told) in [
            ("GET", 200, quick, false),
            ("GET", 200, SLOW, true),
            ("GET", 401, quick, false),
            ("POST", 429, quick, false),
            ("GET", 404, quick, true),
            ("GET", 503, quick, true),
            ("POST", 202, quick, true),
            ("DELETE", 204, quick, true),
        ] {
            assert_eq!(is_told(method, status, took), told, "{method} {status} {took:?}");
        }
    }
}

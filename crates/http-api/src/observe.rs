//! Request ids, log lines, metrics.

use std::time::Instant;

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
use tracing::Instrument;
use uuid::Uuid;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_MAX: usize = 128;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that is being answered.
pub(crate) fn request_id() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Gives every request an id, a span that carries it, a line in the log, and its place in the metrics.
pub(crate) async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let id = taken(&request).unwrap_or_else(|| Uuid::now_v7().to_string());
    let method = method(request.method());
    let span = tracing::info_span!("request", request_id = %id);
    let inner = async {
        // What a handler or an extractor refuses has become an answer in here, where the id is known.
        let response = next.call(request).await?;
        let endpoint = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
        record(method, endpoint, response.status().as_u16(), began);
        Ok::<_, Error>(response)
    };
    let mut response = CURRENT.scope(id.clone(), inner).instrument(span).await?;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}

/// The caller's own id, if it can stand in a header and a log line.
fn taken(request: &ServiceRequest) -> Option<String> {
    let id = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let clean = (1..=REQUEST_ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    clean.then(|| id.to_owned())
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

fn record(method: &'static str, endpoint: String, status: u16, began: Instant) {
    let took = began.elapsed();
    tracing::info!(method, endpoint, status, took_us = took.as_micros() as u64, "request");
    metrics::histogram!(
        "agis_bot_api_request_duration_seconds", "method" => method, "endpoint" => endpoint.clone(),
    )
    .record(took);
    metrics::counter!(
        "agis_bot_api_requests_total", "method" => method, "endpoint" => endpoint, "status" => status.to_string(),
    )
    .increment(1);
}

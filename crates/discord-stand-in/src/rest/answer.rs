use std::hash::{DefaultHasher, Hash, Hasher};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use chrono::Utc;
use serde_json::{Value, json};

use crate::faults::Limited;

/// Answer to a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    body: Option<Value>,
    limited: Option<Limited>,
    /// Faults of the bot.
    pub(super) complaints: Vec<String>,
}

impl Answer {
    pub(super) fn ok(body: Value) -> Self {
        Self { status: 200, body: Some(body), limited: None, complaints: Vec::new() }
    }

    pub(super) fn nothing() -> Self {
        Self { status: 204, body: None, limited: None, complaints: Vec::new() }
    }

    /// Something, or a refusal where it is not there.
    pub(super) fn found(body: Option<Value>, code: u32, what: &str) -> Self {
        body.map_or_else(|| Self::refused(404, code, &format!("Unknown {what}")), Self::ok)
    }

    pub(super) fn refused(status: u16, code: u32, message: &str) -> Self {
        Self { status, ..Self::ok(json!({"code": code, "message": message})) }
    }

    /// A body that is not as it has to be.
    pub(super) fn invalid(complaints: Vec<String>) -> Self {
        let errors: Vec<_> = complaints.iter().map(|text| json!({"code": "INVALID", "message": text})).collect();
        let body = json!({"code": 50035, "message": "Invalid Form Body", "errors": {"_errors": errors}});
        Self { status: 400, complaints, ..Self::ok(body) }
    }

    /// Nothing to see, and nothing to say either.
    pub(super) fn empty_message() -> Self {
        Self::refused(400, 50006, "Cannot send an empty message").because("the message is empty".to_owned())
    }

    /// Answers that something does not exist.
    pub(super) fn unknown(complaint: String) -> Self {
        Self::refused(404, 0, "404: Not Found").because(complaint)
    }

    pub(super) fn limited(limited: Limited) -> Self {
        let body = json!({
            "message": "You are being rate limited.",
            "retry_after": limited.left.as_secs_f64(),
            "global": limited.global,
        });
        Self { status: 429, limited: Some(limited), ..Self::ok(body) }
    }

    pub(super) fn because(mut self, complaint: String) -> Self {
        self.complaints.push(complaint);
        self
    }

    /// With the headers that Discord puts on every answer.
    pub(super) fn into_response(self, path: &str) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        let left = self.limited.map_or(1.0, |limited| limited.left.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
        let reset = Utc::now().timestamp_millis() as f64 / 1000.0 + left;
        response
            .insert_header(("X-RateLimit-Bucket", bucket(path)))
            .insert_header(("X-RateLimit-Limit", "50"))
            .insert_header(("X-RateLimit-Remaining", if self.limited.is_some() { "0" } else { "49" }))
            .insert_header(("X-RateLimit-Reset", format!("{reset:.3}")))
            .insert_header(("X-RateLimit-Reset-After", format!("{left:.3}")));
        if let Some(limited) = self.limited {
            response.insert_header(("Retry-After", format!("{:.0}", limited.left.as_secs_f64().ceil())));
            response.insert_header(("X-RateLimit-Scope", if limited.global { "global" } else { "user" }));
            if limited.global {
                response.insert_header(("X-RateLimit-Global", "true"));
            }
        }
        match self.body {
            Some(body) => response.json(body),
            None => response.finish(),
        }
    }
}

/// Returns the rate limit bucket of a path; Discord's are as opaque.
fn bucket(path: &str) -> String {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

use std::io;

use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WARNING};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use futures_util::stream::{self, LocalBoxStream, StreamExt};
use serde_json::Value;

use crate::status::Status;

/// Answer to a request.
pub(super) enum Answer {
    Json {
        code: u16,
        body: Value,
        warnings: Vec<String>,
    },
    Text(Bytes),
    /// Body that comes piece by piece.
    Stream(&'static str, LocalBoxStream<'static, io::Result<Bytes>>),
}

impl From<Status> for Answer {
    fn from(status: Status) -> Self {
        Self::json(status.code, status.body())
    }
}

impl Answer {
    pub(super) fn json(code: u16, body: Value) -> Self {
        Self::Json { code, body, warnings: Vec::new() }
    }

    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self::Text(text.into())
    }

    /// An object, with a warning for each field of it that nobody knows.
    pub(super) fn written(code: u16, (body, unknown): (Value, Vec<String>)) -> Self {
        Self::Json { code, body, warnings: unknown.iter().map(|field| format!("unknown field {field:?}")).collect() }
    }

    pub(super) fn code(&self) -> u16 {
        match self {
            Self::Json { code, .. } => *code,
            Self::Text(_) | Self::Stream(..) => 200,
        }
    }

    pub(super) fn into_response(self) -> HttpResponse {
        match self {
            Self::Json { code, body, warnings } => {
                let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut response = HttpResponseBuilder::new(status);
                for warning in warnings {
                    response.append_header((WARNING, format!("299 - \"{}\"", warning.replace('"', "\\\""))));
                }
                if matches!(code, 429 | 503) {
                    response.append_header((RETRY_AFTER, "1"));
                }
                response.json(body)
            }
            Self::Text(text) => HttpResponse::Ok().content_type("text/plain").body(text),
            Self::Stream(media_type, pieces) => HttpResponse::Ok().content_type(media_type).streaming(pieces),
        }
    }
}

/// Nothing at all: the connection ends where an answer was to come.
pub(super) fn cut() -> HttpResponse {
    HttpResponse::Ok().streaming(stream::once(async { Err::<Bytes, _>(broken()) }).boxed_local())
}

pub(super) fn broken() -> io::Error {
    io::Error::other("cut as the test wants it")
}

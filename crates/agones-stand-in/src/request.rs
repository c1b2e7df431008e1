//! Requests as the stand-in records them.

use serde_json::Value;

/// A request, and what it was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// `GET`, `POST` and so on.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// As it was sent, without the question mark.
    pub query: String,
    /// JSON body, `null` without one.
    pub body: Value,
    /// The status that it was or would have been answered; 0 where nothing was done and nothing answered.
    pub status: u16,
}

impl Request {
    pub(crate) fn line(&self) -> String {
        let Self { method, path, query, .. } = self;
        if query.is_empty() { format!("{method} {path}") } else { format!("{method} {path}?{query}") }
    }
}

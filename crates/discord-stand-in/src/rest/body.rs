//! A body: JSON, or a form whose part `payload_json` is JSON and whose other parts are files.

use actix_web::http::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Value, json};

use super::Answer;

pub(super) fn read(headers: &HeaderMap, bytes: &[u8]) -> Result<Option<Value>, Answer> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let body = match kind.split_once("boundary=") {
        Some((kind, boundary)) if kind.starts_with("multipart/form-data") => form(bytes, boundary.trim_matches('"')),
        _ if kind.starts_with("application/json") => serde_json::from_slice(bytes).ok(),
        _ => None,
    };
    let unreadable = || Answer::invalid(vec![format!("a body of type `{kind}` that cannot be read")]);
    body.map(Some).ok_or_else(unreadable)
}

fn form(bytes: &[u8], boundary: &str) -> Option<Value> {
    let text = String::from_utf8_lossy(bytes);
    let separator = format!("--{boundary}");
    let parts = text.split(&separator).filter_map(|part| part.split_once("\r\n\r\n"));
    let (mut body, mut files) = (json!({}), Vec::new());
    for (head, content) in parts {
        let content = content.strip_suffix("\r\n").unwrap_or(content);
        match (parameter(head, "name")?, parameter(head, "filename")) {
            ("payload_json", _) => body = serde_json::from_str(content).ok()?,
            (name, Some(filename)) => files.push(file(name, filename, content)),
            _ => {}
        }
    }
    if !files.is_empty() {
        let message = if body["data"].is_object() { &mut body["data"] } else { &mut body };
        message["attachments"] = files.into();
    }
    Some(body)
}

fn file(name: &str, filename: &str, content: &str) -> Value {
    let id = name.trim_matches(|letter: char| !letter.is_ascii_digit());
    let url = format!("https://cdn.discordapp.com/attachments/{filename}");
    // Discord does not say what is in a file; a test wants to know it.
    json!({"id": id, "filename": filename, "size": content.len(), "url": url, "proxy_url": url, "content": content})
}

fn parameter<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = head.split_once(&format!(" {name}=\""))?;
    value.split_once('"').map(|(value, _)| value)
}

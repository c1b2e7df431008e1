//! The headers of answers, and the request header `Idempotency-Key`.

use serde_json::{Map, Value, json};

use super::operation::Operation;

/// Returns all headers: name, description, schema, example.
fn all() -> [(&'static str, &'static str, Value, Value); 13] {
    let number = || json!({ "type": "integer", "minimum": 0 });
    let text = || json!({ "type": "string" });
    let path = json!({ "type": "string", "format": "uri-reference" });
    let id = "0199d3a0-4b5c-7def-8123-456789abcdef";
    [
        ("X-Request-Id", "The id of this request: the one that you sent, or a new one.", text(), json!(id)),
        (
            "X-RateLimit-Limit",
            "Requests per hour of this key, or of the key that it was made from, whichever has fewer left.",
            number(),
            json!(1000),
        ),
        ("X-RateLimit-Remaining", "Requests left.", number(), json!(997)),
        (
            "X-RateLimit-Reset",
            "The moment at which all are free again, in Unix seconds.",
            number(),
            json!(1_795_000_000),
        ),
        (
            "RateLimit",
            "The same in the form of draft-ietf-httpapi-ratelimit-headers.",
            text(),
            json!("\"key\";r=997;t=11"),
        ),
        ("RateLimit-Policy", "The limit in the form of that draft.", text(), json!("\"key\";q=1000;w=3600")),
        ("Retry-After", "Seconds to wait before the next attempt.", number(), json!(2)),
        ("WWW-Authenticate", "How to send a key.", text(), json!("Bearer realm=\"AGIS\"")),
        ("Location", "The path of the new resource.", path, json!("/api/v1/servers/7")),
        ("Cache-Control", "This answer must not be stored.", text(), json!("no-store")),
        ("Idempotency-Replayed", "This is the answer of an earlier request.", text(), json!("true")),
        ("Deprecation", "For callers with a legacy token: deprecated since (RFC 9745).", text(), json!("@1793491200")),
        (
            "Sunset",
            "For callers with a legacy token: refused from (RFC 8594).",
            text(),
            json!("Tue, 01 Jun 2027 00:00:00 GMT"),
        ),
    ]
}

const OF_CALLER: [&str; 5] =
    ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy"];
/// Headers that only some answers have.
const RARE: [&str; 4] = ["Deprecation", "Sunset", REPLAYED, RETRY_AFTER];
const OF_LEGACY_CALLER: [&str; 2] = ["Deprecation", "Sunset"];
const REPLAYED: &str = "Idempotency-Replayed";
const RETRY_AFTER: &str = "Retry-After";

/// Builds the components. A header that an answer always has stands under its name, an optional one under `Maybe-` and
/// its name.
pub(super) fn components() -> Value {
    let header = |(name, says, schema, example): (&str, &str, Value, Value)| {
        let mut header = json!({ "description": says, "schema": schema, "example": example });
        let maybe = (format!("{MAYBE}{name}"), header.clone());
        header["required"] = json!(true);
        [(name.to_owned(), header), maybe]
    };
    Value::Object(all().into_iter().flat_map(header).filter(|(name, _)| is_used(name)).collect::<Map<_, _>>())
}

const MAYBE: &str = "Maybe-";

fn is_used(name: &str) -> bool {
    match name.strip_prefix(MAYBE) {
        Some(name) => OF_CALLER.contains(&name) || RARE.contains(&name),
        None => name == RETRY_AFTER || !RARE.contains(&name),
    }
}

/// Adds the headers of a response.
pub(super) fn add(operation: &Operation, status: &str, response: &mut Value) {
    let mut headers = vec![("X-Request-Id", "")];
    if operation.keyed && status != "401" {
        // These answers may come before the caller is known.
        let maybe = if matches!(status, "403" | "429" | "500" | "503") { MAYBE } else { "" };
        headers.extend(OF_CALLER.map(|name| (name, maybe)));
        headers.extend(OF_LEGACY_CALLER.map(|name| (name, MAYBE)));
    }
    match status {
        "201" | "202" => headers.push(("Location", "")),
        "401" => headers.push(("WWW-Authenticate", "")),
        "429" => headers.push((RETRY_AFTER, "")),
        "503" if operation.keyed => headers.push((RETRY_AFTER, "")),
        "409" if operation.done_once => headers.push((RETRY_AFTER, MAYBE)),
        _ => {}
    }
    if operation.done_once && matches!(status, "200" | "201" | "202" | "404" | "409") {
        headers.push((REPLAYED, MAYBE));
    }
    if status == "201" && matches!(operation.id, "createKey" | "rotateKey") {
        headers.push(("Cache-Control", ""));
    }
    let reference = |(name, maybe): (&str, &str)| {
        (name.to_owned(), json!({ "$ref": format!("#/components/headers/{maybe}{name}") }))
    };
    response["headers"] = Value::Object(headers.into_iter().map(reference).collect());
}

pub(super) fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A second request with the same key gets the answer of the first. Valid for 24 hours; a request \
                        that was refused may be corrected and sent again.",
        // No example: a page that fills it in would send the same key with every request.
        "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
    })
}

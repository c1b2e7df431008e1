//! The headers of answers, and those of requests that are no credentials.

use serde_json::{Map, Value, json};

use super::{Operation, problems};

/// Each with what it says, its schema, and an example.
fn all() -> [(&'static str, &'static str, Value, Value); 13] {
    let number = || json!({ "type": "integer", "minimum": 0 });
    let text = || json!({ "type": "string" });
    let path = json!({ "type": "string", "format": "uri-reference" });
    let id = "0199d3a0-4b5c-7def-8123-456789abcdef";
    [
        ("X-Request-Id", "The id of this request, yours or made.", text(), json!(id)),
        (
            "X-RateLimit-Limit",
            "Requests per hour of this key, or of the key that it came of, whichever has fewer left.",
            number(),
            json!(1000),
        ),
        ("X-RateLimit-Remaining", "Requests left.", number(), json!(997)),
        ("X-RateLimit-Reset", "When all are free again, in Unix seconds.", number(), json!(1_795_000_000)),
        ("RateLimit", "The same by draft-ietf-httpapi-ratelimit-headers.", text(), json!("\"key\";r=997;t=11")),
        ("RateLimit-Policy", "The limit by that draft.", text(), json!("\"key\";q=1000;w=3600")),
        ("Retry-After", "Seconds after which to try again.", number(), json!(2)),
        ("WWW-Authenticate", "How to send a key.", text(), json!("Bearer realm=\"AGIS\"")),
        ("Location", "Where the new thing is.", path, json!("/api/v1/servers/7")),
        ("Cache-Control", "This answer is not to be kept.", text(), json!("no-store")),
        ("Idempotency-Replayed", "That this is the answer of an earlier request.", text(), json!("true")),
        ("Deprecation", "For callers with a token of v1.7.0: since when (RFC 9745).", text(), json!("@1793491200")),
        ("Sunset", "For those callers: until when (RFC 8594).", text(), json!("Tue, 01 Jun 2027 00:00:00 GMT")),
    ]
}

const OF_CALLER: [&str; 5] =
    ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy"];
/// These come now and then, the others always or, before the caller is known, not.
const RARE: [&str; 4] = ["Deprecation", "Sunset", REPLAYED, RETRY_AFTER];
const OF_LEGACY_CALLER: [&str; 2] = ["Deprecation", "Sunset"];
const REPLAYED: &str = "Idempotency-Replayed";
const RETRY_AFTER: &str = "Retry-After";

/// Headers that an answer always has stand under their names, those that it may have under `Maybe-` and the name.
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

/// The headers that this response has.
pub(super) fn add(operation: &Operation, status: &str, response: &mut Value) {
    let mut headers = vec![("X-Request-Id", "")];
    if operation.keyed && status != "401" {
        // These may come before the caller is known.
        let maybe = if matches!(status, "403" | "429" | "500" | "503") { MAYBE } else { "" };
        headers.extend(OF_CALLER.map(|name| (name, maybe)));
        headers.extend(OF_LEGACY_CALLER.map(|name| (name, MAYBE)));
    }
    match status {
        "201" | "202" => headers.push(("Location", "")),
        "401" => headers.push(("WWW-Authenticate", "")),
        "429" => headers.push((RETRY_AFTER, "")),
        "503" if problems::may_be_in_vain(operation) => headers.push((RETRY_AFTER, MAYBE)),
        "503" if operation.keyed => headers.push((RETRY_AFTER, "")),
        "409" if operation.is_post => headers.push((RETRY_AFTER, MAYBE)),
        _ => {}
    }
    if operation.is_post && matches!(status, "200" | "201" | "202" | "404" | "409") {
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
        "description": "Two requests with one key are one: the second is answered as the first one was. Good for 24 hours; \
                        a request that was refused may be put right and sent again.",
        // No example: a page that fills it in would send the same key with every request.
        "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
    })
}

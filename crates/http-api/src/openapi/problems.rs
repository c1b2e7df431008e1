//! Adds the problems of operations.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::operation::Operation;
use crate::problem::Code;

/// Returns the problems that follow from the form of an operation.
fn by_rule(operation: &Operation) -> Vec<Code> {
    use Code::*;
    let rules: [(bool, &[Code]); 8] = [
        (operation.keyed, &[MissingKey, MalformedKey, InvalidKey, ExpiredKey]),
        (operation.keyed, &[AddressNotAllowed, RateLimited, Internal, Unavailable, TimedOut]),
        (operation.scoped, &[MissingScope]),
        (operation.names_object, &[NotFound]),
        (operation.has_body, &[InvalidBody, SlowBody, BodyTooLarge, NotJson]),
        (operation.has_query, &[InvalidQuery]),
        (operation.is_list, &[InvalidCursor]),
        (
            operation.done_once,
            &[
                InvalidIdempotencyKey,
                IdempotencyInFlight,
                IdempotencyKeyReused,
                TooManyIdempotencyKeys,
                SlowBody,
                BodyTooLarge,
            ],
        ),
    ];
    rules.into_iter().filter(|(holds, _)| *holds).flat_map(|(_, codes)| codes.iter().copied()).collect()
}

/// Adds a response for each status, with its codes.
pub(super) fn add(operation: &Operation, responses: &mut Value) {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in by_rule(operation).into_iter().chain(operation.problems.iter().copied()) {
        let codes = by_status.entry(code.status().as_u16()).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    for (status, codes) in by_status {
        responses[status.to_string()] = response(&codes);
    }
}

/// Builds a response with the schema of all problems, narrowed to these codes.
fn response(codes: &[Code]) -> Value {
    let lines: Vec<_> = codes.iter().map(|code| format!("- `{}`: {}", code.as_str(), code.meaning())).collect();
    let words: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    let schema = json!({
        "$ref": "#/components/schemas/Problem",
        "properties": { "code": { "enum": words }, "status": { "const": codes[0].status().as_u16() } },
    });
    let example = example(codes[0]);
    json!({
        "description": lines.join("\n"),
        "content": { "application/problem+json": { "schema": schema, "example": example } },
    })
}

fn example(code: Code) -> Value {
    json!({
        "type": "about:blank",
        "title": code.status().canonical_reason(),
        "status": code.status().as_u16(),
        "code": code.as_str(),
        "detail": code.meaning(),
        "request_id": "0199d3a0-4b5c-7def-8123-456789abcdef",
    })
}

pub(super) fn schema() -> Value {
    let rows: Vec<_> = Code::ALL
        .iter()
        .map(|code| format!("| `{}` | {} | {} |", code.as_str(), code.status().as_u16(), code.meaning()))
        .collect();
    let codes =
        format!("A stable word. New ones may be added.\n\n| code | status | |\n|---|---|---|\n{}", rows.join("\n"));
    json!({
        "type": "object",
        "description": "Why a request was refused, or failed (RFC 9457).",
        "required": ["type", "title", "status", "code", "detail", "request_id"],
        "properties": {
            "type": { "type": "string", "const": "about:blank" },
            "title": { "type": "string", "description": "The name of the status." },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "code": { "type": "string", "pattern": "^[a-z_]+$", "description": codes },
            "detail": { "type": "string", "description": "The cause and the remedy, for people." },
            "id": { "type": "string", "description": "The id of the subject, where the caller cannot know it otherwise." },
            "errors": {
                "type": "array",
                "description": "With `invalid_settings`: each setting whose value was refused.",
                "items": {
                    "type": "object",
                    "required": ["setting", "problem"],
                    "properties": {
                        "setting": { "type": "string", "description": "The name of the setting." },
                        "problem": { "type": "string", "description": "The rule that its value breaks, for people." },
                    },
                },
            },
            "request_id": { "type": "string", "description": "The id of the request in the logs." },
        },
        "examples": [example(Code::NotFound)],
    })
}

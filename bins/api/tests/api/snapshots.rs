//! Answers beside the requests that they answer.

mod accounts;
mod schedules;
mod servers;
mod unreadable;
mod untakeable;

use serde_json::{Map, Value, json};

use crate::common::{Answer, Api, Stack};

/// An answer as text: status, where it leads, and its body without what differs from run to run.
async fn shot(api: &Api, method: &str, path: &str, body: Value) -> String {
    let answer = api.call(method, path, Some(body).filter(|body| !body.is_null())).await;
    let mut text = answer.status.to_string();
    if !answer.header("location").is_empty() {
        let (way, _) = answer.header("location").rsplit_once('/').expect("a path");
        text += &format!("\nLocation: {way}/[id]");
    }
    if answer.body != "" {
        text += &format!("\n{:#}", redacted(answer.body));
    }
    text
}

/// The value with a word in place of every id, time, key and port.
fn redacted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (String, Value)| (name.clone(), redacted_field(&name, value));
            Value::Object(fields.into_iter().map(field).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(redacted).collect()),
        other => other,
    }
}

fn redacted_field(name: &str, value: Value) -> Value {
    match (name, value) {
        (_, Value::Null) => Value::Null,
        ("next_runs", Value::Array(runs)) => runs.into_iter().map(|run| redacted_field("at", run)).collect(),
        ("id" | "server_id" | "operation_id" | "next_cursor" | "cursor", _) => json!("[id]"),
        ("at" | "last_run" | "next_run" | "last_used" | "local" | "slot" | "joined_at", _) => json!("[time]"),
        ("key", _) => json!("[key]"),
        ("request_id", _) => json!("[request]"),
        ("port", _) => json!("[port]"),
        (name, _) if name.ends_with("_at") => json!("[time]"),
        (_, value) => redacted(value),
    }
}

/// A problem in one line; every problem has this form.
fn problem(answer: &Answer) -> String {
    let body = &answer.body;
    let fields: Vec<_> = body.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(fields, ["code", "detail", "request_id", "status", "title", "type"], "{body}");
    assert_eq!(answer.header("content-type"), "application/problem+json", "{body}");
    assert_eq!(body["status"], answer.status.as_u16(), "{body}");
    assert_eq!(body["title"], answer.status.canonical_reason().expect("a known status"), "{body}");
    assert_eq!(body["type"], "about:blank", "{body}");
    assert_eq!(body["request_id"], answer.header("x-request-id"), "{body}");
    let text = |field: &str| body[field].as_str().expect("text").to_owned();
    format!("{} {}: {}", answer.status.as_u16(), text("code"), text("detail"))
}

/// Each request with the problem that it meets, two lines each.
async fn problems(api: &Api, requests: &[(&str, &str, Value)]) -> String {
    let mut all = String::new();
    for (method, path, body) in requests {
        let answer = api.call(method, path, Some(body.clone()).filter(|body| !body.is_null())).await;
        let mut body = if body.is_null() { String::new() } else { body.to_string() };
        if body.len() > 120 {
            body = format!("… {} bytes …", body.len());
        }
        all += &format!("{}\n  {}\n", format!("{method} {path} {body}").trim_end(), problem(&answer));
    }
    all
}

async fn id_of_the_newest(api: &Api, list: &str) -> String {
    let list = api.get(list).await.expect(200);
    let id = &list["items"].as_array().and_then(|items| items.last()).expect("an item")["id"];
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

#[tokio::test]
async fn a_problem_looks_like_this() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    insta::assert_snapshot!(shot(&api, "GET", "/api/v1/servers/7", Value::Null).await, @r#"
    404 Not Found
    {
      "code": "not_found",
      "detail": "there is no such server, or it is not yours",
      "request_id": "[request]",
      "status": 404,
      "title": "Not Found",
      "type": "about:blank"
    }
    "#);
    insta::assert_snapshot!(shot(&api, "GET", "/nowhere", Value::Null).await, @r#"
    404 Not Found
    {
      "code": "not_found",
      "detail": "no such resource; /api/docs lists the paths",
      "request_id": "[request]",
      "status": 404,
      "title": "Not Found",
      "type": "about:blank"
    }
    "#);
}

#[tokio::test]
async fn request_keeps_its_id_unless_hostile() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let ask = async |id: &str, path: &str| {
        let request = stack.client.get(format!("{}{path}", api.base)).header("X-Request-Id", id);
        api.send(request.bearer_auth(&stack.key)).await.expect("an answer")
    };
    let longest = "x".repeat(128);
    for own in ["a", "7f3c-11", "trace/1:2;3", &longest] {
        for path in ["/api/v1/users/me", "/api/v1/servers/99", "/nowhere", "/healthz"] {
            let answer = ask(own, path).await;
            assert_eq!(answer.header("x-request-id"), own, "{path}");
            if answer.status == 404 {
                assert_eq!(answer.body["request_id"], own, "{path}");
            }
        }
    }
    let mut made = std::collections::BTreeSet::new();
    for hostile in ["", "two words", "a\tb", "caf\u{e9}", &"x".repeat(129), "x y\"}{"] {
        let answer = ask(hostile, "/api/v1/servers/99").await;
        let id = answer.header("x-request-id").to_owned();
        assert_eq!(id.len(), 36, "{hostile:?} became {id:?}");
        assert_eq!(answer.body["request_id"], id);
        assert!(made.insert(id), "every request has its own");
    }
}

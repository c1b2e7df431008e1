//! How often a key may call, and how it is told.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::common::{Answer, Api, OWNER, Stack};

fn number(answer: &Answer, header: &str) -> u64 {
    let value = answer.header(header);
    value.parse().unwrap_or_else(|_| panic!("{header}: {value:?} in {:?}", answer.headers))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

async fn me(api: &Api, key: &str) -> Answer {
    api.call_as(Some(key), "GET", "/api/v1/users/me", None).await
}

/// Both families of headers say the same, and it is this.
fn assert_headers(answer: &Answer, limit: u64, remaining: u64) {
    let told = (number(answer, "x-ratelimit-limit"), number(answer, "x-ratelimit-remaining"));
    assert_eq!(told, (limit, remaining), "{answer:?}");
    // Full again when what was taken has come back, at `limit` tokens per hour.
    let full_in = (limit - remaining) * 3600 / limit;
    let reset = number(answer, "x-ratelimit-reset");
    let expected = now() + full_in;
    assert!(reset.abs_diff(expected) <= 30, "{reset} is not about {expected}");
    assert_eq!(answer.header("ratelimit-policy"), format!("\"key\";q={limit};w=3600"));
    let (left, seconds) = answer.header("ratelimit").split_once(";t=").expect("two parameters");
    assert_eq!(left, format!("\"key\";r={remaining}"));
    assert!(seconds.parse::<u64>().expect("seconds").abs_diff(full_in) <= 30, "{seconds} is not about {full_in}");
}

#[tokio::test]
async fn request_101_of_100_is_429_with_retry_after() {
    let stack = Stack::start().await;
    let key = stack.make_key(OWNER, &["--name", "hundred", "--rate-limit", "100"]);
    let api = stack.api(&[]).await;
    for request in 1..=100 {
        let answer = me(&api, &key).await;
        assert_eq!(answer.status, 200, "request {request}: {}", answer.body);
        assert_headers(&answer, 100, 100 - request);
        assert_eq!(answer.header("retry-after"), "", "request {request}");
    }
    for _ in 0..2 {
        let answer = me(&api, &key).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (429, &json!("rate_limited")));
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_headers(&answer, 100, 0);
        // A token comes every 36 s.
        assert!((1..=36).contains(&number(&answer, "retry-after")), "{:?}", answer.headers);
    }
    let denied = api.metric(r#"agis_bot_rate_limit_decisions_total{backend="memory",outcome="denied"}"#).await;
    let allowed = api.metric(r#"agis_bot_rate_limit_decisions_total{backend="memory",outcome="allowed"}"#).await;
    assert_eq!((denied, allowed), (2.0, 100.0));

    let own = me(&api, &stack.key).await;
    assert_eq!(own.status, 200, "another key of the same user has a bucket of its own");
    assert_headers(&own, 10_000, 9_999);
}

#[tokio::test]
async fn any_answer_costs_one_request() {
    let stack = Stack::start().await;
    let key = stack.make_key(OWNER, &["--scope", "write:servers", "--rate-limit", "10"]);
    let api = stack.api(&[]).await;
    let bad_server = json!({ "name": "", "game_type": "demo" });
    let unknown_field = json!({ "name": "a", "game_type": "demo", "colour": "red" });
    let requests = [
        ("GET", "/api/v1/servers", None, 200),
        ("POST", "/api/v1/servers", Some(json!({ "name": "a", "game_type": "demo" })), 201),
        ("POST", "/api/v1/servers", Some(unknown_field), 400),
        ("GET", "/api/v1/schedules", None, 403),
        ("GET", "/api/v1/servers/99", None, 404),
        ("GET", "/api/v1/nothing", None, 404),
        ("PUT", "/api/v1/servers", None, 405),
        ("POST", "/api/v1/servers", Some(json!({ "name": "A", "game_type": "demo" })), 409),
        ("POST", "/api/v1/servers", None, 415),
        ("POST", "/api/v1/servers", Some(bad_server), 422),
        ("GET", "/api/v1/servers", None, 429),
    ];
    for (count, (method, path, body, status)) in requests.into_iter().enumerate() {
        let answer = api.call_as(Some(&key), method, path, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert_headers(&answer, 10, 10_u64.saturating_sub(count as u64 + 1));
    }
}

#[tokio::test]
async fn request_without_a_valid_key_costs_nobody() {
    let stack = Stack::start().await;
    let key = stack.make_key(OWNER, &["--rate-limit", "5"]);
    let api = stack.api(&[]).await;
    let unknown = "agis_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for presented in [None, Some(OWNER), Some("agis_"), Some(unknown)].iter().cycle().take(40) {
        let answer = api.call_as(*presented, "GET", "/api/v1/users/me", None).await;
        assert_eq!(answer.status, 401);
        assert!(!answer.headers.keys().any(|name| name.as_str().contains("ratelimit")), "{:?}", answer.headers);
    }
    assert_headers(&me(&api, &key).await, 5, 4);
    // Such requests count against their address.
    for (reason, count) in [("malformed_key", 20.0), ("invalid_key", 10.0)] {
        let failures = api.metric(&format!(r#"agis_bot_key_failures_total{{reason="{reason}"}}"#)).await;
        assert_eq!(failures, count, "{reason}");
    }
}

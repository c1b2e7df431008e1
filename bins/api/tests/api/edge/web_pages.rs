//! Calls from web pages of other origins.

use reqwest::RequestBuilder;

use crate::common::{Answer, Api, Stack};

const PANEL: &str = "https://panel.example";

async fn from_page(api: &Api, origin: &str, request: RequestBuilder) -> Answer {
    api.send(request.header("Origin", origin)).await.expect("an answer")
}

async fn preflight(stack: &Stack, api: &Api, origin: &str, method: &str, headers: &str) -> Answer {
    let url = format!("{}/api/v1/servers", api.base);
    let request = stack.client.request(reqwest::Method::OPTIONS, url);
    let request = request.header("Access-Control-Request-Method", method);
    from_page(api, origin, request.header("Access-Control-Request-Headers", headers)).await
}

fn says_nothing(answer: &Answer) -> bool {
    !answer.headers.keys().any(|name| name.as_str().starts_with("access-control-"))
}

#[tokio::test]
async fn web_pages_need_a_configured_origin() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let games = stack.client.get(format!("{}/api/v1/games", api.base)).bearer_auth(&stack.key);
    let answer = from_page(&api, PANEL, games).await;
    assert!(answer.status == 200 && says_nothing(&answer), "{answer:?}");
    let answer = preflight(&stack, &api, PANEL, "GET", "authorization").await;
    assert!(answer.status.is_client_error() && says_nothing(&answer), "{answer:?}");
}

#[tokio::test]
async fn configured_origin_may_call_and_read_errors() {
    let stack = Stack::start().await;
    let poor = stack.make_key(crate::common::STRANGER, &["--rate-limit", "1"]);
    let api = stack.api(&[("CORS_ORIGINS", &format!("http://localhost:5173, {PANEL}"))]).await;
    let all = "authorization,content-type,idempotency-key,x-request-id,last-event-id";
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let answer = preflight(&stack, &api, PANEL, method, all).await;
        assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (200, PANEL), "{answer:?}");
        assert!(answer.header("access-control-allow-methods").contains(method), "{answer:?}");
        let allowed = answer.header("access-control-allow-headers").to_lowercase();
        assert!(all.split(',').all(|name| allowed.contains(name)), "{allowed}");
    }
    for (method, headers) in [("TRACE", "authorization"), ("GET", "x-other")] {
        let answer = preflight(&stack, &api, PANEL, method, headers).await;
        assert!(
            answer.status.is_client_error() && answer.header("access-control-allow-methods").is_empty(),
            "{answer:?}"
        );
    }

    let url = |path: &str| format!("{}{path}", api.base);
    let calls = [
        (200, stack.client.get(url("/api/v1/games")).bearer_auth(&stack.key)),
        (200, stack.client.get(url("/api/v1/games")).bearer_auth(&poor)),
        (429, stack.client.get(url("/api/v1/games")).bearer_auth(&poor)),
        (401, stack.client.get(url("/api/v1/games"))),
        (404, stack.client.get(url("/nothing"))),
        (405, stack.client.put(url("/api/v1/games")).bearer_auth(&stack.key)),
        (415, stack.client.post(url("/api/v1/servers")).bearer_auth(&stack.key)),
    ];
    for (status, call) in calls {
        let answer = from_page(&api, PANEL, call).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("access-control-allow-origin")),
            (status, PANEL),
            "{answer:?}"
        );
        assert!(answer.header("vary").to_lowercase().contains("origin"), "{answer:?}");
        assert_eq!(answer.header("access-control-allow-credentials"), "", "keys travel in a header, not in cookies");
        let exposed = answer.header("access-control-expose-headers").to_lowercase();
        for name in ["x-ratelimit-remaining", "ratelimit", "retry-after", "x-request-id", "location", "sunset"] {
            assert!(exposed.contains(name), "{name} is not in {exposed}");
        }
    }
    let foreign = stack.client.get(url("/api/v1/games")).bearer_auth(&stack.key);
    let answer = from_page(&api, "https://evil.example", foreign).await;
    assert_eq!(answer.header("access-control-allow-origin"), "", "its browser will not show it the answer");
}

#[tokio::test]
async fn impossible_origin_fails_the_start() {
    let stack = Stack::start().await;
    let output = stack.output(&[("CORS_ORIGINS", "*, https://good.example,https://bad.example/")], &["serve"]);
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("CORS_ORIGINS=*") && error.contains("CORS_ORIGINS=https://bad.example/"), "{error}");
    assert!(!error.contains("good.example"), "{error}");
}

//! The contract as a program meets it: the document, the page, methods, HEAD.

use std::collections::BTreeMap;

use reqwest::Method;

use crate::common::{Answer, Api, Stack, contract};

async fn ask(stack: &Stack, api: &Api, method: Method, path: &str) -> Answer {
    let request = stack.client.request(method, format!("{}{path}", api.base)).bearer_auth(&stack.key);
    api.send(request).await.expect("an answer")
}

#[tokio::test]
async fn served_document_is_the_repositorys() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let served = api.call_as(None, "GET", "/api/openapi.json", None).await;
    assert_eq!(served.header("content-type"), "application/json");
    let kept = include_str!("../../../../docs/openapi.json");
    assert_eq!(served.expect(200), serde_json::from_str::<serde_json::Value>(kept).expect("JSON"));
}

#[tokio::test]
async fn docs_page_loads_nothing_from_elsewhere() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    // The client follows the way from /api/docs to /api/docs/.
    for path in ["/api/docs", "/api/docs/"] {
        let page = ask(&stack, &api, Method::GET, path).await;
        assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html"), "{path}");
        assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self';"));
    }
    let files = ["swagger-ui.css", "index.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js"];
    for file in files {
        assert_eq!(ask(&stack, &api, Method::GET, &format!("/api/docs/{file}")).await.status, 200, "{file}");
    }
    let script = ask(&stack, &api, Method::GET, "/api/docs/swagger-initializer.js").await;
    assert!(script.body.as_str().expect("text").contains("/api/openapi.json"), "{}", script.body);
    for nothing in ["/api/docs/nothing.js", "/api/docs/../openapi.json/x", "/api/docs/%2e%2e/%2e%2e/etc/passwd"] {
        assert_eq!(ask(&stack, &api, Method::GET, nothing).await.body["code"], "not_found", "{nothing}");
    }
}

#[tokio::test]
async fn the_root_leads_to_the_page() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    // The client follows the way from / to /api/docs/.
    for method in [Method::GET, Method::HEAD] {
        let page = ask(&stack, &api, method, "/").await;
        assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html"));
    }
    let no_way = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let answer = api.send(no_way.get(format!("{}/", api.base))).await.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.header("location")), (307, "/api/docs"));
}

#[tokio::test]
async fn unknown_method_is_405_with_allow() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let mut methods: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (method, path, _) in contract::operations() {
        methods.entry(path).or_default().push(method);
    }
    for (template, mut taken) in methods {
        if taken.contains(&"GET".to_owned()) {
            taken.push("HEAD".to_owned());
        }
        let path = template.replace("{id}", "1").replace("{slot}", "2026-11-29T20:00:00Z");
        let unknown =
            ["PUT", "OPTIONS", "TRACE", "BREW"].into_iter().filter(|method| !taken.iter().any(|it| it == method));
        for method in unknown.collect::<Vec<_>>() {
            let answer = ask(&stack, &api, method.parse().expect("a method"), &path).await;
            assert_eq!(answer.status, 405, "{method} {path}: {}", answer.body);
            let mut allowed: Vec<_> = answer.header("allow").split(", ").map(str::to_owned).collect();
            allowed.sort();
            taken.sort();
            assert_eq!(allowed, taken, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn head_is_answered_like_get_without_body() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    api.server("one", "demo").await;
    for path in ["/api/v1/servers/1", "/api/v1/games", "/api/openapi.json", "/api/docs/", "/healthz"] {
        let (get, head) = (ask(&stack, &api, Method::GET, path).await, ask(&stack, &api, Method::HEAD, path).await);
        assert_eq!((head.status, head.body.as_str()), (get.status, Some("")), "{path}");
        for name in ["content-length", "content-type"] {
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
    }
    assert_eq!(ask(&stack, &api, Method::HEAD, "/api/v1/servers/99").await.status, 404);
    assert_eq!(ask(&stack, &api, Method::HEAD, "/api/v1/nothing").await.status, 404);
}

//! Labels over REST.

use serde_json::{Value, json};

use crate::common::{Api, STRANGER, Stack};

async fn labels(api: &Api, server: i64, labels: Value) -> Value {
    let path = format!("/api/v1/servers/{server}");
    api.call("PATCH", &path, Some(json!({ "labels": labels }))).await.expect(200)["labels"].clone()
}

async fn listed(api: &Api, key: &str, query: &str) -> Value {
    let list = api.call_as(Some(key), "GET", &format!("/api/v1/servers{query}"), None).await.expect(200);
    list["items"].as_array().expect("items").iter().map(|item| item["name"].clone()).collect()
}

#[tokio::test]
async fn servers_are_listed_by_label() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let body = json!({ "name": "one", "game_type": "demo", "labels": ["Friday", " friday", "МОСТ"] });
    let one = api.post("/api/v1/servers", body).await.expect(201);
    assert_eq!(one["labels"], json!(["friday", "мост"]));
    let two = api.server("two", "demo").await;
    assert_eq!(labels(&api, two, json!(["friday"])).await, json!(["friday"]));
    api.server("three", "demo").await;

    let key = &stack.key;
    assert_eq!(listed(&api, key, "?label=FRIDAY").await, json!(["one", "two"]));
    assert_eq!(listed(&api, key, "?label=%D0%BC%D0%BE%D1%81%D1%82").await, json!(["one"]));
    assert_eq!(listed(&api, key, "?label=friday&name=w").await, json!(["two"]));
    assert_eq!(listed(&api, key, "?label=sunday").await, json!([]));
    let stranger = stack.make_key(STRANGER, &[]);
    assert_eq!(listed(&api, &stranger, "?label=friday").await, json!([]));

    // An absent field keeps them, an empty list takes them away.
    let path = format!("/api/v1/servers/{two}");
    let kept = api.call("PATCH", &path, Some(json!({ "description": "kept" }))).await.expect(200);
    assert_eq!(kept["labels"], json!(["friday"]));
    assert_eq!(labels(&api, two, json!([])).await, json!([]));
    assert_eq!(listed(&api, key, "?label=friday").await, json!(["one"]));
}

#[tokio::test]
async fn text_that_is_no_label_is_refused() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("one", "demo").await;
    labels(&api, server, json!(["kept"])).await;
    let path = format!("/api/v1/servers/{server}");
    let many: Vec<_> = (0..11).map(|number| format!("l{number}")).collect();
    for wrong in
        [json!([""]), json!(["a b"]), json!(["a\0"]), json!(["x".repeat(33)]), json!(["a", "b:c"]), json!(many)]
    {
        let refused = api.call("PATCH", &path, Some(json!({ "labels": wrong }))).await.expect(422);
        let detail = refused["detail"].as_str().expect("text");
        assert!(refused["code"] == "invalid_value" && detail.starts_with("labels: "), "{wrong}: {refused}");
        let new = json!({ "name": "two", "game_type": "demo", "labels": wrong });
        api.post("/api/v1/servers", new).await.expect(422);
    }
    assert_eq!(api.get(&path).await.expect(200)["labels"], json!(["kept"]));
    let refused = api.get("/api/v1/servers?label=a%20b").await.expect(400);
    assert_eq!(refused["code"], "invalid_query");
}

//! Holds over REST.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use crate::common::{OWNER, Stack};

#[tokio::test]
async fn hold_takes_the_place_of_an_earlier_one() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("held", "demo").await;
    let (itself, path) = (format!("/api/v1/servers/{server}"), format!("/api/v1/servers/{server}/hold"));
    let until = Utc::now() + TimeDelta::days(3);
    let held = api.post(&path, json!({ "until": until, "reason": " The map " })).await.expect(200);
    assert_eq!(json!([held["hold"]["reason"], held["hold"]["by"]]), json!(["The map", OWNER]));
    assert!(held["hold"]["until"].is_string() && held["hold"]["since"].is_string(), "{held}");
    assert_eq!(api.get(&itself).await.expect(200)["hold"], held["hold"]);

    let again = api.post(&path, json!({ "reason": "  " })).await.expect(200);
    assert_eq!(json!([again["hold"]["until"], again["hold"]["reason"]]), json!([null, null]));
    for _ in 0..2 {
        assert_eq!(api.call("DELETE", &path, None).await.expect(200)["hold"], Value::Null);
    }
}

#[tokio::test]
async fn held_server_obeys_people() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("held", "demo").await;
    api.post(&format!("/api/v1/servers/{server}/hold"), json!({})).await.expect(200);
    for action in ["start", "restart", "stop"] {
        api.act(server, action).await;
    }
    let body = json!({ "server_id": server, "action": "start", "cron_expression": "@yearly" });
    let schedule = api.post("/api/v1/schedules", body).await.expect(201)["id"].clone();
    api.call("POST", &format!("/api/v1/schedules/{schedule}/run"), None).await.expect(202);
    // Steps act by themselves later, and a hold keeps them away.
    let body = json!({ "server_id": server, "steps": [{ "do": "wait", "seconds": 1 }], "cron_expression": "@yearly" });
    let schedule = api.post("/api/v1/schedules", body).await.expect(201)["id"].clone();
    let refused = api.call("POST", &format!("/api/v1/schedules/{schedule}/run"), None).await.expect(409);
    assert!(refused["detail"].as_str().is_some_and(|it| it.contains("hold") || it.contains("held")), "{refused}");
}

#[tokio::test]
async fn senseless_hold_is_refused() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("free", "demo").await;
    let path = format!("/api/v1/servers/{server}/hold");
    let now = Utc::now();
    for (hold, field) in [
        (json!({ "until": now - TimeDelta::seconds(1) }), "until"),
        (json!({ "until": now + TimeDelta::days(400) }), "until"),
        (json!({ "until": "tomorrow" }), "until"),
        (json!({ "until": "+262142-01-01T00:00:00Z" }), "until"),
        (json!({ "reason": "x".repeat(201) }), "reason"),
        (json!({ "reason": "two\nlines" }), "reason"),
        (json!({ "reason": "a\0b" }), "reason"),
    ] {
        let refused = api.post(&path, hold.clone()).await.expect(422);
        assert_eq!(refused["code"], "invalid_value", "{hold}");
        assert!(refused["detail"].as_str().is_some_and(|it| it.starts_with(field)), "{hold}: {refused}");
    }
    assert_eq!(api.get(&format!("/api/v1/servers/{server}")).await.expect(200)["hold"], Value::Null);
}

#[tokio::test]
async fn public_server_hides_its_hold() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let stranger = stack.make_key(crate::common::STRANGER, &[]);
    let server = api.server("open", "demo").await;
    let path = format!("/api/v1/servers/{server}");
    api.call("PATCH", &path, Some(json!({ "is_public": true }))).await.expect(200);
    api.post(&format!("{path}/hold"), json!({ "reason": "between us" })).await.expect(200);
    assert_eq!(api.call_as(Some(&stranger), "GET", &path, None).await.expect(200)["hold"], Value::Null);
}

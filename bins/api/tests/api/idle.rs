//! Rules of servers on which nobody plays, over REST.

use serde_json::{Value, json};

use crate::common::{Api, STRANGER, Stack};

/// A game that tells who plays.
const TELLING: &str = "[telling]\ntitle = 'Telling'\ncommand = ['sleep', '100000']\ncost_per_hour = 0\nquery = 'a2s'\n\
                       port = 27015\nready = { when = { delay = 0 } }\n";

async fn set(api: &Api, server: i64, rule: Value) -> Value {
    let path = format!("/api/v1/servers/{server}");
    api.call("PATCH", &path, Some(json!({ "idle": rule }))).await.expect(200)["idle"].take()
}

#[tokio::test]
async fn rule_takes_the_place_of_an_earlier_one() {
    let stack = Stack::start().await;
    stack.add_game(TELLING);
    let api = stack.api(&[]).await;
    let server = api.server("quiet", "telling").await;
    let path = format!("/api/v1/servers/{server}");
    assert_eq!(api.get(&path).await.expect(200)["idle"], Value::Null);
    let window = json!({ "from": "18:00", "to": "23:00", "timezone": "Europe/Berlin" });
    let shown = json!({ "stop_after": "30m", "keep": [window], "wake_on_join": null, "asleep_since": null, "saved_credits": 0,
                        "without_gate": false });
    let keep = json!([{ "from": "18:00", "to": "23:00", "timezone": "europe/berlin" }]);
    assert_eq!(set(&api, server, json!({ "stop_after": "PT30M", "keep": keep })).await, shown);
    assert_eq!(api.get(&path).await.expect(200)["idle"], shown);
    assert_eq!(api.get("/api/v1/servers").await.expect(200)["items"][0]["idle"], shown);
    let renamed = api.call("PATCH", &path, Some(json!({ "name": "still" }))).await.expect(200);
    assert_eq!(renamed["idle"], shown, "other changes leave it alone");

    let shorter = set(&api, server, json!({ "stop_after": "5m" })).await;
    assert_eq!(json!([shorter["stop_after"], shorter["keep"]]), json!(["5m", []]));
    assert_eq!(set(&api, server, Value::Null).await, Value::Null);
    assert_eq!(api.get(&path).await.expect(200)["idle"], Value::Null);
}

#[tokio::test]
async fn game_that_tells_no_players_has_no_rule() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("deaf", "demo").await;
    let path = format!("/api/v1/servers/{server}");
    let refused = api.call("PATCH", &path, Some(json!({ "idle": { "stop_after": "30m" } }))).await.expect(422);
    assert_eq!(refused["code"], "invalid_value");
    let detail = refused["detail"].as_str().expect("a sentence");
    assert!(detail.starts_with("idle") && detail.contains("its game tells nobody who plays"), "{detail}");
    assert_eq!(set(&api, server, Value::Null).await, Value::Null, "there is nothing to remove");
}

#[tokio::test]
async fn senseless_rule_is_refused() {
    let stack = Stack::start().await;
    stack.add_game(TELLING);
    let api = stack.api(&[]).await;
    let server = api.server("quiet", "telling").await;
    let path = format!("/api/v1/servers/{server}");
    let window = |from: &str, to: &str, zone: &str| json!({ "stop_after": "30m", "keep": [{ "from": from, "to": to, "timezone": zone }] });
    for (rule, status, told) in [
        (json!({ "stop_after": "4m" }), 422, "stop_after must be from 5m to 24h"),
        (json!({ "stop_after": "soon" }), 422, "must be a time"),
        (
            json!({ "stop_after": "30m", "keep": vec![window("18:00", "19:00", "UTC")["keep"][0].clone(); 11] }),
            422,
            "at most 10",
        ),
        (window("18", "19:00", "UTC"), 422, "keep.from"),
        (window("18:00", "18:00", "UTC"), 422, "keep.to"),
        (window("18:00", "19:00\0", "UTC"), 422, "keep.to"),
        (window("18:00", "19:00", "Berlin"), 422, "keep.timezone"),
        (json!({ "keep": [] }), 400, "stop_after"),
        (json!({ "stop_after": "30m", "never": true }), 400, "never"),
        (json!("30m"), 400, "idle"),
    ] {
        let refused = api.call("PATCH", &path, Some(json!({ "idle": rule }))).await.expect(status);
        assert!(refused["detail"].as_str().is_some_and(|it| it.contains(told)), "{rule}: {refused}");
    }
    assert_eq!(api.get(&path).await.expect(200)["idle"], Value::Null);
}

#[tokio::test]
async fn rule_is_for_those_who_run_the_server() {
    let stack = Stack::start().await;
    stack.add_game(TELLING);
    let api = stack.api(&[]).await;
    let stranger = stack.make_key(STRANGER, &[]);
    let server = api.server("open", "telling").await;
    set(&api, server, json!({ "stop_after": "30m" })).await;
    let path = format!("/api/v1/servers/{server}");
    api.call("PATCH", &path, Some(json!({ "is_public": true }))).await.expect(200);
    assert_eq!(api.call_as(Some(&stranger), "GET", &path, None).await.expect(200)["idle"], Value::Null);
    let refused = api.call_as(Some(&stranger), "PATCH", &path, Some(json!({ "idle": null }))).await;
    assert_eq!(refused.status.as_u16(), 403);
}

#[tokio::test]
async fn wake_starts_what_does_not_run() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("sleeper", "demo").await;
    for _ in 0..2 {
        api.act(server, "wake").await;
        api.until_status(server, "running").await;
    }
    let history = api.get(&format!("/api/v1/servers/{server}/operations")).await.expect(200);
    assert_eq!(json!([history["items"][0]["action"], history["items"][0]["origin"]]), json!(["start", "rest"]));
}

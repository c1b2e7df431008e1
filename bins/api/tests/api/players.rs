//! Players of a server, as its game tells over the network.

use std::sync::{Arc, atomic::AtomicU8};

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::common::{Api, SOON, STRANGER, Stack, a2s};

async fn players(api: &Api, server: i64) -> Value {
    api.get(&format!("/api/v1/servers/{server}/players")).await.expect(200)
}

#[tokio::test]
async fn players_are_counted_while_a_server_runs() {
    let stack = Stack::start().await;
    a2s::add_game(&stack, "vikings");
    let api = stack.api(&[]).await;
    let (asked, silent) = (api.server("asked", "vikings").await, api.server("silent", "sleeper").await);
    let unknown = json!({ "online": null, "max": null, "names": null, "measured_at": null });
    assert_eq!(players(&api, asked).await, unknown, "it has not run");

    api.act(silent, "start").await;
    api.act(asked, "start").await;
    a2s::play(&api, asked, Arc::new(AtomicU8::new(1))).await;
    let known = wait::until(SOON, "the players", async || {
        Some(players(&api, asked).await).filter(|players| !players["online"].is_null())
    })
    .await;
    assert_eq!(json!([known["online"], known["max"], known["names"]]), json!([1, 8, ["Ann[31m"]]));
    let server = api.get(&format!("/api/v1/servers/{asked}")).await.expect(200);
    assert_eq!(server["players"]["names"], json!(["Ann[31m"]));
    let listed = api.get("/api/v1/servers").await.expect(200);
    assert_eq!(json!([listed["items"][0]["players"]["online"], listed["items"][1]["players"]]), json!([1, null]));
    let gauge = "agis_bot_players_online{game_type=\"vikings\"}";
    assert_eq!(api.samples("agis_bot_players_online{").await, [""; 0], "unknown is not zero");
    wait::until(SOON, "the gauge", async || (api.metric(gauge).await > 0.0).then_some(())).await;

    // Everybody may know how many play on a public server, and only those who may read its console who they are.
    let stranger = stack.make_key(STRANGER, &[]);
    let path = format!("/api/v1/servers/{asked}/players");
    assert_eq!(api.call_as(Some(&stranger), "GET", &path, None).await.status.as_u16(), 404);
    api.call("PATCH", &format!("/api/v1/servers/{asked}"), Some(json!({ "is_public": true }))).await.expect(200);
    let seen = api.call_as(Some(&stranger), "GET", &path, None).await.expect(200);
    assert_eq!(json!([seen["online"], seen["max"], seen["names"]]), json!([1, 8, null]));

    api.ended(&api.ask(asked, "stop").await).await;
    assert_eq!(players(&api, asked).await, unknown, "nobody plays there, and nobody is asked");
    let server = api.get(&format!("/api/v1/servers/{asked}")).await.expect(200);
    assert_eq!(server["players"], Value::Null);
}

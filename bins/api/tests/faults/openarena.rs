//! OpenArena: bots join and are counted, RCON answers, and the game comes back until AGIS gives it up.

use std::{path::Path, time::Duration};

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::{
    common::{Api, SOON, Stack, signal},
    fleet,
};

/// Longer than the longest wait of five restarts, 16 s with its jitter, and a start.
const BACK: Duration = Duration::from_secs(90);
/// Restarts that AGIS tries within ten minutes.
const RESTARTS: i64 = 5;

async fn ask(api: &Api, server: i64, command: &str) -> String {
    let body = json!({ "command": command, "reply": true });
    let answer = api.post(&format!("/api/v1/servers/{server}/command"), body).await.expect(200);
    answer["reply"].as_str().unwrap_or_default().to_owned()
}

/// Waits until the game runs at this generation, ready for players.
async fn until_back(stack: &Stack, api: &Api, server: i64, generation: i64) -> i64 {
    wait::until(BACK, &format!("generation {generation}"), async || {
        let process = stack.process_of(server).filter(|process| process["generation"] == generation)?;
        let is_running = api.get(&format!("/api/v1/servers/{server}")).await.body["status"] == "running";
        process["game"]["pid"].as_i64().filter(|_| is_running)
    })
    .await
}

#[tokio::test]
async fn openarena_answers_comes_back_and_is_given_up() {
    if !Path::new("/usr/games/openarena-server").exists() {
        return crate::debian::untried("openarena");
    }
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let api = stack.api(&[("GAMES_FILE", "")]).await;
    let server = api.server("arena", "openarena").await;
    let path = format!("/api/v1/servers/{server}");
    api.call("PATCH", &format!("{path}/settings"), Some(json!({ "bots": 1 }))).await.expect(200);
    api.act(server, "start").await;

    let players = wait::until(2 * SOON, "a bot", async || {
        let players = api.get(&format!("{path}/players")).await.expect(200);
        players["names"][0].as_str().map(str::to_owned)
    })
    .await;
    let status = ask(&api, server, "status").await;
    assert!(status.contains("map: oa_dm1") && status.contains(&players), "{players}: {status}");
    let said = ask(&api, server, "say \"back in 5 minutes; http://example.org\"").await;
    assert!(said.contains("back in 5 minutes; http://example.org"), "a text in quotes stays whole: {said}");

    for generation in 1..=RESTARTS + 1 {
        let game = until_back(&stack, &api, server, generation).await;
        signal(game, "KILL");
    }
    let given_up = wait::until(BACK, "AGIS to give up", async || {
        let server = api.get(&path).await.expect(200);
        (server["status"] == "crashed" && server["restart"]["at"].is_null()).then_some(server)
    })
    .await;
    assert_eq!(given_up["restart"], json!({ "at": null, "attempt": RESTARTS, "of": RESTARTS }), "{given_up}");
    assert_eq!(given_up["players"], Value::Null, "nobody knows who plays on a server that is down");
    let notice: String = fleet::one(&sql, "select kind || ': ' || reason from notices order by id desc limit 1").await;
    assert!(notice.starts_with("server_crashed: ") && notice.contains("5 times within 10m"), "{notice}");
}

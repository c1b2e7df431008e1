//! Gates of servers that sleep: a player who joins wakes one, whatever dies.

use std::time::Duration;

use agis_test_support::wait;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_postgres::Client;

use crate::{
    common::{Api, SOON, Stack},
    fleet,
};

/// The demo game, as if it were Minecraft.
fn mine() -> String {
    let port = 9_000 + std::process::id() * 37 % 900;
    format!(
        "[mine]\ntitle = 'Mine'\ncommand = ['{{agis}}', 'demo-game', '--bind', '{{bind}}', '--port', '{{port}}', '--name', '{{name}}']\n\
         cost_per_hour = 0\nquery = 'minecraft'\nport = {port}\nrestart = {{ on = 'never' }}\n\
         ready = {{ when = {{ log = 'ready for players' }}, within_s = 30 }}\n"
    )
}

fn framed(packet: &[u8]) -> Vec<u8> {
    [&[u8::try_from(packet.len()).expect("a short packet")], packet].concat()
}

/// Begins a connection of version 774 with the server `x`.
fn shake(next: u8) -> Vec<u8> {
    framed(&[0, 0x86, 0x06, 1, b'x', 0x63, 0xdd, next])
}

fn joins(name: &str) -> Vec<u8> {
    let name = [&[u8::try_from(name.len()).expect("a short name")], name.as_bytes()].concat();
    [shake(2), framed(&[&[0], &name[..], &[7; 16]].concat())].concat()
}

/// Says this at the port of a server, and returns the answer; `None` if nobody listens.
async fn say(port: u16, bytes: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    stream.write_all(bytes).await.ok()?;
    let mut answer = vec![];
    // The demo game answers as well, and does not close.
    let _ = timeout(Duration::from_secs(2), async {
        stream.shutdown().await?;
        stream.read_to_end(&mut answer).await
    })
    .await;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

async fn until_gate(port: u16) -> String {
    wait::until(SOON, "the gate", async || {
        say(port, &[shake(1), framed(&[0])].concat()).await.filter(|text| text.contains("asleep"))
    })
    .await
}

/// Makes a server that has run, and sleeps, with this gate. Returns its number and its port.
async fn asleep(api: &Api, sql: &Client, gate: Value) -> (i64, u16) {
    let server = api.server("Castle", "mine").await;
    let rule = json!({ "idle": { "stop_after": "30m", "wake_on_join": gate } });
    api.call("PATCH", &format!("/api/v1/servers/{server}"), Some(rule)).await.expect(200);
    api.act(server, "start").await;
    let port = get(api, server).await["port"].as_u64().expect("a port");
    api.act(server, "stop").await;
    sleep_on(sql, server).await;
    (server, u16::try_from(port).expect("a port"))
}

/// As if the rule had stopped the server.
async fn sleep_on(sql: &Client, server: i64) {
    let asleep = format!(
        "update server_idle i set asleep_since = now(), asleep_generation = s.generation
         from game_servers s where s.id = i.server_id and s.id = {server}; notify agis_operations"
    );
    sql.batch_execute(&asleep).await.expect("a sleep");
}

async fn get(api: &Api, server: i64) -> Value {
    api.get(&format!("/api/v1/servers/{server}")).await.expect(200)
}

#[tokio::test]
async fn listed_player_wakes_the_server() {
    let stack = Stack::start().await;
    stack.add_game(&mine());
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let (one, two) = (stack.api(&[]).await, stack.api(&[]).await);
    let (server, port) = asleep(&two, &sql, json!({ "players": ["Ann"] })).await;
    let shown = until_gate(port).await;
    assert!(shown.contains("Castle: asleep, join to start"), "{shown}");
    let refused = say(port, &joins("Scanner")).await.expect("a gate");
    assert!(refused.contains("You may not wake this server"), "{refused}");
    assert_eq!(get(&two, server).await["status"], "stopped");

    // Either of them may have the gate.
    one.kill();
    until_gate(port).await;
    let woken = say(port, &joins("ann")).await.expect("a gate");
    assert!(woken.contains("is being started"), "{woken}");
    two.until_status(server, "running").await;
    let history = two.get(&format!("/api/v1/servers/{server}/operations")).await.expect(200);
    assert_eq!(json!([history["items"][0]["action"], history["items"][0]["origin"]]), json!(["start", "join"]));
    let game = say(port, b"status\n").await.expect("the game");
    assert!(game.contains("Castle") && !game.contains("asleep"), "the game has its port: {game}");
    assert!((two.metric("agis_bot_gate_wakes_total{outcome=\"woken\"}").await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn start_by_a_person_closes_the_gate() {
    let stack = Stack::start().await;
    stack.add_game(&mine());
    let sql = stack.sql().await;
    let (one, two) = (stack.api(&[]).await, stack.api(&[]).await);
    let (server, port) = asleep(&two, &sql, json!({})).await;
    for api in [&one, &two, &one] {
        until_gate(port).await;
        api.act(server, "start").await;
        let game = say(port, b"status\n").await.expect("the game");
        assert!(!game.contains("asleep"), "{game}");
        api.act(server, "stop").await;
        sleep_on(&sql, server).await;
    }
    // A hold keeps players away, as everything that acts by itself.
    until_gate(port).await;
    one.post(&format!("/api/v1/servers/{server}/hold"), json!({})).await.expect(200);
    wait::until(SOON, "the gate to close", async || say(port, &[0xfe, 1]).await.is_none().then_some(())).await;
    one.call("DELETE", &format!("/api/v1/servers/{server}/hold"), None).await.expect(200);
    until_gate(port).await;
}

#[tokio::test]
async fn only_minecraft_has_a_gate() {
    let stack = Stack::start().await;
    stack.add_game("[other]\ntitle = 'Other'\ncommand = ['sleep', '9']\ncost_per_hour = 0\nquery = 'a2s'\nport = 27015\nready = { when = { delay = 0 } }\n");
    stack.add_game(&mine());
    let api = stack.api(&[]).await;
    let (other, mine) = (api.server("other", "other").await, api.server("mine", "mine").await);
    let set = async |server: i64, gate: Value, status: u16| {
        let rule = json!({ "idle": { "stop_after": "30m", "wake_on_join": gate } });
        api.call("PATCH", &format!("/api/v1/servers/{server}"), Some(rule)).await.expect(status)
    };
    let refused = set(other, json!({}), 422).await;
    assert!(refused["detail"].as_str().is_some_and(|it| it.contains("Minecraft's Java edition alone")), "{refused}");
    assert_eq!(
        set(mine, json!({ "players": ["Ann", ".Bob"] }), 200).await["idle"]["wake_on_join"]["players"][1],
        ".Bob"
    );
    assert_eq!(set(mine, json!({}), 200).await["idle"]["wake_on_join"], json!({ "players": null }));
    for players in [json!([]), json!(["a b"]), json!(vec!["x"; 101])] {
        set(mine, json!({ "players": players }), 422).await;
    }
}

#[tokio::test]
async fn renamed_server_keeps_its_gate() {
    let stack = Stack::start().await;
    stack.add_game(&mine());
    let sql = stack.sql().await;
    let api = stack.api(&[]).await;
    let (server, port) = asleep(&api, &sql, json!({ "players": ["Ann"] })).await;
    until_gate(port).await;
    let change = json!({ "name": "Keep", "idle": { "stop_after": "30m", "wake_on_join": { "players": ["Bob"] } } });
    api.call("PATCH", &format!("/api/v1/servers/{server}"), Some(change)).await.expect(200);
    wait::until(SOON, "the new name", async || {
        let shown = say(port, &[shake(1), framed(&[0])].concat()).await.expect("the gate stays open");
        shown.contains("Keep: asleep").then_some(())
    })
    .await;
    assert!(say(port, &joins("Ann")).await.expect("a gate").contains("You may not wake"));
    let woken = say(port, &joins("Bob")).await.expect("a gate");
    assert!(woken.contains("is being started"), "{woken}");
    api.until_status(server, "running").await;
}

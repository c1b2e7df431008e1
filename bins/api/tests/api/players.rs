//! Players of a server, as its game tells over the network.

use agis_test_support::wait;
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use crate::common::{Api, SOON, STRANGER, Stack};

/// Answers as a game of Valve's protocol does, at this port, with one player.
async fn answer_a2s(port: u16) {
    let socket = UdpSocket::bind(("127.0.0.1", port)).await.expect("the port of the game");
    tokio::spawn(async move {
        let mut question = [0; 100];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            let answer: &[u8] = match &question[4..length] {
                b"TSource Engine Query\0" | b"U\xff\xff\xff\xff" => b"A\x01\x02\x03\x04",
                b"TSource Engine Query\0\x01\x02\x03\x04" => b"I\x11Name\0map\0folder\0Game\0\0\0\x01\x08\0dl\0\x01v\0",
                b"U\x01\x02\x03\x04" => b"D\x01\0Ann\x1b[31m\x00\0\0\0\0\0\0\0\0",
                _ => continue,
            };
            socket.send_to(&[b"\xff\xff\xff\xff", answer].concat(), from).await.expect("an answer");
        }
    });
}

async fn free_port() -> u16 {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await.expect("a socket");
    socket.local_addr().expect("its address").port()
}

async fn players(api: &Api, server: i64) -> Value {
    api.get(&format!("/api/v1/servers/{server}/players")).await.expect(200)
}

#[tokio::test]
async fn players_are_counted_while_a_server_runs() {
    let stack = Stack::start().await;
    let port = free_port().await;
    stack.add_game(&format!(
        "[vikings]\ntitle = 'Vikings'\ncommand = ['sleep', '100000']\ncost_per_hour = 0\nquery = 'a2s'\n\
         ports = [{{ name = 'game', port = {port}, protocol = 'udp' }}]\nready = {{ when = {{ delay = 1 }} }}\n"
    ));
    let api = stack.api(&[]).await;
    let (asked, silent) = (api.server("asked", "vikings").await, api.server("silent", "sleeper").await);
    let unknown = json!({ "online": null, "max": null, "names": null, "measured_at": null });
    assert_eq!(players(&api, asked).await, unknown, "it has not run");

    api.act(silent, "start").await;
    api.act(asked, "start").await;
    // The game itself says nothing.
    wait::until(SOON, "the game", async || stack.process_of(asked)).await;
    answer_a2s(port).await;
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

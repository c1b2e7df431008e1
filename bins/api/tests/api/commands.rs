//! Commands that are answered by RCON, and the record of all commands.

use agis_test_support::wait;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::common::{Api, SOON, STRANGER, Stack};

/// A game that shows its password to this test, which then is its RCON.
const GAME: &str = r#"
[forts]
title = "Forts"
command = ["sh", "-c", "echo password $RCON; echo up; exec sleep 100000"]
env = { RCON = "{rcon.password}" }
ports = [{ name = "game", port = 31720 }, { name = "rcon", port = 31721 }]
cost_per_hour = 0
ready = { when = { log = "up" }, within_s = 60 }
console = { rcon = { port = "rcon" } }
say = "say {text}"
"#;

/// Source's RCON, as <https://developer.valvesoftware.com/wiki/Source_RCON_Protocol> tells. It answers every command with
/// the command itself, but `quiet` with nothing.
async fn serve(mut stream: TcpStream, password: String) -> Option<()> {
    loop {
        let length = stream.read_i32_le().await.ok()?;
        let (id, kind) = (stream.read_i32_le().await.ok()?, stream.read_i32_le().await.ok()?);
        let mut body = vec![0; usize::try_from(length).ok()? - 8];
        stream.read_exact(&mut body).await.ok()?;
        let body = String::from_utf8_lossy(&body).trim_end_matches('\0').to_owned();
        let (id, kind, answer): (i32, i32, String) = match kind {
            3 => (if body == password { id } else { -1 }, 2, String::new()),
            _ if body == "quiet" => return std::future::pending().await,
            _ if body.is_empty() => (id, 0, String::new()),
            _ => (id, 0, format!("you said {body}")),
        };
        let mut packet = i32::try_from(answer.len() + 10).ok()?.to_le_bytes().to_vec();
        packet.extend(id.to_le_bytes());
        packet.extend(kind.to_le_bytes());
        packet.extend(answer.as_bytes());
        packet.extend([0, 0]);
        stream.write_all(&packet).await.ok()?;
    }
}

fn path(server: i64, rest: &str) -> String {
    format!("/api/v1/servers/{server}{rest}")
}

/// The password that the game got.
async fn password(api: &Api, server: i64) -> String {
    wait::until(SOON, "the password", async || {
        let lines = api.get(&path(server, "/logs?tail=100")).await.expect(200);
        let lines = lines["items"].as_array()?.clone();
        lines.iter().rev().find_map(|line| Some(line["text"].as_str()?.strip_prefix("password ")?.to_owned()))
    })
    .await
}

async fn rcon_port(api: &Api, server: i64) -> u16 {
    let ports = api.get(&path(server, "")).await.expect(200)["ports"].clone();
    let port = ports.as_array().and_then(|ports| ports.iter().find(|port| port["name"] == "rcon")?["port"].as_u64());
    u16::try_from(port.expect("a port")).expect("a port")
}

/// Answers commands at this port.
async fn play(port: u16, password: &str) -> JoinHandle<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a listener");
    let password = password.to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, password.clone()));
        }
    })
}

async fn ask(api: &Api, server: i64, command: &str) -> crate::common::Answer {
    api.post(&path(server, "/command"), json!({ "command": command, "reply": true })).await
}

#[tokio::test]
async fn game_with_rcon_answers_commands() {
    let stack = Stack::start().await;
    stack.add_game(GAME);
    let api = stack.api(&[]).await;
    let server = api.server("a", "forts").await;
    assert_eq!(ask(&api, server, "status").await.expect(409)["code"], "not_running");
    api.act(server, "start").await;
    let secret = password(&api, server).await;
    assert!(secret.len() >= 32 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{secret}");
    // Nothing listens yet: the game did not get it, and the sender may try again.
    assert_eq!(ask(&api, server, "early").await.expect(503)["code"], "console_unavailable");

    let port = rcon_port(&api, server).await;
    let game = play(port, &secret).await;
    let answer = ask(&api, server, "status").await.expect(200);
    assert_eq!(answer["reply"], "you said status", "{answer}");
    let quiet = ask(&api, server, "quiet").await.expect(200);
    assert_eq!(quiet["reply"], Value::Null, "{quiet}");
    api.post(&path(server, "/command"), json!({ "command": "typed" })).await.expect(204);

    let list = api.get(&path(server, "/commands")).await.expect(200);
    let told = |item: &Value| json!([item["command"], item["outcome"], item["reply"], item["origin"]]);
    let told: Vec<_> = list["items"].as_array().expect("a list").iter().map(told).collect();
    assert_eq!(
        json!(told),
        json!([
            ["typed", "typed", null, "rest"],
            ["quiet", "unanswered", null, "rest"],
            ["status", "answered", "you said status", "rest"],
            ["early", "refused", null, "rest"],
        ])
    );
    assert_eq!(list["items"][2]["id"], answer["id"]);
    let page = api.get(&path(server, "/commands?limit=3")).await.expect(200);
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let rest = api.get(&path(server, &format!("/commands?cursor={cursor}"))).await.expect(200);
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(1));

    // The password stays with its server, is never shown, and belongs to no other.
    game.abort();
    let _ = game.await;
    api.act(server, "restart").await;
    assert_eq!(password(&api, server).await, secret);
    let shown = [path(server, ""), path(server, "/settings"), path(server, "/commands"), path(server, "/operations")];
    for path in shown {
        assert!(!api.get(&path).await.expect(200).to_string().contains(&secret), "{path}");
    }
    assert!(api.log().iter().all(|line| !line.to_string().contains(&secret)), "the log holds the password");
    let stranger = stack.make_key(STRANGER, &[]);
    api.call_as(Some(&stranger), "GET", &path(server, "/commands"), None).await.expect(404);
}

#[tokio::test]
async fn command_has_an_outcome_though_its_request_was_cut_off() {
    let stack = Stack::start().await;
    stack.add_game(&GAME.replace("31720", "31730").replace("31721", "31731"));
    let api = stack.api(&[("REQUEST_TIMEOUT_SECONDS", "1")]).await;
    let server = api.server("a", "forts").await;
    api.act(server, "start").await;
    let secret = password(&api, server).await;
    let game = play(rcon_port(&api, server).await, &secret).await;
    assert_eq!(ask(&api, server, "quiet").await.status.as_u16(), 503, "the request takes too long");
    let ended = wait::until(SOON, "the outcome", async || {
        let list = api.get(&path(server, "/commands")).await.expect(200);
        Some(list["items"][0].clone()).filter(|item| item["finished_at"].is_string())
    })
    .await;
    assert_eq!(ended["outcome"], "unanswered", "{ended}");
    game.abort();
}

#[tokio::test]
async fn game_without_rcon_says_so_before_anything_is_sent() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("a", "demo").await;
    let refused = ask(&api, server, "say hi").await.expect(409);
    assert_eq!(refused["code"], "no_reply", "{refused}");
    assert_eq!(api.get(&path(server, "/commands")).await.expect(200)["items"], json!([]));
}

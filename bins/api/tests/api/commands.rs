//! Commands that are answered by RCON, and the record of all commands.

use std::sync::Arc;

use agis_base::{ServerId, UserId};
use agis_servers::{
    Origin, Permission, Policy, Servers, ServersError,
    console::{Sent, relay::Relay},
    game::{Catalogue, SAID_MAX},
    store::Billing,
};
use agis_storage::{Db, DbConfig};
use agis_test_support::wait;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::common::{
    Api, OWNER, SOON, STRANGER, Stack,
    rcon::{self, Rcon},
};

fn path(server: i64, rest: &str) -> String {
    format!("/api/v1/servers/{server}{rest}")
}

/// The password of a server, once its game has printed it. Nobody who reads the console sees it.
async fn password(stack: &Stack, api: &Api, server: i64) -> String {
    let query = "select rcon_password from game_servers where id = $1::text::int";
    let row = stack.sql().await.query_one(query, &[&server.to_string()]).await.expect("a server");
    let secret: String = row.get(0);
    wait::until(SOON, "the password", async || {
        let lines = api.get(&path(server, "/logs?tail=100")).await.expect(200);
        assert!(!lines.to_string().contains(&secret), "{lines}");
        lines["items"].as_array()?.iter().any(|line| line["text"] == "password (hidden)").then_some(())
    })
    .await;
    secret
}

async fn ask(api: &Api, server: i64, command: &str) -> crate::common::Answer {
    api.post(&path(server, "/command"), json!({ "command": command, "reply": true })).await
}

#[tokio::test]
async fn game_with_rcon_answers_commands() {
    let stack = Stack::start().await;
    stack.add_game(&rcon::game());
    let api = stack.api(&[]).await;
    let server = api.server("a", "forts").await;
    assert_eq!(ask(&api, server, "status").await.expect(409)["code"], "not_running");
    api.act(server, "start").await;
    let secret = password(&stack, &api, server).await;
    assert!(secret.len() >= 32 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{secret}");
    let shown = api.get(&path(server, "")).await.expect(200);
    let names = shown["ports"].as_array().expect("ports").iter().map(|port| &port["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["game"], "the port of RCON is for AGIS alone");
    // Nothing listens yet: the game did not get it, and the sender may try again.
    assert_eq!(ask(&api, server, "early").await.expect(503)["code"], "console_unavailable");

    let game = Rcon::of(&stack, server).await;
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
    game.close();
    api.act(server, "restart").await;
    assert_eq!(password(&stack, &api, server).await, secret);
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
    stack.add_game(&rcon::game());
    let api = stack.api(&[("REQUEST_TIMEOUT_SECONDS", "1")]).await;
    let server = api.server("a", "forts").await;
    api.act(server, "start").await;
    let game = Rcon::of(&stack, server).await;
    assert_eq!(ask(&api, server, "quiet").await.status.as_u16(), 503, "the request takes too long");
    let ended = wait::until(SOON, "the outcome", async || {
        let list = api.get(&path(server, "/commands")).await.expect(200);
        Some(list["items"][0].clone()).filter(|item| item["finished_at"].is_string())
    })
    .await;
    assert_eq!(ended["outcome"], "unanswered", "{ended}");
    game.close();
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

/// Every command of a server: line, outcome, answer; the latest first.
async fn told(api: &Api, server: i64) -> Value {
    let list = api.get(&path(server, "/commands")).await.expect(200);
    let told = |item: &Value| json!([item["command"], item["outcome"], item["reply"]]);
    list["items"].as_array().expect("a list").iter().map(told).collect()
}

/// A process that serves another host.
async fn elsewhere(stack: &Stack, data: &tempfile::TempDir) -> Api {
    stack.api(&[("AGIS_HOST_NAME", "elsewhere"), ("AGIS_DATA_DIR", data.path().to_str().expect("a path"))]).await
}

#[tokio::test]
async fn any_process_passes_commands_to_the_one_with_the_host() {
    let stack = Stack::start().await;
    stack.add_game(&rcon::game());
    let (here, data) = (stack.api(&[]).await, tempfile::tempdir().expect("a directory"));
    let there = elsewhere(&stack, &data).await;
    let server = here.server("far away", "forts").await;
    here.act(server, "start").await;
    assert_eq!(ask(&there, server, "early").await.expect(503)["code"], "console_unavailable");
    let game = Rcon::of(&stack, server).await;
    assert_eq!(ask(&there, server, "status").await.expect(200)["reply"], "you said status");
    assert_eq!(ask(&there, server, "quiet").await.expect(200)["reply"], Value::Null);
    there.post(&path(server, "/command"), json!({ "command": "typed" })).await.expect(204);
    let lines = there.get(&path(server, "/logs?tail=100")).await.expect(200).to_string();
    assert!(lines.contains("> typed"), "{lines}");
    assert_eq!(game.heard(), ["status", "quiet"]);
    let expected = json!([
        ["typed", "typed", null],
        ["quiet", "unanswered", null],
        ["status", "answered", "you said status"],
        ["early", "refused", null]
    ]);
    assert_eq!(told(&there, server).await, expected);
    let secret = password(&stack, &here, server).await;
    assert!(there.log().iter().all(|line| !line.to_string().contains(&secret)), "the log holds the password");
}

/// The rules in a process that serves no host, such as a loop of another `agis-api`.
fn rules(stack: &Stack, games: &str) -> Servers {
    let db = Arc::new(Db::new(&DbConfig { url: stack.database_url(), connections: 4 }).expect("a pool"));
    let policy = Policy { homes: vec![], servers_per_user: 10, billing: Billing::Off };
    let catalogue = Arc::new(Catalogue::parse(games).expect("a catalogue"));
    let relay = Relay::new(db.clone(), watch::channel(()).1);
    Servers::new(&db, catalogue, policy, vec![]).with_relay(relay)
}

#[tokio::test]
async fn announcement_reaches_players_in_the_words_of_the_game() {
    let stack = Stack::start().await;
    stack.add_game(&rcon::game());
    let api = stack.api(&[]).await;
    let rules = rules(&stack, &rcon::game());
    let (owner, stranger) = (UserId::from_stored(OWNER), UserId::from_stored(STRANGER));
    let (forts, demo) = (api.server("a", "forts").await, api.server("b", "demo").await);
    let id = |server: i64| ServerId(server.try_into().expect("an id"));
    let say = async |user: &UserId, server: i64, text: &str| {
        rules.say(user, id(server), Permission::Schedule, Origin::Schedule, text).await
    };
    let refused = say(&owner, forts, "hi").await.err().map(|error| error.to_string());
    assert_eq!(refused.as_deref(), Some("this server does not run; start it first"));
    api.act(forts, "start").await;
    let game = Rcon::of(&stack, forts).await;
    let text = format!("§4Restart\n\"now\"; stop {}", "x".repeat(2000));
    let answer = say(&owner, forts, &text).await.expect("a command").send().await.expect("an answer");
    let line = format!("say \"Restart 'now', stop {}...\"", "x".repeat(SAID_MAX - 23));
    assert_eq!(answer.sent, Sent::Answered(format!("you said {line}")));
    assert_eq!(game.heard(), std::slice::from_ref(&line));
    assert!(matches!(say(&owner, forts, " \n").await, Err(ServersError::Invalid { field: "text", .. })));
    assert!(matches!(say(&owner, demo, "hi").await, Err(ServersError::Invalid { field: "text", .. })));
    assert!(matches!(say(&stranger, forts, "hi").await, Err(ServersError::NotFound(_))));
    let list = api.get(&path(forts, "/commands")).await.expect(200);
    let noted = &list["items"][0];
    assert_eq!((&noted["command"], &noted["origin"]), (&json!(line), &json!("schedule")), "{list}");
}

#[tokio::test]
async fn players_are_counted_by_rcon_without_a_record() {
    let stack = Stack::start().await;
    stack.add_game(&rcon::game());
    let api = stack.api(&[]).await;
    let server = api.server("a", "forts").await;
    api.act(server, "start").await;
    let _game = Rcon::of(&stack, server).await;
    let players = wait::until(SOON, "players", async || {
        let players = api.get(&path(server, "")).await.expect(200)["players"].clone();
        (!players.is_null()).then_some(players)
    })
    .await;
    assert_eq!((&players["online"], &players["names"]), (&json!(2), &json!(["Ann", "Bob"])), "{players}");
    assert_eq!(told(&api, server).await, json!([]));
}

#[tokio::test]
async fn killed_asker_leaves_one_command_and_its_outcome() {
    let stack = Stack::start().await;
    stack.add_game(&rcon::game());
    let (here, data) = (stack.api(&[]).await, tempfile::tempdir().expect("a directory"));
    let there = elsewhere(&stack, &data).await;
    let server = here.server("far away", "forts").await;
    here.act(server, "start").await;
    let game = Rcon::of(&stack, server).await;
    let asked = stack.client.post(format!("{}{}", there.base, path(server, "/command")));
    let asked = asked.bearer_auth(&stack.key).json(&json!({ "command": "slow", "reply": true }));
    let asked = tokio::spawn(asked.send());
    game.until_heard("slow").await;
    there.kill();
    assert!(asked.await.expect("a task").is_err(), "nobody answers");
    let expected = json!([["slow", "answered", "you said slow"]]);
    wait::until(SOON, "the outcome", async || (told(&here, server).await == expected).then_some(())).await;
    assert_eq!(game.heard(), ["slow"]);
}

#[tokio::test]
async fn command_of_a_killed_process_is_not_sent_again() {
    let stack = Stack::start().await;
    stack.add_game(&rcon::game());
    let (here, data) = (stack.api(&[]).await, tempfile::tempdir().expect("a directory"));
    let there = elsewhere(&stack, &data).await;
    let server = here.server("far away", "forts").await;
    here.act(server, "start").await;
    let game = Rcon::of(&stack, server).await;
    let killed = async {
        game.until_heard("quiet").await;
        here.kill();
        stack.api(&[]).await
    };
    let (refused, here) = tokio::join!(ask(&there, server, "quiet"), killed);
    assert_eq!(refused.expect(503)["code"], "console_unavailable");
    assert_eq!(ask(&there, server, "status").await.expect(200)["reply"], "you said status");
    let expected = json!([["status", "answered", "you said status"], ["quiet", "unanswered", null]]);
    assert_eq!(told(&here, server).await, expected);
    assert_eq!(game.heard(), ["quiet", "status"]);
}

#[tokio::test]
async fn shared_console_takes_the_commands_of_its_list() {
    let stack = Stack::start().await;
    stack.add_game(&rcon::game());
    let api = stack.api(&[]).await;
    let key = stack.make_key(STRANGER, &[]);
    let server = api.server("ours", "forts").await;
    api.act(server, "start").await;
    let game = Rcon::of(&stack, server).await;
    let share = async |body: Value| api.call("PUT", &path(server, "/shares"), Some(body)).await.expect(200);
    let may = |permissions: &[&str], commands: Value| json!({ "kind": "member", "grantee": STRANGER, "permissions": permissions, "commands": commands });
    let send = async |command: &str| {
        let body = json!({ "command": command, "reply": true });
        api.call_as(Some(&key), "POST", &path(server, "/command"), Some(body)).await
    };
    send("say hi").await.expect(404);
    share(may(&["read", "start", "schedule"], Value::Null)).await;
    assert_eq!(send("say hi").await.expect(403)["code"], "not_allowed");
    share(may(&["console"], json!(["say", "whitelist add"]))).await;
    for command in ["say hi", "whitelist add Ann"] {
        assert_eq!(send(command).await.expect(200)["reply"], format!("you said {command}"));
    }
    for command in
        ["stop", "SAY hi", "/say hi", "whitelist", "whitelist remove Ann", "say hi;stop", "say $x", "say | stop"]
    {
        let refused = send(command).await.expect(403);
        assert!(refused["detail"].as_str().is_some_and(|text| text.ends_with("say, whitelist add")), "{refused}");
    }
    assert_eq!(send("say hi\nstop").await.expect(422)["code"], "invalid_value");
    api.call_as(Some(&key), "GET", &path(server, "/commands"), None).await.expect(403);
    share(may(&["console"], Value::Null)).await;
    send("stop; now").await.expect(200);
    assert_eq!(game.heard(), ["say hi", "whitelist add Ann", "stop; now"]);
    let list = api.get(&path(server, "/commands")).await.expect(200);
    assert_eq!(list["items"][0]["actor"], STRANGER, "{list}");
    let gone = path(server, &format!("/shares?kind=member&grantee={STRANGER}"));
    assert_eq!(api.call("DELETE", &gone, None).await.status, 204);
    send("say hi").await.expect(404);
}

//! Operations: what meets what, how each ends, and what is told of it.

use std::{path::PathBuf, time::Instant};

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::common::{Api, SOON, STRANGER, Stack, is_alive, signal};

async fn operation(api: &Api, id: &str) -> Value {
    api.get(&format!("/api/v1/operations/{id}")).await.expect(200)
}

async fn server(api: &Api, id: i64) -> Value {
    api.get(&format!("/api/v1/servers/{id}")).await.expect(200)
}

/// A server whose host nobody serves for a while: its operations wait.
struct Away {
    sql: tokio_postgres::Client,
    server: i64,
}

impl Away {
    async fn begin(stack: &Stack, server: i64) -> Self {
        let away = Self { sql: stack.sql().await, server };
        away.set_host("'away:' || host").await;
        away
    }

    async fn end(&self) {
        self.set_host("substr(host, 6)").await;
    }

    async fn set_host(&self, host: &str) {
        let update = format!("update game_servers set host = {host} where id = {}", self.server);
        assert_eq!(self.sql.execute(&update, &[]).await.expect("another host"), 1);
    }
}

/// Waits until the game of a server that never becomes ready runs.
async fn game_pid(stack: &Stack, server: i64) -> i64 {
    wait::until(SOON, "the game's process", async || stack.process_of(server)?["game"]["pid"].as_i64()).await
}

fn worlds_in_trash(stack: &Stack, server: i64) -> Vec<PathBuf> {
    let trash = stack.server_dir(server).ancestors().nth(2).expect("the data directory").join("trash");
    let entries = std::fs::read_dir(trash).expect("the trash").flatten().map(|entry| entry.path());
    let own = format!("{server}-");
    entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&own))).collect()
}

#[tokio::test]
async fn a_stop_interrupts_a_start_that_runs() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("never", "slow").await;
    let start = api.ask(id, "start").await;
    let game = game_pid(&stack, id).await;
    assert_eq!(server(&api, id).await["status"], "starting");

    let asked = Instant::now();
    let stop = api.ask(id, "stop").await;
    assert_eq!(operation(&api, &start).await["state"], "superseded", "at once, not when the start would have ended");
    assert_eq!(api.ended(&stop).await["state"], "succeeded");
    assert!(asked.elapsed().as_secs() < 20, "far less than the 60 s that the start may take: {:?}", asked.elapsed());
    assert_eq!(server(&api, id).await["status"], "stopped");
    assert!(!is_alive(game), "the game ended");
    let start = operation(&api, &start).await;
    assert_eq!((&start["state"], &start["error"]), (&json!("superseded"), &json!("a newer operation took its place")));
    assert_eq!(api.metric(r#"agis_bot_operations_total{action="start",status="superseded"}"#).await, 1.0);
    assert_eq!(api.metric(r#"agis_bot_operations_total{action="stop",status="succeeded"}"#).await, 1.0);
}

#[tokio::test]
async fn newer_operation_supersedes_a_queued_one() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("waits", "demo").await;
    let away = Away::begin(&stack, id).await;
    let first = api.ask(id, "start").await;
    assert_eq!(operation(&api, &first).await["state"], "queued");
    let second = api.ask(id, "restart").await;
    let overtaken = operation(&api, &first).await;
    assert_eq!(overtaken["state"], "superseded");
    assert!(overtaken["finished_at"].is_string(), "{overtaken}");
    assert_eq!(operation(&api, &second).await["state"], "queued");

    away.end().await;
    assert_eq!(api.ended(&second).await["state"], "succeeded", "what waited is done when its turn comes");
    assert_eq!(server(&api, id).await["status"], "running");
}

#[tokio::test]
async fn restart_starts_and_second_start_is_nothing() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("twice", "demo").await;
    api.act(id, "restart").await;
    assert_eq!(server(&api, id).await["status"], "running");
    let process = stack.process_of(id).expect("a process");
    api.act(id, "start").await;
    assert_eq!(stack.process_of(id).expect("a process"), process, "no second copy");
    api.act(id, "restart").await;
    let again = stack.process_of(id).expect("a process");
    assert_ne!(again["game"], process["game"], "a restart is a new process");
    let old = process["game"]["pid"].as_i64().expect("a pid");
    assert!(!is_alive(old), "and the end of the old one");
    api.act(id, "stop").await;
    api.act(id, "stop").await;
}

#[tokio::test]
async fn unready_server_is_taken_down_with_a_reason() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("late", "unready").await;
    let start = api.ended(&api.ask(id, "start").await).await;
    let why = start["error"].as_str().expect("a reason");
    assert_eq!(start["state"], "failed");
    assert!(why.contains("not ready within 1 s"), "{why}");
    let late = server(&api, id).await;
    assert_eq!((&late["status"], &late["error"]), (&json!("failed"), &json!(why)));
    // The game is gone when its supervisor is.
    let shim = stack.process_of(id).expect("a status")["shim"]["pid"].as_i64().expect("a pid");
    // The supervisor writes its last status, and ends.
    wait::until(SOON, "the supervisor to end", async || (!is_alive(shim)).then_some(())).await;
    assert_eq!(api.metric(r#"agis_bot_operations_total{action="start",status="failed"}"#).await, 1.0);

    api.act(id, "stop").await;
    let stopped = server(&api, id).await;
    assert_eq!((&stopped["status"], &stopped["error"]), (&json!("stopped"), &Value::Null));
}

#[tokio::test]
async fn lost_game_fails_with_its_name() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("lost", "demo").await;
    let sql = stack.sql().await;
    sql.execute("update game_servers set game_type = 'quake'", &[]).await.expect("another game");
    let start = api.ended(&api.ask(id, "start").await).await;
    assert_eq!(start["state"], "failed");
    assert_eq!(start["error"], "the game 'quake' is not in the catalogue of this installation");
    assert_eq!(server(&api, id).await["status"], "failed");
}

#[tokio::test]
async fn running_server_of_a_lost_game_runs_on() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("lost", "demo").await;
    api.act(id, "start").await;
    let pid = game_pid(&stack, id).await;
    let sql = stack.sql().await;
    sql.execute("update game_servers set game_type = 'quake'", &[]).await.expect("another game");
    api.act(id, "start").await;
    assert_eq!((&server(&api, id).await["status"], is_alive(pid)), (&json!("running"), true));
    // However often it is asked.
    for _ in 0..2 {
        let restart = api.ended(&api.ask(id, "restart").await).await;
        let why = "not restarted, and the game goes on: the game 'quake' is not in the catalogue of this installation";
        assert_eq!((&restart["state"], &restart["error"]), (&json!("failed"), &json!(why)));
        assert_eq!((&server(&api, id).await["status"], is_alive(pid)), (&json!("running"), true));
    }
    sql.execute("update game_servers set game_type = 'demo'", &[]).await.expect("the game is back");
    api.act(id, "restart").await;
    assert!(!is_alive(pid), "it was restarted");
    api.act(id, "stop").await;
}

#[tokio::test]
async fn full_disk_stops_no_game_that_runs() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("full", "demo").await;
    api.act(id, "start").await;
    let pid = game_pid(&stack, id).await;
    api.kill();
    let api = stack.api(&[("DISK_RESERVE", "900TiB")]).await;
    let restart = api.ended(&api.ask(id, "restart").await).await;
    let why = restart["error"].as_str().unwrap_or_default();
    assert!(restart["state"] == "failed" && why.starts_with("not restarted, and the game goes on: "), "{restart}");
    assert!(why.contains("(DISK_RESERVE)"), "{why}");
    assert_eq!((&server(&api, id).await["status"], is_alive(pid)), (&json!("running"), true));
}

#[tokio::test]
async fn deleted_server_keeps_world_and_history() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("doomed", "demo").await;
    api.act(id, "start").await;
    let game = game_pid(&stack, id).await;

    let deletion = api.call("DELETE", &format!("/api/v1/servers/{id}"), None).await.expect(202);
    assert_eq!(deletion["action"], "delete");
    let deletion = deletion["id"].as_str().expect("an id");
    assert_eq!(api.ended(deletion).await["state"], "succeeded");
    for (method, path) in [
        ("GET", format!("/api/v1/servers/{id}")),
        ("POST", format!("/api/v1/servers/{id}/start")),
        ("DELETE", format!("/api/v1/servers/{id}")),
        ("GET", format!("/api/v1/servers/{id}/operations")),
    ] {
        let answer = api.call(method, &path, None).await;
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.body);
    }
    assert_eq!(api.get("/api/v1/servers").await.expect(200)["items"], json!([]));
    assert_eq!(operation(&api, deletion).await["state"], "succeeded", "its owner still reads what became of it");
    let stranger = stack.make_key(STRANGER, &[]);
    let path = format!("/api/v1/operations/{deletion}");
    api.call_as(Some(&stranger), "GET", &path, None).await.expect(404);

    assert!(!is_alive(game), "the game ended");
    assert!(!stack.server_dir(id).join("world").exists());
    let kept = worlds_in_trash(&stack, id);
    assert_eq!(kept.len(), 1, "{kept:?}");
    let world = std::fs::read_to_string(kept[0].join("world.json")).expect("the world, saved at the end");
    assert!(world.contains("doomed"), "{world}");
    assert_ne!(api.server("doomed", "demo").await, id, "the name is free again, the number is not");
}

#[tokio::test]
async fn server_being_deleted_takes_no_operation() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("doomed", "demo").await;
    let away = Away::begin(&stack, id).await;
    let deletion = api.call("DELETE", &format!("/api/v1/servers/{id}"), None).await.expect(202);
    for action in ["start", "stop", "restart"] {
        let answer = api.call("POST", &format!("/api/v1/servers/{id}/{action}"), None).await;
        assert_eq!(answer.expect(409)["code"], "deleting", "{action}");
    }
    away.end().await;
    assert_eq!(api.ended(deletion["id"].as_str().expect("an id")).await["state"], "succeeded");
}

#[tokio::test]
async fn crash_is_noticed_told_and_counted() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("fragile", "demo").await;
    api.act(id, "start").await;
    let game = game_pid(&stack, id).await;
    signal(game, "KILL");
    let crashed = api.until_status(id, "crashed").await;
    let why = crashed["error"].as_str().expect("a reason");
    assert!(why.contains("signal") || why.contains("SIGKILL") || why.contains("killed"), "{why}");
    assert_eq!(api.metric("agis_bot_server_crashes_total").await, 1.0);
    api.logged("the crash", |line| line["message"] == "server crashed" && line["server_id"] == id).await;

    api.act(id, "start").await;
    let mended = server(&api, id).await;
    assert_eq!((&mended["status"], &mended["error"]), (&json!("running"), &Value::Null));
    assert_ne!(game_pid(&stack, id).await, game);
    assert_eq!(api.metric("agis_bot_server_crashes_total").await, 1.0, "once");
}

use agis_test_support::wait;
use serde_json::{Value, json};

use super::{id_of_the_newest, shot};
use crate::common::{SOON, Stack};

const NOTHING: Value = Value::Null;

#[tokio::test]
async fn a_server() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    // Abilities are known once the host has reported.
    wait::until(SOON, "readiness", async || (api.ready().await.status == 200).then_some(())).await;
    let body = json!({ "name": " My world ", "game_type": "demo", "description": "For friends", "is_public": true });
    insta::assert_snapshot!(shot(&api, "POST", "/api/v1/servers", body).await, @r#"
    201 Created
    Location: /api/v1/servers/[id]
    {
      "abilities": [
        "console",
        "past_console",
        "commands"
      ],
      "access": "owner",
      "address": null,
      "ahead": null,
      "cost_per_hour": 0,
      "created_at": "[time]",
      "description": "For friends",
      "error": null,
      "game_type": "demo",
      "hold": null,
      "id": "[id]",
      "idle": null,
      "inabilities": [],
      "is_public": true,
      "labels": [],
      "name": "My world",
      "owner_id": "100000000000000001",
      "permissions": [
        "read",
        "start",
        "stop",
        "restart",
        "console",
        "schedule"
      ],
      "players": null,
      "port": null,
      "ports": [],
      "restart": null,
      "restart_policy": {
        "max": 5,
        "on": "never",
        "stable_after": "5m",
        "within": "10m"
      },
      "status": "stopped",
      "updated_at": "[time]"
    }
    "#);
    let id = id_of_the_newest(&api, "/api/v1/servers").await;
    let path = format!("/api/v1/servers/{id}");
    insta::assert_snapshot!(shot(&api, "PATCH", &path, json!({ "name": "Ours", "description": null })).await, @r#"
    200 OK
    {
      "abilities": [
        "console",
        "past_console",
        "commands"
      ],
      "access": "owner",
      "address": null,
      "ahead": null,
      "cost_per_hour": 0,
      "created_at": "[time]",
      "description": null,
      "error": null,
      "game_type": "demo",
      "hold": null,
      "id": "[id]",
      "idle": null,
      "inabilities": [],
      "is_public": true,
      "labels": [],
      "name": "Ours",
      "owner_id": "100000000000000001",
      "permissions": [
        "read",
        "start",
        "stop",
        "restart",
        "console",
        "schedule"
      ],
      "players": null,
      "port": null,
      "ports": [],
      "restart": null,
      "restart_policy": {
        "max": 5,
        "on": "never",
        "stable_after": "5m",
        "within": "10m"
      },
      "status": "stopped",
      "updated_at": "[time]"
    }
    "#);
    insta::assert_snapshot!(shot(&api, "POST", &format!("{path}/start"), NOTHING).await, @r#"
    202 Accepted
    Location: /api/v1/operations/[id]
    {
      "action": "start",
      "actor": "100000000000000001",
      "created_at": "[time]",
      "error": null,
      "finished_at": null,
      "id": "[id]",
      "image": null,
      "killed_after_grace": null,
      "origin": "rest",
      "progress": null,
      "server_id": "[id]",
      "state": "queued"
    }
    "#);
    api.until_status(id.parse().expect("a number"), "running").await;
    insta::assert_snapshot!(shot(&api, "GET", &path, NOTHING).await, @r#"
    200 OK
    {
      "abilities": [
        "console",
        "past_console",
        "commands"
      ],
      "access": "owner",
      "address": "127.0.0.1",
      "ahead": null,
      "cost_per_hour": 0,
      "created_at": "[time]",
      "description": null,
      "error": null,
      "game_type": "demo",
      "hold": null,
      "id": "[id]",
      "idle": null,
      "inabilities": [],
      "is_public": true,
      "labels": [],
      "name": "Ours",
      "owner_id": "100000000000000001",
      "permissions": [
        "read",
        "start",
        "stop",
        "restart",
        "console",
        "schedule"
      ],
      "players": null,
      "port": "[port]",
      "ports": [
        {
          "name": "game",
          "port": "[port]",
          "protocol": "tcp"
        }
      ],
      "restart": null,
      "restart_policy": {
        "max": 5,
        "on": "never",
        "stable_after": "5m",
        "within": "10m"
      },
      "status": "running",
      "updated_at": "[time]"
    }
    "#);
    insta::assert_snapshot!(shot(&api, "GET", "/api/v1/servers?limit=1", NOTHING).await, @r#"
    200 OK
    {
      "items": [
        {
          "abilities": [
            "console",
            "past_console",
            "commands"
          ],
          "access": "owner",
          "address": "127.0.0.1",
          "ahead": null,
          "cost_per_hour": 0,
          "created_at": "[time]",
          "description": null,
          "error": null,
          "game_type": "demo",
          "hold": null,
          "id": "[id]",
          "idle": null,
          "inabilities": [],
          "is_public": true,
          "labels": [],
          "name": "Ours",
          "owner_id": "100000000000000001",
          "permissions": [
            "read",
            "start",
            "stop",
            "restart",
            "console",
            "schedule"
          ],
          "players": null,
          "port": "[port]",
          "ports": [
            {
              "name": "game",
              "port": "[port]",
              "protocol": "tcp"
            }
          ],
          "restart": null,
          "restart_policy": {
            "max": 5,
            "on": "never",
            "stable_after": "5m",
            "within": "10m"
          },
          "status": "running",
          "updated_at": "[time]"
        }
      ],
      "next_cursor": "[id]"
    }
    "#);
    insta::assert_snapshot!(shot(&api, "DELETE", &path, NOTHING).await, @r#"
    202 Accepted
    Location: /api/v1/operations/[id]
    {
      "action": "delete",
      "actor": "100000000000000001",
      "created_at": "[time]",
      "error": null,
      "finished_at": null,
      "id": "[id]",
      "image": null,
      "killed_after_grace": null,
      "origin": "rest",
      "progress": null,
      "server_id": "[id]",
      "state": "queued"
    }
    "#);
}

#[tokio::test]
async fn an_operation() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("short-lived", "unready").await;
    let start = api.ask(server, "start").await;
    api.ended(&start).await;
    insta::assert_snapshot!(shot(&api, "GET", &format!("/api/v1/operations/{start}"), NOTHING).await, @r#"
    200 OK
    {
      "action": "start",
      "actor": "100000000000000001",
      "created_at": "[time]",
      "error": "not ready within 1 s",
      "finished_at": "[time]",
      "id": "[id]",
      "image": null,
      "killed_after_grace": false,
      "origin": "rest",
      "progress": null,
      "server_id": "[id]",
      "state": "failed"
    }
    "#);
    api.act(server, "stop").await;
    let list = format!("/api/v1/servers/{server}/operations?limit=1");
    insta::assert_snapshot!(shot(&api, "GET", &list, NOTHING).await, @r#"
    200 OK
    {
      "items": [
        {
          "action": "stop",
          "actor": "100000000000000001",
          "created_at": "[time]",
          "error": null,
          "finished_at": "[time]",
          "id": "[id]",
          "image": null,
          "killed_after_grace": false,
          "origin": "rest",
          "progress": null,
          "server_id": "[id]",
          "state": "succeeded"
        }
      ],
      "next_cursor": "[id]"
    }
    "#);
}

#[tokio::test]
async fn a_console() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("talkative", "demo").await;
    let (logs, command) = (format!("/api/v1/servers/{server}/logs"), format!("/api/v1/servers/{server}/command"));
    insta::assert_snapshot!(shot(&api, "POST", &command, json!({ "command": "say hi" })).await, @r#"
    409 Conflict
    {
      "code": "not_running",
      "detail": "this server does not run; start it first",
      "request_id": "[request]",
      "status": 409,
      "title": "Conflict",
      "type": "about:blank"
    }
    "#);
    api.act(server, "start").await;
    insta::assert_snapshot!(shot(&api, "POST", &command, json!({ "command": "say hi" })).await, @"204 No Content");
    agis_test_support::wait::until(crate::common::SOON, "the answer of the game", async || {
        let list = api.get(&logs).await.expect(200);
        (list["items"].as_array()?.last()?["text"] == "hi").then_some(())
    })
    .await;
    insta::assert_snapshot!(shot(&api, "GET", &format!("{logs}?tail=2&limit=1"), NOTHING).await, @r#"
    200 OK
    {
      "gap": false,
      "items": [
        {
          "at": "[time]",
          "cursor": "[id]",
          "text": "> say hi"
        }
      ],
      "next_cursor": "[id]"
    }
    "#);
}

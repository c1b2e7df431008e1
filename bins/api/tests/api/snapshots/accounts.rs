use serde_json::{Value, json};

use super::{id_of_the_newest, shot};
use crate::common::Stack;

const NOTHING: Value = Value::Null;

#[tokio::test]
async fn a_key() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let body = json!({ "name": "panel", "scopes": ["write:servers", "read:keys", "read:keys"], "ttl_days": 30 });
    insta::assert_snapshot!(shot(&api, "POST", "/api/v1/auth/keys", body).await, @r#"
    201 Created
    Location: /api/v1/auth/keys/[id]
    {
      "allowed_ips": [],
      "created_at": "[time]",
      "expires_at": "[time]",
      "id": "[id]",
      "key": "[key]",
      "last_used": null,
      "name": "panel",
      "rate_limit": 100,
      "replaced_by": null,
      "scopes": [
        "write:servers",
        "read:keys"
      ]
    }
    "#);
    let id = id_of_the_newest(&api, "/api/v1/auth/keys").await;
    let path = format!("/api/v1/auth/keys/{id}");
    insta::assert_snapshot!(shot(&api, "GET", &path, NOTHING).await, @r#"
    200 OK
    {
      "allowed_ips": [],
      "created_at": "[time]",
      "expires_at": "[time]",
      "id": "[id]",
      "last_used": null,
      "name": "panel",
      "rate_limit": 100,
      "replaced_by": null,
      "scopes": [
        "write:servers",
        "read:keys"
      ]
    }
    "#);
    insta::assert_snapshot!(shot(&api, "GET", "/api/v1/auth/keys?cursor=MQ", NOTHING).await, @r#"
    200 OK
    {
      "items": [
        {
          "allowed_ips": [],
          "created_at": "[time]",
          "expires_at": "[time]",
          "id": "[id]",
          "last_used": null,
          "name": "panel",
          "rate_limit": 100,
          "replaced_by": null,
          "scopes": [
            "write:servers",
            "read:keys"
          ]
        }
      ],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(shot(&api, "DELETE", &path, NOTHING).await, @"204 No Content");
}

#[tokio::test]
async fn the_user_and_the_games() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    api.server("one", "demo").await;
    insta::assert_snapshot!(shot(&api, "GET", "/api/v1/users/me", NOTHING).await, @r#"
    200 OK
    {
      "credits": 100,
      "discord_id": "100000000000000001",
      "joined_at": "[time]",
      "servers": 1,
      "tier": "free"
    }
    "#);
    insta::assert_snapshot!(shot(&api, "GET", "/api/v1/games", NOTHING).await, @r#"
    200 OK
    {
      "items": [
        {
          "cost_per_hour": 0,
          "documentation": null,
          "eula": null,
          "game_type": "demo",
          "port": "[port]",
          "protocol": "tcp",
          "title": "Demo",
          "tried": null,
          "unavailable": null
        },
        {
          "cost_per_hour": 0,
          "documentation": null,
          "eula": null,
          "game_type": "sleeper",
          "port": "[port]",
          "protocol": "tcp",
          "title": "Sleeper",
          "tried": null,
          "unavailable": null
        },
        {
          "cost_per_hour": 0,
          "documentation": null,
          "eula": null,
          "game_type": "slow",
          "port": "[port]",
          "protocol": "tcp",
          "title": "Never ready",
          "tried": null,
          "unavailable": null
        },
        {
          "cost_per_hour": 5,
          "documentation": null,
          "eula": null,
          "game_type": "unready",
          "port": "[port]",
          "protocol": "tcp",
          "title": "Not ready in time",
          "tried": null,
          "unavailable": null
        }
      ],
      "next_cursor": null
    }
    "#);
}

use serde_json::{Value, json};

use super::{id_of_the_newest, shot};
use crate::common::Stack;

const NOTHING: Value = Value::Null;

#[tokio::test]
async fn a_schedule() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("clockwork", "demo").await;
    let body = json!({
        "server_id": server,
        "action": "start",
        "cron_expression": "30  18 * * MON-FRI",
        "timezone": "europe/berlin",
        "missed_run_policy": "skip",
    });
    insta::assert_snapshot!(shot(&api, "POST", "/api/v1/schedules", body).await, @r#"
    201 Created
    Location: /api/v1/schedules/[id]
    {
      "action": "start",
      "actor": "100000000000000001",
      "at": null,
      "at_most": null,
      "created_at": "[time]",
      "cron_expression": "30 18 * * MON-FRI",
      "disabled_reason": null,
      "enabled": true,
      "finally": [],
      "id": "[id]",
      "label": null,
      "last_run": null,
      "missed_run_policy": "skip",
      "next_run": "[time]",
      "next_runs": [
        "[time]",
        "[time]",
        "[time]",
        "[time]",
        "[time]"
      ],
      "overlap": "skip",
      "server_id": "[id]",
      "stagger": null,
      "steps": [
        {
          "do": "start"
        }
      ],
      "timezone": "Europe/Berlin",
      "updated_at": "[time]",
      "warnings": [],
      "when": {
        "defer": null,
        "players": "any",
        "server": "any"
      }
    }
    "#);
    let id = id_of_the_newest(&api, "/api/v1/schedules").await;
    let path = format!("/api/v1/schedules/{id}");
    insta::assert_snapshot!(shot(&api, "PATCH", &path, json!({ "action": "start", "enabled": false })).await, @r#"
    200 OK
    {
      "action": "start",
      "actor": "100000000000000001",
      "at": null,
      "at_most": null,
      "created_at": "[time]",
      "cron_expression": "30 18 * * MON-FRI",
      "disabled_reason": null,
      "enabled": false,
      "finally": [],
      "id": "[id]",
      "label": null,
      "last_run": null,
      "missed_run_policy": "skip",
      "next_run": null,
      "next_runs": [],
      "overlap": "skip",
      "server_id": "[id]",
      "stagger": null,
      "steps": [
        {
          "do": "start"
        }
      ],
      "timezone": "Europe/Berlin",
      "updated_at": "[time]",
      "warnings": [],
      "when": {
        "defer": null,
        "players": "any",
        "server": "any"
      }
    }
    "#);
    insta::assert_snapshot!(shot(&api, "GET", &path, NOTHING).await, @r#"
    200 OK
    {
      "action": "start",
      "actor": "100000000000000001",
      "at": null,
      "at_most": null,
      "created_at": "[time]",
      "cron_expression": "30 18 * * MON-FRI",
      "disabled_reason": null,
      "enabled": false,
      "finally": [],
      "id": "[id]",
      "label": null,
      "last_run": null,
      "missed_run_policy": "skip",
      "next_run": null,
      "next_runs": [],
      "overlap": "skip",
      "server_id": "[id]",
      "stagger": null,
      "steps": [
        {
          "do": "start"
        }
      ],
      "timezone": "Europe/Berlin",
      "updated_at": "[time]",
      "warnings": [],
      "when": {
        "defer": null,
        "players": "any",
        "server": "any"
      }
    }
    "#);
    insta::assert_snapshot!(shot(&api, "GET", "/api/v1/schedules", NOTHING).await, @r#"
    200 OK
    {
      "items": [
        {
          "action": "start",
          "actor": "100000000000000001",
          "at": null,
          "at_most": null,
          "created_at": "[time]",
          "cron_expression": "30 18 * * MON-FRI",
          "disabled_reason": null,
          "enabled": false,
          "finally": [],
          "id": "[id]",
          "label": null,
          "last_run": null,
          "missed_run_policy": "skip",
          "next_run": null,
          "next_runs": [],
          "overlap": "skip",
          "server_id": "[id]",
          "stagger": null,
          "steps": [
            {
              "do": "start"
            }
          ],
          "timezone": "Europe/Berlin",
          "updated_at": "[time]",
          "warnings": [],
          "when": {
            "defer": null,
            "players": "any",
            "server": "any"
          }
        }
      ],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(shot(&api, "GET", &format!("/api/v1/servers/{server}/schedules"), NOTHING).await, @r#"
    200 OK
    {
      "items": [
        {
          "action": "start",
          "actor": "100000000000000001",
          "at": null,
          "at_most": null,
          "created_at": "[time]",
          "cron_expression": "30 18 * * MON-FRI",
          "disabled_reason": null,
          "enabled": false,
          "finally": [],
          "id": "[id]",
          "label": null,
          "last_run": null,
          "missed_run_policy": "skip",
          "next_run": null,
          "next_runs": [],
          "overlap": "skip",
          "server_id": "[id]",
          "stagger": null,
          "steps": [
            {
              "do": "start"
            }
          ],
          "timezone": "Europe/Berlin",
          "updated_at": "[time]",
          "warnings": [],
          "when": {
            "defer": null,
            "players": "any",
            "server": "any"
          }
        }
      ],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(shot(&api, "POST", &format!("{path}/run"), NOTHING).await, @r#"
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
    let sql = stack.sql().await;
    sql.execute(
        "insert into schedule_runs (schedule_id, slot, action, state, reason, finished_at, claimed_at, local_slots)
         values ($1::text::integer, '2026-03-29T01:00Z', 'stop', 'skipped', 'superseded', now(), '2026-03-29T01:00:02.5Z',
                 '{2026-03-29T02:00,2026-03-29T02:30}')",
        &[&id],
    )
    .await
    .expect("a run");
    insta::assert_snapshot!(shot(&api, "GET", &format!("{path}/runs"), NOTHING).await, @r#"
    200 OK
    {
      "items": [
        {
          "action": "stop",
          "ended_at": "[time]",
          "lateness_ms": 2500,
          "local_slots": [
            "2026-03-29T02:00:00",
            "2026-03-29T02:30:00"
          ],
          "operation_id": null,
          "reason": "superseded",
          "slot": "[time]",
          "slots": 1,
          "state": "skipped"
        }
      ],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(shot(&api, "DELETE", &path, NOTHING).await, @"204 No Content");
}

#[tokio::test]
async fn a_preview() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let body = json!({ "cron_expression": "0 0 13 * fri", "timezone": "Asia/Tokyo", "count": 1 });
    insta::assert_snapshot!(shot(&api, "POST", "/api/v1/schedules/preview", body).await, @r#"
    200 OK
    {
      "runs": [
        {
          "at": "[time]",
          "local": "[time]"
        }
      ],
      "warnings": [
        "Both day fields are set, so this runs on every day that matches either of them: `0 0 13 * 5` runs on the 13th and on every Friday, not only on Friday the 13th."
      ]
    }
    "#);
}

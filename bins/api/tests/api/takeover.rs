//! A database of the Go version is migrated in place: nothing is lost, and there is a way back.

use std::collections::BTreeSet;

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::{
    common::{Api, SOON, Stack},
    migrations::{columns, constraints, indexes, migrate, unmigrated},
};

const USER: &str = "200000000000000001";
/// With a key of its column; in this order rows are compared.
const TABLES: [(&str, &str); 9] = [
    ("users", "discord_id"),
    ("game_servers", "id"),
    ("server_schedules", "id"),
    ("api_keys", "id"),
    ("user_stats", "discord_id"),
    ("public_servers", "id"),
    ("bot_roles", "discord_id"),
    ("credit_transactions", "id"),
    ("game_pricing", "game_type"),
];

/// A database as the Go version left it.
pub(crate) async fn left_by_go() -> Stack {
    let stack = unmigrated().await;
    let sql = stack.sql().await;
    sql.batch_execute(include_str!("takeover/v1_7_0.sql")).await.expect("the old schema");
    sql.batch_execute(include_str!("takeover/rows.sql")).await.expect("old rows");
    stack
}

/// The text of a key of the old database; its rows were made from the same word.
async fn old_key(stack: &Stack, word: &str) -> String {
    let query = "select 'agis_' || left(translate(encode(sha256(convert_to($1, 'UTF8')), 'base64'), '+/', '-_'), 44)";
    stack.sql().await.query_one(query, &[&word]).await.expect("a key").get(0)
}

/// Reverts until the schema is the old one.
fn migrate_back(stack: &Stack) {
    while migrate(stack, "status").matches("applied").count() > 1 {
        migrate(stack, "down");
    }
}

async fn rows(stack: &Stack, (table, key): (&str, &str)) -> Vec<Value> {
    let query = format!("select to_jsonb(t)::text from {table} t order by t.{key}");
    let rows = stack.sql().await.query(&query, &[]).await.expect("rows");
    rows.iter().map(|row| serde_json::from_str(row.get(0)).expect("JSON")).collect()
}

async fn everything(stack: &Stack) -> Vec<(&'static str, Vec<Value>)> {
    let mut all = vec![];
    for table in TABLES {
        all.push((table.0, rows(stack, table).await));
    }
    all
}

/// Returns the values that changed: `table.column: value`.
fn changes(before: &[(&str, Vec<Value>)], after: &[(&str, Vec<Value>)]) -> BTreeSet<String> {
    let mut changes = BTreeSet::new();
    for ((table, before), (_, after)) in before.iter().zip(after) {
        assert_eq!(before.len(), after.len(), "rows of {table}");
        for (before, after) in before.iter().zip(after) {
            let columns = before.as_object().expect("a row");
            let changed = columns.iter().filter(|(column, value)| after.get(column) != Some(value));
            changes.extend(changed.map(|(column, value)| format!("{table}.{column}: {value}")));
        }
    }
    changes
}

/// Without what both say in different words.
fn schema_text(lines: Vec<String>) -> Vec<String> {
    let own = |line: &String| !line.contains("__diesel");
    lines.into_iter().filter(own).map(|line| line.replace("CURRENT_TIMESTAMP", "now()")).collect()
}

async fn schema(stack: &Stack) -> [Vec<String>; 3] {
    [columns(stack).await, indexes(stack).await, constraints(stack).await].map(schema_text)
}

#[tokio::test]
async fn up_and_down_keeps_schema_and_values() {
    let stack = left_by_go().await;
    let (old_schema, old_rows) = (schema(&stack).await, everything(&stack).await);
    migrate(&stack, "up");
    assert_eq!(
        everything(&stack).await.iter().map(|(_, rows)| rows.len()).collect::<Vec<_>>(),
        old_rows.iter().map(|(_, rows)| rows.len()).collect::<Vec<_>>(),
        "rows after up"
    );
    migrate_back(&stack);
    assert_eq!(schema(&stack).await, old_schema);
    let changed: Vec<_> = changes(&old_rows, &everything(&stack).await).into_iter().collect();
    // The migration replaces missing values, and values that no rule here allows. `next_run` is computed anew.
    let expected = [
        "api_keys.created_at: null",
        "api_keys.rate_limit: 0",
        "api_keys.rate_limit: null",
        "api_keys.scopes: null",
        "game_servers.cost_per_hour: -1",
        "game_servers.cost_per_hour: null",
        "game_servers.created_at: null",
        "game_servers.is_public: null",
        "game_servers.updated_at: null",
        "server_schedules.created_at: null",
        "server_schedules.enabled: null",
        "server_schedules.next_run: \"2026-01-01T00:00:00\"",
        "server_schedules.next_run: \"2026-11-01T00:00:00\"",
        "server_schedules.next_run: \"2026-11-01T04:00:00\"",
        "server_schedules.next_run: \"2026-11-01T07:30:00\"",
        "server_schedules.next_run: \"2026-11-01T08:00:00\"",
        "server_schedules.next_run: \"2026-11-01T09:00:00\"",
        "server_schedules.next_run: null",
        "server_schedules.timezone: \"\"",
        "server_schedules.timezone: null",
        "server_schedules.updated_at: null",
        "users.credits: -5",
        "users.credits: null",
        "users.join_date: null",
        "users.tier: null",
    ];
    assert_eq!(changed, expected);
    let bottom = stack.output(&[], &["migrate", "down"]);
    let error = String::from_utf8(bottom.stderr).expect("text");
    assert!(!bottom.status.success() && error.contains("there are users"), "{error}");
}

#[tokio::test]
async fn its_servers_are_shown_and_not_touched() {
    let stack = left_by_go().await;
    let old = rows(&stack, ("game_servers", "id")).await;
    migrate(&stack, "up");
    let key = stack.make_key(USER, &["--rate-limit", "1000"]);
    let api = stack.api(&[]).await;
    let list = api.call_as(Some(&key), "GET", "/api/v1/servers?limit=100", None).await.expect(200);
    let told: Vec<_> = list["items"].as_array().expect("items").iter().map(|server| server["status"].clone()).collect();
    let mapped = [
        "starting", "starting", "starting", "starting", "running", "running", "stopping", "stopped", "failed",
        "stopped",
    ];
    assert_eq!(told, mapped.map(Value::from));
    assert_eq!(list["items"][4]["name"], "two\nlines");
    assert_eq!((&list["items"][4]["address"], &list["items"][4]["port"]), (&json!("10.0.0.5"), &json!(7005)));
    assert_eq!(list["items"][6]["port"], Value::Null, "70000 is no port");
    assert_eq!(list["items"][8]["error"], "pod evicted");

    for action in ["start", "stop", "restart"] {
        let answer = api.call_as(Some(&key), "POST", &format!("/api/v1/servers/6/{action}"), None).await;
        assert_eq!(answer.expect(409)["code"], "no_host");
    }
    let described = json!({ "description": "still ours" });
    api.call_as(Some(&key), "PATCH", "/api/v1/servers/2", Some(described)).await.expect(200);
    let taken = json!({ "name": "LOBBY" });
    assert_eq!(
        api.call_as(Some(&key), "PATCH", "/api/v1/servers/8", Some(taken)).await.expect(409)["code"],
        "name_taken"
    );

    let sql = stack.sql().await;
    let touched = "select count(*) from operations union all select count(*) from game_servers
                   where host is not null or generation <> 0 or deleted_at is not null or stopped_at is distinct from
                         (case id when 8 then '2025-02-01 00:00:00+00'::timestamptz end)";
    let touched: Vec<i64> = sql.query(touched, &[]).await.expect("counts").iter().map(|row| row.get(0)).collect();
    assert_eq!(touched, [0, 0]);
    assert!(api.stop().await.success());
    migrate_back(&stack);
    let now = rows(&stack, ("game_servers", "id")).await;
    for field in
        ["status", "agones_status", "kubernetes_uid", "address", "port", "last_heartbeat", "stopped_at", "name"]
    {
        let of = |rows: &[Value]| rows.iter().map(|row| row[field].clone()).collect::<Vec<_>>();
        assert_eq!(of(&now), of(&old), "{field}");
    }
}

#[tokio::test]
async fn go_keys_verify_with_granted_scopes() {
    let stack = left_by_go().await;
    migrate(&stack, "up");
    stack
        .sql()
        .await
        .batch_execute("update api_keys set scopes = '{read:servers,read:schedules}' where scopes @> '{write}'")
        .await
        .expect("a grant");
    let api = stack.api(&[]).await;
    for word in ["none", "empty", "read", "write", "admin"] {
        let key = old_key(&stack, word).await;
        assert_eq!(key.len(), 49, "{key}");
        let me = api.call_as(Some(&key), "GET", "/api/v1/users/me", None).await.expect(200);
        assert_eq!(
            (&me["discord_id"], &me["credits"], &me["tier"]),
            (&json!(USER), &json!(1234), &json!("pro")),
            "{word}"
        );
        let servers = api.call_as(Some(&key), "GET", "/api/v1/servers", None).await;
        if word == "write" {
            servers.expect(200);
        } else {
            assert_eq!(servers.expect(403)["code"], "missing_scope", "{word}");
        }
        let write = api.call_as(Some(&key), "POST", "/api/v1/servers/8/start", None).await;
        assert_eq!(write.expect(403)["code"], "missing_scope", "{word}");
    }
    let ended = api.call_as(Some(&old_key(&stack, "ended").await), "GET", "/api/v1/users/me", None).await;
    assert_eq!(ended.expect(401)["code"], "expired_key");
    let unknown = api.call_as(Some(&old_key(&stack, "nobody's").await), "GET", "/api/v1/users/me", None).await;
    assert_eq!(unknown.expect(401)["code"], "invalid_key");
}

async fn runs(api: &Api, key: &str, schedule: i64) -> Option<Value> {
    let runs = api.call_as(Some(key), "GET", &format!("/api/v1/schedules/{schedule}/runs"), None).await.expect(200);
    let run = runs["items"].get(0)?.clone();
    (run["state"] != "pending").then_some(run)
}

#[tokio::test]
async fn go_schedules_fire_and_say_why_not() {
    let stack = left_by_go().await;
    migrate(&stack, "up");
    let key = stack.make_key(USER, &["--rate-limit", "10000"]);
    let api = stack.api(&[]).await;
    let schedule =
        async |id: i64| api.call_as(Some(&key), "GET", &format!("/api/v1/schedules/{id}"), None).await.expect(200);
    let reasons = [(6, "fields"), (7, "@every counts"), (8, "never fires"), (9, "Mars/Base")];
    for (id, word) in reasons {
        let disabled = wait::until(SOON, "a schedule that cannot be read to be disabled", async || {
            let schedule = schedule(id).await;
            (schedule["enabled"] == false).then_some(schedule)
        })
        .await;
        let reason = disabled["disabled_reason"].as_str().expect("a reason");
        assert!(reason.contains(word), "{id}: {reason}");
        assert_eq!(disabled["next_run"], Value::Null);
    }
    for (id, zone) in [(1, "America/New_York"), (2, "UTC"), (3, "UTC"), (4, "europe/berlin")] {
        let schedule = schedule(id).await;
        assert_eq!((&schedule["enabled"], &schedule["timezone"]), (&json!(true), &json!(zone)), "{schedule}");
        assert!(schedule["next_run"].is_string(), "{schedule}");
    }
    assert_eq!(schedule(5).await["enabled"], false);

    let sql = stack.sql().await;
    let due = "update server_schedules set cron_expression = '* * * * *', next_run = date_trunc('minute', now()) where enabled";
    sql.execute(due, &[]).await.expect("schedules that are due");
    for id in 1..=4 {
        let run = wait::until(SOON, "a schedule to fire", async || runs(&api, &key, id).await).await;
        assert_eq!((&run["state"], &run["reason"]), (&json!("skipped"), &json!("no_host")), "{run}");
    }
    let other = stack.make_key("200000000000000002", &[]);
    let run = wait::until(SOON, "another's schedule to fire", async || runs(&api, &other, 10).await).await;
    assert_eq!((&run["state"], &run["reason"]), (&json!("skipped"), &json!("not_allowed")), "{run}");
    let operations = sql.query_one("select count(*) from operations", &[]).await.expect("a count");
    assert_eq!(operations.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn go_server_can_be_deleted() {
    let stack = left_by_go().await;
    migrate(&stack, "up");
    let key = stack.make_key(USER, &["--rate-limit", "1000"]);
    let api = stack.api(&[("SERVERS_PER_USER", "10")]).await;
    let new = json!({ "name": "seven", "game_type": "demo" });
    let create = async || api.call_as(Some(&key), "POST", "/api/v1/servers", Some(new.clone())).await;
    assert_eq!(create().await.expect(409)["code"], "too_many_servers");
    let delete = async || api.call_as(Some(&key), "DELETE", "/api/v1/servers/7", None).await;
    let operation = delete().await.expect(202);
    assert_eq!((&operation["state"], operation["finished_at"].is_string()), (&json!("succeeded"), true), "{operation}");
    delete().await.expect(404);
    api.call_as(Some(&key), "GET", "/api/v1/servers/7", None).await.expect(404);
    let created = create().await.expect(201);
    assert_eq!(api.metric(r#"agis_bot_operations_total{action="delete",status="succeeded"}"#).await, 1.0);

    let told = api.call_as(Some(&key), "GET", "/api/v1/users/me/stats", None).await.expect(200);
    let totals = ["servers_created", "commands_used", "credits_earned", "credits_spent", "servers"];
    assert_eq!(totals.map(|field| told[field].as_i64()), [13, 346, 6000, 4766, 10].map(Some), "the totals go on");
    assert!(api.stop().await.success());

    migrate_back(&stack);
    let sql = stack.sql().await;
    let statuses = sql.query("select id, status from game_servers where id >= 7 order by id", &[]).await.expect("rows");
    let statuses: Vec<(i32, Option<&str>)> = statuses.iter().map(|row| (row.get(0), row.get(1))).collect();
    let of_seven = statuses.first().expect("server 7 was only hidden");
    assert_eq!(*of_seven, (7, Some("stopping")));
    let ours = created["id"].as_i64().expect("an id");
    assert_eq!(statuses.last().map(|(id, status)| (i64::from(*id), *status)), Some((ours, Some("stopped"))));
    as_the_go_program_asks(&sql).await;
}

/// Runs the statements that the Go program runs all day.
async fn as_the_go_program_asks(sql: &tokio_postgres::Client) {
    for statement in [
        "UPDATE users SET credits = credits - 30 WHERE discord_id = '200000000000000001' AND credits >= 30",
        "UPDATE users SET last_daily = NOW(), credits = credits + 50 WHERE discord_id = '200000000000000001'",
        "INSERT INTO users (discord_id) VALUES ('200000000000000009')",
        "INSERT INTO game_servers (discord_id, name, game_type, status, cost_per_hour) \
         VALUES ('200000000000000009', 'new', 'minecraft', 'creating', 30)",
        "UPDATE game_servers SET status = 'ready', agones_status = 'Ready', last_heartbeat = CURRENT_TIMESTAMP, \
         updated_at = NOW() WHERE name = 'new'",
        "UPDATE game_servers SET status = 'error', error_message = 'x', cleanup_at = NOW() + INTERVAL '1 hour' WHERE id = 5",
        "INSERT INTO server_schedules (server_id, discord_id, action, cron_expression, timezone, next_run) \
         VALUES (5, '200000000000000001', 'restart', '0 5 * * *', 'UTC', '2026-12-01 05:00:00')",
        "UPDATE server_schedules SET last_run = NOW(), next_run = NOW() + INTERVAL '1 day' WHERE id = 1",
        "INSERT INTO api_keys (key_hash, discord_id, name, scopes) VALUES ('abc', '200000000000000001', 'new', '{read}')",
        "UPDATE api_keys SET last_used = NOW() WHERE key_hash = 'abc'",
        "INSERT INTO user_stats (discord_id, total_commands_used) VALUES ('200000000000000001', 1) ON CONFLICT (discord_id) \
         DO UPDATE SET total_commands_used = user_stats.total_commands_used + 1, last_command_at = NOW()",
        "DELETE FROM game_servers WHERE name = 'new'",
        "SELECT 1 FROM game_servers s JOIN public_servers p ON p.server_id = s.id WHERE s.is_public AND s.status IN ('ready', 'running', 'error')",
    ] {
        let touched = sql.execute(statement, &[]).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        assert_eq!(touched, 1, "{statement}");
    }
    let due = "SELECT id, server_id, discord_id, action, cron_expression, timezone FROM server_schedules \
               WHERE enabled = TRUE AND next_run <= NOW()::TIMESTAMP + INTERVAL '10 years'";
    assert!(!sql.query(due, &[]).await.expect("due schedules").is_empty());
}

//! A schedule's authority is checked when it fires.

use agis_test_support::wait;
use serde_json::json;

use crate::{
    common::{OWNER, SOON, STRANGER, Stack},
    fleet::{self, Lot, ON_HOST},
};

#[tokio::test]
async fn schedule_of_a_former_owner_is_skipped() {
    let stack = Stack::start().await;
    stack.make_key(STRANGER, &[]);
    let sql = stack.sql().await;
    fleet::due(&sql, &[Lot(1, "sleeper", "start")]).await;
    sql.batch_execute(&format!("update game_servers set discord_id = '{STRANGER}'")).await.expect("another owner");
    assert_skipped(&stack, &sql, "not_allowed").await;
}

#[tokio::test]
async fn schedule_of_a_hostless_server_is_skipped() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::due(&sql, &[Lot(1, "sleeper", "start")]).await;
    sql.batch_execute("update game_servers set host = null").await.expect("no host");
    assert_skipped(&stack, &sql, "no_host").await;
}

#[tokio::test]
async fn schedule_of_a_held_server_is_skipped() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::due(&sql, &[Lot(1, "sleeper", "start")]).await;
    let hold =
        format!("insert into server_holds (server_id, since, held_by) select id, now(), '{OWNER}' from game_servers");
    sql.batch_execute(&hold).await.expect("a hold");
    assert_skipped(&stack, &sql, "held").await;
}

#[tokio::test]
async fn schedule_acts_after_the_end_of_a_hold() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::due(&sql, &[Lot(1, "sleeper", "start")]).await;
    let over = format!(
        "insert into server_holds (server_id, since, until, held_by) select id, now(), now(), '{OWNER}' from game_servers"
    );
    sql.batch_execute(&over).await.expect("a hold that is over");
    let api = stack.api(&[ON_HOST]).await;
    fleet::until_ended(&sql, 1).await;
    fleet::assert_exactly_once(&sql, 1).await;
    let servers = api.get("/api/v1/servers").await.expect(200);
    assert_eq!(servers["items"][0]["hold"], json!(null));
}

#[tokio::test]
async fn skipped_schedule_holds_up_no_other() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::due(&sql, &[Lot(3, "sleeper", "restart"), Lot(5, "sleeper", "stop")]).await;
    let unreadable = "update server_schedules set cron_expression = '@every 1h' where action = 'restart'";
    sql.batch_execute(unreadable).await.expect("expressions of the Go version");
    let api = stack.api(&[ON_HOST]).await;
    fleet::until_ended(&sql, 5).await;
    fleet::assert_exactly_once(&sql, 5).await;
    let disabled = fleet::rows(
        &sql,
        "select enabled::text, next_run::text, disabled_reason from server_schedules where action = 'restart'",
    )
    .await;
    assert_eq!(disabled.len(), 3);
    for columns in disabled {
        assert_eq!(columns[..2], [Some("false".to_owned()), None]);
        assert!(columns[2].as_ref().is_some_and(|reason| reason.contains('@')), "{columns:?}");
    }
    // A new expression is all that it takes.
    let id: i64 = fleet::one(&sql, "select min(id)::bigint from server_schedules where action = 'restart'").await;
    let path = format!("/api/v1/schedules/{id}");
    assert!(api.get(&path).await.expect(200)["disabled_reason"].is_string());
    let change = json!({ "cron_expression": "0 * * * *", "enabled": true });
    let mended = api.call("PATCH", &path, Some(change)).await.expect(200);
    assert!(mended["disabled_reason"].is_null() && mended["next_run"].is_string(), "{mended}");
}

/// A schedule that somebody made on a server that is shared with them, due.
async fn due_of_another(stack: &Stack, sql: &tokio_postgres::Client, permission: &str) {
    stack.make_key(STRANGER, &[]);
    fleet::due(sql, &[Lot(1, "sleeper", "start")]).await;
    sql.batch_execute(&format!(
        "update server_schedules set discord_id = '{STRANGER}';
         insert into server_shares (server_id, kind, grantee_id, permissions, granted_by)
             select id, 'member', '{STRANGER}', '{{read,{permission}}}', '{OWNER}' from game_servers"
    ))
    .await
    .expect("a share");
}

#[tokio::test]
async fn a_schedule_of_one_who_may_schedule_fires() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    due_of_another(&stack, &sql, "schedule").await;
    let _api = stack.api(&[ON_HOST]).await;
    fleet::until_ended(&sql, 1).await;
    fleet::assert_exactly_once(&sql, 1).await;
}

#[tokio::test]
async fn schedule_of_a_withdrawn_share_is_skipped() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    due_of_another(&stack, &sql, "schedule").await;
    sql.batch_execute("delete from server_shares").await.expect("taken back");
    assert_skipped(&stack, &sql, "not_allowed").await;
}

#[tokio::test]
async fn schedule_without_schedule_right_is_skipped() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    due_of_another(&stack, &sql, "start").await;
    assert_skipped(&stack, &sql, "not_allowed").await;
}

/// The one schedule's run is skipped for this reason, and counted; no operation, no process.
async fn assert_skipped(stack: &Stack, sql: &tokio_postgres::Client, reason: &str) {
    let api = stack.api(&[ON_HOST]).await;
    fleet::until_ended(sql, 1).await;
    let runs = fleet::rows(sql, "select state, reason from schedule_runs").await;
    assert_eq!(runs, [["skipped", reason].map(|word| Some(word.to_owned()))]);
    wait::until(SOON, "the skipped run to be counted", async || {
        (fleet::executions(&[&api], "start", "skipped").await > 0.5).then_some(())
    })
    .await;
    let operations: i64 = fleet::one(sql, "select count(*) from operations").await;
    let server: i64 = fleet::one(sql, "select id::bigint from game_servers").await;
    assert_eq!((operations, stack.process_of(server)), (0, None));
    // Whose schedule it is can read why.
    let id: i64 = fleet::one(sql, "select id::bigint from server_schedules").await;
    let history = api.get(&format!("/api/v1/schedules/{id}/runs")).await.expect(200);
    let run = &history["items"][0];
    assert_eq!(json!([run["reason"], run["operation_id"]]), json!([reason, null]), "{OWNER} reads {history}");
}

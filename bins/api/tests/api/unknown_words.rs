//! After a rollback a database holds words of a newer version. They keep nobody from the rest.

use std::time::Duration;

use agis_notices::NoticeStore;
use agis_storage::{Db, DbConfig};
use agis_test_support::wait;

use crate::common::{OWNER, SOON, Stack};

/// Remains of a newer version: rules that allow more, and rows that use them.
const NEWER: &str = "
    alter table server_schedules drop constraint server_schedules_actions,
        drop constraint server_schedules_work, drop constraint server_schedules_trigger,
        drop constraint server_schedules_policy;
    alter table operations drop constraint operations_action_check, drop constraint operations_origin_check;
    alter table game_servers drop constraint game_servers_status;
    alter table notices drop constraint notices_kind, drop constraint notices_about;
    insert into game_servers (id, discord_id, name, game_type, host, desired, status)
        select 1000 + n, OWNER, 'newer ' || n, 'demo', HOST, 'running', case n when 4 then 'hibernating' else 'stopped' end
        from generate_series(1, 4) n;
    insert into server_schedules (server_id, discord_id, action, cron_expression, next_run, missed_run_policy)
        select 1001, OWNER, case when n < 600 then 'backup' else 'stop' end, '* * * * *', now() - interval '1 day',
               case when n < 600 then 'skip' else 'run_all' end
        from generate_series(1, 700) n;
    insert into operations (id, server_id, action, origin, actor, generation, available_at, created_at)
        select gen_random_uuid(), 1000 + n, case n when 1 then 'update' when 2 then 'start' else 'stop' end,
               case n when 2 then 'newcomer' else 'rest' end, OWNER, 1, now() - interval '1 day',
               now() - case when n < 4 then interval '1 day' else interval '1 minute' end
        from unnest(array[1, 2, 4]) n;
    insert into notices (recipient, kind, server_id, server_name, reason, next_attempt_at)
        select OWNER, 'world_lost', 1001, 'newer', 'n', now() - interval '1 hour' from generate_series(1, 15) n;
";

/// Puts the remains there while agis-api runs. A statement of its own transaction holds the lock of one table
/// alone, so that it cannot meet a query of the program in a deadlock.
async fn leave_newer_rows(sql: &tokio_postgres::Client, host: &str) {
    let newer = NEWER.replace("OWNER", &format!("'{OWNER}'")).replace("HOST", host);
    for statement in newer.split(';') {
        sql.batch_execute(statement).await.expect("what a newer version left");
    }
}

#[tokio::test]
async fn newer_rows_are_passed_over_and_counted() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let api = stack.api(&[]).await;
    let id = api.server("ours", "demo").await;
    leave_newer_rows(&sql, "(select host from game_servers limit 1)").await;

    // An operation, a schedule and a notice that come after them.
    api.act(id, "start").await;
    let ours = format!(
        "insert into server_schedules (server_id, discord_id, action, cron_expression, next_run)
             values ({id}, '{OWNER}', 'restart', '* * * * *', date_trunc('minute', now()));
         insert into notices (recipient, kind, server_id, server_name, reason, generation)
             values ('{OWNER}', 'server_crashed', {id}, 'ours', 'signal 9', 77)"
    );
    sql.batch_execute(&ours).await.expect("a schedule and a notice");
    let fired = format!(
        "select count(*) from schedule_runs r join server_schedules s on s.id = r.schedule_id
         where s.server_id = {id} and r.state = 'succeeded'"
    );
    wait::until(SOON * 2, "the schedule to have fired", async || {
        (sql.query_one(&fired, &[]).await.expect("a count").get::<_, i64>(0) > 0).then_some(())
    })
    .await;
    let db = Db::new(&DbConfig { url: stack.database_url(), connections: 4 }).expect("a pool");
    let claimed = NoticeStore::claim(&db, 10, Duration::from_secs(60)).await.expect("notices").notices;
    assert_eq!(claimed.iter().map(|notice| notice.reason.as_str()).collect::<Vec<_>>(), ["signal 9"]);

    for (table, rows) in [("operations", 3.0), ("server_schedules", 700.0), ("notices", 15.0)] {
        let sample = format!(r#"agis_bot_rows_not_understood{{table="{table}"}}"#);
        wait::until(SOON * 2, &sample, async || (api.metric(&sample).await == rows).then_some(())).await;
        let told = |line: &serde_json::Value| line["table"] == table && line["rows"].is_i64();
        api.logged(table, told).await;
    }
    let untouched = "select count(*) from operations where state = 'queued' and attempt = 0";
    assert_eq!(sql.query_one(untouched, &[]).await.expect("a count").get::<_, i64>(0), 3);
}

#[tokio::test]
async fn newer_rows_block_no_lists_or_commands() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let api = stack.api(&[]).await;
    let (ours, far) = (api.server("ours", "demo").await, api.server("far", "demo").await);
    leave_newer_rows(&sql, &format!("(select host from game_servers where id = {ours})")).await;
    sql.batch_execute(&format!("update game_servers set host = 'elsewhere' where id = {far}")).await.expect("moved");
    let late = api.ask(far, "start").await;
    let old = format!("update operations set created_at = now() - interval '2 hours' where id = '{late}'");
    sql.batch_execute(&old).await.expect("old");
    assert_eq!(api.ended(&late).await["state"], "expired");

    let listed = async |path: &str| {
        let page = api.get(path).await.expect(200);
        page["items"].as_array().expect("items").iter().filter_map(|item| item["id"].as_i64()).collect::<Vec<_>>()
    };
    assert_eq!(listed("/api/v1/servers").await, [ours, far, 1001, 1002, 1003]);
    let schedule = format!(
        "insert into server_schedules (server_id, discord_id, action, cron_expression, enabled)
             values ({ours}, '{OWNER}', 'restart', '0 4 * * *', false)"
    );
    sql.batch_execute(&schedule).await.expect("a schedule behind the newer ones");
    assert_eq!(listed("/api/v1/schedules?limit=10").await.len(), 1);
    assert_eq!(api.get("/api/v1/servers/1001/operations").await.expect(200)["items"], serde_json::json!([]));

    // An operation takes the place of the newer one.
    api.act(1001, "stop").await;
    let superseded = "select count(*) from operations where action = 'update' and state = 'superseded'";
    assert_eq!(sql.query_one(superseded, &[]).await.expect("a count").get::<_, i64>(0), 1);
    api.call("POST", "/api/v1/servers/1004/start", None).await.expect(404);
}

//! Notices to owners are written once, whatever dies, and only for news.

use agis_test_support::wait;
use tokio_postgres::Client;

use crate::{
    common::{Api, OWNER, SOON, Stack, signal},
    fleet::{self, SHORT_LEASE, games_file},
};

/// Ends by itself while its start is waited for.
const HOPELESS: &str = r#"
    title = "Ends before it is ready"
    command = ["sh", "-c", "sleep 4; exit 3"]
    cost_per_hour = 0
    ready = { when = { log = "ready for players" }, within_s = 60 }
"#;

/// Recipient, kind, server, action and operation of every notice, and whether it waits.
async fn notices(sql: &Client) -> Vec<Vec<Option<String>>> {
    let query = "select recipient, kind, server_id::text, server_name, action, operation_id::text, state
                 from notices order by id";
    fleet::rows(sql, query).await
}

fn notice(kind: &str, server: i64, name: &str, about: Option<(&str, &str)>) -> Vec<Option<String>> {
    let (action, operation) = about.unzip();
    let server = server.to_string();
    let columns = [Some(OWNER), Some(kind), Some(&server), Some(name), action, operation, Some("pending")];
    columns.map(|column| column.map(str::to_owned)).to_vec()
}

async fn game_pid(stack: &Stack, server: i64) -> i64 {
    wait::until(SOON, "the game's process", async || stack.process_of(server)?["game"]["pid"].as_i64()).await
}

async fn crash(stack: &Stack, api: &Api, server: i64) {
    api.act(server, "start").await;
    signal(game_pid(stack, server).await, "KILL");
    api.until_status(server, "crashed").await;
}

#[tokio::test]
async fn failed_operation_is_told_once() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let (one, _two) = (stack.api(&[]).await, stack.api(&[]).await);
    let server = one.server("late", "unready").await;
    one.act(server, "stop").await;
    let start = one.ask(server, "start").await;
    one.ended(&start).await;
    assert_eq!(notices(&sql).await, [notice("operation_failed", server, "late", Some(("start", &start)))]);
    assert_eq!(fleet::one::<String>(&sql, "select reason from notices").await, "not ready within 1 s");
}

#[tokio::test]
async fn killed_then_failed_operation_is_told_once() {
    let (stack, games) = (Stack::start().await, games_file("hopeless", HOPELESS));
    let settings = [SHORT_LEASE, games.setting()];
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let first = stack.api(&settings).await;
    let server = first.server("hopeless", "hopeless").await;
    let start = first.ask(server, "start").await;
    game_pid(&stack, server).await;
    first.kill();
    let (second, _third) = (stack.api(&settings).await, stack.api(&settings).await);
    assert_eq!(second.ended(&start).await["state"], "failed");
    assert_eq!(notices(&sql).await, [notice("operation_failed", server, "hopeless", Some(("start", &start)))]);
}

#[tokio::test]
async fn expired_operation_is_told_once() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let (one, _two) = (stack.api(&[]).await, stack.api(&[]).await);
    let server = one.server("far", "demo").await;
    sql.batch_execute("update game_servers set host = 'nobody'").await.expect("another host");
    let start = one.ask(server, "start").await;
    sql.batch_execute("update operations set created_at = now() - interval '2 hours'").await.expect("old");
    assert_eq!(one.ended(&start).await["state"], "expired");
    assert_eq!(notices(&sql).await, [notice("operation_expired", server, "far", Some(("start", &start)))]);
    assert_eq!(fleet::one::<String>(&sql, "select reason from notices").await, "nobody could carry it out in time");
}

#[tokio::test]
async fn each_crash_is_told_once() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let (one, _two) = (stack.api(&[]).await, stack.api(&[]).await);
    let server = one.server("fragile", "demo").await;
    crash(&stack, &one, server).await;
    let told = notice("server_crashed", server, "fragile", None);
    assert_eq!(notices(&sql).await, std::slice::from_ref(&told));
    let reason: String = fleet::one(&sql, "select reason from notices").await;
    assert!(reason.contains("signal 9"), "{reason}");
    crash(&stack, &one, server).await;
    assert_eq!(notices(&sql).await, [told.clone(), told], "another generation is another crash");

    let slow = one.server("never", "slow").await;
    let start = one.ask(slow, "start").await;
    game_pid(&stack, slow).await;
    one.act(slow, "stop").await;
    assert_eq!(one.ended(&start).await["state"], "superseded");
    assert_eq!(notices(&sql).await.len(), 2);
}

#[tokio::test]
async fn unseen_crash_is_told_once() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let api = stack.api(&[]).await;
    let server = api.server("unseen", "demo").await;
    api.act(server, "start").await;
    api.kill();
    let process = stack.process_of(server).expect("a process");
    signal(game_pid(&stack, server).await, "KILL");
    let shim = process["shim"]["pid"].as_i64().expect("a pid");
    wait::until(SOON, "the shim to end", async || (!crate::common::is_alive(shim)).then_some(())).await;
    // Waits already when the next processes come: one finds the crash by looking, another by starting.
    let start = "insert into operations (id, server_id, action, origin, actor, generation)
                 select gen_random_uuid(), id, 'start', 'rest', discord_id, generation from game_servers";
    sql.batch_execute(start).await.expect("a start");
    let (next, _other) = (stack.api(&[]).await, stack.api(&[]).await);
    let open = "select count(*) from operations where finished_at is null";
    wait::until(SOON, "the start to end", async || (fleet::one::<i64>(&sql, open).await == 0).then_some(())).await;
    next.until_status(server, "running").await;
    assert_eq!(notices(&sql).await, [notice("server_crashed", server, "unseen", None)]);
}

#[tokio::test]
async fn oldest_of_too_many_notices_is_given_up() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let api = stack.api(&[]).await;
    let server = api.server("loop", "unready").await;
    // Twenty wait for the owner, the second of which is just being sent, and one for somebody else.
    let waiting = format!(
        "insert into notices (recipient, kind, server_id, server_name, reason, generation)
         select case n when 1 then 'other' else '{OWNER}' end, 'server_crashed', {server}, 'loop', n::text, -n
         from generate_series(1, 21) n;
         update notices set lease_until = now() + interval '1 hour' where reason = '3'"
    );
    sql.batch_execute(&waiting).await.expect("notices");
    for _ in 0..2 {
        api.ended(&api.ask(server, "start").await).await;
    }
    let given_up = fleet::rows(&sql, "select reason, last_error from notices where state = 'given_up'").await;
    assert_eq!(given_up, [["2", "too_many"].map(|text| Some(text.to_owned()))]);
    api.ended(&api.ask(server, "start").await).await;
    let given_up = fleet::rows(&sql, "select reason from notices where state = 'given_up' order by id").await;
    assert_eq!(given_up, [[Some("2".to_owned())], [Some("4".to_owned())]]);
    let metric = r#"agis_bot_notices_total{outcome="given_up"}"#;
    wait::until(SOON, "both to be counted", async || (api.metric(metric).await > 1.5).then_some(())).await;
}

//! Work that takes a while, and a database or a host that goes away in its middle: each step is done once, and none is lost.

use std::{
    sync::{Arc, atomic::AtomicU8},
    time::Duration,
};

use agis_local_services::postgres::Cluster;
use agis_test_support::wait;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::{
    common::{Api, SOON, Stack, a2s},
    database::{cluster, until_degraded, until_healed},
    fleet,
    steps::SCHEDULES,
};

const ACTIONS: &str = "/api/v1/servers/actions";
/// Several operations, on a busy machine.
const LONG: Duration = Duration::from_secs(90);

/// Takes the database away until the process has noticed, and gives it back.
async fn database_restarts(cluster: &mut Cluster, api: &Api, stack: &Stack) -> Client {
    tokio::task::block_in_place(|| cluster.stop());
    until_degraded(api).await;
    tokio::task::block_in_place(|| cluster.restart()).expect("a restart");
    until_healed(api).await;
    stack.sql().await
}

async fn servers(api: &Api, game: &str) {
    for name in ["a", "b", "c"] {
        let body = json!({ "name": name, "game_type": game, "labels": ["eu"] });
        api.post("/api/v1/servers", body).await.expect(201);
    }
}

/// Begins to start every server, one each second, and waits until it has begun.
async fn batch(api: &Api) -> String {
    let begun = api.post(ACTIONS, json!({ "label": "eu", "action": "start", "stagger": "1s" })).await.expect(202);
    assert_eq!(begun["servers"][2]["state"], "waiting", "{begun}");
    format!("{ACTIONS}/{}", begun["id"])
}

async fn batch_ended(api: &Api, path: &str) -> Value {
    wait::until(LONG, "the actions to end", async || {
        let actions = api.get(path).await.expect(200);
        (actions["finished"] == true).then_some(actions)
    })
    .await
}

fn states(servers: &Value) -> Value {
    let servers = servers["servers"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    servers.map(|part| json!([part["name"], part["state"], part["reason"]])).collect()
}

fn all_succeeded() -> Value {
    json!([["a", "succeeded", null], ["b", "succeeded", null], ["c", "succeeded", null]])
}

/// Runs a schedule for the label that starts, waits and restarts, a server each second, and waits until it has begun.
async fn label_run(api: &Api) -> String {
    let steps = json!([{ "do": "start" }, { "do": "wait", "seconds": 1 }, { "do": "restart" }]);
    let body =
        json!({ "label": "eu", "steps": steps, "stagger": "1s", "cron_expression": "0 0 1 1 *", "enabled": false });
    let made = api.post(SCHEDULES, body).await.expect(201);
    let path = format!("{SCHEDULES}/{}", made["id"]);
    let run = api.post(&format!("{path}/run"), json!({})).await.expect(202);
    let path = format!("{path}/runs/{}", run["slot"].as_str().expect("a slot"));
    wait::until(SOON, "the first turn", async || {
        (api.get(&path).await.expect(200)["servers"][0]["started_at"].is_string()).then_some(())
    })
    .await;
    path
}

async fn run_ended(api: &Api, path: &str) -> Value {
    wait::until(LONG, "the run to end", async || {
        let run = api.get(path).await.expect(200);
        (run["state"] != "pending").then_some(run)
    })
    .await
}

/// Every server was started once and restarted once, and every step says how it ended.
async fn assert_each_step_once(sql: &Client) {
    let each = "select coalesce(string_agg(n::text, ' '), '') from
                    (select count(*) as n from operations where origin = 'schedule' group by server_id, action) counts";
    assert_eq!(fleet::one::<String>(sql, each).await, "1 1 1 1 1 1");
    let steps = "select count(*) from schedule_run_steps where state = 'succeeded' and ended_at >= started_at";
    assert_eq!(fleet::one::<i64>(sql, steps).await, 9);
}

async fn assert_one_operation_each(sql: &Client) {
    let operations = "select count(*) || ' of ' || count(distinct server_id) from operations where origin = 'rest'";
    assert_eq!(fleet::one::<String>(sql, operations).await, "3 of 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_outlives_its_database() {
    let mut cluster = cluster();
    let stack = Stack::on(cluster.url("agis"), None).await;
    fleet::own_ids(&stack.sql().await).await;
    let api = stack.api(&[]).await;
    servers(&api, "sleeper").await;
    let path = batch(&api).await;
    let sql = database_restarts(&mut cluster, &api, &stack).await;
    assert_eq!(states(&batch_ended(&api, &path).await), all_succeeded());
    assert_one_operation_each(&sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn label_run_outlives_its_database() {
    let mut cluster = cluster();
    let stack = Stack::on(cluster.url("agis"), None).await;
    fleet::own_ids(&stack.sql().await).await;
    let api = stack.api(&[]).await;
    servers(&api, "sleeper").await;
    let path = label_run(&api).await;
    let sql = database_restarts(&mut cluster, &api, &stack).await;
    let run = run_ended(&api, &path).await;
    assert_eq!((&run["state"], states(&run)), (&json!("succeeded"), all_succeeded()), "{run}");
    assert_each_step_once(&sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_stop_outlives_its_database() {
    let mut cluster = cluster();
    let stack = Stack::on(cluster.url("agis"), None).await;
    fleet::own_ids(&stack.sql().await).await;
    a2s::add_game(&stack, "quiet");
    let api = stack.api(&[]).await;
    let server = api.server("quiet", "quiet").await;
    let path = format!("/api/v1/servers/{server}");
    api.call("PATCH", &path, Some(json!({ "idle": { "stop_after": "30m" } }))).await.expect(200);
    api.act(server, "start").await;
    a2s::play(&api, server, Arc::new(AtomicU8::new(0))).await;
    let sql = stack.sql().await;
    until_changed(
        &sql,
        "update server_players set empty_since = empty_since - interval '1 h' where empty_since is not null",
    )
    .await;
    // The first announcement was made, and the last one is due.
    let last = "update server_idle set stop_at = now() + interval '50 s' where not is_last and stop_at is not null";
    until_changed(&sql, last).await;
    let sql = database_restarts(&mut cluster, &api, &stack).await;
    until_changed(&sql, "update server_idle set stop_at = now() where is_last and stop_at > now()").await;
    api.until_status(server, "stopped").await;
    let stops = "select count(*) from operations where origin = 'idle' and action = 'stop'";
    assert_eq!(fleet::one::<i64>(&sql, stops).await, 1);
    assert_eq!(fleet::one::<i64>(&sql, "select count(*) from notices where kind = 'server_idle'").await, 1);
}

/// Waits until a change comes to a row.
async fn until_changed(sql: &Client, change: &str) {
    wait::until(SOON, change, async || (sql.execute(change, &[]).await.expect("an update") > 0).then_some(())).await;
}

/// A stack with a process that serves another host, and so has none of the servers.
async fn elsewhere(stack: &Stack) -> Api {
    stack
        .api(&[
            ("AGIS_HOST_NAME", "elsewhere"),
            ("AGIS_DATA_DIR", &stack.data_dir().with_file_name("other").to_string_lossy()),
        ])
        .await
}

#[tokio::test]
async fn batch_waits_for_its_host_and_keeps_its_pace() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let (home, other) = (stack.api(&[]).await, elsewhere(&stack).await);
    servers(&home, "sleeper").await;
    home.kill();
    let path = batch(&other).await;
    // Long enough for every turn, if none waited.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(other.get(&path).await.expect(200)["servers"][1]["state"], "waiting", "the first has not begun");
    let _home = stack.api(&[]).await;
    assert_eq!(states(&batch_ended(&other, &path).await), all_succeeded());
    assert_one_operation_each(&sql).await;
    let paced = "select max(created_at) - min(created_at) > interval '500 ms' from
                     (select created_at from operations where origin = 'rest' order by created_at desc limit 2) latest";
    assert!(fleet::one::<bool>(&sql, paced).await, "the others began at once when the host was back");
}

#[tokio::test]
async fn label_run_waits_for_its_host() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let (home, other) = (stack.api(&[]).await, elsewhere(&stack).await);
    servers(&home, "sleeper").await;
    let path = label_run(&other).await;
    home.freeze();
    tokio::time::sleep(Duration::from_secs(3)).await;
    home.thaw();
    tokio::time::sleep(Duration::from_millis(300)).await;
    home.kill();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let _home = stack.api(&[]).await;
    let run = run_ended(&other, &path).await;
    assert_eq!((&run["state"], states(&run)), (&json!("succeeded"), all_succeeded()), "{run}");
    assert_each_step_once(&sql).await;
}

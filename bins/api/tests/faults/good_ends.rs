//! Games that end by themselves as they should: a match is over, or somebody typed it.

use agis_test_support::wait;
use serde_json::json;
use tokio_postgres::Client;

use crate::{
    common::{Api, OWNER, SOON, Stack, is_alive, signal},
    fleet,
};

/// `status`, `desired` and the two generations of a server.
async fn stands(sql: &Client, id: i64) -> Vec<String> {
    let query =
        format!("select status, desired, generation::text, status_generation::text from game_servers where id = {id}");
    fleet::rows(sql, &query).await.remove(0).into_iter().map(Option::unwrap_or_default).collect()
}

async fn notices(sql: &Client) -> i64 {
    fleet::one(sql, "select count(*) from notices").await
}

/// A server that was started at generation 1, and whose game has ended well while no `agis-api` watched.
async fn ended_unseen(stack: &Stack) -> i64 {
    let api = stack.api(&[]).await;
    let id = api.server("match", "demo").await;
    api.act(id, "start").await;
    api.kill();
    let process = stack.process_of(id).expect("a process");
    let pid = |of: &str| process[of]["pid"].as_i64().expect("a pid");
    // The game takes this for "save and end", which its shim did not ask for.
    signal(pid("game"), "TERM");
    wait::until(SOON, "the shim to end", async || (!is_alive(pid("shim"))).then_some(())).await;
    id
}

/// Queues an operation as an `agis-api` would have that accepted it before anybody knew of the end.
async fn queue(sql: &Client, id: i64, action: &str, generation: i64) {
    sql.batch_execute(&format!(
        "begin;
         update game_servers set generation = {generation} where id = {id};
         insert into operations (id, server_id, action, state, origin, actor, generation)
         values (gen_random_uuid(), {id}, '{action}', 'queued', 'rest', '{OWNER}', {generation});
         commit"
    ))
    .await
    .expect("an operation");
}

async fn crashes(apis: &[&Api]) -> f64 {
    let mut crashes = 0.0;
    for api in apis {
        crashes += api.metric("agis_bot_server_crashes_total").await;
    }
    crashes
}

#[tokio::test]
async fn good_end_stops_and_tells_nobody() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let (one, two) = (stack.api(&[]).await, stack.api(&[]).await);
    let id = one.server("match", "demo").await;
    one.act(id, "start").await;
    one.post(&format!("/api/v1/servers/{id}/command"), json!({ "command": "stop" })).await.expect(204);
    let stopped = two.until_status(id, "stopped").await;
    assert_eq!(stopped["error"], json!(null), "{stopped}");
    assert_eq!(stands(&sql, id).await, ["stopped", "stopped", "1", "1"]);
    assert_eq!((notices(&sql).await, crashes(&[&one, &two]).await), (0, 0.0));

    two.act(id, "stop").await;
    assert_eq!(stands(&sql, id).await, ["stopped", "stopped", "1", "1"], "a stop finds it so");
    two.act(id, "start").await;
    fleet::assert_one_copy_each(&stack, &[id], 2).await;
}

#[tokio::test]
async fn replacing_start_is_no_crash() {
    let stack = Stack::start().await;
    stack.add_game(
        r#"
        [lingers]
        title = "Takes its time to end"
        command = ["sh", "-c", "trap 'sleep 2; exit 3' TERM; while :; do sleep 0.1; done"]
        port = 28400
        cost_per_hour = 0
        ready = { when = { delay = 0 }, within_s = 30 }
        stop = { how = { signal = "SIGTERM" }, grace_s = 10 }
        "#,
    );
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let (one, two) = (stack.api(&[]).await, stack.api(&[]).await);
    let id = one.server("again", "lingers").await;
    one.act(id, "start").await;
    // Of a stop at generation 2, which was superseded before a worker began it.
    queue(&sql, id, "start", 3).await;
    two.until_status(id, "starting").await;
    two.until_status(id, "running").await;
    assert_eq!(stands(&sql, id).await, ["running", "running", "3", "3"]);
    assert_eq!((notices(&sql).await, crashes(&[&one, &two]).await), (0, 0.0));
}

#[tokio::test]
async fn unseen_good_end_is_found_by_the_next_api() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let id = ended_unseen(&stack).await;
    stack.api(&[]).await.until_status(id, "stopped").await;
    assert_eq!(
        (stands(&sql, id).await, notices(&sql).await),
        (["stopped", "stopped", "1", "1"].map(str::to_owned).to_vec(), 0)
    );
}

#[tokio::test]
async fn a_good_end_seen_late_stops_no_newer_run() {
    // A restart is a new generation, a start of what runs is not.
    for (action, queued_at) in [("restart", 2), ("start", 1)] {
        let stack = Stack::start().await;
        let sql = stack.sql().await;
        fleet::own_ids(&sql).await;
        let id = ended_unseen(&stack).await;
        queue(&sql, id, action, queued_at).await;
        let (one, two) = (stack.api(&[]).await, stack.api(&[]).await);
        wait::until(SOON, "the newer run", async || {
            (stands(&sql, id).await == ["running", "running", "2", "2"]).then_some(())
        })
        .await;
        fleet::assert_one_copy_each(&stack, &[id], 2).await;
        assert_eq!((notices(&sql).await, crashes(&[&one, &two]).await), (0, 0.0), "{action}");
    }
}

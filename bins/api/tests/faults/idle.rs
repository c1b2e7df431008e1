//! Servers on which nobody plays: stopped once, whatever dies, and woken again.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use agis_test_support::wait;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::{
    common::{Api, SOON, Stack, a2s},
    fleet,
};

async fn get(api: &Api, server: i64) -> Value {
    api.get(&format!("/api/v1/servers/{server}")).await.expect(200)
}

/// Waits until so many play, and lets the game be asked at once instead of every 15 seconds.
async fn until_playing(api: &Api, sql: &Client, server: i64, online: i64) {
    wait::until(SOON, "the players", async || {
        let due = "update server_players set claimed_at = claimed_at - interval '15 s' where measured_at = claimed_at";
        sql.execute(due, &[]).await.expect("an update");
        (get(api, server).await["players"]["online"] == online).then_some(())
    })
    .await;
}

/// Lets nobody have played for an hour, and waits until this comes to a row that is so.
async fn hour_passes(sql: &Client) {
    wait::until(SOON, "a count of zero", async || {
        let earlier = "update server_players set empty_since = empty_since - interval '1 h'
                       where empty_until - empty_since < interval '1 h'";
        (sql.execute(earlier, &[]).await.expect("an update") > 0).then_some(())
    })
    .await;
}

/// Lets the announced stop be due in so many seconds, once the announcement is the last or not.
async fn due_in(sql: &Client, is_last: bool, seconds: u32) {
    wait::until(SOON, "the announcement", async || {
        let nearer = format!(
            "update server_idle set stop_at = now() + interval '{seconds} s' where is_last = {is_last}
             and stop_at > now() + interval '{seconds} s'"
        );
        (sql.execute(&nearer, &[]).await.expect("an update") > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn empty_server_sleeps_once_and_wakes() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    a2s::add_game(&stack, "quiet");
    let players = Arc::new(AtomicU8::new(0));
    let (one, two) = (stack.api(&[]).await, stack.api(&[]).await);
    let server = two.server("quiet", "quiet").await;
    let path = format!("/api/v1/servers/{server}");
    two.call("PATCH", &path, Some(json!({ "idle": { "stop_after": "30m" } }))).await.expect(200);
    two.act(server, "start").await;
    let game = a2s::play(&two, server, players.clone()).await;
    hour_passes(&sql).await;
    due_in(&sql, false, 50).await;
    // Either of them may have announced it.
    one.kill();
    due_in(&sql, true, 0).await;
    let asleep = wait::until(SOON, "the sleep", async || {
        let server = get(&two, server).await;
        (server["status"] == "stopped" && server["idle"]["asleep_since"].is_string()).then_some(server)
    })
    .await;
    assert_eq!(asleep["idle"]["saved_credits"], 0, "{asleep}");
    let stops =
        format!("select count(*) from operations where server_id = {server} and origin = 'idle' and action = 'stop'");
    assert_eq!(fleet::one::<i64>(&sql, &stops).await, 1);
    let told = "select count(*) from notices where kind = 'server_idle' and reason like 'nobody has played for 30m%'";
    assert_eq!(fleet::one::<i64>(&sql, told).await, 1);
    assert!((two.metric("agis_bot_idle_stops_total").await - 1.0).abs() < 0.1);

    // The game that answered ends with its server.
    game.abort();
    let _ = game.await;
    two.act(server, "wake").await;
    let awake = get(&two, server).await;
    assert_eq!(json!([awake["status"], awake["idle"]["asleep_since"]]), json!(["running", null]));
    assert_eq!(fleet::one::<i64>(&sql, "select count(*) from server_idle where stop_at is not null").await, 0);
}

#[tokio::test]
async fn player_who_joins_keeps_the_server() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    a2s::add_game(&stack, "quiet");
    let players = Arc::new(AtomicU8::new(0));
    let api = stack.api(&[]).await;
    let server = api.server("quiet", "quiet").await;
    let path = format!("/api/v1/servers/{server}");
    api.call("PATCH", &path, Some(json!({ "idle": { "stop_after": "30m" } }))).await.expect(200);
    api.act(server, "start").await;
    a2s::play(&api, server, players.clone()).await;
    hour_passes(&sql).await;
    due_in(&sql, false, 50).await;
    players.store(1, Ordering::Relaxed);
    until_playing(&api, &sql, server, 1).await;
    sql.batch_execute("update server_idle set stop_at = now(), is_last = true").await.expect("a stop that is due");
    players.store(0, Ordering::Relaxed);
    until_playing(&api, &sql, server, 0).await;
    wait::until(SOON, "the stop to be forgotten", async || {
        (fleet::one::<i64>(&sql, "select count(*) from server_idle where stop_at is null").await == 1).then_some(())
    })
    .await;
    assert_eq!(get(&api, server).await["status"], "running");
}

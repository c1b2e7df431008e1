//! What becomes of an operation whose process ends in the middle of it.

use std::time::{Duration, Instant};

use agis_test_support::wait;
use serde_json::Value;
use tokio_postgres::Client;

use crate::{
    common::{Api, SOON, Stack},
    fleet::{self, SHORT_LEASE, games_file},
};

/// Ready some seconds after its start.
const LATE: &str = r#"
    title = "Ready late"
    command = ["sh", "-c", "sleep 4; echo ready for players; exec sleep 100000"]
    cost_per_hour = 0
    ready = { when = { log = "ready for players" }, within_s = 60 }
    stop = { how = { signal = "SIGTERM" }, grace_s = 5 }
"#;

/// A server whose start takes a while and has begun, the operation, and what the host wrote of the process.
async fn starting(stack: &Stack, api: &Api) -> (i64, String, Value) {
    let server = api.server("late", "late").await;
    let operation = api.ask(server, "start").await;
    let process = wait::until(SOON, "the game's process", async || {
        stack.process_of(server).filter(|process| process["game"]["pid"].is_i64())
    })
    .await;
    assert_eq!(process["phase"], "starting");
    (server, operation, process)
}

async fn attempt(sql: &Client, operation: &str) -> i32 {
    fleet::one(sql, &format!("select attempt from operations where id = '{operation}'")).await
}

/// The operation was ended by a second attempt, with the process of the first.
async fn assert_carried_on(stack: &Stack, api: &Api, server: i64, operation: &str, process: &Value) {
    let ended = api.ended(operation).await;
    assert_eq!((&ended["state"], &ended["error"]), (&"succeeded".into(), &Value::Null), "{ended}");
    assert_eq!(attempt(&stack.sql().await, operation).await, 2);
    let now = stack.process_of(server).expect("a process");
    assert_eq!((&now["shim"], &now["game"]), (&process["shim"], &process["game"]), "no second copy was started");
    fleet::assert_one_copy_each(stack, &[server], 1).await;
}

#[tokio::test]
async fn a_start_whose_process_was_killed_is_carried_on_by_another_with_the_same_game() {
    let (stack, games) = (Stack::start().await, games_file("late", LATE));
    let settings = [SHORT_LEASE, games.setting()];
    fleet::own_ids(&stack.sql().await).await;
    let first = stack.api(&settings).await;
    let (server, operation, process) = starting(&stack, &first).await;
    first.kill();
    let second = stack.api(&settings).await;
    assert_carried_on(&stack, &second, server, &operation, &process).await;
}

#[tokio::test]
async fn a_process_that_is_asked_to_end_hands_its_operations_back_at_once() {
    let (stack, games) = (Stack::start().await, games_file("late", LATE));
    // Nobody waits for this lease.
    let settings = [("OPERATION_LEASE_SECONDS", "3600"), games.setting()];
    fleet::own_ids(&stack.sql().await).await;
    let first = stack.api(&settings).await;
    let (server, operation, process) = starting(&stack, &first).await;
    let second = stack.api(&settings).await;
    let asked = Instant::now();
    let (status, ()) = tokio::join!(first.stop(), async {
        wait::until(SOON, "the other process to have it", async || {
            (attempt(&stack.sql().await, &operation).await == 2).then_some(())
        })
        .await;
    });
    assert!(status.success());
    assert!(asked.elapsed() < Duration::from_secs(20), "handed over after {:?}", asked.elapsed());
    assert_carried_on(&stack, &second, server, &operation, &process).await;
}

#[tokio::test]
async fn an_operation_that_was_handed_back_says_so_while_nobody_has_it() {
    let (stack, games) = (Stack::start().await, games_file("late", LATE));
    let settings = [games.setting()];
    fleet::own_ids(&stack.sql().await).await;
    let first = stack.api(&settings).await;
    let (server, operation, process) = starting(&stack, &first).await;
    assert!(first.stop().await.success());
    let query = format!("select state, error from operations where id = '{operation}'");
    let waiting = fleet::rows(&stack.sql().await, &query).await;
    let expected = ["queued", "handed over by a process that was stopped"].map(|text| Some(text.to_owned()));
    assert_eq!(waiting, [expected]);
    let second = stack.api(&settings).await;
    assert_carried_on(&stack, &second, server, &operation, &process).await;
}

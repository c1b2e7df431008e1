//! Operations whose process ends in the middle of them.

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
async fn killed_start_is_carried_on_with_its_game() {
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
async fn ending_process_hands_operations_back() {
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
async fn handed_back_operation_says_so() {
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

#[tokio::test]
async fn expired_operation_is_undone_by_its_host() {
    let (stack, games) = (Stack::start().await, games_file("late", LATE));
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let first = stack.api(&[games.setting()]).await;
    let (server, operation, _) = starting(&stack, &first).await;
    assert!(first.stop().await.success());
    // The server runs on, and nobody knows of it: for long there is only the process of another machine.
    let data = tempfile::tempdir().expect("a folder");
    let place = data.path().to_str().expect("a path");
    let other = stack.api(&[games.setting(), ("AGIS_HOST_NAME", "elsewhere"), ("AGIS_DATA_DIR", place)]).await;
    sql.batch_execute("update operations set created_at = now() - interval '2 hours'").await.expect("old");
    assert_eq!(other.ended(&operation).await["state"], "expired");
    assert_eq!(other.get(&format!("/api/v1/servers/{server}")).await.expect(200)["status"], "failed");
    // The stop waits for as long as it takes.
    sql.batch_execute("update operations set created_at = now() - interval '2 hours'").await.expect("old");

    let back = stack.api(&[games.setting()]).await;
    back.until_status(server, "stopped").await;
    fleet::assert_no_copy(&stack, server);
    let history = back.get(&format!("/api/v1/servers/{server}/operations")).await.expect(200);
    let last = &history["items"][0];
    assert_eq!(
        (&last["action"], &last["origin"], &last["state"]),
        (&"stop".into(), &"operator".into(), &"succeeded".into())
    );
}

/// The lines of one request, in the log of one process.
fn lines_of(api: &Api, request: &str) -> Vec<Value> {
    api.log().into_iter().filter(|line| line["span"]["request_id"] == request).collect()
}

#[tokio::test]
async fn request_id_reaches_the_host() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let (stack, games) = (Stack::start().await, games_file("late", LATE));
    let settings = [SHORT_LEASE, games.setting(), ("RUST_LOG", "info,agis_host_process=debug")];
    let first = stack.api(&settings).await;
    let server = first.server("late", "late").await;
    let start = stack.client.post(format!("{}/api/v1/servers/{server}/start", first.base)).bearer_auth(&stack.key);
    let start =
        start.header("X-Request-Id", "tuesday").header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let operation = first.send(start).await.expect("an answer").expect(202)["id"].clone();
    let of_host = |line: &Value| line["target"].as_str().is_some_and(|target| target.starts_with("agis_host_process"));
    let handed = |lines: &[Value]| lines.iter().any(of_host).then_some(());
    wait::until(SOON, "a line of the host", async || handed(&lines_of(&first, "tuesday"))).await;
    first.logged("the edge", |line| line["message"] == "request" && line["span"]["request_id"] == "tuesday").await;

    let mut seen = lines_of(&first, "tuesday");
    first.kill();
    let second = stack.api(&settings).await;
    wait::until(SOON, "a line of the host again", async || handed(&lines_of(&second, "tuesday"))).await;
    seen.extend(lines_of(&second, "tuesday"));
    assert!(seen.iter().all(|line| line["span"]["trace_id"] == TRACE), "{seen:#?}");
    let of_operation = seen.iter().filter(|line| line["message"] != "request");
    let spans: Vec<_> = of_operation.map(|line| &line["span"]).collect();
    assert!(spans.iter().all(|span| span["operation_id"] == operation && span["server_id"] == server), "{spans:#?}");

    // An invalid id or traceparent appears nowhere.
    let stop = stack.client.post(format!("{}/api/v1/servers/{server}/stop", second.base)).bearer_auth(&stack.key);
    let stop = stop.header("X-Request-Id", "two words").header("traceparent", format!("00-{TRACE}-hostile"));
    let stopped = second.send(stop).await.expect("an answer").expect(202)["id"].clone();
    second.logged("its end", |line| line["span"]["operation_id"] == stopped && line["took_ms"].is_number()).await;
    let text = format!("{:?}", second.log());
    assert!(!text.contains("two words") && !text.contains("hostile"), "{text}");
    let stopped = second.log().into_iter().filter(|line| line["span"]["operation_id"] == stopped);
    let ids: Vec<_> =
        stopped.map(|line| (line["span"]["request_id"].clone(), line["span"]["trace_id"].clone())).collect();
    assert!(
        ids.iter().all(|(request, trace)| request.is_string() && *request == ids[0].0 && trace.is_null()),
        "{ids:?}"
    );
}

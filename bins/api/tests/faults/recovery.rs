use agis_test_support::wait;
use serde_json::json;

use crate::common::{OWNER, SOON, Stack, is_alive, signal};

#[tokio::test]
async fn start_before_a_crash_was_seen_works() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("back again", "demo").await;
    api.act(id, "start").await;
    api.kill();
    let process = stack.process_of(id).expect("a process");
    signal(process["shim"]["pid"].as_i64().expect("a pid"), "KILL");
    // As a schedule that is due at boot does it: the server is still published as running.
    let accepted = "insert into operations (id, server_id, action, origin, actor, generation)
                    values (gen_random_uuid(), $1, 'start', 'schedule', $2, 1) returning id::text";
    let server = i32::try_from(id).expect("an id");
    let operation: String = stack.sql().await.query_one(accepted, &[&server, &OWNER]).await.expect("a row").get(0);

    let next = stack.api(&[]).await;
    assert_eq!(next.ended(&operation).await["state"], "succeeded");
    assert_eq!(next.until_status(id, "running").await["error"], json!(null));
    assert_eq!(stack.process_of(id).expect("a process")["generation"], 2);
}

#[tokio::test]
async fn older_database_is_told_and_next_try_works() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("restored", "demo").await;
    api.act(id, "start").await;
    api.act(id, "stop").await;
    std::fs::write(stack.server_dir(id).join("generation"), "7").expect("the host has seen more");

    let operation = api.ended(&api.ask(id, "start").await).await;
    assert_eq!(operation["state"], "failed", "{operation}");
    assert!(operation["error"].as_str().is_some_and(|text| text.contains("may have been restored")), "{operation}");
    api.until_status(id, "failed").await;
    api.act(id, "start").await;
    assert_eq!(stack.process_of(id).expect("a process")["generation"], 8);
}

#[tokio::test]
async fn host_ahead_is_told_once_and_stop_stops() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("restored", "demo").await;
    for status in ["running", "stopped"] {
        api.act(id, "start").await;
        api.act(id, "restart").await;
        let process = stack.process_of(id).expect("a process");
        let (generation, pid) = (process["generation"].as_i64().expect("one"), process["shim"]["pid"].as_i64());
        // As an older dump has it.
        let older = format!(
            "update game_servers set status = '{status}', desired = '{status}', generation = {0}, status_generation = {0}
             where id = {id}",
            generation - 2
        );
        stack.sql().await.batch_execute(&older).await.expect("restored");
        if status == "running" {
            wait::until(SOON, "readiness to tell of it", async || {
                let host = api.ready().await.body["components"]["host"].clone();
                let why = host["unseen_why"].as_str().unwrap_or_default();
                (host["unseen_servers"] == 1 && why.contains("ahead of the database")).then_some(())
            })
            .await;
            // A later round of the watcher sees the crash of another server.
            let other = api.server("other", "demo").await;
            api.act(other, "start").await;
            signal(stack.process_of(other).expect("a process")["game"]["pid"].as_i64().expect("a pid"), "KILL");
            api.until_status(other, "crashed").await;
            let is_of_it = |line: &&serde_json::Value| line.to_string().contains("ahead of the database");
            assert_eq!(api.log().iter().filter(is_of_it).count(), 1);
        }
        api.act(id, "stop").await;
        assert_eq!(api.until_status(id, "stopped").await["error"], json!(null));
        assert!(!is_alive(pid.expect("a pid")), "{status}");
        let query = format!("select generation from game_servers where id = {id}");
        let after: i64 = stack.sql().await.query_one(&query, &[]).await.expect("a row").get(0);
        assert_eq!(after, generation + 1);
    }
    let host = api.ready().await.body["components"]["host"].clone();
    assert_eq!(host["unseen_servers"], 0, "{host}");
}

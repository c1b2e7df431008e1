//! Servers that end by themselves, and come back.

use std::time::Duration;

use agis_test_support::wait;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::{
    common::{Api, OWNER, SOON, Stack, is_alive, signal},
    fleet,
};

/// Restart within 3 s, with slack for a busy machine.
const BACK: Duration = Duration::from_secs(15);

async fn set(api: &Api, server: i64, policy: Value) -> Value {
    let path = format!("/api/v1/servers/{server}");
    api.call("PATCH", &path, Some(json!({ "restart_policy": policy }))).await.expect(200)
}

async fn mortal(api: &Api, name: &str, policy: Value) -> i64 {
    let server = api.server(name, "demo").await;
    set(api, server, policy).await;
    api.act(server, "start").await;
    server
}

async fn pid(stack: &Stack, server: i64, of: &str) -> i64 {
    wait::until(SOON, "the game's process", async || stack.process_of(server)?[of]["pid"].as_i64()).await
}

/// Kills the game that runs at this generation, once it is ready: one that dies before has not crashed.
async fn kill(stack: &Stack, api: &Api, server: i64, generation: i64) {
    until_back(stack, server, generation).await;
    api.until_status(server, "running").await;
    signal(pid(stack, server, "game").await, "KILL");
}

async fn until_back(stack: &Stack, server: i64, generation: i64) {
    wait::until(BACK, "the server to run", async || {
        let process = stack.process_of(server)?;
        (process["generation"] == generation && is_alive(process["game"]["pid"].as_i64()?)).then_some(())
    })
    .await;
}

async fn get(api: &Api, server: i64) -> Value {
    api.get(&format!("/api/v1/servers/{server}")).await.expect(200)
}

async fn notices(sql: &Client) -> Vec<String> {
    fleet::rows(sql, "select kind || ': ' || reason from notices order by id")
        .await
        .into_iter()
        .flatten()
        .flatten()
        .collect()
}

async fn orders(sql: &Client, server: i64) -> i64 {
    let query = format!("select count(*) from operations where server_id = {server} and origin = 'supervisor'");
    fleet::one(sql, &query).await
}

/// As if the supervisor had just started the server again so many times.
async fn after_restarts(sql: &Client, server: i64, restarts: u32) {
    let query = format!(
        "update game_servers set restarts = array_fill(now(), array[{restarts}]), restart_generation = generation where id = {server}"
    );
    sql.batch_execute(&query).await.expect("restarts");
}

#[tokio::test]
async fn crashed_server_is_back_within_three_seconds() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let (one, _two) = (stack.api(&[]).await, stack.api(&[]).await);
    let server = mortal(&one, "phoenix", json!({ "on": "crash" })).await;
    kill(&stack, &one, server, 1).await;
    until_back(&stack, server, 2).await;
    one.until_status(server, "running").await;
    let history = one.get(&format!("/api/v1/servers/{server}/operations")).await.expect(200);
    let last = &history["items"][0];
    assert_eq!(
        (&last["origin"], &last["action"], &last["actor"]),
        (&json!("supervisor"), &json!("start"), &json!(OWNER)),
        "{history}"
    );
    assert_eq!(get(&one, server).await["restart"], json!(null));
    assert_eq!(notices(&sql).await, Vec::<String>::new(), "a server that is back is no news");
}

#[tokio::test]
async fn supervisor_gives_up_and_says_so() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let (one, two) = (stack.api(&[]).await, stack.api(&[]).await);
    let server = mortal(&one, "loop", json!({ "on": "crash", "max": 2 })).await;
    for generation in 1..=3 {
        kill(&stack, &one, server, generation).await;
    }
    let given_up = wait::until(BACK, "the supervisor to give up", async || {
        let server = get(&two, server).await;
        (server["status"] == "crashed" && server["restart"]["at"].is_null()).then_some(server)
    })
    .await;
    assert_eq!(given_up["restart"], json!({ "at": null, "attempt": 2, "of": 2 }), "{given_up}");
    let [told] = notices(&sql).await.try_into().expect("one notice");
    assert!(told.starts_with("server_crashed: ") && told.contains("2 times within 10m"), "{told}");
    assert_eq!(orders(&sql, server).await, 2);
    let counted = one.metric("agis_bot_supervisor_restarts_total{outcome=\"given_up\"}").await
        + two.metric("agis_bot_supervisor_restarts_total{outcome=\"given_up\"}").await;
    assert!((counted - 1.0).abs() < 0.1, "{counted}");

    // A person's start begins a new streak.
    one.act(server, "start").await;
    kill(&stack, &one, server, 4).await;
    until_back(&stack, server, 5).await;
}

#[tokio::test]
async fn hold_postpones_a_restart() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let api = stack.api(&[]).await;
    let policy = json!({ "on": "crash", "max": 9 });
    let (held, timed, free) = (
        mortal(&api, "held", policy.clone()).await,
        mortal(&api, "held for a while", policy.clone()).await,
        mortal(&api, "free", policy).await,
    );
    let path = |server: i64| format!("/api/v1/servers/{server}/hold");
    let set = api.post(&path(held), json!({ "reason": "The map is being built" })).await.expect(200);
    assert_eq!(
        json!([set["hold"]["reason"], set["hold"]["by"], set["hold"]["until"]]),
        json!(["The map is being built", OWNER, null])
    );
    let until = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    api.post(&path(timed), json!({ "until": until })).await.expect(200);
    for server in [held, timed, free] {
        kill(&stack, &api, server, 1).await;
    }
    // The free one fell last and is back: the others have had their chance.
    until_back(&stack, free, 2).await;
    let of_timed = get(&api, timed).await;
    assert_eq!(of_timed["restart"]["at"], of_timed["hold"]["until"], "{of_timed}");
    assert_eq!((get(&api, held).await["status"].clone(), orders(&sql, held).await), (json!("crashed"), 0));
    assert_eq!(orders(&sql, timed).await, 0);

    let released = api.call("DELETE", &path(held), None).await.expect(200);
    assert_eq!(released["hold"], json!(null));
    until_back(&stack, held, 2).await;
    let end =
        format!("update server_holds set until = clock_timestamp() + interval '2 seconds' where server_id = {timed}");
    sql.batch_execute(&end).await.expect("a nearer end");
    until_back(&stack, timed, 2).await;
}

#[tokio::test]
async fn stop_wins_over_a_restart_that_waits() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let api = stack.api(&[]).await;
    let server = mortal(&api, "at rest", json!({ "on": "crash", "max": 9 })).await;
    // The next wait is 4 s.
    after_restarts(&sql, server, 2).await;
    kill(&stack, &api, server, 1).await;
    let waiting = wait::until(SOON, "the wait", async || {
        let server = get(&api, server).await;
        server["restart"]["at"].is_string().then_some(server)
    })
    .await;
    assert_eq!((&waiting["status"], &waiting["restart"]["attempt"]), (&json!("crashed"), &json!(3)), "{waiting}");
    api.act(server, "stop").await;
    let stopped = get(&api, server).await;
    assert_eq!((&stopped["status"], &stopped["restart"]), (&json!("stopped"), &json!(null)), "{stopped}");
    let waits = format!("select count(*) from game_servers where id = {server} and restart_at is not null");
    assert_eq!(fleet::one::<i64>(&sql, &waits).await, 0);
    // Even with a time that has come it would not be ordered.
    sql.batch_execute("update game_servers set restart_at = now()").await.expect("a time");
    let other = mortal(&api, "other", json!({ "on": "crash" })).await;
    kill(&stack, &api, other, 1).await;
    until_back(&stack, other, 2).await;
    assert_eq!(orders(&sql, server).await, 0);
}

#[tokio::test]
async fn never_means_never() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let api = stack.api(&[]).await;
    let (down, up) = (mortal(&api, "down", json!({})).await, mortal(&api, "up", json!({ "on": "always" })).await);
    assert_eq!(get(&api, down).await["restart_policy"]["on"], "never", "the game says so");
    kill(&stack, &api, down, 1).await;
    kill(&stack, &api, up, 1).await;
    until_back(&stack, up, 2).await;
    let crashed = api.until_status(down, "crashed").await;
    assert_eq!((orders(&sql, down).await, &crashed["restart"]), (0, &json!(null)));
    assert_eq!(notices(&sql).await.len(), 1);
}

#[tokio::test]
async fn never_ends_a_restart_that_waits() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let api = stack.api(&[]).await;
    let server = mortal(&api, "enough", json!({ "on": "crash", "max": 9 })).await;
    after_restarts(&sql, server, 2).await;
    kill(&stack, &api, server, 1).await;
    let waits = async || get(&api, server).await["restart"]["at"].is_string().then_some(());
    wait::until(SOON, "the wait", waits).await;
    assert!(set(&api, server, json!({ "max": 8 })).await["restart"]["at"].is_string(), "nothing about that");
    let changed = set(&api, server, json!({ "on": "never" })).await;
    assert_eq!((&changed["status"], &changed["restart"]), (&json!("crashed"), &json!(null)), "{changed}");
    let waiting = "select count(*) from game_servers where restart_at is not null";
    assert_eq!(fleet::one::<i64>(&sql, waiting).await, 0);
    api.act(server, "start").await;
    assert_eq!(orders(&sql, server).await, 0);
}

#[tokio::test]
async fn reboot_during_a_start_is_followed() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let api = stack.api(&[fleet::SHORT_LEASE]).await;
    let (loading, never) = (api.server("loading", "slow").await, api.server("stays", "slow").await);
    set(&api, loading, json!({ "on": "crash" })).await;
    for server in [loading, never] {
        api.ask(server, "start").await;
        until_back(&stack, server, 1).await;
    }
    api.kill();
    for server in [loading, never] {
        let shim = pid(&stack, server, "shim").await;
        signal(shim, "KILL");
        wait::until(SOON, "the shim to end", async || (!is_alive(shim)).then_some(())).await;
    }
    let (one, _two) = (stack.api(&[fleet::SHORT_LEASE]).await, stack.api(&[fleet::SHORT_LEASE]).await);
    until_back(&stack, loading, 2).await;
    let down = one.until_status(never, "crashed").await;
    assert!(down["error"].as_str().is_some_and(|why| why.contains("the machine restarted")), "{down}");
    assert_eq!((orders(&sql, loading).await, orders(&sql, never).await), (1, 0));
    assert_eq!(notices(&sql).await.len(), 1, "of the one that stays down");
}

#[tokio::test]
async fn always_follows_a_good_end_and_a_failed_start() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let api = stack.api(&[]).await;
    let server = mortal(&api, "match", json!({ "on": "always" })).await;
    api.post(&format!("/api/v1/servers/{server}/command"), json!({ "command": "stop" })).await.expect(204);
    until_back(&stack, server, 2).await;

    let unready = api.server("late", "unready").await;
    set(&api, unready, json!({ "on": "always", "max": 1 })).await;
    api.ended(&api.ask(unready, "start").await).await;
    wait::until(BACK, "the second failure", async || {
        let server = get(&api, unready).await;
        (server["status"] == "failed" && server["restart"] == json!({ "at": null, "attempt": 1, "of": 1 }))
            .then_some(())
    })
    .await;
    assert_eq!(orders(&sql, unready).await, 1);
    let told = notices(&sql).await;
    let [only] = told.as_slice() else { panic!("{told:?}") };
    let says = "not ready within 1 s; it was started again once within 10m, so it stays down until somebody starts it";
    assert!(only.starts_with("operation_failed: ") && only.contains(says), "{only}");
    let counted = api.metric("agis_bot_supervisor_restarts_total{outcome=\"given_up\"}").await;
    assert!((counted - 1.0).abs() < 0.1, "{counted}");

    let crash_only = api.server("crash only", "unready").await;
    set(&api, crash_only, json!({ "on": "crash" })).await;
    api.ended(&api.ask(crash_only, "start").await).await;
    assert_eq!(get(&api, crash_only).await["restart"], json!(null), "a start that failed is no crash");
}

#[tokio::test]
async fn after_a_reboot_few_start_at_a_time() {
    const SERVERS: i64 = 6;
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let api = stack.api(&[]).await;
    let mut servers = vec![];
    for number in 0..SERVERS {
        servers.push(mortal(&api, &format!("number {number}"), json!({ "on": "crash" })).await);
    }
    let stopped = mortal(&api, "stopped", json!({ "on": "crash" })).await;
    api.act(stopped, "stop").await;
    api.kill();
    for server in &servers {
        let shim = pid(&stack, *server, "shim").await;
        signal(shim, "KILL");
        wait::until(SOON, "the shim to end", async || (!is_alive(shim)).then_some(())).await;
    }
    let settings = [("BOOT_CONCURRENCY", "2")];
    let (one, _two) = (stack.api(&settings).await, stack.api(&settings).await);
    for server in &servers {
        until_back(&stack, *server, 2).await;
        one.until_status(*server, "running").await;
    }
    let together = "select max(open) from (
                        select (select count(*) from operations b
                                where b.origin = 'supervisor' and b.created_at <= a.created_at
                                  and b.finished_at > a.created_at) as open
                        from operations a where a.origin = 'supervisor') counts";
    assert!((1..=2).contains(&fleet::one::<i64>(&sql, together).await));
    let all = "select count(*) from operations where origin = 'supervisor'";
    assert_eq!(fleet::one::<i64>(&sql, all).await, SERVERS);
    assert_eq!(get(&one, stopped).await["status"], "stopped");
    fleet::assert_one_copy_each(&stack, &servers, 2).await;
}

#[tokio::test]
async fn each_crash_has_one_restart_however_processes_die() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let first = stack.api(&[]).await;
    let server = mortal(&first, "hunted", json!({ "on": "crash", "max": 50 })).await;
    let mut apis = vec![first, stack.api(&[]).await];
    // Kills come at other steps: before the crash is seen, while the restart waits, while it is carried out.
    for (crash, delay) in [0, 300, 1100, 1400, 700].into_iter().enumerate() {
        kill(&stack, &apis[1], server, i64::try_from(crash).expect("a number") + 1).await;
        // A streak would make the waits longer.
        tokio::time::sleep(Duration::from_millis(delay)).await;
        apis.remove(0).kill();
        apis.push(stack.api(&[fleet::SHORT_LEASE]).await);
        until_back(&stack, server, i64::try_from(crash).expect("a number") + 2).await;
        apis[1].until_status(server, "running").await;
        let fresh = format!("update game_servers set restarts = '{{}}' where id = {server}");
        sql.batch_execute(&fresh).await.expect("a new streak");
    }
    assert_eq!(orders(&sql, server).await, 5);
    fleet::assert_one_copy_each(&stack, &[server], 6).await;
}

#[tokio::test]
async fn policy_is_merged_checked_and_taken_back() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("choosy", "demo").await;
    let default = json!({ "on": "never", "max": 5, "within": "10m", "stable_after": "5m" });
    assert_eq!(get(&api, server).await["restart_policy"], default);
    set(&api, server, json!({ "on": "always" })).await;
    let changed = set(&api, server, json!({ "max": 50, "within": "1h 30m" })).await;
    let both = json!({ "on": "always", "max": 50, "within": "1h 30m", "stable_after": "5m" });
    assert_eq!(changed["restart_policy"], both);
    let path = format!("/api/v1/servers/{server}");
    for (policy, says) in [
        (json!({ "max": 0 }), "from 1 to 50"),
        (json!({ "max": 51 }), "from 1 to 50"),
        (json!({ "max": -1 }), "from 1 to 50"),
        (json!({ "max": "5" }), "whole number"),
        (json!({ "on": "sometimes" }), "crash, always, never"),
        (json!({ "within": "soon" }), "restart_policy.within: must be a time"),
        (json!({ "within": "0s" }), "within must be from 1s to 24h"),
        (json!({ "stable_after": "25h" }), "stable_after must be"),
        (json!({ "backoff": 3 }), "backoff: is unknown"),
        (json!("crash"), "restart_policy"),
    ] {
        let answer = api.call("PATCH", &path, Some(json!({ "restart_policy": policy }))).await;
        let status = answer.status.as_u16();
        assert!(matches!(status, 400 | 422), "{policy}: {status}");
        let body = answer.body;
        assert!(body["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{policy}: {body}");
    }
    assert_eq!(get(&api, server).await["restart_policy"], both, "nothing was changed");
    assert_eq!(set(&api, server, json!(null)).await["restart_policy"], default);
}

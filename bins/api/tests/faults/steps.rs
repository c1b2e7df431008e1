//! Runs with steps: each step once, in order, whatever dies.

use std::time::{Duration, Instant};

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::{
    common::{Api, OWNER, SOON, STRANGER, Stack},
    fleet,
};

pub(crate) const SCHEDULES: &str = "/api/v1/schedules";
/// A run of several operations, on a busy machine.
const LONG: Duration = Duration::from_secs(90);

/// Makes a schedule that fires in no test by itself.
pub(crate) async fn schedule(api: &Api, server: i64, work: Value) -> String {
    let mut body = json!({ "server_id": server, "cron_expression": "0 0 1 1 *", "enabled": false });
    body.as_object_mut().expect("an object").extend(work.as_object().expect("an object").clone());
    format!("{SCHEDULES}/{}", api.post(SCHEDULES, body).await.expect(201)["id"])
}

/// Runs a schedule now, and returns the path of the run.
pub(crate) async fn run(api: &Api, schedule: &str) -> String {
    let run = api.post(&format!("{schedule}/run"), json!({})).await.expect(202);
    format!("{schedule}/runs/{}", run["slot"].as_str().expect("a slot"))
}

pub(crate) async fn ended(api: &Api, run: &str) -> Value {
    wait::until(LONG, "the run to end", async || {
        let run = api.get(run).await.expect(200);
        (run["state"] != "pending").then_some(run)
    })
    .await
}

pub(crate) async fn until_step(api: &Api, run: &str, place: usize, outcome: &str) {
    wait::until(LONG, "the step", async || {
        (api.get(run).await.expect(200)["steps"][place]["outcome"] == outcome).then_some(())
    })
    .await;
}

pub(crate) fn outcomes(run: &Value) -> Vec<&str> {
    run["steps"].as_array().expect("steps").iter().map(|step| step["outcome"].as_str().expect("a word")).collect()
}

pub(crate) fn ending(run: &Value) -> (&str, &str) {
    (run["state"].as_str().expect("a state"), run["reason"].as_str().unwrap_or_default())
}

pub(crate) async fn running(api: &Api, name: &str) -> i64 {
    let server = api.server(name, "demo").await;
    api.act(server, "start").await;
    server
}

pub(crate) async fn status(api: &Api, server: i64) -> Value {
    api.get(&format!("/api/v1/servers/{server}")).await.expect(200)["status"].take()
}

#[tokio::test]
async fn step_begins_when_the_one_before_has_ended() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "chain").await;
    let steps = json!([
        { "do": "command", "command": "hello" }, { "do": "wait", "seconds": 1 }, { "do": "stop" },
        { "do": "wait_until", "state": "stopped", "at_most": "30s" }, { "do": "start" },
        { "do": "wait_until", "state": "ready", "at_most": "30s" },
    ]);
    let path = run(&api, &schedule(&api, server, json!({ "steps": steps })).await).await;
    let run = ended(&api, &path).await;
    assert_eq!((ending(&run), outcomes(&run)), (("succeeded", ""), vec!["succeeded"; 6]), "{run}");
    let times = |field: &str| -> Vec<String> {
        run["steps"]
            .as_array()
            .expect("steps")
            .iter()
            .map(|step| step[field].as_str().expect("a time").to_owned())
            .collect()
    };
    let (begun, ended) = (times("started_at"), times("ended_at"));
    assert!(begun.iter().skip(1).zip(&ended).all(|(begun, before)| begun >= before), "{run}");
    for place in [2, 4] {
        let operation = run["steps"][place]["operation_id"].as_str().expect("an operation");
        assert_eq!(api.ended(operation).await["origin"], "schedule");
    }
    let commands = api.get(&format!("/api/v1/servers/{server}/commands")).await.expect(200);
    assert_eq!(
        (commands["items"].as_array().map(Vec::len), &commands["items"][0]["origin"]),
        (Some(1), &json!("schedule"))
    );
    assert_eq!(status(&api, server).await, "running");
}

/// Each of them gives the others a turn, and then goes on.
#[tokio::test]
async fn commands_follow_each_other_at_once() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "chain").await;
    let steps = vec![json!({ "do": "command", "command": "hello" }); 8];
    let schedule = schedule(&api, server, json!({ "steps": steps })).await;
    let began = Instant::now();
    let path = run(&api, &schedule).await;
    assert_eq!(ending(&ended(&api, &path).await), ("succeeded", ""));
    assert!(began.elapsed() < Duration::from_secs(15), "a run rests between two commands: {:?}", began.elapsed());
}

#[tokio::test]
async fn failure_leads_to_the_last_steps() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "chain").await;
    let work = json!({
        "steps": [
            { "do": "say", "text": "the demo game has no such command", "on_error": "continue" },
            { "do": "wait_until", "state": "stopped", "at_most": "1s" }, { "do": "stop" },
        ],
        "finally": [{ "do": "command", "command": "bye" }],
    });
    let path = run(&api, &schedule(&api, server, work).await).await;
    let run = ended(&api, &path).await;
    assert_eq!(ending(&run), ("failed", "step 2 (wait_until): the server was not stopped within 1s"), "{run}");
    assert_eq!(outcomes(&run)[1..], ["failed", "skipped", "succeeded"], "{run}");
    assert_eq!(status(&api, server).await, "running");
}

#[tokio::test]
async fn stop_by_a_person_ends_the_run() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "chain").await;
    let steps = json!([{ "do": "wait", "seconds": 3600 }, { "do": "restart" }]);
    let schedule = schedule(&api, server, json!({ "steps": steps, "finally": [{ "do": "start" }] })).await;
    let path = run(&api, &schedule).await;
    until_step(&api, &path, 0, "running").await;
    api.act(server, "stop").await;
    let run = ended(&api, &path).await;
    assert_eq!((ending(&run), outcomes(&run)), (("skipped", "ended_by_stop"), vec!["skipped"; 3]), "{run}");
    assert_eq!(status(&api, server).await, "stopped");
}

#[tokio::test]
async fn cancelled_run_does_nothing_more() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "chain").await;
    let schedule = schedule(&api, server, json!({ "steps": [{ "do": "restart", "warn": ["1h"] }] })).await;
    let path = run(&api, &schedule).await;
    until_step(&api, &path, 1, "running").await;
    api.post(&format!("{path}/cancel"), json!({})).await.expect(202);
    assert_eq!(ending(&ended(&api, &path).await), ("skipped", "cancelled"));
    assert_eq!(api.post(&format!("{path}/cancel"), json!({})).await.expect(409)["code"], "run_ended");
}

#[tokio::test]
async fn run_asks_whether_it_may_begin() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("chain", "demo").await;
    let refused = async |work: Value| {
        let schedule = schedule(&api, server, work).await;
        let answer = api.post(&format!("{schedule}/run"), json!({})).await.expect(409);
        assert_eq!(answer["code"], "condition_not_met");
        answer["detail"].as_str().expect("a sentence").to_owned()
    };
    for work in [
        json!({ "action": "restart" }),
        json!({ "action": "stop" }),
        json!({ "steps": [{ "do": "restart", "warn": ["5m"] }] }),
    ] {
        assert!(refused(work).await.contains("its server was stopped"));
    }
    api.act(server, "start").await;
    let empty = json!({ "action": "restart", "when": { "players": "empty" } });
    assert!(refused(empty).await.contains("nobody knows whether people play"));
    let schedule =
        schedule(&api, server, json!({ "action": "restart", "when": { "players": "empty", "defer": "2h" } })).await;
    let path = run(&api, &schedule).await;
    assert_eq!(api.get(&path).await.expect(200)["state"], "pending", "it waits for the players to leave");
    assert_eq!(api.get(&schedule).await.expect(200)["when"]["server"], "running", "a condition about players keeps it");
    api.act(server, "stop").await;
    assert_eq!(ending(&ended(&api, &path).await), ("skipped", "ended_by_stop"));
    assert_eq!(status(&api, server).await, "stopped");
}

#[tokio::test]
async fn nightly_restart_leaves_a_stopped_server_alone() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("night", "demo").await;
    let sql = stack.sql().await;
    for work in [json!({ "action": "restart" }), json!({ "steps": [{ "do": "restart", "on_error": "continue" }] })] {
        let schedule = schedule(&api, server, work).await;
        api.call("PATCH", &schedule, Some(json!({ "enabled": true }))).await.expect(200);
        let id = schedule.rsplit('/').next().expect("an id");
        let due = format!(
            "update server_schedules set next_run = date_trunc('second', now()), zone_version = '9999z' where id = {id}; notify agis_schedules"
        );
        sql.batch_execute(&due).await.expect("a due schedule");
        let run = wait::until(SOON, "the run", async || {
            let runs = api.get(&format!("{schedule}/runs")).await.expect(200);
            runs["items"].as_array()?.iter().find(|run| run["reason"] == "server_stopped").cloned()
        })
        .await;
        assert_eq!(run["state"], "skipped");
    }
    assert_eq!(status(&api, server).await, "stopped");
}

#[tokio::test]
async fn schedule_of_one_instant_fires_once() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "once").await;
    let now: String = {
        let now = "select to_char(now() at time zone 'UTC' + interval '4 seconds', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
        stack.sql().await.query_one(now, &[]).await.expect("a time").get(0)
    };
    let body = json!({ "server_id": server, "at": now, "action": "restart" });
    let made = api.post(SCHEDULES, body).await.expect(201);
    assert_eq!(
        (&made["cron_expression"], made["next_runs"].as_array().map(Vec::len)),
        (&Value::Null, Some(1)),
        "{made}"
    );
    let path = format!("{SCHEDULES}/{}", made["id"]);
    let run = wait::until(LONG, "the run to succeed", async || {
        let runs = api.get(&format!("{path}/runs")).await.expect(200);
        runs["items"].as_array()?.iter().find(|run| run["state"] == "succeeded").cloned()
    })
    .await;
    assert_eq!(run["slot"], now.as_str());
    let after = api.get(&path).await.expect(200);
    assert_eq!((&after["enabled"], &after["disabled_reason"]), (&json!(false), &json!("its run has begun")), "{after}");
    let late = json!({ "server_id": server, "at": "2020-01-01T00:00:00Z", "action": "restart" });
    api.post(SCHEDULES, late).await.expect(422);
}

#[tokio::test]
async fn overlapping_runs_follow_their_policy() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "chain").await;
    let waits = |overlap: &str| json!({ "steps": [{ "do": "wait", "seconds": 3600 }], "overlap": overlap });
    let skips = schedule(&api, server, waits("skip")).await;
    run(&api, &skips).await;
    let refused = api.post(&format!("{skips}/run"), json!({})).await.expect(409);
    assert_eq!(refused["detail"], "the schedule does not run now: an earlier run has not ended");

    let replaces = schedule(&api, server, waits("replace")).await;
    let first = run(&api, &replaces).await;
    until_step(&api, &first, 0, "running").await;
    let second = run(&api, &replaces).await;
    assert_eq!(ending(&ended(&api, &first).await), ("skipped", "replaced"));
    until_step(&api, &second, 0, "running").await;

    let queues = schedule(&api, server, waits("queue_one")).await;
    let first = run(&api, &queues).await;
    until_step(&api, &first, 0, "running").await;
    let (second, third) = (run(&api, &queues).await, run(&api, &queues).await);
    assert_eq!(ending(&ended(&api, &third).await), ("skipped", "overlap"));
    api.post(&format!("{first}/cancel"), json!({})).await.expect(202);
    until_step(&api, &second, 0, "running").await;
}

#[tokio::test]
async fn killed_processes_do_no_step_twice() {
    let stack = Stack::start().await;
    let one = stack.api(&[]).await;
    let server = running(&one, "chain").await;
    let round = [json!({ "do": "command", "command": "hello", "on_error": "continue" }), json!({ "do": "restart" })];
    let steps: Vec<_> = std::iter::repeat_n(round, 4).flatten().collect();
    let path = run(&one, &schedule(&one, server, json!({ "steps": steps })).await).await;
    let (mut doomed, survivor) = (one, stack.api(&[]).await);
    for milliseconds in [0, 200, 500, 900, 50, 700] {
        doomed.kill();
        doomed = stack.api(&[]).await;
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
    let run = ended(&survivor, &path).await;
    assert_eq!(ending(&run), ("succeeded", ""), "{run}");
    let sql = stack.sql().await;
    let restarts = format!("select count(*) from operations where server_id = {server} and action = 'restart'");
    assert_eq!(fleet::one::<i64>(&sql, &restarts).await, 4, "{run}");
    let sent: i64 = fleet::one(&sql, &format!("select count(*) from server_commands where server_id = {server}")).await;
    let done = outcomes(&run).iter().step_by(2).filter(|outcome| **outcome == "succeeded").count();
    assert!(sent <= 4 && i64::try_from(done).expect("few") <= sent, "{sent} commands: {run}");
    doomed.kill();
}

#[tokio::test]
async fn run_that_waits_for_another_is_ended_by_a_stop() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "chain").await;
    let steps = json!([{ "do": "start" }, { "do": "wait", "seconds": 3600 }]);
    let schedule = schedule(&api, server, json!({ "steps": steps, "overlap": "queue_one" })).await;
    let first = run(&api, &schedule).await;
    until_step(&api, &first, 1, "running").await;
    let second = run(&api, &schedule).await;
    api.act(server, "stop").await;
    for path in [first, second] {
        assert_eq!(ending(&ended(&api, &path).await), ("skipped", "ended_by_stop"));
    }
    assert_eq!(status(&api, server).await, "stopped");
}

#[tokio::test]
async fn disabled_schedule_ends_the_run_that_has_not_begun() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "chain").await;
    let work = json!({ "action": "restart", "enabled": true, "when": { "players": "empty", "defer": "2h" } });
    let schedule = schedule(&api, server, work).await;
    let path = run(&api, &schedule).await;
    api.call("PATCH", &schedule, Some(json!({ "enabled": false }))).await.expect(200);
    assert_eq!(ending(&ended(&api, &path).await), ("skipped", "schedule_changed"));
}

#[tokio::test]
async fn steps_of_a_newer_version_stop_nobody_else() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("chain", "demo").await;
    let newer = schedule(&api, server, json!({ "steps": [{ "do": "wait", "seconds": 1 }], "enabled": true })).await;
    let both = json!([{ "do": "wait", "seconds": 1 }, { "do": "start" }]);
    let ours = schedule(&api, server, json!({ "steps": both, "enabled": true })).await;
    let begun = run(&api, &schedule(&api, server, json!({ "steps": [{ "do": "wait", "seconds": 3600 }] })).await).await;
    until_step(&api, &begun, 0, "running").await;
    let id = newer.rsplit_once('/').expect("an id").1;
    // In the order in which the program locks them, since it runs.
    let unreadable = format!(
        "update server_schedules set work = '{{\"steps\": [{{\"deed\": {{\"backup\": {{}}}}}}]}}' where id = {id};
         update server_schedules set cron_expression = null, at = now(), next_run = now() where enabled;
         update schedule_runs set look_at = now();
         update schedule_run_steps set step = '{{\"deed\": {{\"backup\": {{}}}}}}'"
    );
    stack.sql().await.batch_execute(&unreadable).await.expect("rows of a newer version");
    wait::until(SOON, "our run", async || {
        let runs = api.get(&format!("{ours}/runs")).await.expect(200);
        (runs["items"][0]["state"] == "succeeded").then_some(())
    })
    .await;
    let list = api.get(&format!("/api/v1/servers/{server}/schedules?limit=2")).await.expect(200);
    assert_eq!((list["items"].as_array().map(Vec::len), list["next_cursor"].is_null()), (Some(2), false), "{list}");
    assert_eq!(api.get(&newer).await.expect(200)["steps"], json!([]));
    api.call("PATCH", &newer, Some(json!({ "enabled": false }))).await.expect(200);
    let kept = format!("select work::text like '%backup%' from server_schedules where id = {id}");
    assert!(stack.sql().await.query_one(&kept, &[]).await.expect("a row").get::<_, bool>(0), "nothing is lost");
    api.call("DELETE", &newer, None).await.expect(204);
}

#[tokio::test]
async fn changes_at_once_are_all_kept() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("chain", "demo").await;
    let schedule =
        schedule(&api, server, json!({ "steps": [{ "do": "start" }, { "do": "wait", "seconds": 5 }] })).await;
    let change = async |body: Value| api.call("PATCH", &schedule, Some(body)).await.expect(200);
    tokio::join!(
        change(json!({ "overlap": "replace" })),
        change(json!({ "when": { "players": "empty" } })),
        change(json!({ "finally": [{ "do": "stop" }] })),
    );
    let changed = api.get(&schedule).await.expect(200);
    assert_eq!(
        (&changed["overlap"], &changed["when"]["players"], &changed["finally"][0]["do"]),
        (&json!("replace"), &json!("empty"), &json!("stop")),
    );
    let reset = change(json!({ "when": null, "steps": [{ "do": "restart" }] })).await;
    assert_eq!((&reset["when"]["server"], &reset["when"]["players"]), (&json!("running"), &json!("any")));
    for body in [json!({ "timezone": "Mars/Phobos" }), json!({ "at": "2030-01-01T00:00:00Z", "timezone": "UTC" })] {
        api.call("PATCH", &schedule, Some(body)).await.expect(422);
    }
}

#[tokio::test]
async fn key_for_schedules_alone_types_no_commands() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "chain").await;
    let narrow = stack.make_key(OWNER, &["--scope", "write:schedules"]);
    let body = |steps: Value| json!({ "server_id": server, "cron_expression": "0 0 1 1 *", "steps": steps });
    let command = json!([{ "do": "command", "command": "op evil" }]);
    let refused = api.call_as(Some(&narrow), "POST", SCHEDULES, Some(body(command.clone()))).await.expect(403);
    assert_eq!(refused["code"], "missing_scope");
    let made = api.call_as(Some(&narrow), "POST", SCHEDULES, Some(body(json!([{ "do": "start" }])))).await.expect(201);
    let path = format!("{SCHEDULES}/{}", made["id"]);
    api.call_as(Some(&narrow), "PATCH", &path, Some(json!({ "steps": command }))).await.expect(403);
    api.call("PATCH", &path, Some(json!({ "steps": command }))).await.expect(200);
    api.call_as(Some(&narrow), "POST", &format!("{path}/run"), Some(json!({}))).await.expect(403);
}

#[tokio::test]
async fn failing_schedule_is_told_to_its_maker_once() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("chain", "demo").await;
    let neighbour = stack.make_key(STRANGER, &[]);
    let share = json!({ "kind": "member", "grantee": STRANGER, "permissions": ["schedule", "console"] });
    let shares = format!("/api/v1/servers/{server}/shares");
    assert!(api.call("PUT", &shares, Some(share)).await.status.is_success());
    let work = json!({ "server_id": server, "cron_expression": "0 0 1 1 *", "enabled": false,
                       "steps": [{ "do": "command", "command": "nobody reads this" }] });
    let made = api.call_as(Some(&neighbour), "POST", SCHEDULES, Some(work)).await.expect(201);
    let schedule = format!("{SCHEDULES}/{}", made["id"]);
    for _ in 0..3 {
        let begun =
            api.call_as(Some(&neighbour), "POST", &format!("{schedule}/run"), Some(json!({}))).await.expect(202);
        let path = format!("{schedule}/runs/{}", begun["slot"].as_str().expect("a slot"));
        wait::until(SOON, "the run to fail", async || {
            let run = api.call_as(Some(&neighbour), "GET", &path, None).await.expect(200);
            (run["state"] == "failed").then_some(())
        })
        .await;
    }
    let told = "select string_agg(recipient, ', ') from notices where kind = 'run_failed'";
    let told: String = stack.sql().await.query_one(told, &[]).await.expect("a line").get(0);
    assert_eq!(told, STRANGER, "and the owner's notices keep their places");
}

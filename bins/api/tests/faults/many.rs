//! Schedules for a label: a run on each server, by the schedule's pace, whatever dies.

use std::time::{Duration, Instant};

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::{
    common::{Api, OWNER, SOON, STRANGER, Stack},
    fleet,
};

const SCHEDULES: &str = "/api/v1/schedules";
/// A run of several operations, on a busy machine.
const LONG: Duration = Duration::from_secs(90);

async fn labelled(api: &Api, key: &str, name: &str, runs: bool) -> i64 {
    let body = json!({ "name": name, "game_type": "demo", "labels": ["eu"] });
    let made = api.call_as(Some(key), "POST", "/api/v1/servers", Some(body)).await.expect(201);
    let id = made["id"].as_i64().expect("an id");
    if runs {
        let path = format!("/api/v1/servers/{id}");
        api.call_as(Some(key), "POST", &format!("{path}/start"), Some(json!({}))).await.expect(202);
        wait::until(SOON, "the server to run", async || {
            let server = api.call_as(Some(key), "GET", &path, None).await.expect(200);
            (server["status"] == "running").then_some(())
        })
        .await;
    }
    id
}

/// Makes a schedule for the label that fires in no test by itself.
async fn schedule(api: &Api, key: &str, more: Value) -> String {
    let mut body = json!({ "label": "EU", "cron_expression": "0 0 1 1 *", "enabled": false });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let made = api.call_as(Some(key), "POST", SCHEDULES, Some(body)).await.expect(201);
    assert_eq!((&made["label"], &made["server_id"]), (&json!("eu"), &Value::Null), "{made}");
    format!("{SCHEDULES}/{}", made["id"])
}

/// Runs a schedule now, and returns the path of the run.
async fn run(api: &Api, key: &str, schedule: &str) -> String {
    let path = format!("{schedule}/run");
    let run = api.call_as(Some(key), "POST", &path, Some(json!({}))).await.expect(202);
    format!("{schedule}/runs/{}", run["slot"].as_str().expect("a slot"))
}

async fn ended(api: &Api, key: &str, run: &str) -> Value {
    wait::until(LONG, "the run to end", async || {
        let run = api.call_as(Some(key), "GET", run, None).await.expect(200);
        (run["state"] != "pending").then_some(run)
    })
    .await
}

async fn until_begun(api: &Api, key: &str, run: &str) -> Value {
    wait::until(SOON, "the first turn", async || {
        let run = api.call_as(Some(key), "GET", run, None).await.expect(200);
        run["servers"][0]["started_at"].is_string().then_some(run)
    })
    .await
}

fn servers(run: &Value) -> Value {
    let servers = run["servers"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    servers.map(|part| json!([part["name"], part["state"], part["reason"]])).collect()
}

#[tokio::test]
async fn each_server_has_a_run_by_its_own_condition() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let key = stack.make_key(STRANGER, &[]);
    labelled(&api, &key, "runs", true).await;
    labelled(&api, &key, "stopped", false).await;
    let anothers = labelled(&api, &stack.key, "another's", true).await;
    labelled(&api, &stack.key, "unseen", false).await;
    let sql = stack.sql().await;
    let share = format!(
        "insert into server_shares (server_id, kind, grantee_id, permissions, granted_by)
         values ({anothers}, 'member', '{STRANGER}', '{{read,start}}', '{OWNER}')"
    );
    sql.batch_execute(&share).await.expect("a share");
    let schedule = schedule(&api, &key, json!({ "action": "restart" })).await;
    let path = run(&api, &key, &schedule).await;
    let run = ended(&api, &key, &path).await;
    let expected = json!([
        ["runs", "succeeded", null],
        ["stopped", "skipped", "server_stopped"],
        ["another's", "skipped", "not_allowed"]
    ]);
    assert_eq!(servers(&run), expected, "{run}");
    assert_eq!((&run["action"], &run["reason"]), (&json!("servers"), &json!("skipped on 2 of 3 servers")));

    let part = format!("{schedule}/runs/{}", run["servers"][0]["slot"].as_str().expect("a slot"));
    let part = api.call_as(Some(&key), "GET", &part, None).await.expect(200);
    assert_eq!((&part["steps"][0]["do"], &part["steps"][0]["outcome"]), (&json!("restart"), &json!("succeeded")));
    let history = api.call_as(Some(&key), "GET", &format!("{schedule}/runs"), None).await.expect(200);
    assert_eq!(history["items"].as_array().map(Vec::len), Some(1), "{history}");
    api.get(&schedule).await.expect(404);
}

#[tokio::test]
async fn due_run_waits_for_its_turns() {
    let stack = Stack::start().await;
    let (api, _other) = (stack.api(&[]).await, stack.api(&[]).await);
    for name in ["a", "b", "c"] {
        labelled(&api, &stack.key, name, false).await;
    }
    let work = json!({ "action": "start", "at_most": 1, "stagger": "1s", "enabled": true });
    let schedule = schedule(&api, &stack.key, work).await;
    let sql = stack.sql().await;
    let due = "update server_schedules set next_run = date_trunc('second', now()), zone_version = '9999z';
               notify agis_schedules";
    sql.batch_execute(due).await.expect("a due schedule");
    let runs = wait::until(SOON, "the run", async || {
        let runs = api.get(&format!("{schedule}/runs")).await.expect(200);
        (!runs["items"].as_array()?.is_empty()).then_some(runs)
    })
    .await;
    let path = format!("{schedule}/runs/{}", runs["items"][0]["slot"].as_str().expect("a slot"));
    let run = ended(&api, &stack.key, &path).await;
    let expected = json!([["a", "succeeded", null], ["b", "succeeded", null], ["c", "succeeded", null]]);
    assert_eq!((servers(&run), &run["state"]), (expected, &json!("succeeded")), "{run}");
    let times = |field: &str| -> Vec<String> {
        let parts = run["servers"].as_array().expect("servers").iter();
        parts.map(|part| part[field].as_str().expect("a time").to_owned()).collect()
    };
    let (begun, ended) = (times("started_at"), times("ended_at"));
    assert!(begun.iter().skip(1).zip(&ended).all(|(begun, before)| begun >= before), "{run}");
}

#[tokio::test]
async fn killed_processes_order_no_server_twice() {
    let stack = Stack::start().await;
    let one = stack.api(&[]).await;
    for name in ["a", "b", "c", "d"] {
        labelled(&one, &stack.key, name, true).await;
    }
    let steps = json!([{ "do": "restart" }, { "do": "wait", "seconds": 1 }, { "do": "restart" }]);
    let schedule = schedule(&one, &stack.key, json!({ "steps": steps, "at_most": 2 })).await;
    let path = run(&one, &stack.key, &schedule).await;
    let (mut doomed, survivor) = (one, stack.api(&[]).await);
    for milliseconds in [0, 200, 500, 900, 50, 700] {
        doomed.kill();
        doomed = stack.api(&[]).await;
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
    let run = ended(&survivor, &stack.key, &path).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    let sql = stack.sql().await;
    let each = "select coalesce(string_agg(n::text, ' '), '') from
                    (select count(*) as n from operations where action = 'restart' group by server_id) counts";
    assert_eq!(fleet::one::<String>(&sql, each).await, "2 2 2 2", "{run}");
    doomed.kill();
}

#[tokio::test]
async fn cancelled_run_leaves_the_rest_alone() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    for name in ["a", "b"] {
        labelled(&api, &stack.key, name, false).await;
    }
    let steps = json!([{ "do": "wait", "seconds": 3600 }]);
    let waits = schedule(&api, &stack.key, json!({ "steps": steps, "stagger": "1h" })).await;
    let path = run(&api, &stack.key, &waits).await;
    let begun = until_begun(&api, &stack.key, &path).await;
    assert_eq!((&begun["servers"][1]["state"], &begun["servers"][1]["started_at"]), (&json!("pending"), &Value::Null));
    let overlapping = api.post(&format!("{waits}/run"), json!({})).await.expect(409);
    assert_eq!(overlapping["code"], "condition_not_met", "{overlapping}");
    assert!(overlapping["detail"].as_str().is_some_and(|it| it.contains("an earlier run has not ended")));
    api.post(&format!("{path}/cancel"), json!({})).await.expect(202);
    let run = ended(&api, &stack.key, &path).await;
    assert_eq!((&run["state"], &run["reason"]), (&json!("skipped"), &json!("cancelled")));
    assert_eq!(servers(&run), json!([["a", "skipped", "cancelled"], ["b", "skipped", "cancelled"]]));
}

#[tokio::test]
async fn change_ends_the_turns_to_come() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let key = stack.key.clone();
    for name in ["first", "second"] {
        labelled(&api, &key, name, false).await;
    }
    for (change, at_most) in
        [(json!({ "enabled": false }), 1), (json!({ "steps": [{ "do": "wait", "seconds": 9 }] }), 1)]
    {
        let steps = json!([{ "do": "start" }, { "do": "wait", "seconds": 3 }, { "do": "stop" }]);
        let schedule = schedule(&api, &key, json!({ "steps": steps, "at_most": at_most })).await;
        let path = run(&api, &key, &schedule).await;
        let first = until_begun(&api, &key, &path).await["servers"][0]["slot"].take();
        let part = format!("{schedule}/runs/{}", first.as_str().expect("a slot"));
        wait::until(LONG, "the start", async || {
            (api.get(&part).await.expect(200)["steps"][1]["outcome"] == "running").then_some(())
        })
        .await;
        api.call("PATCH", &schedule, Some(change)).await.expect(200);
        let run = ended(&api, &key, &path).await;
        let expected = json!([["first", "succeeded", null], ["second", "skipped", "schedule_changed"]]);
        assert_eq!(servers(&run), expected, "one that has acted goes on");
        assert_eq!(run["servers"][1]["started_at"], Value::Null);
    }
}

#[tokio::test]
async fn turns_of_the_night_are_missed_in_the_evening() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let key = stack.key.clone();
    for name in ["first", "second", "third"] {
        labelled(&api, &key, name, false).await;
    }
    let work = json!({ "steps": [{ "do": "start" }], "stagger": "1h" });
    let path = run(&api, &key, &schedule(&api, &key, work).await).await;
    wait::until(SOON, "the first server", async || {
        let run = api.get(&path).await.expect(200);
        (run["servers"][0]["state"] == "succeeded").then_some(())
    })
    .await;
    let passed = "update schedule_runs set look_at = look_at - interval '6 hours' where action = 'servers'";
    stack.sql().await.batch_execute(passed).await.expect("hours");
    let run = ended(&api, &key, &path).await;
    let missed = |name: &str| json!([name, "missed", "scheduler_unavailable"]);
    assert_eq!(servers(&run), json!([["first", "succeeded", null], missed("second"), missed("third")]));
}

#[tokio::test]
async fn failed_run_is_told_once() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let key = stack.key.clone();
    for name in ["first", "second", "third"] {
        labelled(&api, &key, name, false).await;
    }
    // The owner of another server that carries the label hears of it, too.
    let theirs = stack.make_key(STRANGER, &[]);
    for name in ["theirs", "theirs too"] {
        let shares = format!("/api/v1/servers/{}/shares", labelled(&api, &theirs, name, false).await);
        let share = json!({ "kind": "member", "grantee": OWNER, "permissions": ["schedule", "console"] });
        assert!(api.call_as(Some(&theirs), "PUT", &shares, Some(share)).await.status.is_success());
    }
    let steps = json!([{ "do": "command", "command": "nobody reads this" }]);
    let schedule = schedule(&api, &key, json!({ "steps": steps })).await;
    let run = ended(&api, &key, &run(&api, &key, &schedule).await).await;
    assert_eq!((&run["state"], &run["reason"]), (&json!("failed"), &json!("failed on 5 of 5 servers")));
    let told =
        "select string_agg(recipient || ' ' || server_name || ' ' || action || ': ' || reason, ', ' order by server_id)
                from notices where kind = 'run_failed'";
    let told: String = fleet::one(&stack.sql().await, told).await;
    let id = schedule.rsplit_once('/').expect("an id").1;
    let line = |of: &str, server: &str| format!("{of} {server} schedule {id} for eu: failed on 5 of 5 servers");
    assert_eq!(told, [line(OWNER, "first"), line(STRANGER, "theirs")].join(", "));
}

/// Others of their owner do not wait for a lease to end.
#[tokio::test]
async fn many_runs_are_called_off_at_once() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let key = stack.key.clone();
    for name in 0..9 {
        labelled(&api, &key, &format!("server {name}"), false).await;
    }
    let schedule = schedule(&api, &key, json!({ "steps": [{ "do": "wait", "seconds": 900 }] })).await;
    let path = run(&api, &key, &schedule).await;
    wait::until(LONG, "all to begin", async || {
        let run = api.get(&path).await.expect(200);
        let servers = run["servers"].as_array().map(Vec::as_slice).unwrap_or_default();
        (servers.len() == 9 && servers.iter().all(|part| part["started_at"].is_string())).then_some(())
    })
    .await;
    let began = Instant::now();
    api.post(&format!("{path}/cancel"), json!({})).await.expect(202);
    ended(&api, &key, &path).await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test]
async fn stop_by_a_person_ends_the_run_on_that_server() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (one, _) = (labelled(&api, &stack.key, "a", true).await, labelled(&api, &stack.key, "b", true).await);
    let steps = json!([{ "do": "wait", "seconds": 2 }, { "do": "restart" }]);
    let schedule = schedule(&api, &stack.key, json!({ "steps": steps })).await;
    let path = run(&api, &stack.key, &schedule).await;
    until_begun(&api, &stack.key, &path).await;
    wait::until(SOON, "both to begin", async || {
        let begun: i64 =
            fleet::one(&stack.sql().await, "select count(*) from schedule_run_steps where state = 'running'").await;
        (begun == 2).then_some(())
    })
    .await;
    api.act(one, "stop").await;
    let run = ended(&api, &stack.key, &path).await;
    assert_eq!(servers(&run), json!([["a", "skipped", "ended_by_stop"], ["b", "succeeded", null]]));
}

/// The next run has chosen no servers while the one before goes on.
#[tokio::test]
async fn stop_by_a_person_counts_for_the_queued_run() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (one, _) = (labelled(&api, &stack.key, "a", true).await, labelled(&api, &stack.key, "b", true).await);
    let steps = json!([{ "do": "wait", "seconds": 2 }, { "do": "restart" }]);
    let work = json!({ "steps": steps, "overlap": "queue_one", "when": { "server": "any" } });
    let schedule = schedule(&api, &stack.key, work).await;
    let (first, second) = (run(&api, &stack.key, &schedule).await, run(&api, &stack.key, &schedule).await);
    until_begun(&api, &stack.key, &first).await;
    api.act(one, "stop").await;
    for path in [first, second] {
        let run = ended(&api, &stack.key, &path).await;
        assert_eq!(servers(&run), json!([["a", "skipped", "ended_by_stop"], ["b", "succeeded", null]]), "{run}");
    }
    assert_eq!(api.get(&format!("/api/v1/servers/{one}")).await.expect(200)["status"], "stopped");
}

#[tokio::test]
async fn target_is_one_server_or_a_label() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = labelled(&api, &stack.key, "a", false).await;
    let whole = json!({ "action": "start", "cron_expression": "0 0 1 1 *" });
    for (field, more) in [
        ("server_id", json!({})),
        ("label", json!({ "server_id": server, "label": "eu" })),
        ("label", json!({ "label": "e u" })),
        ("at_most", json!({ "server_id": server, "at_most": 1 })),
        ("stagger", json!({ "server_id": server, "stagger": "1m" })),
        ("at_most", json!({ "label": "eu", "at_most": 101 })),
        ("stagger", json!({ "label": "eu", "stagger": "2h" })),
    ] {
        let mut body = whole.clone();
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let refused = api.post(SCHEDULES, body.clone()).await.expect(422);
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.starts_with(field)), "{body}: {refused}");
    }
    let narrow = stack.make_key(OWNER, &["--scope", &format!("write:schedules:{server}")]);
    let mut body = whole;
    body["label"] = json!("eu");
    api.call_as(Some(&narrow), "POST", SCHEDULES, Some(body.clone())).await.expect(403);
    let made = api.post(SCHEDULES, body).await.expect(201);
    let path = format!("{SCHEDULES}/{}", made["id"]);
    api.call_as(Some(&narrow), "GET", &path, None).await.expect(404);
    api.call("PATCH", &path, Some(json!({ "enabled": false }))).await.expect(200);
    let none = run(&api, &stack.key, &path).await;
    assert_eq!(servers(&ended(&api, &stack.key, &none).await), json!([["a", "succeeded", null]]));
    let body = json!({ "label": "nobody", "action": "start", "cron_expression": "0 0 1 1 *" });
    let lonely = api.post(SCHEDULES, body).await.expect(201);
    let path = format!("{SCHEDULES}/{}", lonely["id"]);
    let changed = api.call("PATCH", &path, Some(json!({ "enabled": true }))).await.expect(200);
    for schedule in [lonely, changed] {
        let warning =
            schedule["warnings"][0].as_str().is_some_and(|it| it.contains("no server of yours carries its label"));
        assert!(warning, "{schedule}");
    }
    let refused = api.post(&format!("{path}/run"), json!({})).await.expect(409);
    assert!(refused["detail"].as_str().is_some_and(|it| it.contains("no server of yours")), "{refused}");
}

#[tokio::test]
async fn templates_are_bodies_to_send() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = labelled(&api, &stack.key, "a", false).await;
    let templates = api.get(&format!("{SCHEDULES}/templates")).await.expect(200);
    let templates = templates["items"].as_array().expect("templates");
    let names: Vec<_> = templates.iter().map(|template| template["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["evenings", "nightly-restart", "weekly-reset"]);
    for template in templates {
        for body in template["schedules"].as_array().expect("bodies") {
            for (field, target) in [("server_id", json!(server)), ("label", json!("eu"))] {
                let mut body = body.clone();
                body[field] = target;
                let made = api.post(SCHEDULES, body.clone()).await.expect(201);
                assert_eq!((&made["steps"], &made["finally"]), (&body["steps"], &body["finally"]));
            }
        }
    }
}

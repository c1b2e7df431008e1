//! Schedules as integrators make, change and run them.

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::common::{Answer, Api, SOON, Stack};

const SCHEDULES: &str = "/api/v1/schedules";

async fn created(api: &Api, server: i64, cron: &str, zone: &str) -> Value {
    let body = json!({ "server_id": server, "action": "start", "cron_expression": cron, "timezone": zone });
    api.post(SCHEDULES, body).await.expect(201)
}

fn path_of(schedule: &Value) -> String {
    format!("{SCHEDULES}/{}", schedule["id"])
}

async fn patched(api: &Api, schedule: &Value, change: Value) -> Value {
    api.call("PATCH", &path_of(schedule), Some(change)).await.expect(200)
}

fn texts(values: &Value) -> Vec<&str> {
    values.as_array().expect("an array").iter().map(|value| value.as_str().expect("text")).collect()
}

/// The moment in UTC, as Postgres reads it.
async fn moment(stack: &Stack, time: &str) -> String {
    let query = "select to_char($1::text::timestamptz at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    stack.sql().await.query_one(query, &[&time]).await.expect("a time").get(0)
}

#[tokio::test]
async fn new_schedule_shows_its_next_five_runs() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("clockwork", "demo").await;
    // Zones without daylight saving, so that the test means the same all year.
    for (cron, zone, stored, clock) in [
        ("30  4 * * *", "asia/kolkata", "Asia/Kolkata", "T04:30:00+05:30"),
        ("0 12 * * mon", "America/Phoenix", "America/Phoenix", "T12:00:00-07:00"),
        ("@daily", "UTC", "UTC", "T00:00:00+00:00"),
    ] {
        let schedule = created(&api, server, cron, zone).await;
        assert_eq!(schedule["timezone"], stored);
        assert_eq!(schedule["cron_expression"], cron.replace("  ", " "));
        let runs = texts(&schedule["next_runs"]);
        assert_eq!(runs.len(), 5, "{schedule}");
        assert!(runs.iter().all(|run| run.ends_with(clock)), "{runs:?}");
        assert!(runs.is_sorted() && runs[0] < runs[4], "{runs:?}");
        assert_eq!(moment(&stack, runs[0]).await, schedule["next_run"].as_str().expect("a time"));
        assert_eq!(api.get(&path_of(&schedule)).await.expect(200), schedule);
    }
}

#[tokio::test]
async fn omitted_fields_have_defaults() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("clockwork", "demo").await;
    let body = json!({ "server_id": server, "action": "restart", "cron_expression": "0 0 1 1 *" });
    let schedule = api.post(SCHEDULES, body).await.expect(201);
    assert_eq!(
        (&schedule["timezone"], &schedule["enabled"], &schedule["missed_run_policy"], &schedule["last_run"]),
        (&json!("UTC"), &json!(true), &json!("run_once"), &Value::Null)
    );
}

#[tokio::test]
async fn null_stands_for_the_default() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let body = json!({ "name": "clockwork", "game_type": "demo", "is_public": null });
    let server = api.post("/api/v1/servers", body).await.expect(201);
    assert_eq!(server["is_public"], false);
    let mut body = json!({ "cron_expression": "@daily", "timezone": null, "from": null, "count": null });
    let preview = api.post(&format!("{SCHEDULES}/preview"), body).await.expect(200);
    assert_eq!(preview["runs"].as_array().map(Vec::len), Some(5));
    body = json!({ "server_id": server["id"], "action": "start", "cron_expression": "@daily" });
    for field in ["timezone", "enabled", "missed_run_policy"] {
        body[field] = Value::Null;
    }
    let schedule = api.post(SCHEDULES, body).await.expect(201);
    assert_eq!((&schedule["timezone"], &schedule["enabled"]), (&json!("UTC"), &json!(true)));
    let key = api.post("/api/v1/auth/keys", json!({ "name": "k", "scopes": ["read:servers"] })).await.expect(201);
    let rotate = format!("/api/v1/auth/keys/{}/rotate", key["id"].as_str().expect("an id"));
    api.post(&rotate, json!({ "overlap_seconds": null })).await.expect(201);
}

#[tokio::test]
async fn only_a_change_of_timing_moves_the_next_run() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("clockwork", "demo").await;
    let made = created(&api, server, "0 4 * * *", "Asia/Kolkata").await;

    let same = patched(&api, &made, json!({ "action": "stop", "missed_run_policy": "skip" })).await;
    assert_eq!((&same["next_run"], &same["action"]), (&made["next_run"], &json!("stop")));
    let moved = patched(&api, &made, json!({ "cron_expression": "15 5 * * *" })).await;
    assert!(texts(&moved["next_runs"]).iter().all(|run| run.ends_with("T05:15:00+05:30")), "{moved}");
    assert_eq!(moment(&stack, texts(&moved["next_runs"])[0]).await, moved["next_run"].as_str().expect("a time"));
    let abroad = patched(&api, &made, json!({ "timezone": "America/Phoenix" })).await;
    assert!(texts(&abroad["next_runs"]).iter().all(|run| run.ends_with("T05:15:00-07:00")), "{abroad}");
    assert_ne!(abroad["next_run"], moved["next_run"]);
    assert_eq!((&abroad["action"], &abroad["missed_run_policy"]), (&json!("stop"), &json!("skip")));

    let refused = api.call("PATCH", &path_of(&made), Some(json!({ "cron_expression": "0 0 31 2 *" }))).await;
    assert_eq!(refused.expect(422)["code"], "never_fires");
    assert_eq!(api.get(&path_of(&made)).await.expect(200), abroad, "a refused change changes nothing");
}

#[tokio::test]
async fn disabled_schedule_has_no_next_run() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("clockwork", "demo").await;
    let made = created(&api, server, "0 4 * * *", "UTC").await;
    let off = patched(&api, &made, json!({ "enabled": false })).await;
    assert_eq!((&off["enabled"], &off["next_run"]), (&json!(false), &Value::Null));
    assert_eq!(off["next_runs"], json!([]));
    assert_eq!(api.get(&path_of(&made)).await.expect(200)["next_runs"], json!([]));
    let retimed = patched(&api, &made, json!({ "cron_expression": "0 5 * * *" })).await;
    assert_eq!(retimed["next_run"], Value::Null, "a new timing does not enable");
    let on = patched(&api, &made, json!({ "enabled": true })).await;
    assert!(on["next_run"].as_str().expect("a time").ends_with("T05:00:00Z"), "{on}");
    assert_eq!(texts(&on["next_runs"]).len(), 5);

    let body = json!({ "server_id": server, "action": "stop", "cron_expression": "@daily", "enabled": false });
    assert_eq!(api.post(SCHEDULES, body).await.expect(201)["next_run"], Value::Null);
}

#[tokio::test]
async fn preview_warns_where_either_day_is_enough() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let preview = async |cron: &str, zone: &str, count: u32| {
        let body = json!({ "cron_expression": cron, "timezone": zone, "count": count });
        api.post("/api/v1/schedules/preview", body).await.expect(200)
    };
    let plain = preview("0 4 * * *", "UTC", 3).await;
    assert_eq!((plain["runs"].as_array().map(Vec::len), &plain["warnings"]), (Some(3), &json!([])));

    let either = preview("0 0 13 * 5", "UTC", 20).await;
    assert!(texts(&either["warnings"])[0].contains("every day that matches either"), "{either}");
    let days: Vec<_> = either["runs"].as_array().expect("runs").iter().map(|run| &run["local"]).collect();
    let thirteenths = days.iter().filter(|day| day.as_str().expect("a time").contains("-13T")).count();
    assert!((1..20).contains(&thirteenths), "13ths and Fridays: {days:?}");

    // 100 yearly runs of a slot that the spring gap takes away on some days: the clock shows 02:30, or 03:00 at its end.
    let gap = preview("30 2 8-14 3 *", "America/New_York", 100).await;
    let locals: Vec<_> = gap["runs"].as_array().expect("runs").iter().map(|run| run["local"].clone()).collect();
    let ends = |end: &str| locals.iter().filter(|local| local.as_str().expect("a time").ends_with(end)).count();
    let (before, after, at_the_end) = (ends("T02:30:00-05:00"), ends("T02:30:00-04:00"), ends("T03:00:00-04:00"));
    assert_eq!(before + after + at_the_end, 100, "{locals:?}");
    assert!((13..=15).contains(&at_the_end), "one gap a year in 100 runs of 7 a year: {locals:?}");
    for run in gap["runs"].as_array().expect("runs") {
        let local = run["local"].as_str().expect("a time");
        assert_eq!(moment(&stack, local).await, run["at"].as_str().expect("a time"));
    }

    let refused = api.post("/api/v1/schedules/preview", json!({ "cron_expression": "@daily", "count": 101 })).await;
    assert_eq!(refused.expect(422)["code"], "invalid_value");
    let kept = api.get(SCHEDULES).await.expect(200);
    assert_eq!(kept["items"], json!([]), "a preview keeps nothing");
}

#[tokio::test]
async fn a_preview_begins_where_it_is_asked_to() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let preview = async |from: &str| {
        let body = json!({ "cron_expression": "30 2 * * *", "timezone": "America/New_York", "count": 2, "from": from });
        api.post("/api/v1/schedules/preview", body).await
    };
    let spring = preview("2026-03-07T12:00:00-05:00").await.expect(200);
    let runs = json!([
        { "at": "2026-03-08T07:00:00Z", "local": "2026-03-08T03:00:00-04:00" },
        { "at": "2026-03-09T06:30:00Z", "local": "2026-03-09T02:30:00-04:00" },
    ]);
    assert_eq!(spring["runs"], runs);
    assert_eq!(
        preview("2026-03-08T07:00:00Z").await.expect(200)["runs"][0],
        runs[1],
        "a run at that moment is not ahead"
    );
    for from in ["", "tomorrow", "2026-03-07", "2026-03-07T12:00:00", "1969-12-31T23:00:00Z", "+12026-01-01T00:00:00Z"]
    {
        let refused = preview(from).await.expect(422);
        assert_eq!(refused["code"], "invalid_value", "{from}: {refused}");
    }
}

#[tokio::test]
async fn doubtful_timing_is_warned_about_everywhere() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("clockwork", "demo").await;
    for (cron, zone, said) in [
        ("*/90 * * * *", "UTC", vec!["So this runs every hour"]),
        ("0 5 */2 * 1", "UTC", vec!["starts anew", "has to match both day fields"]),
        ("0 5 * * 1", "EST", vec!["has no summer time"]),
        ("0 5 29 2 *", "UTC", vec!["only on 29 February"]),
        ("0 5 * * 1", "Europe/Berlin", vec![]),
    ] {
        let timing = json!({ "cron_expression": cron, "timezone": zone });
        let preview = api.post("/api/v1/schedules/preview", timing.clone()).await.expect(200);
        let warnings = texts(&preview["warnings"]);
        assert_eq!(warnings.len(), said.len(), "{warnings:?}");
        assert!(warnings.iter().zip(said).all(|(warning, said)| warning.contains(said)), "{cron}: {warnings:?}");
        let made = created(&api, server, cron, zone).await;
        assert_eq!(made["warnings"], preview["warnings"]);
        assert_eq!(api.get(&path_of(&made)).await.expect(200)["warnings"], preview["warnings"]);
        let other = created(&api, server, "@daily", "UTC").await;
        assert_eq!(patched(&api, &other, timing).await["warnings"], preview["warnings"]);
    }
}

#[tokio::test]
async fn schedules_are_limited_over_all_servers() {
    let stack = Stack::start().await;
    let api = stack.api(&[("SCHEDULES_PER_USER", "2")]).await;
    let (one, other) = (api.server("one", "demo").await, api.server("other", "demo").await);
    created(&api, one, "@daily", "UTC").await;
    created(&api, other, "@daily", "UTC").await;
    let body = json!({ "server_id": other, "action": "start", "cron_expression": "@daily" });
    let refused = api.post(SCHEDULES, body.clone()).await.expect(409);
    assert_eq!(refused["code"], "too_many_schedules", "{refused}");
    assert!(refused["detail"].as_str().expect("text").contains("you have made 2 schedules"), "{refused}");
    api.call("DELETE", &format!("/api/v1/servers/{one}"), None).await.expect(202);
    api.post(SCHEDULES, body).await.expect(201);
}

#[tokio::test]
async fn servers_schedules_are_listed_and_deleted() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (one, other) = (api.server("one", "demo").await, api.server("other", "demo").await);
    let (a, b) = (created(&api, one, "@daily", "UTC").await, created(&api, one, "@hourly", "UTC").await);
    let c = created(&api, other, "@daily", "UTC").await;
    let of_one = format!("/api/v1/servers/{one}/schedules");
    assert_eq!(api.get(&of_one).await.expect(200)["items"], json!([a, b]));
    assert_eq!(api.get(SCHEDULES).await.expect(200)["items"], json!([a, b, c]));
    assert_eq!(api.call("DELETE", &path_of(&a), None).await.status, 204);
    api.get(&path_of(&a)).await.expect(404);
    api.call("DELETE", &path_of(&a), None).await.expect(404);
    assert_eq!(api.get(&of_one).await.expect(200)["items"], json!([b]));
    api.get("/api/v1/servers/999/schedules").await.expect(404);
}

#[tokio::test]
async fn run_now_is_202_and_carried_out() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("now", "demo").await;
    let schedule = created(&api, server, "@yearly", "UTC").await;
    let answer = api.call("POST", &format!("{}/run", path_of(&schedule)), None).await;
    let location = answer.header("location").to_owned();
    let operation = answer.expect(202);
    let id = operation["id"].as_str().expect("an id");
    assert_eq!(location, format!("/api/v1/operations/{id}"));
    assert_eq!((&operation["action"], &operation["server_id"]), (&json!("start"), &json!(server)));
    assert_eq!(api.ended(id).await["state"], "succeeded");
    api.until_status(server, "running").await;
    let after = api.get(&path_of(&schedule)).await.expect(200);
    assert_eq!(after["next_run"], schedule["next_run"], "the schedule itself goes on as planned");
}

#[tokio::test]
async fn resent_request_is_the_same_operation() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("again", "demo").await;
    let schedule = created(&api, server, "@yearly", "UTC").await;
    let ask = async |path: &str, key: &str| -> Answer {
        let request = api_request(&stack, &api, path).header("Idempotency-Key", key);
        api.send(request).await.expect("an answer")
    };
    let id = |answer: Answer| answer.expect(202)["id"].as_str().expect("an id").to_owned();
    let run = format!("{}/run", path_of(&schedule));
    let stop = format!("/api/v1/servers/{server}/stop");
    for path in [&run, &stop] {
        let first = id(ask(path, "a").await);
        api.ended(&first).await;
        assert_eq!(id(ask(path, "a").await), first, "{path}");
        let second = id(ask(path, "b").await);
        assert_ne!(second, first, "{path}");
        api.ended(&second).await;
        assert_eq!(id(ask(path, "a").await), first, "{path}, with another between");
    }
    let operations = api.get(&format!("/api/v1/servers/{server}/operations")).await.expect(200);
    assert_eq!(operations["items"].as_array().map(Vec::len), Some(4), "a key is the route's own: {operations}");
}

fn api_request(stack: &Stack, api: &Api, path: &str) -> reqwest::RequestBuilder {
    stack.client.post(format!("{}{path}", api.base)).bearer_auth(&stack.key)
}

#[tokio::test]
async fn concurrent_requests_of_a_key_are_one() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("at once", "demo").await;
    let path = format!("/api/v1/servers/{server}/start");
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let request = api_request(&stack, &api, &path).header("Idempotency-Key", "one");
        asked.spawn(async move { request.send().await?.json::<Value>().await });
    }
    let mut ids = vec![];
    while let Some(answer) = asked.join_next().await {
        let answer = answer.expect("a task").expect("an answer");
        match answer["id"].as_str() {
            Some(id) => ids.push(id.to_owned()),
            None => assert_eq!(answer["code"], "idempotency_in_flight", "{answer}"),
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(api.ended(&ids[0]).await["state"], "succeeded");
}

#[tokio::test]
async fn deleting_a_server_disables_its_schedules() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("gone", "demo").await;
    let schedule = created(&api, server, "* * * * *", "UTC").await;
    let deletion = api.call("DELETE", &format!("/api/v1/servers/{server}"), None).await.expect(202);
    let off = api.get(&path_of(&schedule)).await.expect(200);
    assert_eq!((&off["enabled"], &off["next_run"]), (&json!(false), &Value::Null));
    assert_eq!(off["disabled_reason"], "the server was deleted");
    api.ended(deletion["id"].as_str().expect("an id")).await;
    wait::until(SOON, "the server to be gone", async || {
        (api.get(&format!("/api/v1/servers/{server}")).await.status == 404).then_some(())
    })
    .await;
    let body = json!({ "server_id": server, "action": "start", "cron_expression": "@daily" });
    assert_eq!(api.post(SCHEDULES, body).await.expect(404)["code"], "not_found");
    api.call("POST", &format!("{}/run", path_of(&schedule)), None).await.expect(404);
    api.call("PATCH", &path_of(&schedule), Some(json!({ "enabled": true }))).await.expect(404);
}

#[tokio::test]
async fn preview_ends_with_the_years_of_rfc_3339() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let body = json!({ "cron_expression": "0 4 * * *", "from": "9999-12-30T12:00:00Z", "count": 3 });
    let preview = api.call("POST", "/api/v1/schedules/preview", Some(body)).await.expect(200);
    assert_eq!(preview["runs"].as_array().map(Vec::len), Some(1), "{preview}");
}

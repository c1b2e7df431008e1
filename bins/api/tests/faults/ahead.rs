//! Stops and restarts that a server has ahead: everybody who runs it sees them, and may call them off.

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::{
    common::{Api, SOON, STRANGER, Stack},
    steps::{SCHEDULES, ended, ending, run, running, schedule, until_step},
};

/// Shares a server with the stranger.
async fn share(api: &Api, server: i64, permissions: &[&str]) {
    let share = json!({ "kind": "member", "grantee": STRANGER, "permissions": permissions });
    assert!(api.call("PUT", &format!("/api/v1/servers/{server}/shares"), Some(share)).await.status.is_success());
}

/// Gives a server a label.
async fn label(api: &Api, server: i64, label: &str) {
    let change = json!({ "labels": [label] });
    api.call("PATCH", &format!("/api/v1/servers/{server}"), Some(change)).await.expect(200);
}

/// Makes a schedule for the label `eu` of warned restarts, and runs it now. Returns the path of the run.
async fn on_label(api: &Api, key: &str, warn: &str) -> String {
    let body = json!({ "label": "eu", "cron_expression": "0 0 1 1 *", "enabled": false,
                       "steps": [{ "do": "restart", "warn": [warn] }] });
    let made = api.call_as(Some(key), "POST", SCHEDULES, Some(body)).await.expect(201);
    let path = format!("{SCHEDULES}/{}", made["id"]);
    let run = api.call_as(Some(key), "POST", &format!("{path}/run"), Some(json!({}))).await.expect(202);
    format!("{path}/runs/{}", run["slot"].as_str().expect("a slot"))
}

/// Waits until a server has something ahead.
async fn ahead(api: &Api, server: i64) -> Value {
    let path = format!("/api/v1/servers/{server}");
    wait::until(SOON, "a countdown", async || {
        let ahead = api.get(&path).await.expect(200)["ahead"].take();
        ahead.is_object().then_some(ahead)
    })
    .await
}

#[tokio::test]
async fn server_shows_the_restart_ahead() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "warned").await;
    let path = format!("/api/v1/servers/{server}");
    assert_eq!(api.get(&path).await.expect(200)["ahead"], Value::Null);
    let made = api.post(&format!("{path}/restart"), json!({ "warn": ["1h"] })).await.expect(201);
    let slot = ahead(&api, server).await["slot"].as_str().expect("a slot").to_owned();
    let run = format!("{SCHEDULES}/{}/runs/{slot}", made["id"]);
    // Until then the time of the announcement itself is guessed.
    until_step(&api, &run, 1, "running").await;
    let seen = ahead(&api, server).await;
    assert_eq!(
        (&seen["action"], &seen["schedule_id"], &seen["actor"]),
        (&json!("restart"), &made["id"], &made["actor"])
    );
    let listed = api.get("/api/v1/servers").await.expect(200);
    assert_eq!(listed["items"][0]["ahead"], seen);

    let neighbour = stack.make_key(STRANGER, &[]);
    api.call("PATCH", &path, Some(json!({ "is_public": true }))).await.expect(200);
    let public = api.call_as(Some(&neighbour), "GET", &path, None).await.expect(200);
    assert_eq!(public["ahead"], Value::Null);
    share(&api, server, &["restart"]).await;
    let shared = api.call_as(Some(&neighbour), "GET", &path, None).await.expect(200);
    assert_eq!(shared["ahead"], seen);

    let at = seen["at"].as_str().expect("a time").to_owned();
    api.post(&format!("{run}/postpone"), json!({ "by": "1h" })).await.expect(200);
    assert!(ahead(&api, server).await["at"].as_str().expect("a time") > at.as_str());
    api.post(&format!("{run}/cancel"), json!({})).await.expect(202);
    assert_eq!(api.get(&path).await.expect(200)["ahead"], Value::Null, "it is called off");
}

#[tokio::test]
async fn who_may_schedule_ends_runs_of_others() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "shared").await;
    let neighbour = stack.make_key(STRANGER, &[]);
    let narrow = stack.make_key(STRANGER, &["--scope", "read:schedules"]);
    let warned = schedule(&api, server, json!({ "steps": [{ "do": "restart", "warn": ["1h"] }] })).await;
    let path = run(&api, &warned).await;
    until_step(&api, &path, 1, "running").await;
    let runs = format!("/api/v1/servers/{server}/runs?state=pending");
    let ask = async |key: &str, method: &str, path: &str, body: Option<Value>| {
        api.call_as(Some(key), method, path, body).await
    };
    let (postpone, cancel) = (format!("{path}/postpone"), format!("{path}/cancel"));
    for (permissions, status) in [(&[][..], 404), (&["read", "restart"][..], 403)] {
        if !permissions.is_empty() {
            share(&api, server, permissions).await;
        }
        ask(&neighbour, "GET", &runs, None).await.expect(status);
        ask(&neighbour, "GET", &path, None).await.expect(404);
        ask(&neighbour, "POST", &postpone, Some(json!({ "by": "1m" }))).await.expect(404);
        ask(&neighbour, "POST", &cancel, Some(json!({}))).await.expect(404);
    }
    share(&api, server, &["schedule"]).await;
    let listed = ask(&neighbour, "GET", &runs, None).await.expect(200);
    let item = &listed["items"][0];
    assert_eq!(
        (format!("{SCHEDULES}/{}", item["schedule_id"]), &item["label"]),
        (warned.clone(), &Value::Null),
        "{listed}"
    );
    assert_eq!(ask(&neighbour, "GET", &path, None).await.expect(200)["slot"], item["slot"]);
    let later = ask(&neighbour, "POST", &postpone, Some(json!({ "by": "1m" }))).await.expect(200);
    assert_eq!((&later["put_off"], &later["not_put_off"]), (&json!(1), &json!(0)));
    ask(&narrow, "POST", &cancel, Some(json!({}))).await.expect(403);
    ask(&neighbour, "POST", &cancel, Some(json!({}))).await.expect(202);
    assert_eq!(ending(&ended(&api, &path).await), ("skipped", "cancelled"));
    ask(&neighbour, "GET", &warned, None).await.expect(404);
    ask(&neighbour, "DELETE", &warned, None).await.expect(404);
    assert_eq!(ask(&neighbour, "GET", &runs, None).await.expect(200)["items"], json!([]));
}

#[tokio::test]
async fn owner_sees_and_ends_a_neighbours_label_run() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let neighbour = stack.make_key(STRANGER, &[]);
    let (mine, others) = (running(&api, "mine").await, running(&api, "others").await);
    for server in [mine, others] {
        share(&api, server, &["schedule"]).await;
        label(&api, server, "eu").await;
    }
    let whole = on_label(&api, &neighbour, "1h").await;
    let seen = ahead(&api, mine).await;
    ahead(&api, others).await;
    let listed = api.get(&format!("/api/v1/servers/{mine}/runs")).await.expect(200);
    let item = &listed["items"][0];
    assert_eq!((&item["label"], &item["actor"]), (&json!("eu"), &json!(STRANGER)), "{listed}");
    assert_eq!((&item["slot"], &item["schedule_id"]), (&seen["slot"], &seen["schedule_id"]));
    api.get(&whole).await.expect(404);
    api.post(&format!("{whole}/cancel"), json!({})).await.expect(404);

    let part = format!("{SCHEDULES}/{}/runs/{}", item["schedule_id"], item["slot"].as_str().expect("a slot"));
    api.post(&format!("{part}/postpone"), json!({ "by": "1m" })).await.expect(200);
    api.post(&format!("{part}/cancel"), json!({})).await.expect(202);
    assert_eq!(ending(&ended(&api, &part).await), ("skipped", "cancelled"));
    assert!(ahead(&api, others).await.is_object(), "the others of the label go on");

    let unshared = format!("/api/v1/servers/{others}/shares?kind=member&grantee={STRANGER}");
    assert!(api.call("DELETE", &unshared, None).await.status.is_success());
    let put_off =
        api.call_as(Some(&neighbour), "POST", &format!("{whole}/postpone"), Some(json!({ "by": "1m" }))).await;
    assert_eq!(put_off.expect(409)["code"], "nothing_ahead", "it is not the neighbour's any more");
}

#[tokio::test]
async fn whole_run_is_put_off_where_it_can_be() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (runs, also, stopped) =
        (running(&api, "runs").await, running(&api, "runs too").await, api.server("stopped", "demo").await);
    for server in [runs, also, stopped] {
        label(&api, server, "eu").await;
    }
    let whole = on_label(&api, &stack.key, "1h").await;
    let before = [ahead(&api, runs).await, ahead(&api, also).await];
    let postpone = format!("{whole}/postpone");
    let later = api.post(&postpone, json!({ "by": "2h" })).await.expect(200);
    assert_eq!((&later["put_off"], &later["not_put_off"]), (&json!(2), &json!(1)), "{later}");
    for (server, before) in [runs, also].into_iter().zip(before) {
        assert!(ahead(&api, server).await["at"].as_str() > before["at"].as_str());
    }
    let detail = async |status| api.post(&postpone, json!({ "by": "24h" })).await.expect(status)["detail"].take();
    let too_long = detail(409).await;
    assert!(too_long.as_str().is_some_and(|detail| detail.contains("a day away at most")), "{too_long}");
    api.post(&format!("{whole}/cancel"), json!({})).await.expect(202);
    ended(&api, &whole).await;
    let nothing = detail(409).await;
    assert!(nothing.as_str().is_some_and(|detail| detail.contains("no stop or restart ahead")), "{nothing}");
}

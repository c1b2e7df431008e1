//! Announced restarts: put off, called off, skipped and missed, and who hears of it.

use agis_test_support::wait;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::{
    billing::ON,
    common::{Api, OWNER, SOON, STRANGER, Stack},
    steps::{SCHEDULES, ended, ending, outcomes, run, running, schedule, status, until_step},
};

#[tokio::test]
async fn announced_restart_spares_a_server_that_was_stopped() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "chain").await;
    let warned = schedule(&api, server, json!({ "steps": [{ "do": "restart", "warn": ["1h"] }] })).await;
    let path = run(&api, &warned).await;
    until_step(&api, &path, 1, "running").await;
    let stops = schedule(&api, server, json!({ "steps": [{ "do": "wait", "seconds": 1 }, { "do": "stop" }] })).await;
    assert_eq!(ending(&ended(&api, &run(&api, &stops).await).await), ("succeeded", ""));
    pass(&stack, 61).await;
    assert_eq!(ending(&ended(&api, &path).await), ("skipped", "server_stopped"));
    assert_eq!(status(&api, server).await, "stopped");
}

/// Lets minutes pass for the steps that have begun.
async fn pass(stack: &Stack, minutes: u32) {
    let earlier = |column: &str| format!("{column} = {column} - interval '{minutes} min'");
    let passed = format!(
        "update schedule_run_steps set {}, {} where started_at is not null;
         update schedule_runs set look_at = now() where state = 'pending'",
        earlier("started_at"),
        earlier("ended_at"),
    );
    stack.sql().await.batch_execute(&passed).await.expect("minutes");
}

#[tokio::test]
async fn run_is_missed_hours_later_unless_it_has_acted() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (warned, backed_up) = (running(&api, "warned").await, running(&api, "backed up").await);
    let warns = schedule(&api, warned, json!({ "steps": [{ "do": "restart", "warn": ["1h"] }] })).await;
    let warns = run(&api, &warns).await;
    let steps = json!([{ "do": "stop" }, { "do": "wait", "seconds": 3600 }, { "do": "start" }]);
    let acts = run(&api, &schedule(&api, backed_up, json!({ "steps": steps })).await).await;
    until_step(&api, &warns, 1, "running").await;
    until_step(&api, &acts, 1, "running").await;
    let generation = "select generation from game_servers where name = 'warned'";
    let before: i64 = stack.sql().await.query_one(generation, &[]).await.expect("a number").get(0);
    pass(&stack, 14 * 60).await;
    let missed = ended(&api, &warns).await;
    assert_eq!(ending(&missed), ("missed", "scheduler_unavailable"), "{missed}");
    assert_eq!(outcomes(&missed)[1..], ["skipped", "skipped"], "{missed}");
    let after: i64 = stack.sql().await.query_one(generation, &[]).await.expect("a number").get(0);
    assert_eq!(before, after, "nobody restarted it in the evening");
    assert_eq!(ending(&ended(&api, &acts).await), ("succeeded", ""));
    assert_eq!(status(&api, backed_up).await, "running", "what a run has stopped comes up again");
}

/// Begins an announced restart of a running server, whose channel hears of it. Returns the server, and the paths of the
/// schedule and of its run.
async fn announced(api: &Api, sql: &Client) -> (i64, String, String) {
    let server = running(api, "chain").await;
    sql.execute(
        "insert into server_announcements (server_id, channel_id) values ($1, '5')",
        &[&i32::try_from(server).expect("an id")],
    )
    .await
    .expect("a channel");
    let schedule = schedule(api, server, json!({ "steps": [{ "do": "restart", "warn": ["1h"] }] })).await;
    let path = run(api, &schedule).await;
    until_step(api, &path, 1, "running").await;
    (server, schedule, path)
}

/// Returns the newest news of the channel, and how many wait.
async fn news(sql: &Client) -> (String, i64) {
    let row = "select n.kind || ': ' || n.reason, (select count(*) from notices where kind like 'power\\_%')
               from notices n where kind like 'power\\_%' order by id desc limit 1";
    let row = sql.query_one(row, &[]).await.expect("news");
    (row.get(0), row.get(1))
}

/// Starts a process whose demo game can say something to players.
async fn talkative(stack: &Stack) -> (Api, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, "extend = \"built-in\"\n[demo]\nsay = 'say {text}'\n").expect("a catalogue");
    (stack.api(&[("GAMES_FILE", file.path().to_str().expect("a path"))]).await, file)
}

#[tokio::test]
async fn channel_hears_that_an_announced_restart_is_off() {
    let stack = Stack::start().await;
    let ((api, _games), sql) = (talkative(&stack).await, stack.sql().await);
    let (server, schedule, path) = announced(&api, &sql).await;
    assert_eq!(news(&sql).await, ("power_announced: ".to_owned(), 1));
    api.post(&format!("{path}/postpone"), json!({ "by": "1h" })).await.expect(200);
    assert_eq!(news(&sql).await, ("power_announced: Somebody put it off by 1h.".to_owned(), 1), "the newest alone");
    api.post(&format!("{path}/cancel"), json!({})).await.expect(202);
    ended(&api, &path).await;
    assert_eq!(news(&sql).await, ("power_called_off: somebody cancelled it".to_owned(), 1));

    for (change, reason, why) in [
        (("POST", format!("/api/v1/servers/{server}/hold"), json!({})), "ended_by_hold", "somebody holds the server"),
        (("PATCH", schedule.clone(), json!({ "enabled": false })), "schedule_changed", "its schedule was changed"),
    ] {
        let path = run(&api, &schedule).await;
        until_step(&api, &path, 1, "running").await;
        let (method, changed, body) = change;
        assert!(api.call(method, &changed, Some(body)).await.status.is_success(), "{changed}");
        assert_eq!(ending(&ended(&api, &path).await), ("skipped", reason));
        assert_eq!(news(&sql).await.0, format!("power_called_off: {why}"));
        api.call("DELETE", &format!("/api/v1/servers/{server}/hold"), None).await;
    }
    let path = run(&api, &schedule).await;
    until_step(&api, &path, 1, "running").await;
    api.call("DELETE", &schedule, None).await;
    assert_eq!(news(&sql).await.0, "power_called_off: its schedule was deleted");
    wait::until(SOON, "the players to hear of each", async || {
        let console = api.get(&format!("/api/v1/servers/{server}/logs?tail=1000")).await.expect(200);
        (console.to_string().matches("> say The restart of the server is called off.").count() == 4).then_some(())
    })
    .await;
    assert_eq!(status(&api, server).await, "running");
}

#[tokio::test]
async fn who_lost_the_share_puts_nothing_off() {
    let stack = Stack::start().await;
    let (api, _games) = talkative(&stack).await;
    let server = running(&api, "chain").await;
    let neighbour = stack.make_key(STRANGER, &[]);
    let shares = format!("/api/v1/servers/{server}/shares");
    let share = json!({ "kind": "member", "grantee": STRANGER, "permissions": ["schedule"] });
    assert!(api.call("PUT", &shares, Some(share)).await.status.is_success());
    let work = json!({ "server_id": server, "cron_expression": "0 0 1 1 *", "enabled": false,
                       "steps": [{ "do": "restart", "warn": ["1h"] }] });
    let made = api.call_as(Some(&neighbour), "POST", SCHEDULES, Some(work)).await.expect(201);
    let schedule = format!("{SCHEDULES}/{}", made["id"]);
    let begun = api.call_as(Some(&neighbour), "POST", &format!("{schedule}/run"), Some(json!({}))).await.expect(202);
    let path = format!("{schedule}/runs/{}", begun["slot"].as_str().expect("a slot"));
    until_step(&api, &path, 1, "running").await;
    let put_off = async |by: &str| {
        let path = format!("{path}/postpone");
        api.call_as(Some(&neighbour), "POST", &path, Some(json!({ "by": by }))).await
    };
    put_off("1m").await.expect(200);
    let share = format!("{shares}?kind=member&grantee={STRANGER}");
    assert!(api.call("DELETE", &share, None).await.status.is_success());
    put_off("1m").await.expect(404);
    // The neighbour's restart does not come any more, and the players read that.
    pass(&stack, 64).await;
    wait::until(SOON, "the players to hear", async || {
        let console = api.get(&format!("/api/v1/servers/{server}/logs?tail=1000")).await.expect(200);
        console.to_string().contains("The restart of the server is called off").then_some(())
    })
    .await;
}

#[tokio::test]
async fn skipped_run_comes_back_with_its_plan() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("chain", "demo").await;
    let schedule = schedule(&api, server, json!({ "action": "start", "enabled": true })).await;
    let slot = api.get(&schedule).await.expect(200)["next_run"].take();
    let path = format!("{schedule}/runs/{}", slot.as_str().expect("a slot"));
    api.post(&format!("{path}/cancel"), json!({})).await.expect(202);
    assert_ne!(api.get(&schedule).await.expect(200)["next_run"], slot);
    for enabled in [false, true] {
        api.call("PATCH", &schedule, Some(json!({ "enabled": enabled }))).await.expect(200);
    }
    assert_eq!(api.get(&schedule).await.expect(200)["next_run"], slot);
    api.get(&path).await.expect(404);
}

#[tokio::test]
async fn restart_by_request_warns_and_is_put_off() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("chain", "demo").await;
    let path = format!("/api/v1/servers/{server}/restart");
    let warned = json!({ "warn": ["1h", "5m"], "text": "Back in {time}" });
    assert_eq!(
        api.post(&path, warned.clone()).await.expect(409)["code"],
        "condition_not_met",
        "nobody is there to warn"
    );
    api.act(server, "start").await;
    let narrow = stack.make_key(OWNER, &["--scope", "write:servers"]);
    let refused = api.call_as(Some(&narrow), "POST", &path, Some(warned.clone())).await.expect(403);
    assert_eq!(refused["code"], "missing_scope");
    for (body, field) in [
        (json!({ "text": "soon" }), "text"),
        (json!({ "warn": [] }), "warn"),
        (json!({ "warn": ["1m", "5m"] }), "warn"),
        (json!({ "warn": ["15"] }), "warn"),
        (json!({ "warn": ["5m"], "text": "x".repeat(201) }), "text"),
    ] {
        let detail = api.post(&path, body).await.expect(422)["detail"].take();
        assert!(detail.as_str().is_some_and(|detail| detail.starts_with(&format!("{field}: "))), "{detail}");
    }
    api.post(&format!("/api/v1/servers/{server}/hold"), json!({})).await.expect(200);
    let held = api.post(&path, warned.clone()).await.expect(409);
    assert!(held["code"] == "condition_not_met" && held["detail"].as_str().expect("words").contains("holds"), "{held}");
    api.call("DELETE", &format!("/api/v1/servers/{server}/hold"), None).await.expect(200);
    let made = api.post(&path, warned).await.expect(201);
    let run = format!("{SCHEDULES}/{}/runs/{}", made["id"], made["at"].as_str().expect("a time"));
    wait::until(SOON, "the run", async || {
        let run = api.call_as(Some(&stack.key), "GET", &run, None).await;
        (run.status == 200 && run.body["steps"][1]["outcome"] == "running").then_some(())
    })
    .await;
    let later = api.post(&format!("{run}/postpone"), json!({ "by": "15m" })).await.expect(200);
    assert_eq!((&later["steps"][1]["postponed"], &later["steps"][3]["postponed"]), (&json!("15m"), &Value::Null));
    assert_eq!(api.post(&format!("{run}/postpone"), json!({ "by": "24h" })).await.expect(409)["code"], "nothing_ahead");
    assert_eq!(api.post(&format!("{run}/postpone"), json!({ "by": "0s" })).await.expect(422)["code"], "invalid_value");
    // The 55 minutes are over, and the quarter of an hour is not.
    pass(&stack, 60).await;
    let looked = "select count(*) from schedule_runs where look_at > now() + interval '5 min'";
    wait::until(SOON, "a look", async || {
        (stack.sql().await.query_one(looked, &[]).await.expect("a count").get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    assert_eq!(api.get(&run).await.expect(200)["steps"][1]["outcome"], "running", "it was put off");
    pass(&stack, 12).await;
    until_step(&api, &run, 3, "running").await;
    // Within the last five minutes it is put off by more than an hour: the last warning comes again.
    let later = api.post(&format!("{run}/postpone"), json!({ "by": "90m" })).await.expect(200);
    assert_eq!(outcomes(&later)[1..], ["running", "waiting", "waiting", "waiting"], "{later}");
    pass(&stack, 92).await;
    until_step(&api, &run, 3, "running").await;
    pass(&stack, 6).await;
    assert_eq!(ending(&ended(&api, &run).await), ("succeeded", ""));
}

#[tokio::test]
async fn next_run_is_skipped_once() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("chain", "demo").await;
    let schedule = schedule(&api, server, json!({ "action": "start", "enabled": true })).await;
    let before = api.get(&schedule).await.expect(200);
    let slot = before["next_run"].as_str().expect("a time");
    let run = format!("{schedule}/runs/{slot}");
    let skipped = api.post(&format!("{run}/cancel"), json!({})).await.expect(202);
    assert_eq!((ending(&skipped), &skipped["lateness_ms"]), (("skipped", "cancelled"), &json!(0)));
    let after = api.get(&schedule).await.expect(200);
    assert!(after["next_run"].as_str().expect("a time") > slot, "{after}");
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<chrono::DateTime<chrono::Utc>>().ok());
    assert_eq!(time(&after["next_runs"][0]), time(&after["next_run"]), "{after}");
    assert_eq!(api.post(&format!("{run}/cancel"), json!({})).await.expect(409)["code"], "run_ended");
    assert_eq!(api.get(&schedule).await.expect(200)["next_run"], after["next_run"], "skipped once");
}

#[tokio::test]
async fn announced_restart_ends_as_a_person_restarts() {
    let stack = Stack::start().await;
    let (api, sql) = (stack.api(&[]).await, stack.sql().await);
    let (server, _, announced) = announced(&api, &sql).await;
    let more = json!({ "steps": [{ "do": "wait", "seconds": 900 }, { "do": "restart" }, { "do": "command", "command": "x" }] });
    let more = run(&api, &schedule(&api, server, more).await).await;
    until_step(&api, &more, 0, "running").await;
    api.act(server, "restart").await;
    assert_eq!(ending(&ended(&api, &announced).await), ("skipped", "ended_by_restart"));
    assert_eq!(news(&sql).await.0, "power_called_off: somebody restarted the server already");
    assert_eq!(api.get(&more).await.expect(200)["state"], "pending", "more than a restart is ahead of it");
}

#[tokio::test]
async fn nobody_is_warned_of_a_restart_that_nobody_can_pay() {
    let stack = Stack::start().await;
    let (api, sql) = (stack.api(&ON).await, stack.sql().await);
    let server = running(&api, "demo").await;
    sql.batch_execute("update game_servers set cost_per_hour = 1000000").await.expect("a price");
    let path = format!("/api/v1/servers/{server}");
    let refused = api.post(&format!("{path}/restart"), json!({ "warn": ["1h"] })).await.expect(402);
    assert_eq!(refused["code"], "insufficient_credits");
    api.post(&format!("{path}/stop"), json!({ "warn": ["1h"] })).await.expect(201);
    let operations = api.get(&format!("{path}/operations")).await.expect(200);
    assert_eq!(operations["items"].as_array().map(Vec::len), Some(1), "the refusal left none: {operations}");
}

#[tokio::test]
async fn moved_restart_comes_at_its_new_time_alone() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "chain").await;
    let made = api.post(&format!("/api/v1/servers/{server}/restart"), json!({ "warn": ["1h"] })).await.expect(201);
    let schedule = format!("{SCHEDULES}/{}", made["id"]);
    let run = format!("{schedule}/runs/{}", made["at"].as_str().expect("a time").replace('Z', "%2B00:00"));
    wait::until(SOON, "the run", async || {
        let run = api.call_as(Some(&stack.key), "GET", &run, None).await;
        (run.status == 200 && run.body["steps"][1]["outcome"] == "running").then_some(())
    })
    .await;
    let on = api.call("PATCH", &schedule, Some(json!({ "enabled": true }))).await.expect(422);
    assert_eq!(on["code"], "invalid_value", "{on}");
    assert_eq!(api.get(&run).await.expect(200)["state"], "pending", "it has begun, and is on");
    let now: chrono::DateTime<chrono::Utc> = std::time::SystemTime::now().into();
    let tomorrow = (now + chrono::TimeDelta::days(1)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let moved = api.call("PATCH", &schedule, Some(json!({ "at": tomorrow }))).await.expect(200);
    assert_eq!((&moved["enabled"], &moved["next_run"]), (&json!(true), &json!(tomorrow)), "{moved}");
    assert_eq!(ending(&ended(&api, &run).await), ("skipped", "schedule_changed"));
}

#[tokio::test]
async fn schedule_that_starts_its_server_again_stays() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = running(&api, "chain").await;
    let steps = json!([{ "do": "stop" }, { "do": "wait", "seconds": 900 }, { "do": "start" }]);
    let schedule = schedule(&api, server, json!({ "steps": steps })).await;
    let path = run(&api, &schedule).await;
    until_step(&api, &path, 1, "running").await;
    assert_eq!(api.call("DELETE", &schedule, None).await.expect(409)["code"], "run_goes_on");
    pass(&stack, 16).await;
    assert_eq!(ending(&ended(&api, &path).await), ("succeeded", ""));
    assert_eq!(status(&api, server).await, "running");
    api.call("DELETE", &schedule, None).await.expect(204);
}

//! The totals of a user, which must be the truth whatever happens.

use agis_test_support::wait;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::common::{Api, OWNER, SOON, STRANGER, Stack};

const STATS: &str = "/api/v1/users/me/stats";

async fn stats(api: &Api) -> Value {
    api.get(STATS).await.expect(200)
}

fn totals(stats: &Value) -> [i64; 4] {
    ["servers_created", "commands_used", "credits_earned", "credits_spent"]
        .map(|field| stats[field].as_i64().unwrap_or_else(|| panic!("{field} in {stats}")))
}

/// Created servers and accepted commands of a user, counted in the rows themselves.
async fn truth(stack: &Stack, user: &str) -> [i64; 2] {
    let query = "select (select count(*) from game_servers where discord_id = $1),
                        (select count(*) from operations where actor = $1 and origin in ('rest', 'discord'))";
    let row = stack.sql().await.query_one(query, &[&user]).await.expect("counts");
    [row.get(0), row.get(1)]
}

#[tokio::test]
async fn new_user_has_welcome_credits_only() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let new = json!({
        "servers_created": 0, "commands_used": 0, "credits_earned": 100, "credits_spent": 0, "last_command_at": null,
        "servers": 0, "servers_running": 0, "schedules": 0, "keys": 1,
    });
    assert_eq!(stats(&api).await, new);
    stack.make_key(OWNER, &["--name", "another"]);
    assert_eq!(totals(&stats(&api).await), [0, 0, 100, 0], "a user is welcome once");
    let row = stack.sql().await.query("select from user_stats where discord_id = $1", &[&STRANGER]).await;
    assert!(row.expect("rows").is_empty(), "nobody else is counted");
}

#[tokio::test]
async fn only_what_people_asked_for_counts() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("one", "sleeper").await;
    let taken = json!({ "name": "ONE", "game_type": "sleeper" });
    api.post("/api/v1/servers", taken).await.expect(409);
    api.post("/api/v1/servers", json!({ "name": "two", "game_type": "chess" })).await.expect(422);
    assert_eq!(totals(&stats(&api).await), [1, 0, 100, 0]);

    api.call("POST", "/api/v1/servers/99/start", None).await.expect(404);
    api.act(server, "start").await;
    let now = stats(&api).await;
    assert_eq!((totals(&now), &now["servers_running"]), ([1, 1, 100, 0], &json!(1)));
    assert!(now["last_command_at"].is_string(), "{now}");

    for _ in 0..3 {
        let request = stack.client.post(format!("{}/api/v1/servers/{server}/stop", api.base));
        let request = request.bearer_auth(&stack.key).header("Idempotency-Key", "once");
        api.send(request).await.expect("an answer").expect(202);
    }
    assert_eq!(totals(&stats(&api).await)[1], 2, "a repetition is not a second command");

    let schedule = json!({ "server_id": server, "action": "start", "cron_expression": "* * * * *" });
    let schedule = api.post("/api/v1/schedules", schedule).await.expect(201)["id"].clone();
    api.call("POST", &format!("/api/v1/schedules/{schedule}/run"), None).await.expect(202);
    assert_eq!(totals(&stats(&api).await)[1], 3, "to run a schedule now is asked for");

    let due = "update server_schedules set next_run = date_trunc('minute', now())";
    stack.sql().await.execute(due, &[]).await.expect("a schedule that is due");
    wait::until(SOON, "the schedule to fire", async || {
        let runs = api.get(&format!("/api/v1/schedules/{schedule}/runs")).await.expect(200);
        runs["items"].as_array().is_some_and(|runs| !runs.is_empty()).then_some(())
    })
    .await;
    let scheduled = "select from operations where origin = 'schedule'";
    let sql = stack.sql().await;
    wait::until(SOON, "its operation", async || sql.query_opt(scheduled, &[]).await.expect("rows").map(drop)).await;
    let now = stats(&api).await;
    assert_eq!((totals(&now), &now["schedules"]), ([1, 3, 100, 0], &json!(1)), "a firing is nobody's command");

    let deletion = api.call("DELETE", &format!("/api/v1/servers/{server}"), None).await.expect(202);
    api.ended(deletion["id"].as_str().expect("an id")).await;
    let now = stats(&api).await;
    assert_eq!((totals(&now), &now["servers"]), ([1, 4, 100, 0], &json!(0)), "it was created all the same");
}

/// Sends all of these at the same time and answers with their statuses; none where there was no answer.
async fn at_once(requests: impl Iterator<Item = RequestBuilder>) -> Vec<Option<u16>> {
    let send = async |request: RequestBuilder| request.send().await.ok().map(|answer| answer.status().as_u16());
    requests.map(send).collect::<JoinSet<_>>().join_all().await
}

#[tokio::test]
async fn exactly_the_accepted_ones_count() {
    let stack = Stack::start().await;
    let api = stack.api(&[("SERVERS_PER_USER", "6"), ("OPERATION_WORKERS", "2")]).await;
    let other = stack.make_key(STRANGER, &["--rate-limit", "10000"]);
    let post = |path: String, key: &str| stack.client.post(format!("{}{path}", api.base)).bearer_auth(key);
    let answers = at_once((0..24).map(|number| {
        let body = json!({ "name": format!("s{number}"), "game_type": "sleeper" });
        post("/api/v1/servers".to_owned(), if number % 2 == 0 { &stack.key } else { &other }).json(&body)
    }))
    .await;
    assert_eq!(answers.iter().filter(|status| **status == Some(201)).count(), 12, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, Some(201 | 409))), "{answers:?}");

    let servers = stack.sql().await.query("select id, discord_id from game_servers", &[]).await.expect("servers");
    for action in ["start", "stop", "restart"] {
        let answers = at_once(servers.iter().chain(&servers).map(|row| {
            let (id, owner) = (row.get::<_, i32>(0), row.get::<_, String>(1));
            post(format!("/api/v1/servers/{id}/{action}"), if owner == OWNER { &stack.key } else { &other })
        }))
        .await;
        assert!(answers.iter().all(|status| *status == Some(202)), "{answers:?}");
    }
    for (user, key) in [(OWNER, &stack.key), (STRANGER, &other)] {
        let told = totals(&api.call_as(Some(key), "GET", STATS, None).await.expect(200));
        assert_eq!(told[..2], [6, 36], "{user}");
        assert_eq!(told[..2], truth(&stack, user).await, "{user}");
    }
}

#[tokio::test]
async fn a_crash_in_the_middle_leaves_the_truth() {
    let stack = Stack::start().await;
    for round in 0..3 {
        let api = stack.api(&[("SERVERS_PER_USER", "1000")]).await;
        let server = api.server(&format!("first of {round}"), "sleeper").await;
        let before = truth(&stack, OWNER).await;
        let requests = (0..60).map(|number| {
            let (path, body) = match number % 2 {
                0 => {
                    ("/api/v1/servers".to_owned(), json!({ "name": format!("{round} {number}"), "game_type": "demo" }))
                }
                _ => (format!("/api/v1/servers/{server}/stop"), json!({})),
            };
            stack.client.post(format!("{}{path}", api.base)).bearer_auth(&stack.key).json(&body)
        });
        let storm = tokio::spawn(at_once(requests.collect::<Vec<_>>().into_iter()));
        wait::until(SOON, "some of it to be written", async || (truth(&stack, OWNER).await != before).then_some(()))
            .await;
        api.kill();
        storm.await.expect("no panic");
    }
    let api = stack.api(&[]).await;
    let told = totals(&stats(&api).await);
    assert_eq!(told[..2], truth(&stack, OWNER).await);
    assert!(told[0] > 3, "{told:?}");
}

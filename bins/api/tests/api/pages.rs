//! Long lists come in pieces: each item once, in order, and an end.

use serde_json::{Value, json};

use crate::common::{Api, Stack};

/// Walks a list two by two to its end; answers with how many items each piece had, and the ids.
async fn walked(api: &Api, path: &str) -> (Vec<usize>, Vec<Value>) {
    let (mut sizes, mut ids) = (vec![], vec![]);
    let mut query = "limit=2".to_owned();
    loop {
        let page = api.get(&format!("{path}?{query}")).await.expect(200);
        let items = page["items"].as_array().expect("items");
        sizes.push(items.len());
        ids.extend(items.iter().map(|item| item["id"].clone()));
        assert!(sizes.len() <= 4, "{path} has no end: {sizes:?}");
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit=2&cursor={cursor}"),
            None => return (sizes, ids),
        }
    }
}

#[tokio::test]
async fn cursors_show_each_item_once() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (mut servers, mut schedules, mut operations, mut keys) = (vec![], vec![], vec![], vec![json!("1")]);
    for number in 0..5 {
        servers.push(json!(api.server(&format!("server {number}"), "demo").await));
    }
    let server = servers[0].as_i64().expect("an id");
    for _ in 0..5 {
        let body = json!({ "server_id": server, "action": "stop", "cron_expression": "@yearly" });
        schedules.push(api.post("/api/v1/schedules", body).await.expect(201)["id"].clone());
        let operation = api.ask(server, "stop").await;
        api.ended(&operation).await;
        operations.insert(0, json!(operation));
    }
    for name in ["a", "b", "c", "d"] {
        let body = json!({ "name": name, "scopes": ["*"] });
        keys.push(api.post("/api/v1/auth/keys", body).await.expect(201)["id"].clone());
    }
    let lists = [
        ("/api/v1/servers".to_owned(), servers),
        ("/api/v1/schedules".to_owned(), schedules.clone()),
        (format!("/api/v1/servers/{server}/schedules"), schedules),
        (format!("/api/v1/servers/{server}/operations"), operations),
        ("/api/v1/auth/keys".to_owned(), keys),
    ];
    for (path, expected) in lists {
        assert_eq!(walked(&api, &path).await, (vec![2, 2, 1], expected.clone()), "{path}");
        let whole = api.get(&path).await.expect(200);
        let whole: Vec<_> = whole["items"].as_array().expect("items").iter().map(|item| item["id"].clone()).collect();
        assert_eq!(whole, expected, "{path} at once");
    }
}

#[tokio::test]
async fn runs_are_paged_from_the_newest_back() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("busy", "demo").await;
    let body = json!({ "server_id": server, "action": "stop", "cron_expression": "@yearly" });
    let schedule = api.post("/api/v1/schedules", body).await.expect(201)["id"].as_i64().expect("an id");
    let sql = stack.sql().await;
    sql.execute(
        "insert into schedule_runs (schedule_id, slot, action, state, reason, finished_at)
         select $1::bigint::integer, '2026-01-01T00:00Z'::timestamptz + n * interval '1 day', 'stop', 'missed', 'by hand', now()
         from generate_series(1, 5) n",
        &[&schedule],
    )
    .await
    .expect("five runs");
    let (mut slots, mut query) = (vec![], "limit=2".to_owned());
    for size in [2, 2, 1] {
        let page = api.get(&format!("/api/v1/schedules/{schedule}/runs?{query}")).await.expect(200);
        let items = page["items"].as_array().expect("items");
        assert_eq!(items.len(), size, "{page}");
        slots.extend(items.iter().map(|run| run["slot"].as_str().expect("a time").to_owned()));
        query = format!("limit=2&cursor={}", page["next_cursor"].as_str().unwrap_or_default());
    }
    let days: Vec<_> = (2..=6).rev().map(|day| format!("2026-01-{day:02}T00:00:00Z")).collect();
    assert_eq!(slots, days);
}

#[tokio::test]
async fn runs_on_a_server_are_paged() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("busy", "demo").await;
    let body = json!({ "server_id": server, "action": "stop", "cron_expression": "@yearly" });
    let sql = stack.sql().await;
    let mut schedules = vec![];
    for _ in 0..2 {
        schedules.push(api.post("/api/v1/schedules", body.clone()).await.expect(201)["id"].as_i64().expect("an id"));
    }
    // At the same slots.
    sql.execute(
        "insert into schedule_runs (schedule_id, slot, action, state, reason, finished_at)
         select s.id, '2026-01-01T00:00Z'::timestamptz + n * interval '1 day', 'stop', 'missed', 'by hand', now()
         from generate_series(1, 3) n, server_schedules s",
        &[],
    )
    .await
    .expect("six runs");
    let (mut seen, mut query) = (vec![], "limit=4".to_owned());
    for size in [4, 2] {
        let page = api.get(&format!("/api/v1/servers/{server}/runs?{query}")).await.expect(200);
        let items = page["items"].as_array().expect("items");
        assert_eq!(items.len(), size, "{page}");
        let run = |run: &Value| (run["slot"].as_str().map(str::to_owned), run["schedule_id"].as_i64());
        seen.extend(items.iter().map(run));
        query = format!("limit=4&cursor={}", page["next_cursor"].as_str().unwrap_or_default());
    }
    let days = (2..=4).rev().map(|day| format!("2026-01-{day:02}T00:00:00Z"));
    let newest = |day: String| schedules.iter().rev().map(move |id| (Some(day.clone()), Some(*id)));
    assert_eq!(seen, days.flat_map(newest).collect::<Vec<_>>());
    let none = api.get(&format!("/api/v1/servers/{server}/runs?state=pending")).await.expect(200);
    assert_eq!(none["items"], json!([]));
    assert_eq!(
        api.get(&format!("/api/v1/servers/{server}/runs?cursor=MTI")).await.expect(400)["code"],
        "invalid_cursor"
    );
}

/// The names, or ids, of the items of a list.
async fn listed(api: &Api, path: &str, field: &str) -> Vec<Value> {
    let list = api.get(path).await.expect(200);
    list["items"].as_array().expect("items").iter().map(|item| item[field].clone()).collect()
}

#[tokio::test]
async fn a_list_shows_what_its_filters_ask_for() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (red, blue) = (api.server("Red 100%", "demo").await, api.server("blue_moon", "sleeper").await);
    api.act(blue, "start").await;
    for (query, names) in [
        ("status=running", vec!["blue_moon"]),
        ("status=crashed", vec![]),
        ("game_type=demo", vec!["Red 100%"]),
        ("name=RED", vec!["Red 100%"]),
        ("name=0%25", vec!["Red 100%"]),
        ("name=_", vec!["blue_moon"]),
        ("name=e&status=stopped&game_type=demo", vec!["Red 100%"]),
    ] {
        assert_eq!(listed(&api, &format!("/api/v1/servers?{query}"), "name").await, names, "{query}");
    }

    let schedule = async |server: i64, action: &str, enabled: bool| {
        let body = json!({ "server_id": server, "action": action, "cron_expression": "@yearly", "enabled": enabled });
        api.post("/api/v1/schedules", body).await.expect(201)["id"].clone()
    };
    let (first, second) = (schedule(red, "start", true).await, schedule(red, "stop", false).await);
    let third = schedule(blue, "stop", true).await;
    for (path, ids) in [
        (format!("/api/v1/schedules?server_id={red}"), vec![&first, &second]),
        ("/api/v1/schedules?action=stop".to_owned(), vec![&second, &third]),
        ("/api/v1/schedules?action=stop&enabled=true".to_owned(), vec![&third]),
        (format!("/api/v1/servers/{red}/schedules?enabled=false"), vec![&second]),
        (format!("/api/v1/servers/{blue}/schedules?action=start"), vec![]),
    ] {
        assert_eq!(listed(&api, &path, "id").await.iter().collect::<Vec<_>>(), ids, "{path}");
    }

    api.act(blue, "stop").await;
    for (query, actions) in [
        ("action=start", vec!["start"]),
        ("state=succeeded", vec!["stop", "start"]),
        ("state=failed", vec![]),
        ("state=succeeded&action=stop", vec!["stop"]),
    ] {
        let path = format!("/api/v1/servers/{blue}/operations?{query}");
        assert_eq!(listed(&api, &path, "action").await, actions, "{query}");
    }
    assert_eq!(listed(&api, "/api/v1/games?protocol=udp", "game_type").await, Vec::<Value>::new());
    assert_eq!(listed(&api, "/api/v1/games?protocol=tcp&limit=2", "game_type").await, ["demo", "sleeper"]);
}

#[tokio::test]
async fn runs_and_keys_are_filtered_by_state() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("busy", "demo").await;
    let body = json!({ "server_id": server, "action": "stop", "cron_expression": "@yearly" });
    let schedule = api.post("/api/v1/schedules", body).await.expect(201)["id"].as_i64().expect("an id");
    let sql = stack.sql().await;
    for (day, state) in [(1, "missed"), (2, "succeeded"), (3, "missed")] {
        let row = format!(
            "insert into schedule_runs (schedule_id, slot, action, state, finished_at)
             values ({schedule}, '2026-01-0{day}T00:00Z', 'stop', '{state}', now())"
        );
        sql.execute(&row, &[]).await.expect("a run");
    }
    let runs = format!("/api/v1/schedules/{schedule}/runs");
    let missed = listed(&api, &format!("{runs}?state=missed"), "slot").await;
    assert_eq!(missed, ["2026-01-03T00:00:00Z", "2026-01-01T00:00:00Z"]);
    assert_eq!(listed(&api, &format!("{runs}?state=pending"), "slot").await, Vec::<Value>::new());

    for name in ["lives", "ended"] {
        api.post("/api/v1/auth/keys", json!({ "name": name, "scopes": ["*"] })).await.expect(201);
    }
    sql.execute("update api_keys set expires_at = now() - interval '1 s' where name = 'ended'", &[])
        .await
        .expect("ended");
    assert_eq!(listed(&api, "/api/v1/auth/keys?state=expired", "name").await, ["ended"]);
    assert_eq!(listed(&api, "/api/v1/auth/keys?state=active", "name").await, ["operator", "lives"]);
}

#[tokio::test]
async fn cursor_goes_on_under_other_filters() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    for number in 0..4 {
        api.server(&format!("{} {number}", if number % 2 == 0 { "even" } else { "odd" }), "demo").await;
    }
    let page = api.get("/api/v1/servers?limit=1&name=even").await.expect(200);
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    assert!(cursor.parse::<i64>().is_err(), "nobody shall count on it: {cursor}");
    assert_eq!(listed(&api, &format!("/api/v1/servers?cursor={cursor}&name=odd"), "name").await, ["odd 1", "odd 3"]);
    assert_eq!(listed(&api, &format!("/api/v1/servers?cursor={cursor}"), "name").await, ["odd 1", "even 2", "odd 3"]);
}

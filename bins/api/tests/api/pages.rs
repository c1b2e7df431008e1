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
async fn a_list_is_walked_through_its_cursors_and_shows_each_item_once() {
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
async fn a_history_of_runs_is_walked_from_the_newest_back() {
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

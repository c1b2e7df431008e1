//! Actions on every server with a label.

use std::time::Duration;

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::common::{Api, OWNER, SOON, STRANGER, Stack};

const ACTIONS: &str = "/api/v1/servers/actions";

async fn labelled(api: &Api, key: &str, name: &str) -> i64 {
    let body = json!({ "name": name, "game_type": "sleeper", "labels": ["friday"] });
    let made = api.call_as(Some(key), "POST", "/api/v1/servers", Some(body)).await.expect(201);
    made["id"].as_i64().expect("an id")
}

async fn finished(api: &Api, key: &str, id: &Value) -> Value {
    // An operation of a process that was killed goes on when its lease has ended.
    wait::until(SOON * 3, "the actions to end", async || {
        let actions = api.call_as(Some(key), "GET", &format!("{ACTIONS}/{id}"), None).await.expect(200);
        (actions["finished"] == true).then_some(actions)
    })
    .await
}

fn states(actions: &Value) -> Value {
    let servers = actions["servers"].as_array().expect("servers").iter();
    servers.map(|item| json!([item["name"], item["state"], item["reason"]])).collect()
}

#[tokio::test]
async fn each_server_gets_one_operation() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    for name in ["a", "b"] {
        labelled(&api, &stack.key, name).await;
    }
    api.server("not on Fridays", "sleeper").await;
    let body = json!({ "label": "FRIDAY", "action": "start" });
    let ask = async || {
        let request = stack.client.post(format!("{}{ACTIONS}", api.base)).bearer_auth(&stack.key);
        let answer = api.send(request.header("Idempotency-Key", "once").json(&body)).await.expect("an answer");
        answer.expect(202)
    };
    let first = ask().await;
    assert_eq!(ask().await["id"], first["id"], "a repetition is the same");
    let ended = finished(&api, &stack.key, &first["id"]).await;
    assert_eq!(states(&ended), json!([["a", "succeeded", null], ["b", "succeeded", null]]));
    let sql = stack.sql().await;
    let operations =
        sql.query_one("select count(*) from operations where origin = 'rest'", &[]).await.expect("a count");
    assert_eq!(operations.get::<_, i64>(0), 2);
}

#[tokio::test]
async fn server_without_permission_is_left_alone() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let key = stack.make_key(STRANGER, &[]);
    labelled(&api, &key, "own").await;
    let anothers = labelled(&api, &stack.key, "another's").await;
    let sql = stack.sql().await;
    let share = format!(
        "insert into server_shares (server_id, kind, grantee_id, permissions, granted_by)
         values ({anothers}, 'member', '{STRANGER}', '{{read,start}}', '{OWNER}')"
    );
    sql.batch_execute(&share).await.expect("a share");
    let body = json!({ "label": "friday", "action": "stop" });
    let begun = api.call_as(Some(&key), "POST", ACTIONS, Some(body)).await.expect(202);
    let ended = finished(&api, &key, &begun["id"]).await;
    assert_eq!(states(&ended), json!([["own", "succeeded", null], ["another's", "refused", "not_allowed"]]));
    let history = api.get(&format!("/api/v1/servers/{anothers}/operations")).await.expect(200);
    assert_eq!(history["items"], json!([]));
    let unseen = api.get(&format!("{ACTIONS}/{}", begun["id"])).await.expect(404);
    assert_eq!(unseen["code"], "not_found", "who asked sees it, nobody else");
}

#[tokio::test]
async fn pace_is_kept() {
    let stack = Stack::start().await;
    let (api, _other) = (stack.api(&[]).await, stack.api(&[]).await);
    for name in ["a", "b", "c"] {
        labelled(&api, &stack.key, name).await;
    }
    let body = json!({ "label": "friday", "action": "start", "at_most": 1, "stagger": "2s" });
    let begun = api.post(ACTIONS, body).await.expect(202);
    assert_eq!(states(&begun)[1], json!(["b", "waiting", null]));
    let ended = finished(&api, &stack.key, &begun["id"]).await;
    assert_eq!(states(&ended)[2], json!(["c", "succeeded", null]));
    let sql = stack.sql().await;
    let pairs = "select o.created_at >= lag(o.finished_at) over (order by i.place)
                        and o.created_at >= lag(o.created_at) over (order by i.place) + interval '1.5 seconds'
                 from server_batch_items i join operations o on o.id = i.operation_id order by i.place";
    let pairs: Vec<Option<bool>> = sql.query(pairs, &[]).await.expect("rows").iter().map(|row| row.get(0)).collect();
    assert_eq!(pairs, [None, Some(true), Some(true)]);
}

#[tokio::test]
async fn stop_by_a_person_takes_the_server_out() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let mut servers = vec![];
    for name in ["a", "b", "c"] {
        servers.push(labelled(&api, &stack.key, name).await);
    }
    api.act(servers[0], "start").await;
    api.act(servers[1], "start").await;
    let body = json!({ "label": "friday", "action": "restart", "stagger": "3s" });
    let begun = api.post(ACTIONS, body).await.expect(202);
    api.act(servers[1], "stop").await;
    let ended = finished(&api, &stack.key, &begun["id"]).await;
    let expected = json!([["a", "succeeded", null], ["b", "refused", "overtaken"], ["c", "refused", "server_stopped"]]);
    assert_eq!(states(&ended), expected);
    let stopped = api.get(&format!("/api/v1/servers/{}", servers[1])).await.expect(200);
    assert_eq!(stopped["status"], "stopped");
}

#[tokio::test]
async fn another_process_goes_on_with_the_rest() {
    let stack = Stack::start().await;
    let first = stack.api(&[]).await;
    for name in ["a", "b"] {
        labelled(&first, &stack.key, name).await;
    }
    let body = json!({ "label": "friday", "action": "start", "stagger": "2s" });
    let begun = first.post(ACTIONS, body).await.expect(202);
    first.kill();
    let second = stack.api(&[]).await;
    let ended = finished(&second, &stack.key, &begun["id"]).await;
    assert_eq!(states(&ended), json!([["a", "succeeded", null], ["b", "succeeded", null]]));
}

#[tokio::test]
async fn killed_processes_ask_once_for_each_server() {
    let stack = Stack::start().await;
    let one = stack.api(&[]).await;
    let names: Vec<_> = (1..=6).map(|number| format!("s{number}")).collect();
    for name in &names {
        labelled(&one, &stack.key, name).await;
    }
    let body = json!({ "label": "friday", "action": "start", "at_most": 2, "stagger": "1s" });
    let begun = one.post(ACTIONS, body).await.expect(202);
    let (mut doomed, survivor) = (one, stack.api(&[]).await);
    for milliseconds in [0, 300, 700, 50, 500] {
        doomed.kill();
        doomed = stack.api(&[]).await;
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
    let ended = wait::until(Duration::from_secs(90), "the actions to end", async || {
        let actions = survivor.get(&format!("{ACTIONS}/{}", begun["id"])).await.expect(200);
        (actions["finished"] == true).then_some(actions)
    })
    .await;
    let expected: Value = names.iter().map(|name| json!([name, "succeeded", null])).collect();
    assert_eq!(states(&ended), expected);
    let operations = stack.sql().await.query_one("select count(*) from operations", &[]).await.expect("a count");
    assert_eq!(operations.get::<_, i64>(0), 6);
    doomed.kill();
}

#[tokio::test]
async fn cancelled_rest_is_left_alone() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (one, _) = (labelled(&api, &stack.key, "a").await, labelled(&api, &stack.key, "b").await);
    let body = json!({ "label": "friday", "action": "start", "stagger": "1h" });
    let begun = api.post(ACTIONS, body).await.expect(202);
    let path = format!("{ACTIONS}/{}", begun["id"]);
    let narrow = stack.make_key(OWNER, &["--scope", &format!("write:servers:{one}")]);
    let seen = api.call_as(Some(&narrow), "GET", &path, None).await.expect(200);
    assert_eq!(seen["servers"].as_array().map(Vec::len), Some(1), "a key for one server sees that one");
    api.call_as(Some(&narrow), "DELETE", &path, None).await.expect(403);
    let cancelled = api.call("DELETE", &path, None).await.expect(200);
    assert_eq!(states(&cancelled)[1], json!(["b", "refused", "cancelled"]));
    let ended = finished(&api, &stack.key, &begun["id"]).await;
    assert_eq!(states(&ended)[0], json!(["a", "succeeded", null]));
}

#[tokio::test]
async fn senseless_actions_are_refused() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    labelled(&api, &stack.key, "a").await;
    for (field, value) in [
        ("label", json!("a b")),
        ("action", json!("delete")),
        ("at_most", json!(0)),
        ("at_most", json!(101)),
        ("stagger", json!("soon")),
        ("stagger", json!("61m")),
        ("stagger", json!("0s")),
    ] {
        let mut body = json!({ "label": "friday", "action": "start" });
        body[field] = value;
        let refused = api.post(ACTIONS, body.clone()).await.expect(422);
        let names = refused["detail"].as_str().is_some_and(|detail| detail.starts_with(field));
        assert!(refused["code"] == "invalid_value" && names, "{body}: {refused}");
    }
    let unknown = api.post(ACTIONS, json!({ "label": "sunday", "action": "start" })).await.expect(404);
    assert_eq!(unknown["code"], "not_found");
    for _ in 0..10 {
        // The second of two waits for an hour.
        if api.get("/api/v1/servers?label=friday").await.expect(200)["items"].as_array().map(Vec::len) == Some(1) {
            labelled(&api, &stack.key, "b").await;
        }
        api.post(ACTIONS, json!({ "label": "friday", "action": "stop", "stagger": "1h" })).await.expect(202);
    }
    let many = api.post(ACTIONS, json!({ "label": "friday", "action": "stop" })).await.expect(409);
    assert_eq!(many["code"], "too_many_actions");
}

#[tokio::test]
async fn own_actions_are_listed() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (one, _) = (labelled(&api, &stack.key, "a").await, labelled(&api, &stack.key, "b").await);
    let quick = api.post(ACTIONS, json!({ "label": "friday", "action": "stop" })).await.expect(202)["id"].take();
    finished(&api, &stack.key, &quick).await;
    let slow = json!({ "label": "friday", "action": "stop", "stagger": "1h" });
    let slow = api.post(ACTIONS, slow).await.expect(202)["id"].take();
    let listed = async |key: &str, query: &str| -> (Vec<Value>, Value) {
        let list = api.call_as(Some(key), "GET", &format!("{ACTIONS}{query}"), None).await.expect(200);
        let ids = list["items"].as_array().expect("items").iter().map(|item| item["id"].clone()).collect();
        (ids, list)
    };
    let (ids, all) = listed(&stack.key, "").await;
    assert_eq!(ids, [slow.clone(), quick.clone()], "newest first");
    assert_eq!((&all["items"][1]["servers"], &all["items"][1]["left"]), (&json!(2), &json!(0)));
    assert_eq!(listed(&stack.key, "?finished=true").await.0, std::slice::from_ref(&quick));
    assert_eq!(listed(&stack.key, "?finished=false").await.0, std::slice::from_ref(&slow));
    let (first, page) = listed(&stack.key, "?limit=1").await;
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let (second, _) = listed(&stack.key, &format!("?limit=1&cursor={cursor}")).await;
    assert_eq!((first, second), (vec![slow.clone()], vec![quick]));
    let narrow = stack.make_key(OWNER, &["--scope", &format!("read:servers:{one}")]);
    assert_eq!(listed(&narrow, "").await.1["items"][0]["servers"], 1, "a key for one server sees that one");
    assert_eq!(listed(&stack.make_key(STRANGER, &[]), "").await.0, Vec::<Value>::new());

    let newer = "update server_batches set action = 'polish', next_at = now()";
    stack.sql().await.batch_execute(newer).await.expect("an action of a newer version");
    let path = format!("{ACTIONS}/{slow}");
    assert_eq!(api.get(&path).await.expect(200)["action"], Value::Null);
    assert_eq!(listed(&stack.key, "").await.0.len(), 2);
    let cancelled = api.call("DELETE", &path, None).await.expect(200);
    assert_eq!(states(&cancelled)[1], json!(["b", "refused", "cancelled"]), "{cancelled}");
}

#[tokio::test]
async fn ten_servers_cost_a_token() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    for number in 0..11 {
        labelled(&api, &stack.key, &format!("server {number}")).await;
    }
    let body = json!({ "label": "friday", "action": "stop" });
    let key = stack.make_key(OWNER, &["--rate-limit", "3"]);
    let begun = api.call_as(Some(&key), "POST", ACTIONS, Some(body.clone())).await;
    assert_eq!((begun.status.as_u16(), begun.header("x-ratelimit-remaining")), (202, "1"), "{}", begun.body);
    let refused = api.call_as(Some(&key), "POST", ACTIONS, Some(body.clone())).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, "1200"), "{}", refused.body);
    assert!(refused.body["detail"].as_str().is_some_and(|it| it.contains("counts as 2")), "{}", refused.body);
    let small = stack.make_key(OWNER, &["--rate-limit", "1"]);
    api.call_as(Some(&small), "POST", ACTIONS, Some(body)).await.expect(202);
}

#[tokio::test]
async fn rest_expires_after_a_day() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (_, second) = (labelled(&api, &stack.key, "a").await, labelled(&api, &stack.key, "b").await);
    let body = json!({ "label": "friday", "action": "stop", "stagger": "1h" });
    let begun = api.post(ACTIONS, body.clone()).await.expect(202);
    let old = "update server_batches set created_at = now() - interval '25 h', next_at = now()";
    stack.sql().await.batch_execute(old).await.expect("a day");
    let ended = finished(&api, &stack.key, &begun["id"]).await;
    assert_eq!(states(&ended)[1], json!(["b", "refused", "expired"]));

    let begun = api.post(ACTIONS, body).await.expect(202);
    api.act(second, "stop").await;
    assert_eq!(states(&finished(&api, &stack.key, &begun["id"]).await)[1], json!(["b", "refused", "overtaken"]));
    let body = json!({ "label": "friday", "action": "stop", "stagger": "1h" });
    let begun = api.post(ACTIONS, body).await.expect(202);
    api.call("DELETE", &format!("/api/v1/servers/{second}"), None).await.expect(202);
    assert_eq!(states(&finished(&api, &stack.key, &begun["id"]).await)[1], json!(["b", "refused", "server_deleted"]));
}

#[tokio::test]
async fn actions_count_until_their_operations_end() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    labelled(&api, &stack.key, "a").await;
    let body = json!({ "label": "friday", "action": "stop" });
    for _ in 0..10 {
        let begun = api.post(ACTIONS, body.clone()).await.expect(202);
        finished(&api, &stack.key, &begun["id"]).await;
    }
    // All of them are said to have asked for one operation, which waits.
    let open = "with one as (select id from operations limit 1), waits as (
                    update operations set state = 'queued', finished_at = null, available_at = now() + interval '1 h'
                    where id = (select id from one))
                update server_batch_items set operation_id = (select id from one);
                update server_batches set next_at = now() + interval '1 h'";
    let sql = stack.sql().await;
    sql.batch_execute(open).await.expect("an open operation");
    assert_eq!(api.post(ACTIONS, body.clone()).await.expect(409)["code"], "too_many_actions");
    sql.batch_execute("delete from server_batch_items where batch_id = 1").await.expect("one less");
    api.post(ACTIONS, body).await.expect(202);
}

#[tokio::test]
async fn retry_finds_its_action_without_the_label() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = labelled(&api, &stack.key, "a").await;
    let ask = async || {
        let body = json!({ "label": "friday", "action": "stop" });
        let request = stack.client.post(format!("{}{ACTIONS}", api.base)).bearer_auth(&stack.key);
        api.send(request.header("Idempotency-Key", "once").json(&body)).await.expect("an answer").expect(202)
    };
    let first = ask().await;
    // As if the process had died before it answered.
    let died = "update idempotency_keys set status = null, body = null, content_type = null, location = null,
                       lease_until = now()";
    stack.sql().await.batch_execute(died).await.expect("no answer");
    let unlabelled = json!({ "labels": [] });
    api.call("PATCH", &format!("/api/v1/servers/{server}"), Some(unlabelled)).await.expect(200);
    assert_eq!(ask().await["id"], first["id"]);
}

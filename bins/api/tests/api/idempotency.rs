//! A request that is sent again under one `Idempotency-Key` is done once and answered the same.

mod in_flight;
mod typed;

use agis_test_support::wait;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::{
    common::{Answer, Api, OWNER, SOON, STRANGER, Stack},
    refusal::routes::{ROUTES, World},
};

const SERVERS: &str = "/api/v1/servers";
const SCHEDULES: &str = "/api/v1/schedules";
const KEYS: &str = "/api/v1/auth/keys";

fn named(stack: &Stack, api: &Api, path: &str, key: &str, body: Option<&Value>) -> RequestBuilder {
    let request = stack.client.post(format!("{}{path}", api.base)).bearer_auth(&stack.key);
    let request = request.header("Idempotency-Key", key);
    match body {
        Some(body) => request.json(body),
        None => request,
    }
}

async fn post(stack: &Stack, api: &Api, path: &str, key: &str, body: &Value) -> Answer {
    api.send(named(stack, api, path, key, Some(body))).await.expect("an answer")
}

fn server(name: &str) -> Value {
    json!({ "name": name, "game_type": "demo" })
}

async fn count(sql: &Client, query: &str) -> i64 {
    sql.query_one(&format!("select count(*) from {query}"), &[]).await.expect("a count").get(0)
}

/// How much there is of all that a POST makes.
async fn made(sql: &Client) -> Vec<i64> {
    let mut made = vec![];
    for table in ["game_servers", "server_schedules", "api_keys", "operations"] {
        made.push(count(sql, table).await);
    }
    made
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == "true"
}

fn assert_replay(again: &Answer, first: &Answer, what: &str) {
    assert_eq!((again.status, &again.body), (first.status, &first.body), "{what}");
    for header in ["location", "content-type"] {
        assert_eq!(again.header(header), first.header(header), "{what}: {header}");
    }
    assert!(is_replayed(again) && !is_replayed(first), "{what} is told from the first");
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"), "{what}");
}

#[tokio::test]
async fn every_post_is_done_once_per_key() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let world = World::create(&api).await;
    let sql = stack.sql().await;
    let posts: Vec<_> = ROUTES.iter().filter(|route| route.method == "POST").collect();
    assert!(posts.len() >= 8, "the table was understood");
    for route in posts {
        let (path, body, what) = (route.path_in(&world), route.body_in(&world), &route.path);
        // One key for all: it is the route's own.
        let ask = async |path: &str, body: Option<&Value>| {
            api.send(named(&stack, &api, path, "the-same", body)).await.expect("an answer")
        };
        let first = ask(&path, body.as_ref()).await;
        // Whether the server runs already is nothing to wait for here: a 409 is kept as well.
        let decided = first.status.is_success()
            || ["not_running", "run_ended", "run_goes_on", "nothing_ahead", "condition_not_met"]
                .iter()
                .any(|code| first.body["code"] == *code);
        assert!(decided, "{what}: {}", first.body);
        let before = made(&sql).await;

        let again = ask(&path, body.as_ref()).await;
        if first.body["key"].is_string() {
            assert_eq!((again.status.as_u16(), &again.body["code"]), (409, &json!("key_already_shown")), "{what}");
            assert_eq!(again.body["id"], first.body["id"], "{what}");
        } else {
            assert_replay(&again, &first, what);
        }
        for (path, body) in [(&path, json!({ "something": "else" })), (&format!("{path}?else"), json!({}))] {
            let other = ask(path, Some(&body)).await;
            assert_eq!((other.status.as_u16(), &other.body["code"]), (422, &json!("idempotency_key_reused")), "{path}");
        }
        assert_eq!(made(&sql).await, before, "{what} was done again");
    }
}

#[tokio::test]
async fn failed_lookups_are_not_kept() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    for (path, status) in [("/api/v1/nothing", 404), ("/api/v1/servers/1/explode", 404), ("/api/v1/games", 405)] {
        let answer = post(&stack, &api, path, "k", &json!({})).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(!is_replayed(&post(&stack, &api, path, "k", &json!({})).await), "{path}");
    }
    assert_eq!(count(&stack.sql().await, "idempotency_keys").await, 0);
}

#[tokio::test]
async fn key_belongs_to_its_user() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let mine = post(&stack, &api, SERVERS, "k", &server("s")).await;
    let stranger = stack.make_key(STRANGER, &[]);
    let request = stack.client.post(format!("{}{SERVERS}", api.base)).bearer_auth(&stranger);
    let theirs = api.send(request.header("Idempotency-Key", "k").json(&server("s"))).await.expect("an answer");
    assert!(!is_replayed(&theirs));
    assert_ne!(theirs.expect(201)["id"], mine.expect(201)["id"]);
}

#[tokio::test]
async fn other_api_key_of_the_user_hears_the_answer() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let first = post(&stack, &api, SERVERS, "k", &server("s")).await;
    let ask = async |key: &str| {
        let request = stack.client.post(format!("{}{SERVERS}", api.base)).bearer_auth(key);
        api.send(request.header("Idempotency-Key", "k").json(&server("s"))).await.expect("an answer")
    };
    let equal = ask(&stack.make_key(OWNER, &[])).await;
    assert!(is_replayed(&equal), "{}", equal.body);
    assert_eq!(equal.body, first.body);
    let narrower = ask(&stack.make_key(OWNER, &["--scope", "read:keys"])).await;
    assert_eq!(narrower.expect(422)["code"], "idempotency_key_reused", "nothing is told to who may not ask");
}

#[tokio::test]
async fn repeated_answer_costs_a_request() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let key = stack.make_key(OWNER, &["--rate-limit", "2"]);
    for (status, remaining) in [(201, "1"), (201, "0"), (429, "0")] {
        let request = stack.client.post(format!("{}{SERVERS}", api.base)).bearer_auth(&key);
        let answer = api.send(request.header("Idempotency-Key", "k").json(&server("s"))).await.expect("an answer");
        assert_eq!(answer.header("x-ratelimit-remaining"), remaining);
        answer.expect(status);
    }
}

#[tokio::test]
async fn created_key_is_shown_once_and_stored_nowhere() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let sql = stack.sql().await;
    let body = json!({ "name": "k", "scopes": ["read:servers"] });
    let first = post(&stack, &api, KEYS, "k", &body).await.expect(201);
    let key = first["key"].as_str().expect("a key");
    for _ in 0..2 {
        let again = post(&stack, &api, KEYS, "k", &body).await.expect(409);
        assert_eq!((&again["code"], &again["id"]), (&json!("key_already_shown"), &first["id"]), "{again}");
        assert!(!again.to_string().contains(key));
    }
    let tables = "select tablename::text from pg_tables where schemaname = 'public'";
    for row in sql.query(tables, &[]).await.expect("tables") {
        let table: String = row.get(0);
        let holds = format!(
            "select count(*) from {table} t where strpos(to_jsonb(t)::text, $1) > 0
                or strpos(to_jsonb(t)::text, encode(convert_to($1, 'UTF8'), 'hex')) > 0"
        );
        let found: i64 = sql.query_one(&holds, &[&key]).await.expect("a count").get(0);
        assert_eq!(found, 0, "the key stands in {table}");
    }
    let path = format!("{KEYS}/{}", first["id"].as_str().expect("text"));
    assert_eq!(api.call("DELETE", &path, None).await.status, 204);
}

#[tokio::test]
async fn a_repeated_deletion_is_marked_as_replayed() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let path = format!("{}{SERVERS}/{}", api.base, api.server("s", "demo").await);
    let delete = || api.send(stack.client.delete(&path).bearer_auth(&stack.key).header("Idempotency-Key", "k"));
    let (first, again) = (delete().await.expect("an answer"), delete().await.expect("an answer"));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(first.expect(202), again.expect(202));
}

#[tokio::test]
async fn malformed_key_is_refused() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let refused = |answer: Answer, what: &str| {
        assert_eq!(answer.expect(400)["code"], "invalid_idempotency_key", "{what}");
    };
    for wrong in ["", " ", "a b", &"x".repeat(256)] {
        refused(post(&stack, &api, SERVERS, wrong, &server("s")).await, wrong);
    }
    let unreadable = reqwest::header::HeaderValue::from_bytes(b"\xc3\xa9").expect("a value");
    let request = named(&stack, &api, SERVERS, "k", Some(&server("s")));
    refused(api.send(request.header("Idempotency-Key", "another")).await.expect("an answer"), "two of them");
    let request = stack.client.post(format!("{}{SERVERS}", api.base)).bearer_auth(&stack.key);
    let request = request.header("Idempotency-Key", unreadable).json(&server("s"));
    refused(api.send(request).await.expect("an answer"), "not ASCII");
    assert_eq!(count(&stack.sql().await, "game_servers").await, 0);
    post(&stack, &api, SERVERS, &"~".repeat(255), &server("s")).await.expect(201);
    let long = format!("{SERVERS}/{}7/start", "0".repeat(3000));
    assert_eq!(post(&stack, &api, &long, "k", &json!({})).await.expect(404)["code"], "not_found");
}

#[tokio::test]
async fn refusal_is_kept_unless_the_request_is_wrong() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("taken", "demo").await;
    for (wrong, status) in [(json!({ "name": "" }), 400), (json!({ "name": "", "game_type": "demo" }), 422)] {
        post(&stack, &api, SERVERS, "form", &wrong).await.expect(status);
    }
    let text = named(&stack, &api, SERVERS, "form", None).body("name");
    api.send(text).await.expect("an answer").expect(415);
    post(&stack, &api, SERVERS, "form", &server("s")).await.expect(201);

    let reader = stack.make_key(OWNER, &["--scope", "read:servers"]);
    let request = stack.client.post(format!("{}{SERVERS}", api.base)).bearer_auth(reader);
    let request = request.header("Idempotency-Key", "scope").json(&server("t"));
    api.send(request).await.expect("an answer").expect(403);
    post(&stack, &api, SERVERS, "scope", &server("t")).await.expect(201);

    let taken = post(&stack, &api, SERVERS, "taken", &server("taken")).await;
    assert_eq!(taken.body["code"], "name_taken");
    api.call("PATCH", &format!("{SERVERS}/{id}"), Some(json!({ "name": "free" }))).await.expect(200);
    assert_replay(&post(&stack, &api, SERVERS, "taken", &server("taken")).await, &taken, "a refusal");
    post(&stack, &api, SERVERS, "a-new-one", &server("taken")).await.expect(201);
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let sql = stack.sql().await;
    let id = api.server("scheduled", "demo").await;
    let body = json!({ "server_id": id, "action": "stop", "cron_expression": "@yearly" });
    let start = format!("{SERVERS}/{id}/start");
    let mut first = vec![];
    for key in ["old", "young"] {
        first.push(post(&stack, &api, SCHEDULES, key, &body).await.expect(201)["id"].clone());
    }
    let started = post(&stack, &api, &start, "old", &json!({})).await.expect(202)["id"].clone();
    api.ended(started.as_str().expect("an id")).await;
    for table in ["idempotency_keys", "operations"] {
        let old = format!(
            "update {table} set created_at = now() - case when {table}::text like '%young%' \
                           then interval '23 hours' else interval '24 hours 1 second' end"
        );
        sql.execute(&old, &[]).await.expect("older");
    }
    // Housekeeping runs at the start, and then now and then.
    drop(api);
    let api = stack.api(&[]).await;
    wait::until(SOON, "the old keys to be forgotten", async || {
        (count(&sql, "idempotency_keys where key like '%old'").await == 0).then_some(())
    })
    .await;
    let old = post(&stack, &api, SCHEDULES, "old", &body).await.expect(201);
    assert_ne!(old["id"], first[0], "it was done anew");
    let young = post(&stack, &api, SCHEDULES, "young", &body).await;
    assert!(is_replayed(&young));
    assert_eq!(young.body["id"], first[1]);
    let again = post(&stack, &api, &start, "old", &json!({})).await.expect(202);
    assert_ne!(again["id"], started, "an operation's key is forgotten with it");
}

#[tokio::test]
async fn keys_are_limited_per_user() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let sql = stack.sql().await;
    let many = format!(
        "insert into idempotency_keys (key, discord_id, fingerprint, attempt, status, body)
         select 'many ' || n, '{OWNER}', '', gen_random_uuid(), 200, '' from generate_series(1, 10000) n"
    );
    sql.batch_execute(&many).await.expect("many");
    let refused = post(&stack, &api, SERVERS, "k", &server("s")).await;
    assert_eq!(refused.header("retry-after"), "600");
    assert_eq!(refused.expect(429)["code"], "too_many_idempotency_keys");
    api.post(SERVERS, server("without one")).await.expect(201);
    let stranger = stack.make_key(STRANGER, &[]);
    let request = stack.client.post(format!("{}{SERVERS}", api.base)).bearer_auth(stranger);
    api.send(request.header("Idempotency-Key", "k").json(&server("s"))).await.expect("an answer").expect(201);
}

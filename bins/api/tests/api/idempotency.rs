//! What is sent again under one `Idempotency-Key` is done once and answered the same.

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
async fn every_post_is_done_once_and_answered_the_same_and_its_key_is_its_own() {
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
        let decided = first.status.is_success() || first.body["code"] == "not_running";
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
async fn another_users_key_of_the_same_name_is_another() {
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
async fn another_api_key_of_the_same_user_hears_the_answer_where_it_may_do_the_same() {
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
async fn an_answer_that_is_repeated_costs_a_request_as_well() {
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

/// Makes Postgres wait with these writes, for some seconds at the most, until [`release`].
async fn hold(sql: &Client, writes: &str) {
    let trigger = format!(
        "create table hold (x integer);
         insert into hold values (1);
         create function hold() returns trigger language plpgsql as $$ begin
             while exists (select from hold) loop perform pg_sleep(0.02); end loop;
             return new;
         end $$;
         create trigger hold before {writes} for each row execute function hold();"
    );
    sql.batch_execute(&trigger).await.expect("a trigger");
}

async fn release(sql: &Client) {
    sql.execute("delete from hold", &[]).await.expect("released");
}

async fn until_count(sql: &Client, what: &str, query: &str, expected: i64) {
    wait::until(SOON, what, async || (count(sql, query).await == expected).then_some(())).await;
}

fn spawn(request: RequestBuilder) -> tokio::task::JoinHandle<reqwest::Result<(u16, Value)>> {
    tokio::spawn(async move {
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    })
}

#[tokio::test]
async fn while_the_first_is_in_flight_the_second_is_told_to_come_again() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let sql = stack.sql().await;
    hold(&sql, "insert on game_servers").await;
    let first = spawn(named(&stack, &api, SERVERS, "k", Some(&server("s"))));
    until_count(&sql, "the first to be in flight", "idempotency_keys", 1).await;
    let second = post(&stack, &api, SERVERS, "k", &server("s")).await;
    assert_eq!(second.header("retry-after"), "1");
    assert_eq!(second.expect(409)["code"], "idempotency_in_flight");
    let other = post(&stack, &api, SERVERS, "k", &server("t")).await;
    assert_eq!(other.expect(422)["code"], "idempotency_key_reused");
    release(&sql).await;
    let (status, made) = first.await.expect("a task").expect("an answer");
    assert_eq!(status, 201, "{made}");
    let third = post(&stack, &api, SERVERS, "k", &server("s")).await;
    assert!(is_replayed(&third));
    assert_eq!(third.expect(201), made);
}

#[tokio::test]
async fn a_caller_who_hangs_up_and_asks_again_has_one_server() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let sql = stack.sql().await;
    hold(&sql, "insert on game_servers").await;
    let lost = spawn(named(&stack, &api, SERVERS, "k", Some(&server("s"))));
    until_count(&sql, "the first to be in flight", "idempotency_keys", 1).await;
    lost.abort();
    lost.await.expect_err("nobody waits for the answer");
    release(&sql).await;
    let made = wait::until(SOON, "an answer long before the lease ends", async || {
        let answer = post(&stack, &api, SERVERS, "k", &server("s")).await;
        (answer.status == 201).then_some(answer)
    })
    .await;
    let next = post(&stack, &api, SERVERS, "k", &server("s")).await;
    assert!(is_replayed(&next));
    assert_eq!(next.body, made.body);
    assert_eq!(count(&sql, "game_servers").await, 1);
}

#[tokio::test]
async fn twenty_at_once_under_one_key_through_two_processes_make_one_server() {
    let stack = Stack::start().await;
    let apis = [stack.api(&[]).await, stack.api(&[]).await];
    let mut asked = JoinSet::new();
    for n in 0..20 {
        asked.spawn(spawn(named(&stack, &apis[n % 2], SERVERS, "k", Some(&server("s")))));
    }
    let mut ids = vec![];
    for answer in asked.join_all().await {
        let (status, body) = answer.expect("a task").expect("an answer");
        match status {
            201 => ids.push(body["id"].clone()),
            _ => assert_eq!((status, &body["code"]), (409, &json!("idempotency_in_flight"))),
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(count(&stack.sql().await, "game_servers").await, 1);
}

/// Kills a process with its connections, as the loss of its machine would.
async fn kill(api: Api, sql: &Client) {
    api.kill();
    let own = "from pg_stat_activity where application_name = 'agis' and datname = current_database()";
    sql.execute(&format!("select pg_terminate_backend(pid) {own}"), &[]).await.expect("terminated");
    until_count(sql, "its connections to end", &own["from ".len()..], 0).await;
    release(sql).await;
}

async fn expire_leases(sql: &Client) {
    let expire = "update idempotency_keys set lease_until = now() where status is null";
    sql.execute(expire, &[]).await.expect("expired");
}

#[tokio::test]
async fn what_was_made_before_a_process_died_is_found_by_the_retry_and_not_made_again() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("scheduled", "demo").await;
    let old = api.post(KEYS, json!({ "name": "old", "scopes": ["read:keys"] })).await.expect(201);
    let rotation = format!("{KEYS}/{}/rotate", old["id"].as_str().expect("text"));
    let sql = stack.sql().await;
    let requests = [
        (SERVERS, server("s")),
        (SCHEDULES, json!({ "server_id": id, "action": "stop", "cron_expression": "@yearly" })),
        (KEYS, json!({ "name": "k", "scopes": ["read:servers"] })),
        (rotation.as_str(), json!({ "overlap_seconds": 60 })),
    ];
    // The moment between the effect and its answer.
    hold(&sql, "update of status, lease_until on idempotency_keys").await;
    let lost: Vec<_> = requests.iter().map(|(path, body)| spawn(named(&stack, &api, path, "k", Some(body)))).collect();
    until_count(&sql, "all to be made", "idempotency_keys where resource is not null", 4).await;
    kill(api, &sql).await;
    for answer in lost {
        answer.await.expect("a task").expect_err("no answer");
    }
    let before = made(&sql).await;

    let api = stack.api(&[]).await;
    for (path, body) in &requests {
        let early = post(&stack, &api, path, "k", body).await;
        assert_eq!(early.expect(409)["code"], "idempotency_in_flight", "{path}: nobody knows yet that it died");
    }
    expire_leases(&sql).await;
    for (path, body) in &requests {
        let query = format!("select resource from idempotency_keys where key like '% {path} k'");
        let resource: i32 = sql.query_one(&query, &[]).await.expect("a row").get(0);
        let retry = post(&stack, &api, path, "k", body).await;
        if path.starts_with(KEYS) {
            assert_eq!((retry.status.as_u16(), &retry.body["code"]), (409, &json!("key_already_shown")));
            assert_eq!(retry.body["id"], json!(resource.to_string()));
        } else {
            assert_eq!((retry.status.as_u16(), &retry.body["id"]), (201, &json!(resource)), "{}", retry.body);
            assert_eq!(retry.header("location"), format!("{path}/{resource}"));
            assert_replay(&post(&stack, &api, path, "k", body).await, &retry, path);
        }
    }
    assert_eq!(made(&sql).await, before, "nothing was made again");
}

#[tokio::test]
async fn what_was_not_made_when_a_process_died_is_made_by_the_retry() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let sql = stack.sql().await;
    hold(&sql, "insert on game_servers").await;
    let lost = spawn(named(&stack, &api, SERVERS, "k", Some(&server("s"))));
    until_count(&sql, "the first to be in flight", "idempotency_keys", 1).await;
    kill(api, &sql).await;
    lost.await.expect("a task").expect_err("no answer");
    expire_leases(&sql).await;
    let api = stack.api(&[]).await;
    let retry = post(&stack, &api, SERVERS, "k", &server("s")).await;
    assert!(!is_replayed(&retry));
    retry.expect(201);
    assert_eq!(count(&sql, "game_servers").await, 1);
}

#[tokio::test]
async fn an_attempt_that_was_taken_over_makes_nothing_and_what_failed_here_is_not_kept() {
    let stack = Stack::start().await;
    let (slow, quick) = (stack.api(&[]).await, stack.api(&[]).await);
    let sql = stack.sql().await;
    hold(&sql, "insert on game_servers").await;
    let first = spawn(named(&stack, &slow, SERVERS, "k", Some(&server("s"))));
    until_count(&sql, "the first to be in flight", "idempotency_keys", 1).await;
    expire_leases(&sql).await;
    let second = post(&stack, &quick, SERVERS, "k", &server("s")).await;
    assert_eq!(second.expect(503)["code"], "unavailable", "the first holds the owner's row");
    release(&sql).await;
    let (status, body) = first.await.expect("a task").expect("an answer");
    assert_eq!((status, &body["code"]), (409, &json!("conflict")));
    assert_eq!(count(&sql, "game_servers").await, 0);
    let third = post(&stack, &quick, SERVERS, "k", &server("s")).await;
    assert!(!is_replayed(&third));
    third.expect(201);
    assert_eq!(count(&sql, "game_servers").await, 1);
}

#[tokio::test]
async fn a_key_is_shown_once_and_stands_in_no_table_and_its_id_revokes_it() {
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
async fn a_header_that_is_no_key_is_refused_and_nothing_is_done() {
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
async fn a_refusal_for_what_there_is_is_kept_and_one_for_the_request_itself_is_not() {
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
    // It looks at its beginning, and then now and then.
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
async fn a_user_has_so_many_keys_at_a_time_and_others_are_not_concerned() {
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

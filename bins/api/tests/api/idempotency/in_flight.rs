//! Repetitions while the first request is at work, or after its process was lost.

use std::time::Duration;

use super::*;

/// Makes Postgres wait with these writes, for some seconds at the most, until [`release`].
pub(super) async fn hold(sql: &Client, writes: &str) {
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

pub(super) async fn until_count(sql: &Client, what: &str, query: &str, expected: i64) {
    wait::until(SOON, what, async || (count(sql, query).await == expected).then_some(())).await;
}

/// The seconds after which an answer says to come again.
fn wait_of(answer: &Answer) -> u64 {
    answer.header("retry-after").parse().expect("seconds")
}

pub(super) fn spawn(request: RequestBuilder) -> tokio::task::JoinHandle<reqwest::Result<(u16, Value)>> {
    tokio::spawn(async move {
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    })
}

#[tokio::test]
async fn second_is_told_to_retry_while_first_runs() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let sql = stack.sql().await;
    hold(&sql, "insert on game_servers").await;
    let first = spawn(named(&stack, &api, SERVERS, "k", Some(&server("s"))));
    until_count(&sql, "the first to be in flight", "idempotency_keys", 1).await;
    let second = post(&stack, &api, SERVERS, "k", &server("s")).await;
    assert!((1..=60).contains(&wait_of(&second)), "the lease of the first is 60 s");
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
async fn retry_after_hanging_up_makes_one_server() {
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
async fn twenty_at_once_make_one_server() {
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
pub(super) async fn kill(api: Api, sql: &Client) {
    api.kill();
    let own = "from pg_stat_activity where application_name = 'agis' and datname = current_database()";
    sql.execute(&format!("select pg_terminate_backend(pid) {own}"), &[]).await.expect("terminated");
    until_count(sql, "its connections to end", &own["from ".len()..], 0).await;
    release(sql).await;
}

pub(super) async fn expire_leases(sql: &Client) {
    let expire = "update idempotency_keys set lease_until = now() where status is null";
    sql.execute(expire, &[]).await.expect("expired");
}

#[tokio::test]
async fn retry_finds_what_a_dead_process_made() {
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
async fn retry_makes_what_a_dead_process_did_not() {
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
async fn retry_waits_for_the_lease_of_the_dead() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let sql = stack.sql().await;
    hold(&sql, "insert on game_servers").await;
    let lost = spawn(named(&stack, &api, SERVERS, "k", Some(&server("s"))));
    until_count(&sql, "the first to be in flight", "idempotency_keys", 1).await;
    kill(api, &sql).await;
    lost.await.expect("a task").expect_err("no answer");
    let api = stack.api(&[]).await;
    for seconds in [40, 2] {
        let left = format!("update idempotency_keys set lease_until = clock_timestamp() + interval '{seconds} s'");
        sql.execute(&left, &[]).await.expect("another lease");
        let early = post(&stack, &api, SERVERS, "k", &server("s")).await;
        let told = wait_of(&early);
        // Less where this machine is busy, and never less than there is.
        let until = "select extract(epoch from lease_until - clock_timestamp())::float8 from idempotency_keys";
        let left: f64 = sql.query_one(until, &[]).await.expect("a row").get(0);
        assert!(told <= seconds && told as f64 >= left, "{told} of {seconds}, {left} are left");
        assert_eq!(early.expect(409)["code"], "idempotency_in_flight");
        if seconds == 2 {
            tokio::time::sleep(Duration::from_secs(told)).await;
        }
    }
    let retry = post(&stack, &api, SERVERS, "k", &server("s")).await;
    retry.expect(201);
    assert_eq!(count(&sql, "game_servers").await, 1);
}

#[tokio::test]
async fn overtaken_attempt_makes_nothing() {
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

//! Rows that nobody needs any more go.

use agis_test_support::wait;
use serde_json::json;

use crate::common::{SOON, Stack};

async fn count(sql: &tokio_postgres::Client, from: &str) -> i64 {
    sql.query_one(&format!("select count(*) from {from}"), &[]).await.expect("a count").get(0)
}

#[tokio::test]
async fn host_without_servers_counts_none() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    sql.batch_execute("insert into game_servers (discord_id, name, game_type, host) select discord_id, 's', 'demo', 'there' from users")
        .await
        .expect("a server");
    let api = stack.api(&[]).await;
    let servers = async |expected: f64| {
        wait::until(SOON, &format!("{expected} servers"), async || {
            let sample = "agis_bot_servers{host=\"there\",status=\"stopped\"}";
            ((api.metric(sample).await - expected).abs() < 0.5).then_some(())
        })
        .await;
    };
    servers(1.0).await;
    sql.batch_execute("update game_servers set desired = 'deleted', deleted_at = now()").await.expect("deleted");
    servers(0.0).await;
}

#[tokio::test]
async fn running_api_forgets_ended_keys() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    sql.batch_execute(
        "insert into api_keys (key_hash, discord_id, name, scopes, expires_at)
             select 'ended ' || n, discord_id, 'k', '{*}', now() - n * '1 day'::interval from users, generate_series(28, 32) n",
    )
    .await
    .expect("keys");
    let _api = stack.api(&[]).await;
    wait::until(SOON * 2, "the ended keys to be forgotten", async || {
        (count(&sql, "api_keys where name = 'k'").await == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn last_hundred_ended_keys_are_kept() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let sql = stack.sql().await;
    let body = json!({ "name": "once", "scopes": ["*"] });
    let ask = || {
        let request = stack.client.post(format!("{}/api/v1/auth/keys", api.base)).bearer_auth(&stack.key);
        api.send(request.header("Idempotency-Key", "once").json(&body))
    };
    let first = ask().await.expect("an answer").expect(201);
    let mut id = first["id"].as_str().expect("an id").to_owned();
    let rotate = async |id: &str| {
        let path = format!("/api/v1/auth/keys/{id}/rotate");
        let heir = api.post(&path, json!({ "overlap_seconds": 0 })).await.expect(201);
        heir["id"].as_str().expect("an id").to_owned()
    };
    for _ in 0..110 {
        id = rotate(&id).await;
    }
    let ended = "api_keys where expires_at <= now()";
    assert_eq!(count(&sql, ended).await, 100);
    assert_eq!(count(&sql, &format!("api_keys where id = {}", first["id"].as_str().expect("an id"))).await, 0);
    let again = ask().await.expect("an answer").expect(409);
    assert_eq!((&again["code"], &again["id"]), (&json!("key_already_shown"), &first["id"]));
    // The chain goes on from its living end, with the limit of its first.
    let bucket = format!("api_keys where id = {id} and bucket = {}", first["id"].as_str().expect("an id"));
    assert_eq!(count(&sql, &bucket).await, 1);

    // A backlog goes in pieces, and what another user has stays.
    sql.batch_execute(
        "insert into users (discord_id) values ('7');
         insert into api_keys (key_hash, discord_id, name, scopes, expires_at)
             select discord_id || ' ' || n, discord_id, 'old', '{*}', now() - n * '1 second'::interval
             from users, generate_series(1, 350) n",
    )
    .await
    .expect("keys");
    for left in [351, 252, 153, 100, 100] {
        rotate(&id).await.clone_into(&mut id);
        assert_eq!(count(&sql, &format!("{ended} and discord_id <> '7'")).await, left);
    }
    assert_eq!(count(&sql, "api_keys where discord_id = '7'").await, 350);
}

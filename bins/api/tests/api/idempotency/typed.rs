//! A console command is typed at most once under one key, whatever dies.

use super::{
    in_flight::{expire_leases, hold, kill, spawn, until_count},
    *,
};

/// A running game, the path of its commands, and a command.
async fn talking(api: &Api, game: &str) -> (i64, String, Value) {
    let id = api.server("talks", game).await;
    api.act(id, "start").await;
    (id, format!("{SERVERS}/{id}/command"), json!({ "command": "say hi" }))
}

/// How often the line has been typed.
async fn typed(api: &Api, id: i64) -> usize {
    let logs = api.get(&format!("{SERVERS}/{id}/logs?tail=1000")).await.expect(200);
    logs["items"].as_array().expect("items").iter().filter(|line| line["text"] == "> say hi").count()
}

async fn until_typed(api: &Api, id: i64) {
    wait::until(SOON, "the line to be typed", async || (typed(api, id).await > 0).then_some(())).await;
}

#[tokio::test]
async fn typed_command_is_not_typed_again() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (id, path, say) = talking(&api, "demo").await;
    let sql = stack.sql().await;
    // The moment between the effect and its answer.
    hold(&sql, "update of status, lease_until on idempotency_keys").await;
    let lost = spawn(named(&stack, &api, &path, "k", Some(&say)));
    until_typed(&api, id).await;
    kill(api, &sql).await;
    lost.await.expect("a task").expect_err("no answer");

    let api = stack.api(&[]).await;
    let early = post(&stack, &api, &path, "k", &say).await;
    assert_eq!(early.expect(409)["code"], "idempotency_in_flight");
    expire_leases(&sql).await;
    let retry = post(&stack, &api, &path, "k", &say).await;
    assert_eq!(retry.header("retry-after"), "", "no waiting helps");
    assert!(!is_replayed(&retry));
    assert_eq!(retry.expect(409)["code"], "outcome_unknown");
    let again = post(&stack, &api, &path, "k", &say).await;
    assert!(is_replayed(&again));
    assert_eq!(again.expect(409)["code"], "outcome_unknown");
    assert_eq!(typed(&api, id).await, 1);

    post(&stack, &api, &path, "another", &say).await.expect(204);
    wait::until(SOON, "the line under another key", async || (typed(&api, id).await == 2).then_some(())).await;
}

#[tokio::test]
async fn unbegun_command_is_typed_by_the_retry() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (id, path, say) = talking(&api, "demo").await;
    let sql = stack.sql().await;
    hold(&sql, "update of resource on idempotency_keys").await;
    let lost = spawn(named(&stack, &api, &path, "k", Some(&say)));
    until_count(&sql, "it to be in flight", "idempotency_keys", 1).await;
    kill(api, &sql).await;
    lost.await.expect("a task").expect_err("no answer");
    expire_leases(&sql).await;

    let api = stack.api(&[]).await;
    let retry = post(&stack, &api, &path, "k", &say).await;
    assert_eq!(retry.status, 204, "{}", retry.body);
    assert_replay(&post(&stack, &api, &path, "k", &say).await, &retry, "the same");
    until_typed(&api, id).await;
    assert_eq!(typed(&api, id).await, 1);
}

#[tokio::test]
async fn refused_command_may_be_sent_again() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (_, path, _) = talking(&api, "sleeper").await;
    let long = json!({ "command": "\u{1f600}".repeat(1000) });
    let mut refused = None;
    for number in 0..60 {
        let key = format!("k{number}");
        let answer = post(&stack, &api, &path, &key, &long).await;
        if answer.status != 204 {
            refused = Some((key, answer));
            break;
        }
    }
    let (key, answer) = refused.expect("the channel has a bound");
    assert_eq!(answer.expect(503)["code"], "console_busy");
    let kept = format!("idempotency_keys where key like '% {key}'");
    assert_eq!(count(&stack.sql().await, &kept).await, 0, "nothing was typed, and nothing stands in a retry's way");
}

//! A limit over two processes, while Redis is there and while it is not.

use agis_local_services::redis::Redis;
use agis_test_support::wait;
use serde_json::json;

use crate::common::{Api, OWNER, SOON, Stack};

/// Refills by one in 72 s.
const LIMIT: usize = 50;

/// How many of so many requests pass, asked of the processes in turn; the others are 429.
async fn passes(apis: &[&Api], key: &str, requests: usize) -> usize {
    let mut passed = 0;
    for api in apis.iter().cycle().take(requests) {
        let answer = api.call_as(Some(key), "GET", "/api/v1/users/me", None).await;
        match answer.status.as_u16() {
            200 => passed += 1,
            status => assert_eq!(status, 429, "{}", answer.body),
        }
    }
    passed
}

/// Waits until they say so, in a 200.
async fn until_status(apis: &[&Api], status: &str) {
    for api in apis {
        wait::until(SOON, &format!("readiness to be {status}"), async || {
            let ready = api.ready().await;
            (ready.status.as_u16() == 200 && ready.body["status"] == status).then_some(())
        })
        .await;
    }
}

/// How often the processes gave Redis up.
async fn fallbacks(apis: &[&Api]) -> f64 {
    let mut sum = 0.0;
    for api in apis {
        sum += api.metric("agis_bot_rate_limit_fallbacks_total").await;
    }
    sum
}

fn new_key(stack: &Stack) -> String {
    stack.make_key(OWNER, &["--rate-limit", &LIMIT.to_string()])
}

/// Both together let pass what one key may. A round in which a busy machine missed a deadline says nothing.
async fn assert_shared(stack: &Stack, apis: &[&Api]) -> String {
    wait::until(SOON * 4, "a round without a fallback", async || {
        let (key, before) = (new_key(stack), fallbacks(apis).await);
        until_status(apis, "ok").await;
        let passed = passes(apis, &key, 2 * LIMIT).await;
        if fallbacks(apis).await > before {
            return None;
        }
        // A slow round may see a token come back.
        assert!((LIMIT..=LIMIT + 1).contains(&passed), "{passed}");
        Some(key)
    })
    .await
}

#[tokio::test]
async fn processes_share_a_limit_while_redis_is_up() {
    let stack = Stack::start().await;
    let mut server = Redis::start().expect("a Redis");
    let url = server.url();
    let (one, two) = (stack.api(&[("REDIS_URL", &url)]).await, stack.api(&[("REDIS_URL", &url)]).await);
    let apis = [&one, &two];
    let used_up = assert_shared(&stack, &apis).await;
    let decided = r#"agis_bot_rate_limit_decisions_total{backend="redis",outcome="denied"}"#;
    assert!(one.metric(decided).await >= 1.0);
    assert_eq!(one.metric("agis_bot_rate_limit_redis_up").await, 1.0);

    server.kill();
    // Without a limit 240 would pass; each of the two has one.
    let passed = passes(&apis, &used_up, 240).await;
    assert!((1..=2 * LIMIT + 2).contains(&passed), "{passed}");
    until_status(&apis, "degraded").await;
    assert!(one.ready().await.body["components"]["redis"]["why"].is_string());
    assert_eq!(one.metric("agis_bot_rate_limit_redis_up").await, 0.0);
    let told = one.log().iter().filter(|line| line["component"] == "redis" && line["message"] == "degraded").count();
    assert!((1..=3).contains(&told), "told of the change, not of each request: {told}");

    server.restart().expect("a Redis");
    assert_shared(&stack, &apis).await;
}

#[tokio::test]
async fn redis_down_at_start_keeps_nobody_out() {
    let stack = Stack::start().await;
    let mut server = Redis::start().expect("a Redis");
    server.kill();
    let api = stack.api(&[("REDIS_URL", &server.url())]).await;
    until_status(&[&api], "degraded").await;
    assert_eq!(passes(&[&api], &new_key(&stack), 2 * LIMIT).await, LIMIT);
    server.restart().expect("a Redis");
    until_status(&[&api], "ok").await;
}

#[tokio::test]
async fn refused_redis_password_is_not_told() {
    let stack = Stack::start().await;
    let server = Redis::start().expect("a Redis");
    // Redis has no password, so any is wrong.
    let url = server.url().replace("//", "//:hunter2@");
    let api = stack.api(&[("REDIS_URL", &url)]).await;
    let line = api.logged("why", |line| line["component"] == "redis").await;
    assert!(line["why"].as_str().is_some_and(|why| why.to_lowercase().contains("auth")), "{line}");
    assert!(!api.log().iter().any(|line| line.to_string().contains("hunter2")));
    until_status(&[&api], "degraded").await;
}

/// Has a key make others in all processes in turn, each of which asks a little, and answers with how much passed in all.
async fn passes_of_a_family(apis: &[&Api], maker: &str) -> usize {
    let (mut passed, mut key) = (0, maker.to_owned());
    for (number, api) in apis.iter().cycle().take(LIMIT).enumerate() {
        // Of the first, or of the last one that was made.
        let by = if number % 2 == 0 { maker } else { &key };
        let body = json!({ "name": "child", "scopes": ["*"] });
        let answer = api.call_as(Some(by), "POST", "/api/v1/auth/keys", Some(body)).await;
        if answer.status == 201 {
            answer.body["key"].as_str().expect("a key").clone_into(&mut key);
            passed += 1;
        }
        passed += passes(apis, &key, 3).await;
    }
    passed
}

#[tokio::test]
async fn key_family_shares_one_limit_with_and_without_redis() {
    let stack = Stack::start().await;
    let mut server = Redis::start().expect("a Redis");
    let settings = [("REDIS_URL", server.url()), ("KEYS_PER_USER", "10000".to_owned())];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let (one, mut two) = (stack.api(&settings).await, stack.api(&settings).await);
    let maker = wait::until(SOON * 4, "a round without a fallback", async || {
        let (maker, before) = (new_key(&stack), fallbacks(&[&one, &two]).await);
        until_status(&[&one, &two], "ok").await;
        let passed = passes_of_a_family(&[&one, &two], &maker).await;
        if fallbacks(&[&one, &two]).await > before {
            return None;
        }
        // A slow round may see a token come back.
        assert!((LIMIT..=LIMIT + 1).contains(&passed), "{passed}");
        Some(maker)
    })
    .await;

    two.kill();
    two = stack.api(&settings).await;
    until_status(&[&one, &two], "ok").await;
    let before = fallbacks(&[&one, &two]).await;
    let passed = passes_of_a_family(&[&one, &two], &maker).await;
    // A process gives one quota more if it lost its patience with Redis.
    let given = if fallbacks(&[&one, &two]).await > before { LIMIT } else { 0 };
    assert!(passed <= given + 2, "a new process knows whose children they are: {passed}");

    server.kill();
    let passed = passes_of_a_family(&[&one, &two], &maker).await;
    assert!((1..=2 * LIMIT + 2).contains(&passed), "one quota of each process: {passed}");
}

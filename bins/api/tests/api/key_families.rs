//! The limit of a key holds for all that comes of it: making keys multiplies no limit.

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::common::{Answer, Api, OWNER, SOON, Stack};

const KEYS: &str = "/api/v1/auth/keys";
const ME: &str = "/api/v1/users/me";

/// A key and its id.
type Made = (String, String);

/// A key that a person made.
fn root(stack: &Stack, limit: u32) -> String {
    stack.make_key(OWNER, &["--rate-limit", &limit.to_string()])
}

async fn ask(api: &Api, key: &str) -> Answer {
    api.call_as(Some(key), "GET", ME, None).await
}

/// The key that one makes for another, or rotates, if it may ask at all.
async fn post(api: &Api, by: &str, path: &str, body: Value) -> Option<Made> {
    let answer = api.call_as(Some(by), "POST", path, Some(body)).await;
    if answer.status == 429 {
        return None;
    }
    let made = answer.expect(201);
    let text = |field: &str| made[field].as_str().expect("text").to_owned();
    Some((text("key"), text("id")))
}

async fn child(api: &Api, by: &str, limit: Option<u32>) -> Option<Made> {
    post(api, by, KEYS, json!({ "name": "child", "scopes": ["*"], "rate_limit": limit })).await
}

async fn made(api: &Api, by: &str, limit: u32) -> Made {
    child(api, by, Some(limit)).await.expect("a key")
}

/// How many of so many requests pass.
async fn passes(api: &Api, key: &str, requests: u32) -> u32 {
    let mut passed = 0;
    for _ in 0..requests {
        passed += u32::from(ask(api, key).await.status == 200);
    }
    passed
}

/// Limit, tokens left, and whose they are, as both families of headers say it.
fn told(answer: &Answer) -> (u32, u32, String) {
    let number = |name: &str| answer.header(name).parse::<u32>().expect("a number");
    let (limit, left) = (number("x-ratelimit-limit"), number("x-ratelimit-remaining"));
    let whose = answer.header("ratelimit").split('"').nth(1).expect("a policy").to_owned();
    assert_eq!(answer.header("ratelimit-policy"), format!("\"{whose}\";q={limit};w=3600"));
    assert!(answer.header("ratelimit").starts_with(&format!("\"{whose}\";r={left};t=")), "{:?}", answer.headers);
    (limit, left, whose)
}

fn says(answer: &Answer, text: &str) -> bool {
    answer.status == 429 && answer.body["detail"].as_str().is_some_and(|detail| detail.contains(text))
}

/// Sets the limit of a key, as another asks.
async fn patch(api: &Api, by: &str, id: &str, limit: u32) -> Answer {
    api.call_as(Some(by), "PATCH", &format!("{KEYS}/{id}"), Some(json!({ "rate_limit": limit }))).await
}

/// Waits until the tightest limit of a key is this, which costs a token each time.
async fn until_limit(api: &Api, key: &str, limit: u32) {
    wait::until(SOON, &format!("a limit of {limit}"), async || (told(&ask(api, key).await).0 == limit).then_some(()))
        .await;
}

/// A token comes back in three minutes.
const LIMIT: u32 = 20;

#[tokio::test]
async fn fresh_keys_get_no_more_than_one_key() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;

    let maker = root(&stack, LIMIT);
    let mut passed = 0;
    while let Some((key, _)) = child(&api, &maker, None).await {
        passed += 1 + passes(&api, &key, 4).await;
    }
    assert_eq!(passed, LIMIT, "each made by the first");

    let (mut key, mut passed, mut generations) = (root(&stack, LIMIT), 0, 0);
    while let Some((heir, _)) = child(&api, &key, None).await {
        (key, generations) = (heir, generations + 1);
        passed += 1 + passes(&api, &key, 1).await;
    }
    assert_eq!((passed, generations), (LIMIT, LIMIT / 2), "each made by the one before");

    let maker = root(&stack, LIMIT);
    let (mut key, mut id) = made(&api, &maker, LIMIT).await;
    let mut passed = 1;
    while let Some(heir) = post(&api, &key, &format!("{KEYS}/{id}/rotate"), json!({ "overlap_seconds": 0 })).await {
        (key, id) = heir;
        passed += 1 + passes(&api, &key, 2).await;
    }
    assert_eq!(passed, LIMIT, "each rotated");
    assert_eq!(ask(&api, &maker).await.status, 429);

    let maker = root(&stack, LIMIT);
    let mut passed = 0;
    while let Some((key, id)) = child(&api, &maker, None).await {
        passed += 1 + passes(&api, &key, 2).await;
        let revoked = api.call_as(Some(&key), "DELETE", &format!("{KEYS}/{id}"), None).await;
        passed += u32::from(revoked.status == 204);
    }
    assert_eq!(passed, LIMIT, "each revoked before the next is made");
    assert_eq!(ask(&api, &root(&stack, LIMIT)).await.status, 200, "what a person made has its own");
}

#[tokio::test]
async fn tightest_limit_is_told_with_its_owner() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let maker = root(&stack, 10);
    let (key, _) = made(&api, &maker, 6).await;
    for left in (0..6).rev() {
        assert_eq!(told(&ask(&api, &key).await), (6, left, "key".to_owned()));
    }
    for _ in 0..3 {
        let refused = ask(&api, &key).await;
        assert!(says(&refused, "this API key has used its 6 requests per hour"), "{}", refused.body);
        assert_eq!(told(&refused), (6, 0, "key".to_owned()));
    }
    // The maker paid one request to make this key and six that it sent; refusals cost the maker nothing.
    let (other, _) = made(&api, &maker, 6).await;
    for left in [1, 0] {
        assert_eq!(told(&ask(&api, &other).await), (10, left, "maker".to_owned()));
    }
    let refused = ask(&api, &other).await;
    assert!(
        says(&refused, "an API key from which this one was made has used its 10 requests per hour"),
        "{}",
        refused.body
    );
    assert_eq!((told(&refused), refused.body["code"].as_str()), ((10, 0, "maker".to_owned()), Some("rate_limited")));
    let wait: u32 = refused.header("retry-after").parse().expect("seconds");
    assert!((300..=360).contains(&wait), "a token of the maker's comes every 360 s: {wait}");
    let refused = ask(&api, &maker).await;
    assert!(says(&refused, "this API key has used its 10 requests per hour"), "{}", refused.body);
}

#[tokio::test]
async fn small_child_costs_its_maker_little() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let maker = root(&stack, 1000);
    let (key, _) = made(&api, &maker, 5).await;
    assert_eq!(passes(&api, &key, 30).await, 5);
    assert_eq!(told(&ask(&api, &maker).await), (1000, 1000 - 1 - 5 - 1, "key".to_owned()));
}

#[tokio::test]
async fn child_keeps_to_its_makers_limit() {
    let stack = Stack::start().await;
    let (api, other) = (stack.api(&[]).await, stack.api(&[]).await);
    let (maker, id) = made(&api, &stack.key, 1000).await;
    let (key, _) = made(&api, &maker, 1000).await;
    let (grandchild, own) = made(&api, &key, 1000).await;
    assert_eq!(told(&ask(&other, &grandchild).await).0, 1000);
    patch(&api, &stack.key, &id, 7).await.expect(200);
    for process in [&api, &other] {
        until_limit(process, &grandchild, 7).await;
    }
    // The key is worth 7 now, and cannot give back what was taken away.
    for (by, of) in [(&grandchild, &id), (&key, &id), (&maker, &id)] {
        let answer = patch(&api, by, of, 8).await;
        assert!(matches!(answer.body["code"].as_str(), Some("limit_beyond_key" | "rate_limited")), "{}", answer.body);
    }
    let shown = api.get(&format!("{KEYS}/{own}")).await.expect(200);
    assert_eq!(shown["rate_limit"], 1000, "its own limit is as it was");
    let narrowed = patch(&api, &root(&stack, 5), &own, 900).await.expect(200);
    assert_eq!(narrowed["rate_limit"], 900, "to narrow is always allowed");
    // By a person in psql, too, and the one that the limit is of may go.
    let sql = stack.sql().await;
    sql.execute("update api_keys set rate_limit = 9 where id = $1", &[&id.parse::<i32>().expect("a number")])
        .await
        .expect("changed");
    until_limit(&other, &grandchild, 9).await;
    api.call("DELETE", &format!("{KEYS}/{id}"), None).await;
    wait::until(SOON, "the maker to be revoked", async || (ask(&api, &maker).await.status == 401).then_some(())).await;
    assert_eq!(told(&ask(&api, &grandchild).await).0, 9);
    let used = passes(&api, &grandchild, 20).await + passes(&api, &key, 20).await;
    assert!(used <= 9, "{used}");
}

#[tokio::test]
async fn raised_limit_is_the_givers_gift() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let giver = root(&stack, LIMIT);
    let sql = stack.sql().await;
    let roots = [1, 2].map(|_| root(&stack, 2));
    let query = "select id::text from api_keys where rate_limit = 2 order by id";
    let ids: Vec<String> = sql.query(query, &[]).await.expect("ids").iter().map(|row| row.get(0)).collect();
    let (of_root, _) = made(&api, &roots[0], 2).await;
    for id in &ids {
        patch(&api, &giver, id, LIMIT).await.expect(200);
    }
    for key in [&roots[0], &roots[1]] {
        until_limit(&api, key, LIMIT).await;
    }
    let mut passed = 0;
    for key in [&roots[0], &roots[1], &of_root, &giver] {
        passed += passes(&api, key, 2 * LIMIT).await;
    }
    assert!((1..=LIMIT).contains(&passed), "{passed}");
    // Not twice, and never on more than a few.
    let query = "select array_to_string(maker_buckets, ',') from api_keys where id::text = any ($1)";
    let makers: Vec<String> = sql.query(query, &[&ids]).await.expect("makers").iter().map(|row| row.get(0)).collect();
    assert!(makers.iter().all(|it| it == &makers[0] && !it.contains(',')), "{makers:?}");
    for (number, status) in [(0, 200), (1, 200), (2, 403)] {
        let other = root(&stack, 30 + number);
        let answer = patch(&api, &other, &ids[1], 30 + number).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        if status == 403 {
            assert_eq!(answer.body["code"], "limit_beyond_key");
            assert!(answer.body["detail"].as_str().expect("text").contains("make a new key"), "{}", answer.body);
        }
    }
}

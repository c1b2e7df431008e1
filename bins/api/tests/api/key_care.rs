//! Keys in depth: narrowed to a server or an address, changed, rotated, cached, and what those who come with none meet.

use std::time::{Duration, Instant};

use agis_test_support::{proxy::Proxy, wait};
use serde_json::{Value, json};

use crate::common::{Answer, Api, OWNER, SOON, STRANGER, Stack};

const KEYS: &str = "/api/v1/auth/keys";
const ME: &str = "/api/v1/users/me";
const UNKNOWN: &str = "agis_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// Time to hear of a change: a quarter of a second, with room for a busy machine.
const HEARD: Duration = Duration::from_secs(2);

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

async fn made(api: &Api, body: Value) -> (String, String) {
    let made = api.post(KEYS, body).await.expect(201);
    (text(&made["key"]).to_owned(), text(&made["id"]).to_owned())
}

fn told(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default())
}

/// A way to the database that can be cut.
async fn proxied(stack: &Stack) -> (Proxy, String) {
    let mut url = reqwest::Url::parse(&stack.url).expect("a URL");
    let port = url.port().expect("a port");
    let proxy = Proxy::start(([127, 0, 0, 1], port).into()).await;
    url.set_port(Some(proxy.addr().port())).expect("a port");
    (proxy, url.to_string())
}

/// Waits until a request with the key is answered like this.
async fn until(api: &Api, key: &str, path: &str, expected: (u16, &str)) {
    wait::until(HEARD, &format!("{path} to be {expected:?}"), async || {
        (told(&api.call_as(Some(key), "GET", path, None).await) == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn key_for_one_server_sees_no_other() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (own, other) = (api.server("own", "demo").await, api.server("other", "demo").await);
    let schedule = async |server: i64| {
        let body = json!({ "server_id": server, "action": "stop", "cron_expression": "@yearly" });
        api.post("/api/v1/schedules", body).await.expect(201)["id"].as_i64().expect("an id")
    };
    let (here, there) = (schedule(own).await, schedule(other).await);
    let elsewhere = api.ask(other, "stop").await;
    let scopes = [format!("write:servers:{own}"), format!("write:schedules:{own}")];
    let (key, _) = made(&api, json!({ "name": "one", "scopes": scopes })).await;
    let ask = async |method: &str, path: String, body: Option<Value>| {
        api.call_as(Some(&key), method, &format!("/api/v1{path}"), body).await
    };
    let get = async |path: String| ask("GET", path, None).await;

    assert_eq!(get(format!("/servers/{own}")).await.status, 200);
    let operation = ask("POST", format!("/servers/{own}/stop"), None).await.expect(202);
    assert_eq!(get(format!("/operations/{}", text(&operation["id"]))).await.status, 200);
    assert_eq!(get(format!("/schedules/{here}/runs")).await.status, 200);
    assert_eq!(ask("PATCH", format!("/schedules/{here}"), Some(json!({ "enabled": false }))).await.status, 200);
    let ids = |answer: Value| answer["items"].as_array().expect("items").iter().map(|it| it["id"].clone()).collect();
    let servers: Vec<Value> = ids(get("/servers".to_owned()).await.expect(200));
    let schedules: Vec<Value> = ids(get("/schedules".to_owned()).await.expect(200));
    assert_eq!((servers, schedules), (vec![json!(own)], vec![json!(here)]));

    let body = json!({ "server_id": other, "action": "stop", "cron_expression": "@yearly" });
    for (method, path, body, expected) in [
        ("GET", format!("/servers/{other}"), None, (403, "missing_scope")),
        // The same as for one that exists: nobody learns which do.
        ("GET", "/servers/99999".to_owned(), None, (403, "missing_scope")),
        ("PATCH", format!("/servers/{other}"), Some(json!({ "name": "mine" })), (403, "missing_scope")),
        ("POST", format!("/servers/{other}/start"), None, (403, "missing_scope")),
        ("GET", format!("/servers/{other}/schedules"), None, (403, "missing_scope")),
        ("POST", "/schedules".to_owned(), Some(body), (403, "missing_scope")),
        ("POST", "/servers".to_owned(), Some(json!({ "name": "more", "game_type": "demo" })), (403, "missing_scope")),
        ("GET", format!("/schedules/{there}"), None, (404, "not_found")),
        ("POST", format!("/schedules/{there}/run"), None, (404, "not_found")),
        ("DELETE", format!("/schedules/{there}"), None, (404, "not_found")),
        ("GET", format!("/operations/{elsewhere}"), None, (404, "not_found")),
        ("GET", "/auth/keys".to_owned(), None, (403, "missing_scope")),
    ] {
        assert_eq!(told(&ask(method, path.clone(), body).await), expected, "{method} {path}");
    }
    assert_eq!(api.get(&format!("/api/v1/schedules/{there}")).await.status, 200, "it was not deleted");
}

#[tokio::test]
async fn key_for_some_addresses_is_refused_elsewhere() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let body = json!({ "name": "office", "scopes": ["*"], "allowed_ips": ["203.0.113.0/24", "2001:DB8::1"] });
    let answer = api.post(KEYS, body).await.expect(201);
    assert_eq!(answer["allowed_ips"], json!(["203.0.113.0/24", "2001:db8::1"]));
    let key = text(&answer["key"]);
    let from = async |api: &Api, forwarded: &str| {
        let request = stack.client.get(format!("{}{ME}", api.base)).bearer_auth(key);
        api.send(request.header("X-Forwarded-For", forwarded)).await.expect("an answer")
    };
    let refused = from(&api, "203.0.113.7").await;
    assert_eq!(told(&refused), (403, "address_not_allowed"), "nobody's word counts unless it is trusted");
    assert!(text(&refused.body["detail"]).contains("127.0.0.1"), "{}", refused.body);

    let behind = stack.api(&[("TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8")]).await;
    assert_eq!(from(&behind, "203.0.113.7").await.status, 200);
    assert_eq!(from(&behind, "2001:db8::1").await.status, 200);
    assert_eq!(from(&behind, "198.51.100.1, 203.0.113.7, 10.1.2.3").await.status, 200);
    assert_eq!(told(&from(&behind, "203.0.113.7, 198.51.100.1").await), (403, "address_not_allowed"));

    let any = json!({ "name": "any", "scopes": ["*"], "allowed_ips": ["0.0.0.0/0", "::/0"] });
    let (any, _) = made(&api, any).await;
    let request = stack.client.get(format!("{}{ME}", behind.base)).bearer_auth(&any);
    let refused = behind.send(request.header("X-Forwarded-For", "unknown")).await.expect("an answer");
    assert_eq!(told(&refused), (403, "address_not_allowed"), "an address that nobody can read is in no block");
    assert!(text(&refused.body["detail"]).ends_with("an unknown address"), "{}", refused.body);

    let here = json!({ "name": "here", "scopes": ["*"], "allowed_ips": ["127.0.0.1"] });
    let (minter, _) = made(&api, here).await;
    let mint = async |blocks: Value| {
        let body = json!({ "name": "minted", "scopes": ["*"], "allowed_ips": blocks });
        api.call_as(Some(&minter), "POST", KEYS, Some(body)).await
    };
    assert_eq!(told(&mint(json!(["127.0.0.0/8"])).await), (403, "addresses_beyond_key"));
    assert_eq!(told(&mint(json!([])).await), (403, "addresses_beyond_key"));
    assert_eq!(mint(Value::Null).await.expect(201)["allowed_ips"], json!(["127.0.0.1"]), "it is handed down");
    assert_eq!(told(&mint(json!(["nowhere"])).await), (422, "invalid_value"));
}

#[tokio::test]
async fn changed_key_counts_soon_and_gives_no_more() {
    let stack = Stack::start().await;
    let (api, other) = (stack.api(&[]).await, stack.api(&[]).await);
    let (key, id) = made(&api, json!({ "name": "old name", "scopes": ["*"], "rate_limit": 50 })).await;
    let path = format!("{KEYS}/{id}");
    for process in [&api, &other] {
        assert_eq!(process.call_as(Some(&key), "GET", "/api/v1/servers", None).await.status, 200);
    }
    let change = json!({ "name": "new name", "scopes": ["read:schedules"], "rate_limit": 40 });
    let changed = api.call("PATCH", &path, Some(change)).await.expect(200);
    let fields = (&changed["name"], &changed["scopes"], &changed["rate_limit"], &changed["id"]);
    assert_eq!(fields, (&json!("new name"), &json!(["read:schedules"]), &json!(40), &json!(id)));
    for process in [&api, &other] {
        until(process, &key, "/api/v1/servers", (403, "missing_scope")).await;
        let answer = process.call_as(Some(&key), "GET", ME, None).await;
        assert_eq!(answer.header("x-ratelimit-limit"), "40");
    }
    assert_eq!(api.call("PATCH", &path, Some(json!({}))).await.expect(200)["name"], "new name");

    let (weak, _) = made(&api, json!({ "name": "weak", "scopes": ["write:keys"], "rate_limit": 10 })).await;
    for (change, expected) in [
        (json!({ "scopes": ["write:keys", "read:servers"] }), (403, "scope_beyond_key")),
        // A change that widens one thing is checked as a whole key.
        (json!({ "rate_limit": 41 }), (403, "scope_beyond_key")),
        (json!({ "scopes": ["write:keys"], "rate_limit": 11 }), (403, "limit_beyond_key")),
        (json!({ "name": " " }), (422, "invalid_value")),
        (json!({ "colour": "red" }), (400, "invalid_body")),
    ] {
        let answer = api.call_as(Some(&weak), "PATCH", &path, Some(change.clone())).await;
        assert_eq!(told(&answer), expected, "{change}");
    }
    let renamed = api.call_as(Some(&weak), "PATCH", &path, Some(json!({ "name": "renamed" }))).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["scopes"]), (&json!("renamed"), &json!(["read:schedules"])));
    let narrower = json!({ "rate_limit": 39, "allowed_ips": ["127.0.0.0/8"] });
    let narrower = api.call_as(Some(&weak), "PATCH", &path, Some(narrower)).await.expect(200);
    assert_eq!((&narrower["rate_limit"], &narrower["allowed_ips"]), (&json!(39), &json!(["127.0.0.0/8"])));
}

#[tokio::test]
async fn widened_key_stays_within_the_asking_key() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let sql = stack.sql().await;
    let brief = json!({ "name": "brief", "scopes": ["*"], "ttl_days": 1, "allowed_ips": ["127.0.0.1"] });
    let (brief, _) = made(&api, brief).await;
    let (keys_only, _) = made(&api, json!({ "name": "keys only", "scopes": ["write:keys"] })).await;
    let (_, narrow) = made(&api, json!({ "name": "narrow", "scopes": ["read:keys"] })).await;
    let office = json!({ "name": "office", "scopes": ["*"], "allowed_ips": ["192.0.2.0/24"] });
    let (_, office) = made(&api, office).await;
    let keys = async || {
        let query = "select string_agg((to_jsonb(k) - 'last_used')::text, '\n' order by id) from api_keys k";
        sql.query_one(query, &[]).await.expect("keys").get::<_, String>(0)
    };
    let before = keys().await;
    for (by, id, change, code) in [
        (&brief, &narrow, json!({ "scopes": ["*"] }), "addresses_beyond_key"),
        (&brief, &narrow, json!({ "scopes": ["*"], "allowed_ips": ["127.0.0.1"] }), "expiry_beyond_key"),
        (&keys_only, &office, json!({ "allowed_ips": [] }), "scope_beyond_key"),
        (&keys_only, &office, json!({ "allowed_ips": ["127.0.0.1"] }), "scope_beyond_key"),
    ] {
        let answer = api.call_as(Some(by), "PATCH", &format!("{KEYS}/{id}"), Some(change.clone())).await;
        assert_eq!(told(&answer), (403, code), "{change}");
        assert_eq!(keys().await, before, "{change}");
    }
}

#[tokio::test]
async fn key_gives_what_it_may_give_at_that_time() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let mut sql = stack.sql().await;
    let watch = stack.sql().await;
    let (asks, asking) = made(&api, json!({ "name": "asks", "scopes": ["*"] })).await;
    let (_, id) = made(&api, json!({ "name": "narrow", "scopes": ["read:keys"] })).await;
    let path = format!("{KEYS}/{id}");
    assert_eq!(api.call_as(Some(&asks), "GET", &path, None).await.status, 200);
    // Somebody is narrowing the key that asks, and has not committed yet.
    let narrowing = sql.transaction().await.expect("a transaction");
    let narrow = format!("update api_keys set scopes = '{{write:keys}}' where id = {asking}");
    narrowing.execute(&narrow, &[]).await.expect("narrowed");
    let widen = api.call_as(Some(&asks), "PATCH", &path, Some(json!({ "scopes": ["*"] })));
    let commit = async {
        let waits =
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
        wait::until(SOON, "the change to wait", async || {
            (watch.query_one(waits, &[]).await.expect("a count").get::<_, i64>(0) > 0).then_some(())
        })
        .await;
        narrowing.commit().await.expect("committed");
    };
    let (answer, ()) = tokio::join!(widen, commit);
    assert_eq!(told(&answer), (403, "scope_beyond_key"));
}

#[tokio::test]
async fn rotated_key_has_an_heir_and_an_end() {
    let stack = Stack::start().await;
    let (api, other) = (stack.api(&[]).await, stack.api(&[]).await);
    let body = json!({ "name": "bot", "scopes": ["read:servers"], "rate_limit": 3600, "ttl_days": 9, "allowed_ips": ["127.0.0.0/8"] });
    let before = api.post(KEYS, body).await.expect(201);
    let (key, id) = (text(&before["key"]), text(&before["id"]));
    assert_eq!(other.call_as(Some(key), "GET", ME, None).await.header("x-ratelimit-remaining"), "3599");
    let began = Instant::now();
    let heir = api.post(&format!("{KEYS}/{id}/rotate"), json!({ "overlap_seconds": 3 })).await;
    assert_eq!(heir.header("location"), format!("{KEYS}/{}", text(&heir.body["id"])));
    let heir = heir.expect(201);
    for field in ["name", "scopes", "rate_limit", "expires_at", "allowed_ips"] {
        assert_eq!(heir[field], before[field], "{field}");
    }
    let new = text(&heir["key"]);
    assert_ne!(new, key);
    // Both live, on one bucket.
    assert_eq!(other.call_as(Some(new), "GET", ME, None).await.header("x-ratelimit-remaining"), "3598");
    assert_eq!(other.call_as(Some(key), "GET", ME, None).await.header("x-ratelimit-remaining"), "3597");
    let old = api.get(&format!("{KEYS}/{id}")).await.expect(200);
    assert_eq!(old["replaced_by"], heir["id"]);
    let again = api.post(&format!("{KEYS}/{id}/rotate"), json!({})).await;
    assert_eq!(told(&again), (409, "already_rotated"));
    for process in [&other, &api] {
        wait::until(SOON, "the old key to end", async || {
            let answer = process.call_as(Some(key), "GET", ME, None).await;
            (told(&answer) == (401, "expired_key")).then_some(())
        })
        .await;
    }
    assert!(began.elapsed() >= Duration::from_secs(3), "not before it was said: {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(8), "and not long after: {:?}", began.elapsed());
    assert_eq!(other.call_as(Some(new), "GET", ME, None).await.status, 200);
    assert_eq!(told(&api.post(&format!("{KEYS}/{id}/rotate"), json!({})).await), (409, "already_rotated"));
}

#[tokio::test]
async fn rotation_leaves_at_most_two_keys() {
    let stack = Stack::start().await;
    let api = stack.api(&[("KEYS_PER_USER", "2")]).await;
    let (first, id) = made(&api, json!({ "name": "k", "scopes": ["*"] })).await;
    // A day of overlap, and no body needed for it; being at the limit of keys does not keep one from rotating.
    let second = api.call("POST", &format!("{KEYS}/{id}/rotate"), None).await.expect(201);
    let third = api.post(&format!("{KEYS}/{}/rotate", text(&second["id"])), json!({})).await.expect(201);
    until(&api, &first, ME, (401, "expired_key")).await;
    for key in [&second, &third] {
        assert_eq!(api.call_as(Some(text(&key["key"])), "GET", ME, None).await.status, 200);
    }
    let leaked = format!("{KEYS}/{}/rotate", text(&third["id"]));
    let fourth = api.post(&leaked, json!({ "overlap_seconds": 0 })).await.expect(201);
    for key in [&second, &third] {
        until(&api, text(&key["key"]), ME, (401, "expired_key")).await;
    }
    assert_eq!(api.call_as(Some(text(&fourth["key"])), "GET", ME, None).await.status, 200);
    let too_long = json!({ "overlap_seconds": 2_592_001 });
    let answer = api.post(&format!("{KEYS}/{}/rotate", text(&fourth["id"])), too_long).await;
    assert_eq!(told(&answer), (422, "invalid_value"));
    let body = json!({ "name": "full", "scopes": ["*"] });
    assert_eq!(
        told(&api.post(KEYS, body).await),
        (409, "too_many_keys"),
        "an heir counts once, with the owner's first"
    );
}

#[tokio::test]
async fn key_rotates_no_stronger_key() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (_, strong) = made(&api, json!({ "name": "strong", "scopes": ["*"] })).await;
    let (_, fast) = made(&api, json!({ "name": "fast", "scopes": ["write:keys"], "rate_limit": 11 })).await;
    let (weak, own) = made(&api, json!({ "name": "weak", "scopes": ["write:keys"], "rate_limit": 10 })).await;
    let rotate = async |id: &str| api.call_as(Some(&weak), "POST", &format!("{KEYS}/{id}/rotate"), None).await;
    assert_eq!(told(&rotate(&strong).await), (403, "scope_beyond_key"));
    assert_eq!(told(&rotate(&fast).await), (403, "limit_beyond_key"));
    assert_eq!(rotate(&own).await.status, 201, "itself");
    let sql = stack.sql().await;
    let keys = sql.query_one("select count(*) from api_keys where replaced_by is not null", &[]).await;
    assert_eq!(keys.expect("a count").get::<_, i64>(0), 1, "only what was allowed was rotated");
}

#[tokio::test]
async fn unheard_cache_is_trusted_five_seconds() {
    let stack = Stack::start().await;
    let (proxy, far_away) = proxied(&stack).await;
    let near = stack.api(&[]).await;
    let (key, id) = made(&near, json!({ "name": "k", "scopes": ["*"], "rate_limit": 10_000 })).await;
    let far = stack.api(&[("DATABASE_URL", &far_away)]).await;
    wait::until(SOON, "the key to be answered from the cache", async || {
        far.call_as(Some(&key), "GET", "/api/v1/games", None).await.expect(200);
        (far.metric(r#"agis_bot_key_lookups_total{source="cache"}"#).await > 0.0).then_some(())
    })
    .await;
    // Packets vanish: nobody tells this process of the revocation, nor that nobody tells it.
    proxy.blackhole();
    near.call("DELETE", &format!("{KEYS}/{id}"), None).await;
    let revoked = Instant::now();
    let refused = wait::until(SOON, "the key to be trusted no more", async || {
        let answer = far.call_as(Some(&key), "GET", "/api/v1/games", None).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!(told(&refused), (503, "unavailable"), "it is not known whether the key is good");
    // Five seconds of trust; what is beyond is the answer's own patience with the database.
    assert!(revoked.elapsed() < Duration::from_secs(15), "{:?}", revoked.elapsed());
    proxy.heal();
    wait::until(Duration::from_secs(60), "the revocation to be known", async || {
        (told(&far.call_as(Some(&key), "GET", "/api/v1/games", None).await) == (401, "invalid_key")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn invalid_keys_never_keep_out_a_valid_one() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let fresh = stack.make_key(OWNER, &["--name", "fresh"]);
    let ask = async |key: &str| api.call_as(Some(key), "GET", ME, None).await;
    // From the address of everybody here, each another one.
    for number in 0..400 {
        let guess = format!("agis_{number:0>42}A=");
        assert_eq!(told(&ask(&guess).await), (401, "invalid_key"), "{guess}");
    }
    assert_eq!(told(&ask("agis_").await), (401, "malformed_key"));
    assert_eq!(ask(&fresh).await.status, 200, "it was never looked up before");
    assert_eq!(api.metric(r#"agis_bot_key_failures_total{reason="invalid_key"}"#).await, 400.0);
}

#[tokio::test]
async fn malformed_key_needs_no_database() {
    let stack = Stack::start().await;
    let (proxy, far_away) = proxied(&stack).await;
    let api = stack.api(&[("DATABASE_URL", &far_away)]).await;
    proxy.blackhole();
    let began = Instant::now();
    for key in ["agis_", OWNER, "Bearer", &UNKNOWN[..48]] {
        assert_eq!(told(&api.call_as(Some(key), "GET", ME, None).await), (401, "malformed_key"), "{key}");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn legacy_token_is_off_and_never_makes_keys() {
    let stack = Stack::start().await;
    let secret = "correct horse battery staple, twice over";
    let ask = async |api: &Api, path: &str, user: &str, secret: Option<&str>| {
        let mut request = stack.client.get(format!("{}{path}", api.base)).bearer_auth(user);
        if let Some(secret) = secret {
            request = request.header("X-AGIS-Legacy-Secret", secret);
        }
        api.send(request).await.expect("an answer")
    };
    let off = stack.api(&[]).await;
    assert_eq!(told(&ask(&off, ME, OWNER, Some(secret)).await), (401, "malformed_key"));

    let settings =
        [("LEGACY_TOKENS_SECRET", secret), ("LEGACY_TOKENS_SUNSET", "2099-12-31"), ("DEFAULT_RATE_LIMIT", "5")];
    let on = stack.api(&settings).await;
    for wrong in [None, Some(""), Some("correct horse battery staple, twice")] {
        assert_eq!(told(&ask(&on, ME, OWNER, wrong).await), (401, "malformed_key"), "{wrong:?}");
    }
    let me = ask(&on, ME, OWNER, Some(secret)).await;
    assert_eq!((me.status.as_u16(), &me.body["discord_id"]), (200, &json!(OWNER)));
    assert_eq!(me.header("deprecation"), "@1795305600");
    assert_eq!(me.header("sunset"), "Thu, 31 Dec 2099 00:00:00 GMT");
    assert_eq!(me.header("x-ratelimit-remaining"), "4");
    assert_eq!(ask(&on, "/api/v1/servers", OWNER, Some(secret)).await.status, 200);
    let keys = ask(&on, KEYS, OWNER, Some(secret)).await;
    assert_eq!(told(&keys), (403, "missing_scope"));
    assert_eq!(keys.header("deprecation"), "@1795305600", "whatever the answer is");
    assert_eq!(told(&ask(&on, ME, STRANGER, Some(secret)).await), (401, "invalid_key"), "REST makes no user");
    assert_eq!(on.metric("agis_bot_legacy_token_uses_total").await, 3.0);
    on.logged("the use", |line| line.to_string().contains("legacy token was used")).await;
    let log = format!("{:?}", on.log());
    assert!(!log.contains("battery"), "{log}");
    let plain = on.get(ME).await;
    assert_eq!(plain.header("deprecation"), "", "a key is not deprecated");

    let over = stack.api(&[("LEGACY_TOKENS_SECRET", secret), ("LEGACY_TOKENS_SUNSET", "2026-01-01")]).await;
    assert_eq!(told(&ask(&over, ME, OWNER, Some(secret)).await), (401, "malformed_key"));
    for wrong in [
        [("LEGACY_TOKENS_SECRET", "short"), ("LEGACY_TOKENS_SUNSET", "2099-12-31")],
        [("LEGACY_TOKENS_SECRET", secret), ("LEGACY_TOKENS_SUNSET", "soon")],
        [("LEGACY_TOKENS_SECRET", secret), ("LEGACY_TOKENS_SUNSET", "")],
        [("LEGACY_TOKENS_SECRET", ""), ("LEGACY_TOKENS_SUNSET", "2099-12-31")],
    ] {
        let refused = stack.output(&wrong, &["serve"]);
        let error = String::from_utf8(refused.stderr).expect("text");
        assert!(!refused.status.success() && error.contains("LEGACY_TOKENS_"), "{wrong:?}: {error}");
        assert!(!error.contains("battery"), "the secret is printed: {error}");
    }
}

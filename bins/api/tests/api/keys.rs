//! API keys: shown once, stored as a digest, good for what they say and for no longer.

use std::time::Duration;

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::common::{Api, OWNER, SOON, STRANGER, Stack};

const KEYS: &str = "/api/v1/auth/keys";

async fn created(api: &Api, body: Value) -> Value {
    api.post(KEYS, body).await.expect(201)
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// Waits until a key is refused with this code: a change takes a moment to be heard.
async fn refused(api: &Api, key: &str, code: &str) {
    wait::until(Duration::from_secs(2), &format!("{code} for a key that has changed"), async || {
        let answer = api.call_as(Some(key), "GET", "/api/v1/users/me", None).await;
        (answer.body["code"] == code).then_some(())
    })
    .await;
}

/// Every row of every table, as text.
async fn everything(sql: &tokio_postgres::Client) -> String {
    let tables = sql.query("select tablename::text from pg_tables where schemaname = 'public'", &[]).await;
    let mut all = String::new();
    for table in tables.expect("tables") {
        let query = format!("select coalesce(string_agg(t::text, '\n'), '') from {} t", table.get::<_, String>(0));
        all += &sql.query_one(&query, &[]).await.expect("rows").get::<_, String>(0);
    }
    all
}

#[tokio::test]
async fn key_is_shown_once_and_stored_nowhere() {
    let stack = Stack::start().await;
    let api = stack.api(&[("RUST_LOG", "debug")]).await;
    let made = created(&api, json!({ "name": "once", "scopes": ["read:servers"], "ttl_days": 30 })).await;
    let (key, id) = (text(&made["key"]).to_owned(), text(&made["id"]).to_owned());
    assert!(key.starts_with("agis_") && key.len() == 49, "the form of a key");

    let mut answers = vec![];
    for path in [KEYS.to_owned(), format!("{KEYS}/{id}"), "/api/v1/users/me".to_owned()] {
        answers.push(api.get(&path).await.expect(200).to_string());
    }
    let used = api.call_as(Some(&key), "GET", "/api/v1/servers", None).await;
    assert_eq!(used.status, 200);
    answers.push(format!("{:?} {}", used.headers, used.body));
    // Also where it is refused, and where it stands in the wrong place.
    let refused = api.call_as(Some(&key), "POST", KEYS, Some(json!({ "name": key, "scopes": ["*"] }))).await;
    assert_eq!(refused.status, 403);
    answers.push(refused.body.to_string());
    let cut = api.call_as(Some(&key[..40]), "GET", KEYS, None).await;
    answers.push(cut.body.to_string());

    let sql = stack.sql().await;
    let stored = everything(&sql).await;
    // The refused POST was logged after everything but the last request.
    api.logged("the refusal", |line| line["endpoint"] == "/api/v1/auth/keys" && line["status"] == 403).await;
    let log = format!("{:?}", api.log());
    let secret = &key["agis_".len()..40];
    for (place, text) in [("an answer", answers.concat()), ("the database", stored), ("the log", log)] {
        assert!(!text.contains(secret), "the key is in {place}");
    }
    let row = sql
        .query_one("select key_hash, encode(sha256($1::text::bytea), 'hex') from api_keys where name = 'once'", &[&key])
        .await
        .expect("the key's row");
    assert_eq!(row.get::<_, String>(0), row.get::<_, String>(1), "key_hash is the lower-case SHA-256 of the key");
}

#[tokio::test]
async fn a_key_ends_after_its_days_or_never() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let ends = created(&api, json!({ "name": "ends", "scopes": ["*"], "ttl_days": 7 })).await;
    let stays = created(&api, json!({ "name": "stays", "scopes": ["*"] })).await;
    assert_eq!(stays["expires_at"], Value::Null);
    let sql = stack.sql().await;
    let in_seven_days = "select expires_at - created_at = interval '7 days' and expires_at = $1::text::timestamptz
                         from api_keys where name = 'ends'";
    assert!(sql.query_one(in_seven_days, &[&text(&ends["expires_at"])]).await.expect("a row").get::<_, bool>(0));

    let key = text(&ends["key"]);
    assert_eq!(api.call_as(Some(key), "GET", KEYS, None).await.status, 200);
    // Also by a person in psql.
    sql.execute("update api_keys set expires_at = now() where name = 'ends'", &[]).await.expect("expired");
    refused(&api, key, "expired_key").await;
    // A cached key ends on time without anybody's word: the end is looked at on every request.
    let soon = "update api_keys set expires_at = now() + interval '2 seconds' where name = 'stays'";
    sql.execute(soon, &[]).await.expect("to end soon");
    wait::until(SOON, "the key to end", async || {
        let answer = api.call_as(Some(text(&stays["key"])), "GET", KEYS, None).await;
        (answer.body["code"] == "expired_key").then_some(())
    })
    .await;
    let late =
        sql.query_one("select now() - expires_at < interval '2 seconds' from api_keys where name = 'stays'", &[]);
    assert!(late.await.expect("a row").get::<_, bool>(0));
}

#[tokio::test]
async fn revoked_key_is_refused_at_once_everywhere() {
    let stack = Stack::start().await;
    let (api, other) = (stack.api(&[]).await, stack.api(&[]).await);
    let made = created(&api, json!({ "name": "short-lived", "scopes": ["*"] })).await;
    let key = text(&made["key"]);
    for process in [&api, &other] {
        assert_eq!(process.call_as(Some(key), "GET", KEYS, None).await.status, 200);
    }
    let path = format!("{KEYS}/{}", text(&made["id"]));
    assert_eq!(api.call("DELETE", &path, None).await.status, 204);
    let gone = std::time::Instant::now();
    for process in [&api, &other] {
        refused(process, key, "invalid_key").await;
    }
    // A quarter of a second is promised; the rest is for a busy machine.
    assert!(gone.elapsed() < Duration::from_secs(2), "{:?}", gone.elapsed());
    api.get(&path).await.expect(404);
    api.call("DELETE", &path, None).await.expect(404);
}

#[tokio::test]
async fn last_use_is_seen_soon() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let made = created(&api, json!({ "name": "used", "scopes": ["read:servers"] })).await;
    let path = format!("{KEYS}/{}", text(&made["id"]));
    assert_eq!(api.get(&path).await.expect(200)["last_used"], Value::Null, "looking at a key is not using it");
    assert_eq!(api.call_as(Some(text(&made["key"])), "GET", "/api/v1/servers", None).await.status, 200);
    let last = wait::until(SOON, "the last use to be noted", async || {
        let key = api.get(&path).await.expect(200);
        key["last_used"].as_str().map(str::to_owned)
    })
    .await;
    assert!(last.as_str() >= text(&made["created_at"]), "{last}");
}

#[tokio::test]
async fn a_key_cannot_give_what_it_has_not() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let made = created(&api, json!({ "name": "minter", "scopes": ["write:keys", "write:servers"] })).await;
    let minter = text(&made["key"]);
    let mint = async |scopes: Value| {
        let body = json!({ "name": "minted", "scopes": scopes });
        api.call_as(Some(minter), "POST", KEYS, Some(body)).await
    };
    for beyond in ["*", "read:schedules", "write:schedules"] {
        let answer = mint(json!(["read:servers", beyond])).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (403, &json!("scope_beyond_key")), "{beyond}");
        assert!(text(&answer.body["detail"]).contains(beyond), "{}", answer.body);
    }
    let minted = mint(json!(["read:servers", "read:keys", "write:keys"])).await.expect(201);
    assert_eq!(minted["scopes"], json!(["read:servers", "read:keys", "write:keys"]));
    let names: Vec<Value> = api.get(KEYS).await.expect(200)["items"].as_array().expect("items").clone();
    assert_eq!(names.iter().filter(|key| key["name"] == "minted").count(), 1, "only what was allowed was made");
}

#[tokio::test]
async fn key_gives_no_more_than_its_own_limits() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let body = json!({ "name": "minter", "scopes": ["*"], "rate_limit": 50, "ttl_days": 2 });
    let minter = created(&api, body).await;
    let mint = async |body: Value| api.call_as(Some(text(&minter["key"])), "POST", KEYS, Some(body)).await;
    let more = mint(json!({ "name": "more", "scopes": ["*"], "rate_limit": 51 })).await;
    assert_eq!(more.expect(403)["code"], "limit_beyond_key");
    let heir = mint(json!({ "name": "heir", "scopes": ["*"] })).await.expect(201);
    assert_eq!((&heir["rate_limit"], &heir["expires_at"]), (&json!(50), &minter["expires_at"]));
    let longer = mint(json!({ "name": "longer", "scopes": ["*"], "ttl_days": 30 })).await.expect(201);
    assert_eq!(longer["expires_at"], minter["expires_at"]);
    let shorter = mint(json!({ "name": "shorter", "scopes": ["*"], "ttl_days": 1 })).await.expect(201);
    assert!(text(&shorter["expires_at"]) < text(&minter["expires_at"]), "{shorter}");
}

#[tokio::test]
async fn expired_keys_do_not_count_against_the_cap() {
    let stack = Stack::start().await;
    let api = stack.api(&[("KEYS_PER_USER", "2")]).await;
    let body = json!({ "name": "k", "scopes": ["*"], "ttl_days": 1 });
    created(&api, body.clone()).await;
    let answer = api.post(KEYS, body.clone()).await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (409, &json!("too_many_keys")));
    let sql = stack.sql().await;
    sql.execute("update api_keys set expires_at = now() where name = 'k'", &[]).await.expect("expired");
    created(&api, body).await;
}

#[tokio::test]
async fn create_command_prints_the_key_alone() {
    let stack = Stack::start().await;
    let made = stack.output(&[], &["keys", "create", "--user", STRANGER, "--name", "first", "--ttl-days", "2"]);
    assert!(made.status.success());
    let out = String::from_utf8(made.stdout).expect("text");
    let key = out.strip_suffix('\n').expect("one line");
    assert!(key.len() == 49 && key.starts_with("agis_"), "{out}");
    let remark = String::from_utf8(made.stderr).expect("text");
    assert!(remark.contains("'first'") && remark.contains(STRANGER) && !remark.contains(key), "{remark}");

    let api = stack.api(&[]).await;
    let me = api.call_as(Some(key), "GET", "/api/v1/users/me", None).await.expect(200);
    assert_eq!((&me["discord_id"], &me["credits"], &me["tier"]), (&json!(STRANGER), &json!(100), &json!("free")));

    let sql = stack.sql().await;
    sql.execute("update users set credits = 7 where discord_id = $1", &[&STRANGER]).await.expect("poorer");
    stack.make_key(STRANGER, &[]);
    let me = api.call_as(Some(key), "GET", "/api/v1/users/me", None).await.expect(200);
    assert_eq!(me["credits"], 7, "a user who is there is left alone");
}

#[tokio::test]
async fn create_command_explains_mistakes() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let count = async || {
        let row = sql.query_one("select (select count(*) from users) + (select count(*) from api_keys)", &[]).await;
        row.expect("a count").get::<_, i64>(0)
    };
    let before = count().await;
    let wrong: [(&[&str], &str); 6] = [
        (&["--user", "somebody"], "a Discord id is 1 to 20 decimal digits"),
        (&["--user", "-1"], "--user"),
        (&["--user", OWNER, "--scope", "read:everything"], "'read:everything' is not a scope"),
        (&["--user", OWNER, "--rate-limit", "0"], "rate_limit: is 1 to 10000"),
        (&["--user", OWNER, "--ttl-days", "0"], "ttl_days: is 1 to 3650"),
        (&["--user", OWNER, "--name", " "], "name: has 1 to 100 characters"),
    ];
    for (args, why) in wrong {
        let output = stack.output(&[], &[&["keys", "create"], args].concat());
        let error = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success() && output.stdout.is_empty(), "{args:?}");
        assert!(error.contains(why), "{args:?}: {error}");
    }
    assert_eq!(count().await, before);

    stack.command(&["migrate", "down"]);
    let output = stack.output(&[], &["keys", "create", "--user", OWNER]);
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(!output.status.success() && error.contains("run 'agis-api migrate up' first"), "{error}");
}

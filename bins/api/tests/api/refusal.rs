//! Refused callers learn nothing and change nothing: every route, every reason.

pub(crate) mod routes;

use std::collections::HashMap;

use serde_json::{Value, json};

use self::routes::{ROUTES, Route, World};
use crate::common::{Answer, Api, OWNER, STRANGER, Stack};

/// Every scope but `*`.
const SCOPES: [&str; 7] =
    ["read:servers", "write:servers", "read:schedules", "write:schedules", "read:keys", "write:keys", "read:hosts"];

/// Returns everything that REST can change, as one text. Keys are compared without the times of their use, which are
/// written later, and batches without the time of the loop's next look.
async fn stored(sql: &tokio_postgres::Client) -> String {
    let mut all = String::new();
    for table in [
        "game_servers",
        "server_holds",
        "server_labels",
        "server_batches",
        "server_batch_items",
        "server_schedules",
        "api_keys",
        "operations",
        "schedule_runs",
        "users",
    ] {
        let rows = format!("select (to_jsonb(t) - 'last_used' - 'next_at')::text as r from {table} t");
        let query = format!("select count(*), coalesce(md5(string_agg(r, ',' order by r)), '') from ({rows}) x");
        let row = sql.query_one(&query, &[]).await.expect("a digest");
        all += &format!("{table}: {} {}\n", row.get::<_, i64>(0), row.get::<_, String>(1));
    }
    all
}

async fn ask(api: &Api, authorization: Option<&str>, route: &Route, world: &World) -> Answer {
    ask_at(api, authorization, route, world, &route.path_in(world)).await
}

async fn ask_at(api: &Api, authorization: Option<&str>, route: &Route, world: &World, path: &str) -> Answer {
    let client = reqwest::Client::new();
    // A share is named by a query.
    let query = if route.is("DELETE", "/api/v1/servers/{id}/shares") { "?kind=member&grantee=1" } else { "" };
    let url = format!("{}{path}{query}", api.base);
    let mut request = client.request(route.method.parse().expect("a method"), url);
    if let Some(authorization) = authorization {
        request = request.header("Authorization", authorization);
    }
    if let Some(body) = route.body_in(world) {
        request = request.json(&body);
    }
    api.send(request).await.expect("an answer")
}

fn assert_refused(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (status, &json!(code)), "{what}: {}", answer.body);
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
    assert_eq!(answer.body["request_id"], answer.header("x-request-id"), "{what}");
}

async fn key_id(api: &Api, name: &str) -> i32 {
    let keys = api.get("/api/v1/auth/keys").await.expect(200);
    let key = keys["items"].as_array().expect("items").iter().find(|key| key["name"] == name).expect("the key");
    key["id"].as_str().expect("text").parse().expect("a number")
}

/// A key with these scopes by the operator's command, which alone gives every scope.
fn granted(stack: &Stack, scopes: &[&str]) -> String {
    let scopes = scopes.iter().flat_map(|scope| ["--scope", scope]);
    stack.make_key(OWNER, &scopes.chain(["--rate-limit", "10000"]).collect::<Vec<_>>())
}

async fn minted(api: &Api, name: &str, scopes: &[&str]) -> String {
    let body = json!({ "name": name, "scopes": scopes, "rate_limit": 10_000 });
    let made = api.post("/api/v1/auth/keys", body).await.expect(201);
    made["key"].as_str().expect("a key").to_owned()
}

#[test]
fn the_document_has_routes_of_every_kind() {
    assert!(ROUTES.len() > 20, "the document was understood");
    let kinds = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    assert!(kinds.iter().all(|kind| ROUTES.iter().any(|route| route.method == *kind)));
    assert!(ROUTES.iter().any(|route| !route.needs_a_scope()) && ROUTES.iter().any(Route::writes));
}

#[tokio::test]
async fn without_a_valid_key_every_route_is_401() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let world = World::create(&api).await;
    let sql = stack.sql().await;
    let (expired, revoked) = (minted(&api, "expired", &["*"]).await, minted(&api, "revoked", &["*"]).await);
    let gone = key_id(&api, "revoked").await;
    sql.execute("update api_keys set expires_at = now() - interval '1 second' where name = 'expired'", &[])
        .await
        .expect("expired");
    assert_eq!(api.call("DELETE", &format!("/api/v1/auth/keys/{gone}"), None).await.status, 204);

    let unknown = "agis_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let cases = [
        (None, "missing_key"),
        (Some(format!("Basic {}", stack.key)), "missing_key"),
        (Some(stack.key.clone()), "missing_key"),
        (Some("Bearer".to_owned()), "missing_key"),
        (Some(format!("Bearer {OWNER}")), "malformed_key"),
        (Some(format!("Bearer {}", &stack.key[..48])), "malformed_key"),
        (Some(format!("Bearer {unknown}")), "invalid_key"),
        (Some(format!("Bearer {expired}")), "expired_key"),
        (Some(format!("Bearer {revoked}")), "invalid_key"),
    ];
    let before = stored(&sql).await;
    for route in ROUTES.iter() {
        for (authorization, code) in &cases {
            let what = format!("{} {} with {authorization:?}", route.method, route.path);
            let answer = ask(&api, authorization.as_deref(), route, &world).await;
            assert_refused(&answer, 401, code, &what);
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"AGIS\"", "{what}");
            assert_eq!(answer.header("x-ratelimit-limit"), "", "{what}: nobody's limit is told");
            assert_eq!(stored(&sql).await, before, "{what} changed something");
        }
    }
    let answer = api.call_as(Some(&stack.key), "GET", "/api/v1/users/me", None).await;
    assert_eq!(answer.status, 200, "the key that was cut short above is itself good");
}

#[tokio::test]
async fn without_the_scope_every_route_is_403() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let world = World::create(&api).await;
    let sql = stack.sql().await;
    let mut keys = HashMap::new();
    for route in ROUTES.iter().filter(|route| route.needs_a_scope()) {
        let others: Vec<_> = SCOPES.into_iter().filter(|scope| !route.is_open_to(scope)).collect();
        if !keys.contains_key(&others) {
            keys.insert(others.clone(), granted(&stack, &others));
        }
    }
    let before = stored(&sql).await;
    for route in ROUTES.iter().filter(|route| route.needs_a_scope()) {
        let others: Vec<_> = SCOPES.into_iter().filter(|scope| !route.is_open_to(scope)).collect();
        let what = format!("{} {} with only {others:?}", route.method, route.path);
        let answer = ask(&api, Some(&format!("Bearer {}", keys[&others])), route, &world).await;
        assert_refused(&answer, 403, "missing_scope", &what);
        let detail = answer.body["detail"].as_str().expect("text");
        assert!(route.scopes().all(|scope| detail.contains(scope)), "{what}: {detail}");
        assert_eq!(stored(&sql).await, before, "{what} changed something");
    }
}

#[tokio::test]
async fn any_scope_opens_routes_that_need_none() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let world = World::create(&api).await;
    for scope in SCOPES {
        let key = granted(&stack, &[scope]);
        let bearer = format!("Bearer {key}");
        for route in ROUTES.iter().filter(|route| route.method == "GET") {
            let answer = ask(&api, Some(&bearer), route, &world).await;
            let expected = if route.is_open_to(scope) { 200 } else { 403 };
            assert_eq!(answer.status, expected, "{} with {scope}: {}", route.path, answer.body);
        }
    }
}

#[tokio::test]
async fn misspelt_id_names_nothing_on_any_route() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let world = World::create(&api).await;
    let sql = stack.sql().await;
    let owner = format!("Bearer {}", stack.make_key(OWNER, &["--rate-limit", "10000"]));
    let on_other = ["write:servers", "write:schedules"].map(|scope| format!("{scope}:{}", world.other_server));
    let narrowed = format!("Bearer {}", minted(&api, "narrowed", &[&on_other[0], &on_other[1]]).await);
    let before = stored(&sql).await;
    for route in ROUTES.iter().filter(|route| route.takes_an_id()) {
        for id in route.other_ids_in(&world) {
            let (path, what) = (route.path_with(&id), format!("{} {} with {id}", route.method, route.path));
            let answer = ask_at(&api, Some(&owner), route, &world, &path).await;
            assert_refused(&answer, 404, "not_found", &what);
            let answer = ask_at(&api, Some(&narrowed), route, &world, &path).await;
            let is_of_keys = route.path.contains("/auth/");
            let (status, code) = if is_of_keys { (403, "missing_scope") } else { (404, "not_found") };
            assert_refused(&answer, status, code, &format!("{what} and a key for another server"));
        }
        assert_eq!(stored(&sql).await, before, "{} {} changed something", route.method, route.path);
    }
}

#[tokio::test]
async fn strangers_key_finds_nothing_of_the_owner() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let world = World::create(&api).await;
    let sql = stack.sql().await;
    let stranger = format!("Bearer {}", stack.make_key(STRANGER, &["--rate-limit", "10000"]));
    let before = stored(&sql).await;
    for route in ROUTES.iter().filter(|route| route.names_an_object()) {
        let what = format!("a stranger's {} {}", route.method, route.path);
        let answer = ask(&api, Some(&stranger), route, &world).await;
        assert_refused(&answer, 404, "not_found", &what);
        assert_eq!(stored(&sql).await, before, "{what} changed something");
    }
    for route in ROUTES.iter().filter(|route| route.method == "GET" && !route.names_an_object()) {
        let answer = ask(&api, Some(&stranger), route, &world).await;
        let expected = if route.is_for_operators() { 403 } else { 200 };
        assert_eq!(answer.status, expected, "{}: {}", route.path, answer.body);
        assert!(!answer.body.to_string().contains("the owner's"), "{}: {}", route.path, answer.body);
    }
}

#[tokio::test]
async fn public_server_is_seen_by_all() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let world = World::create(&api).await;
    let sql = stack.sql().await;
    let path = format!("/api/v1/servers/{}", world.server);
    api.call("PATCH", &path, Some(json!({ "is_public": true }))).await.expect(200);
    sql.execute("update game_servers set error_message = 'its last words'", &[]).await.expect("an error");
    let stranger = format!("Bearer {}", stack.make_key(STRANGER, &["--rate-limit", "10000"]));
    let before = stored(&sql).await;
    for route in ROUTES.iter().filter(|route| route.names_an_object()) {
        let what = format!("a stranger's {} {}", route.method, route.path);
        let answer = ask(&api, Some(&stranger), route, &world).await;
        assert!(!answer.body.to_string().contains("last words"), "{what}: the console is quoted: {}", answer.body);
        let path = route.path.trim_start_matches("/api/v1");
        let of_server =
            (path.starts_with("/servers") && !path.starts_with("/servers/actions")) || path == "/operations/{id}";
        // Operations, consoles, settings and commands of a server are not for everybody who may see it.
        let inside = ["operations", "/logs", "/settings", "/commands", "/shares", "/runs"]
            .iter()
            .any(|part| path.contains(part));
        if of_server && route.method == "GET" && !inside {
            assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        } else if of_server || path == "/schedules" {
            assert_refused(&answer, 403, "not_allowed", &what);
        } else {
            // Schedules and keys are their owner's, whoever may see the server.
            assert_refused(&answer, 404, "not_found", &what);
        }
        assert_eq!(stored(&sql).await, before, "{what} changed something");
    }
    let schedules = ROUTES.iter().find(|route| route.is("GET", "/api/v1/servers/{id}/schedules")).expect("a route");
    let schedules = ask(&api, Some(&stranger), schedules, &world).await;
    assert_eq!(schedules.body["items"], Value::Array(vec![]), "a server's schedules are their makers'");
}

#[tokio::test]
async fn key_for_another_server_learns_nothing() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let world = World::create(&api).await;
    let sql = stack.sql().await;
    let on_other = ["write:servers", "write:schedules"].map(|scope| format!("{scope}:{}", world.other_server));
    let key = minted(&api, "narrowed", &[&on_other[0], &on_other[1]]).await;
    let bearer = format!("Bearer {key}");
    let before = stored(&sql).await;
    for route in ROUTES.iter() {
        let what = format!("{} {} with a key for another server", route.method, route.path);
        let answer = ask(&api, Some(&bearer), route, &world).await;
        if route.names_an_object() || route.writes() {
            assert!(matches!(answer.status.as_u16(), 403 | 404), "{what}: {}", answer.body);
            let code = if answer.status == 403 { "missing_scope" } else { "not_found" };
            assert_refused(&answer, answer.status.as_u16(), code, &what);
        }
        assert!(!answer.body.to_string().contains("the owner's"), "{what}: {}", answer.body);
        assert_eq!(stored(&sql).await, before, "{what} changed something");
    }
    let there = api.call_as(Some(&key), "GET", &format!("/api/v1/servers/{}", world.other_server), None).await;
    assert_eq!(there.expect(200)["name"], "another one");
}

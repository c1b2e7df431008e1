//! Sharing: the rights of others on a server, and how long they last.

use std::sync::Arc;

use agis_base::{GuildId, RoleId, ServerId, UserId};
use agis_servers::{Grantee, Permission, Permissions, Policy, Servers, game::Catalogue, store::Billing};
use agis_storage::{Db, DbConfig};
use serde_json::{Value, json};

use crate::common::{Api, OWNER, STRANGER, Stack};

const GUILD: &str = "300000000000000001";
const ROLE: &str = "300000000000000002";

/// The rules on the stack's database, as the bot has them.
fn rules(stack: &Stack) -> Servers {
    let db = Arc::new(Db::new(&DbConfig { url: stack.database_url(), connections: 4 }).expect("a pool"));
    let policy = Policy { homes: vec![], servers_per_user: 10, billing: Billing::Off };
    Servers::new(&db, Arc::new(Catalogue::parse("").expect("a catalogue")), policy, vec![])
}

fn user(id: &str) -> UserId {
    UserId::from_stored(id)
}

fn id(server: i64) -> ServerId {
    ServerId(server.try_into().expect("an id"))
}

fn member(id: &str) -> Grantee {
    Grantee::Member(user(id))
}

fn role(guild: &str, role: &str) -> Grantee {
    Grantee::Role { guild: GuildId::from_stored(guild), role: RoleId::from_stored(role) }
}

async fn share(rules: &Servers, server: i64, grantee: &Grantee, permissions: &[Permission]) {
    let permissions: Permissions = permissions.iter().copied().collect();
    rules.share(&user(OWNER), id(server), grantee, permissions).await.expect("shared");
}

async fn note(rules: &Servers, guild: &str, roles: &[&str]) {
    let roles: Vec<_> = roles.iter().map(|role| RoleId::from_stored(role)).collect();
    rules.note_roles(&user(STRANGER), &GuildId::from_stored(guild), &roles).await.expect("noted");
}

/// Every route about one server, with what it needs of those who do not own it; nothing where only its owner may.
fn routes(server: i64, operation: &str) -> Vec<(&'static str, String, Value, Option<Permission>)> {
    use Permission::*;
    let path = |rest: &str| format!("/api/v1/servers/{server}{rest}");
    let schedule = json!({ "server_id": server, "action": "stop", "cron_expression": "@yearly" });
    vec![
        ("GET", path("/operations"), Value::Null, Some(Read)),
        ("GET", format!("/api/v1/operations/{operation}"), Value::Null, Some(Read)),
        ("GET", path("/logs"), Value::Null, Some(Read)),
        ("GET", path("/settings"), Value::Null, Some(Read)),
        ("POST", path("/start"), Value::Null, Some(Start)),
        ("POST", path("/wake"), Value::Null, Some(Start)),
        ("POST", path("/stop"), Value::Null, Some(Stop)),
        ("POST", path("/restart"), Value::Null, Some(Restart)),
        ("POST", "/api/v1/schedules".to_owned(), schedule, Some(Schedule)),
        ("POST", path("/hold"), json!({ "reason": "a test" }), Some(Schedule)),
        ("DELETE", path("/hold"), Value::Null, Some(Schedule)),
        ("PATCH", path(""), json!({ "name": "mine now" }), None),
        ("PATCH", path("/settings"), json!({ "greeting": "mine now" }), None),
        ("POST", path("/command"), json!({ "command": "say hi" }), Some(Console)),
        ("GET", path("/shares"), Value::Null, None),
        ("PUT", path("/shares"), json!({ "kind": "member", "grantee": "5", "permissions": ["read"] }), None),
        ("DELETE", path("/shares?kind=member&grantee=5"), Value::Null, None),
        ("GET", path("/commands"), Value::Null, None),
        ("DELETE", path(""), Value::Null, None),
    ]
}

async fn status(api: &Api, key: &str, method: &str, path: &str, body: &Value) -> u16 {
    let body = Some(body.clone()).filter(|body| !body.is_null());
    api.call_as(Some(key), method, path, body).await.status.as_u16()
}

#[tokio::test]
async fn each_permission_opens_its_own_routes() {
    let stack = Stack::start().await;
    let (api, rules) = (stack.api(&[]).await, rules(&stack));
    let key = stack.make_key(STRANGER, &["--rate-limit", "10000"]);
    let server = api.server("ours", "sleeper").await;
    let operation = api.ask(server, "stop").await;
    let routes = routes(server, &operation);
    let itself = format!("/api/v1/servers/{server}");

    assert_eq!(status(&api, &key, "GET", &itself, &Value::Null).await, 404);
    for (method, path, body, _) in &routes {
        assert_eq!(status(&api, &key, method, path, body).await, 404, "{method} {path} of a stranger");
    }
    for permission in Permission::ALL {
        share(&rules, server, &member(STRANGER), &[*permission]).await;
        let seen = api.call_as(Some(&key), "GET", &itself, None).await.expect(200);
        let words: Vec<_> = [*permission].into_iter().collect::<Permissions>().iter().map(Permission::as_str).collect();
        assert_eq!(json!([seen["access"], seen["permissions"], seen["owner_id"]]), json!(["shared", words, OWNER]));
        for (method, path, body, needed) in &routes {
            let status = status(&api, &key, method, path, body).await;
            let allowed = *needed == Some(Permission::Read) || *needed == Some(*permission);
            // The server may not run, and then takes no command.
            let does = (200..300).contains(&status) || (*permission == Permission::Console && status == 409);
            let right = if allowed { does } else { status == 403 };
            assert!(right, "{method} {path} with '{permission}' is {status}");
        }
    }
    assert!(rules.unshare(&user(OWNER), id(server), &member(STRANGER)).await.expect("taken back"));
    for (method, path, body, _) in &routes {
        assert_eq!(status(&api, &key, method, path, body).await, 404, "{method} {path} after that");
    }
}

#[tokio::test]
async fn public_server_hides_why_it_failed() {
    let stack = Stack::start().await;
    let (api, rules) = (stack.api(&[]).await, rules(&stack));
    let key = stack.make_key(STRANGER, &[]);
    let server = api.server("open", "unready").await;
    let operation = api.ask(server, "start").await;
    api.ended(&operation).await;
    let path = format!("/api/v1/servers/{server}");
    api.call("PATCH", &path, Some(json!({ "is_public": true }))).await.expect(200);

    let seen = api.call_as(Some(&key), "GET", &path, None).await.expect(200);
    assert_eq!(json!([seen["access"], seen["permissions"], seen["error"]]), json!(["public", [], null]));
    for (method, path, body, _) in routes(server, &operation) {
        assert_eq!(status(&api, &key, method, &path, &body).await, 403, "{method} {path}");
    }
    share(&rules, server, &member(STRANGER), &[Permission::Read]).await;
    let seen = api.call_as(Some(&key), "GET", &path, None).await.expect(200);
    assert_eq!(json!([seen["access"], seen["error"]]), json!(["shared", "not ready within 1 s"]));
}

#[tokio::test]
async fn withdrawn_share_hides_why_a_run_failed() {
    let stack = Stack::start().await;
    let (api, rules, sql) = (stack.api(&[]).await, rules(&stack), stack.sql().await);
    let key = stack.make_key(STRANGER, &["--rate-limit", "10000"]);
    let server = api.server("ours", "demo").await;
    share(&rules, server, &member(STRANGER), &[Permission::Schedule]).await;
    let schedule = json!({ "server_id": server, "action": "stop", "cron_expression": "@yearly" });
    let schedule = api.call_as(Some(&key), "POST", "/api/v1/schedules", Some(schedule)).await.expect(201);
    let insert = format!(
        "insert into schedule_runs (schedule_id, slot, action, local_slots, state, reason, finished_at)
         values ({}, now(), 'stop', '{{}}', 'failed', 'its last words: hunter2', now())",
        schedule["id"]
    );
    sql.batch_execute(&insert).await.expect("a run");
    let path = format!("/api/v1/schedules/{}/runs", schedule["id"]);
    let reason = async |key: &str| {
        let runs = api.call_as(Some(key), "GET", &path, None).await.expect(200);
        runs["items"][0]["reason"].as_str().expect("a reason").to_owned()
    };
    assert_eq!(reason(&key).await, "its last words: hunter2");
    // Of a run that succeeded a step may have failed.
    let steps = format!(
        "insert into schedule_runs (schedule_id, slot, action, state, finished_at, begun_at)
             values ({0}, '2026-01-01T00:00:00Z', 'steps', 'succeeded', now(), now());
         insert into schedule_run_steps (schedule_id, slot, place, operation_id, state, reason, step)
             values ({0}, '2026-01-01T00:00:00Z', 0, gen_random_uuid(), 'failed', 'its last words: hunter2',
                     '{{\"deed\": {{\"command\": \"x\"}}, \"on_error\": \"continue\", \"finally\": false}}')",
        schedule["id"]
    );
    sql.batch_execute(&steps).await.expect("a run with steps");
    let of_step = async |key: &str| {
        let run = api.call_as(Some(key), "GET", &format!("{path}/2026-01-01T00:00:00Z"), None).await.expect(200);
        run["steps"][0]["reason"].clone()
    };
    let narrow = stack.make_key(OWNER, &["--scope", "read:schedules"]);
    assert_eq!(of_step(&key).await, "its last words: hunter2");
    rules.unshare(&user(OWNER), id(server), &member(STRANGER)).await.expect("taken back");
    assert_eq!(reason(&key).await, "failed");
    assert_eq!(reason(&stack.key).await, "its last words: hunter2");
    for (key, whose) in [(&key, "a former neighbour"), (&narrow, "a key that reads no consoles")] {
        assert_ne!(of_step(key).await, "its last words: hunter2", "{whose}");
    }
    assert_eq!(of_step(&stack.key).await, "its last words: hunter2");
}

#[tokio::test]
async fn every_page_has_own_servers_first() {
    let stack = Stack::start().await;
    let (api, rules) = (stack.api(&[]).await, rules(&stack));
    let key = stack.make_key(STRANGER, &["--rate-limit", "10000"]);
    let mut shared = vec![];
    for name in ["a", "b", "c"] {
        shared.push(api.server(name, "demo").await);
        share(&rules, shared[shared.len() - 1], &member(STRANGER), &[Permission::Read]).await;
    }
    let mut own = vec![];
    for name in ["d", "e"] {
        let new = json!({ "name": name, "game_type": "demo" });
        let made = api.call_as(Some(&key), "POST", "/api/v1/servers", Some(new)).await.expect(201);
        own.push(made["id"].as_i64().expect("an id"));
    }
    for limit in 1..=6 {
        let (mut seen, mut cursor) = (vec![], String::new());
        loop {
            let path = format!("/api/v1/servers?limit={limit}{cursor}");
            let piece = api.call_as(Some(&key), "GET", &path, None).await.expect(200);
            seen.extend(piece["items"].as_array().expect("items").iter().filter_map(|item| item["id"].as_i64()));
            let Some(next) = piece["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, [own.clone(), shared.clone()].concat(), "{limit} at a time");
    }
}

#[tokio::test]
async fn role_counts_in_its_guild_for_a_day() {
    let stack = Stack::start().await;
    let (api, rules, sql) = (stack.api(&[]).await, rules(&stack), stack.sql().await);
    let key = stack.make_key(STRANGER, &[]);
    let server = api.server("ours", "demo").await;
    let path = format!("/api/v1/servers/{server}");
    let sees = async || status(&api, &key, "GET", &path, &Value::Null).await;
    share(&rules, server, &role(GUILD, ROLE), &[Permission::Start]).await;
    assert_eq!(sees().await, 404, "nobody knows their roles");
    note(&rules, "300000000000000009", &[ROLE]).await;
    assert_eq!(sees().await, 404, "a role of another guild");
    note(&rules, GUILD, &[GUILD, "300000000000000003"]).await;
    assert_eq!(sees().await, 404, "other roles");
    note(&rules, GUILD, &[GUILD, ROLE]).await;
    assert_eq!(sees().await, 200);
    let seen = async |ago: &str| {
        let query = format!("update member_roles set seen_at = now() - interval '{ago}'");
        sql.batch_execute(&query).await.expect("another time");
    };
    seen("23 hours 59 minutes").await;
    assert_eq!(sees().await, 200);
    assert_eq!(status(&api, &key, "POST", &format!("{path}/start"), &Value::Null).await, 202);
    seen("24 hours 1 minute").await;
    assert_eq!(sees().await, 404, "the bot has been away for too long");
    assert_eq!(status(&api, &key, "POST", &format!("{path}/start"), &Value::Null).await, 404);
    note(&rules, GUILD, &[GUILD, ROLE]).await;
    assert_eq!(sees().await, 200);
    note(&rules, GUILD, &[]).await;
    assert_eq!(sees().await, 404, "they have left");

    // Permissions of several shares add up.
    note(&rules, GUILD, &[GUILD, ROLE]).await;
    share(&rules, server, &role(GUILD, GUILD), &[Permission::Stop]).await;
    share(&rules, server, &member(STRANGER), &[Permission::Schedule]).await;
    let all = json!(["read", "start", "stop", "schedule"]);
    assert_eq!(api.call_as(Some(&key), "GET", &path, None).await.expect(200)["permissions"], all);
    let list = api.call_as(Some(&key), "GET", "/api/v1/servers", None).await.expect(200);
    assert_eq!(json!([list["items"][0]["permissions"], list["items"][1]]), json!([all, null]), "it is listed once");
}

#[tokio::test]
async fn list_has_own_servers_then_shared_ones() {
    let stack = Stack::start().await;
    let (api, rules) = (stack.api(&[]).await, rules(&stack));
    let key = stack.make_key(STRANGER, &[]);
    let (first, hidden) = (api.server("Tuesday", "demo").await, api.server("Tuesday II", "demo").await);
    let body = json!({ "name": "my tuesday", "game_type": "demo" });
    let own = api.call_as(Some(&key), "POST", "/api/v1/servers", Some(body)).await.expect(201)["id"].clone();
    let last = api.server("Wednesday", "demo").await;
    let gone = api.server("Gone", "demo").await;
    for server in [first, last, gone] {
        share(&rules, server, &member(STRANGER), &[Permission::Read]).await;
    }
    let deletion = api.call("DELETE", &format!("/api/v1/servers/{gone}"), None).await.expect(202);
    api.ended(deletion["id"].as_str().expect("an id")).await;
    let list = async |key: &str, query: &str| {
        let path = format!("/api/v1/servers{query}");
        let list = api.call_as(Some(key), "GET", &path, None).await.expect(200);
        let items = list["items"].as_array().expect("items").clone();
        let of = |item: &Value| json!([item["id"], item["access"]]);
        (json!(items.iter().map(of).collect::<Vec<_>>()), list["next_cursor"].clone())
    };
    let all = json!([[own, "owner"], [first, "shared"], [last, "shared"]]);
    assert_eq!(list(&key, "").await.0, all);
    assert_eq!(list(&key, "?owned=true").await.0, json!([[own, "owner"]]));
    assert_eq!(list(&key, "?owned=false").await.0, json!([[first, "shared"], [last, "shared"]]));
    assert_eq!(list(&key, "?name=TUESDAY").await.0, json!([[own, "owner"], [first, "shared"]]));
    let (piece, next) = list(&key, "?limit=2").await;
    assert_eq!(piece, json!([[own, "owner"], [first, "shared"]]));
    let rest = list(&key, &format!("?limit=2&cursor={}", next.as_str().expect("a cursor"))).await;
    assert_eq!(rest, (json!([[last, "shared"]]), Value::Null));
    assert_eq!(list(&stack.key, "?owned=false").await.0, json!([]));
    assert_eq!(list(&stack.key, "").await.0, json!([[first, "owner"], [hidden, "owner"], [last, "owner"]]));
    let narrow = stack.make_key(STRANGER, &["--scope", &format!("read:servers:{last}")]);
    assert_eq!(list(&narrow, "").await.0, json!([[last, "shared"]]));
}

#[tokio::test]
async fn owner_ends_but_never_edits_others_schedules() {
    let stack = Stack::start().await;
    let (api, rules) = (stack.api(&[]).await, rules(&stack));
    let key = stack.make_key(STRANGER, &[]);
    let server = api.server("ours", "demo").await;
    share(&rules, server, &member(STRANGER), &[Permission::Schedule]).await;
    let body = json!({ "server_id": server, "action": "stop", "cron_expression": "@yearly" });
    let owners = api.post("/api/v1/schedules", body.clone()).await.expect(201)["id"].clone();
    let theirs = api.call_as(Some(&key), "POST", "/api/v1/schedules", Some(body)).await.expect(201);
    assert_eq!(theirs["actor"], STRANGER);
    let theirs = theirs["id"].clone();
    let listed = async |key: &str, path: &str| {
        let list = api.call_as(Some(key), "GET", path, None).await.expect(200);
        list["items"].as_array().expect("items").iter().map(|item| item["id"].clone()).collect::<Vec<_>>()
    };
    for path in ["/api/v1/schedules".to_owned(), format!("/api/v1/servers/{server}/schedules")] {
        assert_eq!(listed(&stack.key, &path).await, [owners.clone(), theirs.clone()], "{path}");
        assert_eq!(listed(&key, &path).await, std::slice::from_ref(&theirs), "{path}");
    }
    let path = format!("/api/v1/schedules/{theirs}");
    for change in
        [json!({ "action": "start" }), json!({ "enabled": true }), json!({ "enabled": false, "action": "start" })]
    {
        let refused = api.call("PATCH", &path, Some(change)).await.expect(403);
        assert_eq!(refused["code"], "not_allowed");
    }
    let disabled = api.call("PATCH", &path, Some(json!({ "enabled": false }))).await.expect(200);
    assert_eq!(json!([disabled["enabled"], disabled["actor"]]), json!([false, STRANGER]));
    assert_eq!(status(&api, &key, "DELETE", &format!("/api/v1/schedules/{owners}"), &Value::Null).await, 404);
    assert_eq!(status(&api, &key, "GET", &format!("/api/v1/schedules/{owners}/runs"), &Value::Null).await, 404);
    api.get(&format!("{path}/runs")).await.expect(200);
    assert_eq!(api.call("DELETE", &path, None).await.status, 204);
    assert_eq!(listed(&key, "/api/v1/schedules").await, Vec::<Value>::new());
}

#[tokio::test]
async fn shares_are_made_listed_and_taken_back() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("ours", "demo").await;
    let path = format!("/api/v1/servers/{server}/shares");
    let put = async |body: Value| api.call("PUT", &path, Some(body)).await;
    let listed = json!(["say", "whitelist add"]);
    let by_name = json!({ "kind": "member", "grantee": STRANGER, "permissions": ["console"], "commands": listed });
    let share = put(by_name).await.expect(200);
    assert_eq!(json!([share["permissions"], share["commands"]]), json!([["read", "console"], listed]));
    let role = json!({ "kind": "role", "grantee": ROLE, "guild_id": GUILD, "permissions": ["start"] });
    let share = put(role).await.expect(200);
    assert_eq!(json!([share["guild_id"], share["commands"]]), json!([GUILD, null]));
    let again = json!({ "kind": "member", "grantee": STRANGER, "permissions": ["console"] });
    assert_eq!(put(again).await.expect(200)["commands"], Value::Null, "in place of the list");
    let shares = api.get(&path).await.expect(200);
    let told = |share: &Value| json!([share["kind"], share["grantee"]]);
    let told: Vec<_> = shares["items"].as_array().expect("a list").iter().map(told).collect();
    assert_eq!(json!(told), json!([["member", STRANGER], ["role", ROLE]]));
    for (field, body) in [
        ("kind", json!({ "kind": "friend", "grantee": "5", "permissions": ["read"] })),
        ("guild_id", json!({ "kind": "role", "grantee": "5", "permissions": ["read"] })),
        ("guild_id", json!({ "kind": "member", "grantee": "5", "guild_id": "6", "permissions": ["read"] })),
        ("grantee", json!({ "kind": "member", "grantee": "Ann", "permissions": ["read"] })),
        ("grantee", json!({ "kind": "member", "grantee": OWNER, "permissions": ["read"] })),
        ("permissions", json!({ "kind": "member", "grantee": "5", "permissions": [] })),
        ("permissions", json!({ "kind": "member", "grantee": "5", "permissions": ["delete"] })),
        ("commands", json!({ "kind": "member", "grantee": "5", "permissions": ["start"], "commands": ["say"] })),
        ("commands", json!({ "kind": "member", "grantee": "5", "permissions": ["console"], "commands": [] })),
        ("commands", json!({ "kind": "member", "grantee": "5", "permissions": ["console"], "commands": ["a;b"] })),
    ] {
        let refused = put(body).await.expect(422);
        assert!(refused["detail"].as_str().is_some_and(|text| text.starts_with(field)), "{field}: {refused}");
    }
    let gone = format!("{path}?kind=member&grantee={STRANGER}");
    assert_eq!(api.call("DELETE", &gone, None).await.status, 204);
    assert_eq!(api.call("DELETE", &gone, None).await.expect(404)["code"], "not_found");
    let role = format!("{path}?kind=role&grantee={ROLE}&guild_id={GUILD}");
    assert_eq!(api.call("DELETE", &role, None).await.status, 204);
    assert_eq!(api.get(&path).await.expect(200)["items"], json!([]));
}

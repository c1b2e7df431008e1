use serde_json::{Value, json};

use super::{problem, problems};
use crate::common::Stack;

const SERVERS: &str = "/api/v1/servers";
const SCHEDULES: &str = "/api/v1/schedules";
const KEYS: &str = "/api/v1/auth/keys";

#[tokio::test]
async fn a_server_that_cannot_be_is_refused() {
    let stack = Stack::start().await;
    let api = stack.api(&[("SERVERS_PER_USER", "2")]).await;
    let named = |name: &str| json!({ "name": name, "game_type": "demo" });
    let first = format!("{SERVERS}/{}", api.server("First", "demo").await);
    let requests = [
        ("POST", SERVERS, json!({ "name": "a", "game_type": "quake" })),
        ("POST", SERVERS, named("")),
        ("POST", SERVERS, named("  ")),
        ("POST", SERVERS, named("two\nlines")),
        ("POST", SERVERS, named("a\u{1b}[31m")),
        ("POST", SERVERS, named(&"n".repeat(101))),
        ("POST", SERVERS, json!({ "name": "a", "game_type": "demo", "description": "d".repeat(1001) })),
        ("POST", SERVERS, named("fIRST")),
        ("PATCH", &first, json!({ "name": "" })),
        ("PATCH", &first, json!({ "game_type": "demo" })),
        ("PATCH", &first, json!({ "name": "x", "description": 7 })),
    ];
    insta::assert_snapshot!(problems(&api, &requests).await, @r#"
    POST /api/v1/servers {"game_type":"quake","name":"a"}
      422 invalid_value: game_type: is one of: demo, sleeper, slow, unready
    POST /api/v1/servers {"game_type":"demo","name":""}
      422 invalid_value: name: has 1 to 100 characters on one line
    POST /api/v1/servers {"game_type":"demo","name":"  "}
      422 invalid_value: name: has 1 to 100 characters on one line
    POST /api/v1/servers {"game_type":"demo","name":"two\nlines"}
      422 invalid_value: name: has 1 to 100 characters on one line
    POST /api/v1/servers {"game_type":"demo","name":"a\u001b[31m"}
      422 invalid_value: name: has 1 to 100 characters on one line
    POST /api/v1/servers … 131 bytes …
      422 invalid_value: name: has 1 to 100 characters on one line
    POST /api/v1/servers … 1049 bytes …
      422 invalid_value: description: has at most 1000 characters
    POST /api/v1/servers {"game_type":"demo","name":"fIRST"}
      409 name_taken: you already have a server of that name, or of one that looks the same; choose another
    PATCH /api/v1/servers/1 {"name":""}
      422 invalid_value: name: has 1 to 100 characters on one line
    PATCH /api/v1/servers/1 {"game_type":"demo"}
      400 invalid_body: game_type: is unknown; the fields are: name, description, is_public, labels, restart_policy, idle
    PATCH /api/v1/servers/1 {"description":7,"name":"x"}
      400 invalid_body: description: is text
    "#);

    let second = format!("{SERVERS}/{}", api.server("Second", "demo").await);
    let requests = [("PATCH", second.as_str(), json!({ "name": "FIRST" })), ("POST", SERVERS, named("Third"))];
    insta::assert_snapshot!(problems(&api, &requests).await, @r#"
    PATCH /api/v1/servers/2 {"name":"FIRST"}
      409 name_taken: you already have a server of that name, or of one that looks the same; choose another
    POST /api/v1/servers {"game_type":"demo","name":"Third"}
      409 too_many_servers: you have 2 servers, as many as allowed here; delete one first
    "#);
    api.call("PATCH", &second, Some(json!({ "name": "SECOND" }))).await.expect(200);
}

#[tokio::test]
async fn lookalike_name_is_refused_for_new_rows() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = |name: &str| json!({ "name": name, "game_type": "demo" });
    let key = |name: &str| json!({ "name": name, "scopes": ["*"] });
    let first = api.server("First", "demo").await;
    let own_key = api.call("GET", KEYS, None).await.expect(200)["items"][0]["id"].as_str().expect("an id").to_owned();
    for name in ["\u{3164}", "a\u{200b}", "a\u{2028}b", "\u{202e}abc", "\u{2800}", "\u{301}", "\u{a0}"] {
        let changes = json!({ "name": name });
        for (method, path, body) in [
            ("POST", SERVERS.to_owned(), server(name)),
            ("PATCH", format!("{SERVERS}/{first}"), changes.clone()),
            ("POST", KEYS.to_owned(), key(name)),
            ("PATCH", format!("{KEYS}/{own_key}"), changes),
        ] {
            let refused = api.call(method, &path, Some(body)).await.expect(422);
            assert!(refused["detail"].as_str().is_some_and(|it| it.starts_with("name: has ")), "{name:?}: {refused}");
        }
    }
    for name in ["FIRST", "Fіrst", "First\u{a0}", "𝐅irst"] {
        assert_eq!(api.call("POST", SERVERS, Some(server(name))).await.expect(409)["code"], "name_taken", "{name}");
    }

    // As an earlier version wrote them: two that look the same, and one that looks empty.
    let sql = stack.sql().await;
    let query = "insert into game_servers (discord_id, name, game_type, status, host)
                 select discord_id, unnest(array['Fіrst', e'\\u3164']), game_type, status, host from game_servers
                 returning id";
    let rows = sql.query(query, &[]).await.expect("old rows");
    for row in rows {
        let path = format!("{SERVERS}/{}", row.get::<_, i32>(0));
        let name = api.call("GET", &path, None).await.expect(200)["name"].clone();
        let change = json!({ "name": name, "description": "as it was" });
        assert_eq!(api.call("PATCH", &path, Some(change)).await.expect(200)["name"], name);
    }
    assert_eq!(api.call("POST", SERVERS, Some(server("First"))).await.expect(409)["code"], "name_taken");
}

#[tokio::test]
async fn a_schedule_that_cannot_be_is_refused() {
    let stack = Stack::start().await;
    let api = stack.api(&[("SCHEDULES_PER_SERVER", "1")]).await;
    let server = api.server("clockwork", "demo").await;
    let cron = |text: &str| json!({ "server_id": server, "action": "start", "cron_expression": text });
    let with = |field: &str, value: &str| {
        let mut body = cron("@daily");
        body[field] = json!(value);
        body
    };
    let requests = [
        ("POST", SCHEDULES, cron("61 * * * *")),
        ("POST", SCHEDULES, cron("every day")),
        ("POST", SCHEDULES, cron("0 0 4 * * *")),
        ("POST", SCHEDULES, cron("@reboot")),
        ("POST", SCHEDULES, cron("@fortnightly")),
        ("POST", SCHEDULES, cron("0 0 31 2 *")),
        ("POST", SCHEDULES, cron("")),
        ("POST", SCHEDULES, with("timezone", "Berlin")),
        ("POST", SCHEDULES, with("timezone", "")),
        ("POST", SCHEDULES, with("action", "delete")),
        ("POST", SCHEDULES, with("missed_run_policy", "run_all")),
        ("POST", SCHEDULES, json!({ "server_id": 99, "action": "start", "cron_expression": "@daily" })),
        ("POST", "/api/v1/schedules/preview", json!({ "cron_expression": "0 0 31 2 *" })),
        ("POST", "/api/v1/schedules/preview", json!({ "cron_expression": "@daily", "timezone": "+02:00" })),
        ("POST", "/api/v1/schedules/preview", json!({ "cron_expression": "@daily", "count": 0 })),
        ("POST", "/api/v1/schedules/preview", json!({ "cron_expression": "@daily", "count": 70_000 })),
        ("POST", "/api/v1/schedules/preview", json!({ "cron_expression": "@daily", "count": -1 })),
    ];
    insta::assert_snapshot!(problems(&api, &requests).await, @r#"
    POST /api/v1/schedules {"action":"start","cron_expression":"61 * * * *","server_id":1}
      422 invalid_cron: cron_expression: The minute field takes 0 to 59, not "61".
    POST /api/v1/schedules {"action":"start","cron_expression":"every day","server_id":1}
      422 invalid_cron: cron_expression: Write five fields: minute, hour, day of month, month, day of week. 0 4 * * * is every day at 04:00. This has 2.
    POST /api/v1/schedules {"action":"start","cron_expression":"0 0 4 * * *","server_id":1}
      422 invalid_cron: cron_expression: This has six fields, and takes five. If the first field is seconds, write 0 4 * * *. If the last field is a year, write 0 0 4 * *.
    POST /api/v1/schedules {"action":"start","cron_expression":"@reboot","server_id":1}
      422 invalid_cron: cron_expression: @reboot has no time of day, so it cannot be scheduled here. Use @daily, @hourly or five fields.
    POST /api/v1/schedules {"action":"start","cron_expression":"@fortnightly","server_id":1}
      422 invalid_cron: cron_expression: After @ one of these can stand: yearly, annually, monthly, weekly, daily, midnight, hourly.
    POST /api/v1/schedules {"action":"start","cron_expression":"0 0 31 2 *","server_id":1}
      422 never_fires: cron_expression: '0 0 31 2 *' never fires: no day matches it in the next decades; check the day and the month
    POST /api/v1/schedules {"action":"start","cron_expression":"","server_id":1}
      422 invalid_cron: cron_expression: Write five fields: minute, hour, day of month, month, day of week. 0 4 * * * is every day at 04:00. This has 0.
    POST /api/v1/schedules {"action":"start","cron_expression":"@daily","server_id":1,"timezone":"Berlin"}
      422 invalid_timezone: timezone: 'Berlin' is not a time zone; use an IANA name such as Europe/Berlin or America/New_York, or UTC
    POST /api/v1/schedules {"action":"start","cron_expression":"@daily","server_id":1,"timezone":""}
      422 invalid_timezone: timezone: '' is not a time zone; use an IANA name such as Europe/Berlin or America/New_York, or UTC
    POST /api/v1/schedules {"action":"delete","cron_expression":"@daily","server_id":1}
      422 invalid_value: action: is one of: start, stop, restart
    POST /api/v1/schedules {"action":"start","cron_expression":"@daily","missed_run_policy":"run_all","server_id":1}
      422 invalid_value: missed_run_policy: is one of: run_once, skip
    POST /api/v1/schedules {"action":"start","cron_expression":"@daily","server_id":99}
      404 not_found: there is no such server, or it is not yours
    POST /api/v1/schedules/preview {"cron_expression":"0 0 31 2 *"}
      422 never_fires: cron_expression: '0 0 31 2 *' never fires: no day matches it in the next decades; check the day and the month
    POST /api/v1/schedules/preview {"cron_expression":"@daily","timezone":"+02:00"}
      422 invalid_timezone: timezone: '+02:00' is not a time zone; use an IANA name such as Europe/Berlin or America/New_York, or UTC
    POST /api/v1/schedules/preview {"count":0,"cron_expression":"@daily"}
      422 invalid_value: count: is 1 to 100
    POST /api/v1/schedules/preview {"count":70000,"cron_expression":"@daily"}
      422 invalid_value: count: is 1 to 100
    POST /api/v1/schedules/preview {"count":-1,"cron_expression":"@daily"}
      422 invalid_value: count: is 1 to 100
    "#);
    api.post(SCHEDULES, cron("@daily")).await.expect(201);
    insta::assert_snapshot!(problems(&api, &[("POST", SCHEDULES, cron("@hourly"))]).await, @r#"
    POST /api/v1/schedules {"action":"start","cron_expression":"@hourly","server_id":1}
      409 too_many_schedules: this server has 1 schedules, as many as allowed here; delete one first
    "#);
}

#[tokio::test]
async fn a_key_that_cannot_be_is_refused() {
    let stack = Stack::start().await;
    let api = stack.api(&[("KEYS_PER_USER", "1"), ("MAX_RATE_LIMIT", "5000")]).await;
    let with = |field: &str, value: Value| {
        let mut body = json!({ "name": "k", "scopes": ["*"] });
        body[field] = value;
        body
    };
    let requests = [
        ("POST", KEYS, with("scopes", json!(["read:everything"]))),
        ("POST", KEYS, with("scopes", json!([]))),
        ("POST", KEYS, with("ttl_days", json!(0))),
        ("POST", KEYS, with("ttl_days", json!(3651))),
        ("POST", KEYS, with("rate_limit", json!(0))),
        ("POST", KEYS, with("rate_limit", json!(5001))),
        ("POST", KEYS, with("rate_limit", json!(10_001))),
        ("POST", KEYS, with("name", json!(""))),
        ("POST", KEYS, with("name", json!("a\tb"))),
        ("POST", KEYS, with("name", json!("one too many"))),
    ];
    insta::assert_snapshot!(problems(&api, &requests).await, @r#"
    POST /api/v1/auth/keys {"name":"k","scopes":["read:everything"]}
      422 invalid_value: scopes: 'read:everything' is not a scope; use one of: read:servers, write:servers, read:schedules, write:schedules, read:keys, write:keys, read:hosts, *; those of servers and schedules may name one server, as in 'write:servers:7'
    POST /api/v1/auth/keys {"name":"k","scopes":[]}
      422 invalid_value: scopes: names at least one of: read:servers, write:servers, read:schedules, write:schedules, read:keys, write:keys, read:hosts, *
    POST /api/v1/auth/keys {"name":"k","scopes":["*"],"ttl_days":0}
      422 invalid_value: ttl_days: is 1 to 3650
    POST /api/v1/auth/keys {"name":"k","scopes":["*"],"ttl_days":3651}
      422 invalid_value: ttl_days: is 1 to 3650
    POST /api/v1/auth/keys {"name":"k","rate_limit":0,"scopes":["*"]}
      422 invalid_value: rate_limit: is 1 to 5000 per hour
    POST /api/v1/auth/keys {"name":"k","rate_limit":5001,"scopes":["*"]}
      422 invalid_value: rate_limit: is 1 to 5000 per hour
    POST /api/v1/auth/keys {"name":"k","rate_limit":10001,"scopes":["*"]}
      422 invalid_value: rate_limit: is 1 to 5000 per hour
    POST /api/v1/auth/keys {"name":"","scopes":["*"]}
      422 invalid_value: name: has 1 to 100 characters on one line
    POST /api/v1/auth/keys {"name":"a\tb","scopes":["*"]}
      422 invalid_value: name: has 1 to 100 characters on one line
    POST /api/v1/auth/keys {"name":"one too many","scopes":["*"]}
      409 too_many_keys: you have 1 keys, as many as allowed here; revoke one first
    "#);

    let less = stack.api(&[]).await;
    let body = json!({ "name": "less", "scopes": ["write:keys"] });
    let key = less.post(KEYS, body).await.expect(201)["key"].as_str().expect("a key").to_owned();
    let beyond = less.call_as(Some(&key), "POST", KEYS, Some(with("name", json!("more")))).await;
    insta::assert_snapshot!(problem(&beyond), @"403 scope_beyond_key: your key does not have the scope '*', so it cannot give it, nor widen or rotate a key that has it");
}

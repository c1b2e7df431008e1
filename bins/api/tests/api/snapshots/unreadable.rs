use serde_json::{Value, json};

use super::{problem, problems};
use crate::common::Stack;

const SERVERS: &str = "/api/v1/servers";
const SCHEDULES: &str = "/api/v1/schedules";
const KEYS: &str = "/api/v1/auth/keys";

#[tokio::test]
async fn unreadable_body_is_refused_by_field() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let requests = [
        ("POST", SERVERS, json!({ "name": "a", "game_type": "demo", "colour": "red" })),
        ("POST", SERVERS, json!({ "name": "a", "game_type": "demo", "is_public": "yes" })),
        ("POST", SERVERS, json!({ "name": 7, "game_type": "demo" })),
        ("POST", SERVERS, json!({ "name": "a" })),
        ("POST", SERVERS, json!([])),
        ("POST", SERVERS, json!(["a", "demo", null, true])),
        ("POST", SERVERS, json!("a")),
        ("POST", SCHEDULES, json!({ "server_id": "1", "action": "start", "cron_expression": "@daily" })),
        ("POST", SCHEDULES, json!({ "server_id": 3_000_000_000_u32, "action": "start", "cron_expression": "@daily" })),
        ("POST", SCHEDULES, json!({ "server_id": 1, "action": "start", "cron": "@daily" })),
        ("POST", KEYS, json!({ "name": "k", "scopes": "read:servers" })),
        ("POST", KEYS, json!({ "name": "k", "scopes": ["read:servers", 7] })),
        ("POST", KEYS, json!({ "name": "k", "scopes": ["*"], "rate_limit": -1 })),
        ("POST", KEYS, json!({ "name": "k", "scopes": ["*"], "ttl_days": 1.5 })),
        ("POST", "/api/v1/schedules/preview", json!({ "cron_expression": "@daily", "count": "5" })),
    ];
    insta::assert_snapshot!(problems(&api, &requests).await, @r#"
    POST /api/v1/servers {"colour":"red","game_type":"demo","name":"a"}
      400 invalid_body: colour: is unknown; the fields are: name, game_type, description, is_public, labels, settings
    POST /api/v1/servers {"game_type":"demo","is_public":"yes","name":"a"}
      400 invalid_body: is_public: is true or false
    POST /api/v1/servers {"game_type":"demo","name":7}
      400 invalid_body: name: is text
    POST /api/v1/servers {"name":"a"}
      400 invalid_body: game_type: is missing
    POST /api/v1/servers []
      400 invalid_body: the body is not a JSON object
    POST /api/v1/servers ["a","demo",null,true]
      400 invalid_body: the body is not a JSON object
    POST /api/v1/servers "a"
      400 invalid_body: the body is not a JSON object
    POST /api/v1/schedules {"action":"start","cron_expression":"@daily","server_id":"1"}
      400 invalid_body: server_id: is an id, a whole number from 1 to 2147483647
    POST /api/v1/schedules {"action":"start","cron_expression":"@daily","server_id":3000000000}
      400 invalid_body: server_id: is an id, a whole number from 1 to 2147483647
    POST /api/v1/schedules {"action":"start","cron":"@daily","server_id":1}
      400 invalid_body: cron: is unknown; the fields are: server_id, label, at_most, stagger, action, steps, finally, when, overlap, cron_expression, at, timezone, enabled, missed_run_policy
    POST /api/v1/auth/keys {"name":"k","scopes":"read:servers"}
      400 invalid_body: scopes: is a list
    POST /api/v1/auth/keys {"name":"k","scopes":["read:servers",7]}
      400 invalid_body: scopes[1]: is text
    POST /api/v1/auth/keys {"name":"k","rate_limit":-1,"scopes":["*"]}
      400 invalid_body: rate_limit: is a whole number from 0 to 4294967295
    POST /api/v1/auth/keys {"name":"k","scopes":["*"],"ttl_days":1.5}
      400 invalid_body: ttl_days: is a whole number from 0 to 4294967295
    POST /api/v1/schedules/preview {"count":"5","cron_expression":"@daily"}
      400 invalid_body: count: is a whole number
    "#);
}

#[tokio::test]
async fn non_json_and_oversized_bodies_are_refused() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let ask = async |mime: &str, body: String| {
        let request = stack.client.post(format!("{}{SERVERS}", api.base)).bearer_auth(&stack.key);
        let request = if mime.is_empty() { request } else { request.header("Content-Type", mime) };
        problem(&api.send(request.body(body)).await.expect("an answer"))
    };
    let good = json!({ "name": "a", "game_type": "demo" }).to_string();
    let all = [
        ask("application/json", "{".to_owned()).await,
        ask("application/json", String::new()).await,
        ask("application/json", "name=a".to_owned()).await,
        ask("application/json", format!("{good} {good}")).await,
        ask("application/json", "[".repeat(10_000)).await,
        ask("application/json", format!("\u{feff}{good}")).await,
        ask("", good.clone()).await,
        ask("text/plain", good.clone()).await,
        ask("application/json", format!("{good}{}", " ".repeat(65_536))).await,
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
    400 invalid_body: the body is not valid JSON (line 1, column 1)
    400 invalid_body: the body is not a JSON object
    400 invalid_body: the body is not a JSON object
    400 invalid_body: the body is not valid JSON (line 1, column 33)
    400 invalid_body: the body is not a JSON object
    400 invalid_body: the body begins with a byte order mark, which JSON must not (RFC 8259); save it as UTF-8 without BOM
    415 not_json: send the body as JSON, with the header 'Content-Type: application/json'
    415 not_json: send the body as JSON, with the header 'Content-Type: application/json'
    413 body_too_large: the body is larger than 65536 bytes
    ");
    assert_eq!(api.get(SERVERS).await.expect(200)["items"], json!([]), "none of them made a server");

    let request = stack.client.post(format!("{}{SERVERS}", api.base)).bearer_auth(&stack.key);
    let request = request.header("Content-Type", "Application/JSON; charset=utf-8").body(good);
    api.send(request).await.expect("an answer").expect(201);
}

#[tokio::test]
async fn unreadable_path_or_query_is_refused() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let requests: Vec<_> = [
        ("GET", "/api/v1/servers?limit=0"),
        ("GET", "/api/v1/servers?limit=101"),
        ("GET", "/api/v1/servers?limit=many"),
        ("GET", "/api/v1/servers?cursor=abc"),
        ("GET", "/api/v1/servers?cursor="),
        ("GET", "/api/v1/servers?page=2"),
        ("GET", "/api/v1/auth/keys?cursor=1x"),
        ("GET", "/api/v1/schedules?server=1"),
        ("GET", "/api/v1/servers?status=on"),
        ("GET", "/api/v1/servers?name="),
        ("GET", "/api/v1/servers?name=%00"),
        ("GET", "/api/v1/servers?limit=1&limit=2"),
        ("GET", "/api/v1/schedules?server_id=+1"),
        ("GET", "/api/v1/schedules?enabled=yes"),
        ("GET", "/api/v1/auth/keys?state=revoked"),
        ("GET", "/api/v1/games?protocol=sctp"),
        ("GET", "/api/v1/servers/one"),
        ("GET", "/api/v1/servers/3000000000"),
        ("GET", "/api/v1/servers/-1"),
        ("GET", "/api/v1/schedules/1.5"),
        ("GET", "/api/v1/auth/keys/agis_"),
        ("GET", "/api/v1/operations/7"),
        ("GET", "/api/v1/operations/00000000-0000-0000-0000-000000000000"),
        ("GET", "/api/v1/servers/"),
        ("GET", "/api/v1/nothing"),
        ("GET", "/api/v2/servers"),
        ("PUT", "/api/v1/servers"),
        ("DELETE", "/api/v1/servers"),
        ("GET", "/api/v1/servers/1/start"),
        ("POST", "/api/v1/users/me"),
    ]
    .into_iter()
    .map(|(method, path)| (method, path, Value::Null))
    .collect();
    insta::assert_snapshot!(problems(&api, &requests).await, @r"
    GET /api/v1/servers?limit=0
      400 invalid_query: limit: is 1 to 100
    GET /api/v1/servers?limit=101
      400 invalid_query: limit: is 1 to 100
    GET /api/v1/servers?limit=many
      400 invalid_query: limit: is 1 to 100
    GET /api/v1/servers?cursor=abc
      400 invalid_cursor: cursor: is the next_cursor of an earlier answer, unchanged
    GET /api/v1/servers?cursor=
      400 invalid_cursor: cursor: is the next_cursor of an earlier answer, unchanged
    GET /api/v1/servers?page=2
      400 invalid_query: page: is unknown; the parameters are: cursor, limit, status, game_type, name, label, owned
    GET /api/v1/auth/keys?cursor=1x
      400 invalid_cursor: cursor: is the next_cursor of an earlier answer, unchanged
    GET /api/v1/schedules?server=1
      400 invalid_query: server: is unknown; the parameters are: cursor, limit, server_id, action, enabled
    GET /api/v1/servers?status=on
      400 invalid_query: status: is one of: stopped, starting, running, stopping, crashed, failed, deleting
    GET /api/v1/servers?name=
      400 invalid_query: name: has 1 to 100 characters on one line
    GET /api/v1/servers?name=%00
      400 invalid_query: name: has 1 to 100 characters on one line
    GET /api/v1/servers?limit=1&limit=2
      400 invalid_query: limit: appears twice
    GET /api/v1/schedules?server_id=+1
      400 invalid_query: server_id: is the id of a server
    GET /api/v1/schedules?enabled=yes
      400 invalid_query: enabled: is one of: true, false
    GET /api/v1/auth/keys?state=revoked
      400 invalid_query: state: is one of: active, expired
    GET /api/v1/games?protocol=sctp
      400 invalid_query: protocol: is one of: tcp, udp
    GET /api/v1/servers/one
      404 not_found: no such resource; write an id in a path as answers write it, see /api/docs
    GET /api/v1/servers/3000000000
      404 not_found: no such resource; write an id in a path as answers write it, see /api/docs
    GET /api/v1/servers/-1
      404 not_found: no such resource; write an id in a path as answers write it, see /api/docs
    GET /api/v1/schedules/1.5
      404 not_found: no such resource; write an id in a path as answers write it, see /api/docs
    GET /api/v1/auth/keys/agis_
      404 not_found: no such resource; write an id in a path as answers write it, see /api/docs
    GET /api/v1/operations/7
      404 not_found: no such resource; write an id in a path as answers write it, see /api/docs
    GET /api/v1/operations/00000000-0000-0000-0000-000000000000
      404 not_found: there is no such operation, or it is not yours
    GET /api/v1/servers/
      404 not_found: no such resource; /api/docs lists the paths
    GET /api/v1/nothing
      404 not_found: no such resource; /api/docs lists the paths
    GET /api/v2/servers
      404 not_found: no such resource; /api/docs lists the paths
    PUT /api/v1/servers
      405 method_not_allowed: this resource takes GET, POST, HEAD
    DELETE /api/v1/servers
      405 method_not_allowed: this resource takes GET, POST, HEAD
    GET /api/v1/servers/1/start
      405 method_not_allowed: this resource takes POST
    POST /api/v1/users/me
      405 method_not_allowed: this resource takes GET, HEAD
    ");
}

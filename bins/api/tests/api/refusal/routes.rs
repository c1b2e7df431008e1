//! The routes as the OpenAPI document has them, and the objects that they are tried on.

use std::sync::LazyLock;

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::common::{Api, SOON, contract};

/// An operation that needs a key.
pub(crate) struct Route {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The scopes of which it needs one; none where any valid key will do.
    scopes: Vec<String>,
    /// The document's example of a body.
    body: Option<Value>,
}

/// Every operation of the document but those that need no key.
pub(crate) static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let operations = contract::operations().into_iter();
    operations.filter(|(_, _, operation)| operation["security"].is_array()).map(route).collect()
});

fn route((method, path, operation): (String, String, Value)) -> Route {
    let any_of = operation["security"].as_array().expect("requirements").iter();
    let scopes = any_of.flat_map(|one| one["api_key"].as_array().expect("scopes").clone());
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let body = schema["$ref"].as_str().map(|name| contract::at(name)["examples"][0].clone());
    assert!(body.as_ref().is_none_or(Value::is_object), "{method} {path} has an example of its body");
    let scopes = scopes.map(|scope| scope.as_str().expect("a word").to_owned()).collect();
    Route { method, path, scopes, body }
}

/// Things that the owner has.
pub(crate) struct World {
    pub(crate) server: i64,
    /// For keys of one server: another one.
    pub(crate) other_server: i64,
    schedule: i64,
    /// A schedule of steps, and the slot of its run, which was cancelled.
    chain: i64,
    slot: String,
    operation: String,
    actions: i64,
    key: String,
}

impl World {
    /// Two servers, a schedule, an operation that has ended, and a key, all of the owner.
    pub(crate) async fn create(api: &Api) -> Self {
        let server = api.server("the owner's", "demo").await;
        let other_server = api.server("another one", "demo").await;
        let body = json!({ "server_id": server, "action": "start", "cron_expression": "@yearly" });
        let schedule = api.post("/api/v1/schedules", body).await.expect(201)["id"].as_i64().expect("an id");
        let operation = api.ask(server, "stop").await;
        api.ended(&operation).await;
        let label = json!({ "labels": ["friday"] });
        api.call("PATCH", &format!("/api/v1/servers/{server}"), Some(label)).await.expect(200);
        let body = json!({ "label": "friday", "action": "stop" });
        let actions = api.post("/api/v1/servers/actions", body).await.expect(202);
        api.ended(actions["servers"][0]["operation_id"].as_str().expect("an operation")).await;
        let actions = actions["id"].as_i64().expect("an id");
        let steps = json!([{ "do": "wait", "seconds": 3600 }]);
        let body = json!({ "server_id": server, "steps": steps, "cron_expression": "@yearly" });
        let chain = api.post("/api/v1/schedules", body).await.expect(201)["id"].as_i64().expect("an id");
        let run = api.post(&format!("/api/v1/schedules/{chain}/run"), json!({})).await.expect(202);
        let slot = run["slot"].as_str().expect("text").to_owned();
        // A run that has ended stays as it is.
        let path = format!("/api/v1/schedules/{chain}/runs/{slot}");
        api.post(&format!("{path}/cancel"), json!({})).await.expect(202);
        wait::until(SOON, "the run to end", async || {
            (api.get(&path).await.expect(200)["state"] == "skipped").then_some(())
        })
        .await;
        let body = json!({ "name": "the owner's", "scopes": ["read:keys"] });
        let key = api.post("/api/v1/auth/keys", body).await.expect(201)["id"].as_str().expect("text").to_owned();
        Self { server, other_server, schedule, chain, slot, operation, actions, key }
    }
}

impl Route {
    pub(crate) fn needs_a_scope(&self) -> bool {
        !self.scopes.is_empty()
    }

    /// The scopes of which it needs one.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(String::as_str)
    }

    /// Whether a key with this scope may use it. To write includes to read.
    pub(crate) fn is_open_to(&self, scope: &str) -> bool {
        !self.needs_a_scope()
            || self.scopes().any(|needed| needed == scope || needed.replace("read:", "write:") == scope)
    }

    /// Whether even a key with `*` may not use it.
    pub(crate) fn is_for_operators(&self) -> bool {
        self.scopes().any(|scope| scope == "read:hosts")
    }

    /// Whether it is about something that the owner has.
    pub(crate) fn names_an_object(&self) -> bool {
        self.path.contains("{id}") || self.body.as_ref().is_some_and(|body| body["server_id"].is_number())
    }

    /// Whether it changes something.
    pub(crate) fn writes(&self) -> bool {
        self.scopes().any(|scope| scope.starts_with("write:"))
    }

    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }

    /// Whether its path names an object.
    pub(crate) fn takes_an_id(&self) -> bool {
        self.path.contains("{id}")
    }

    pub(crate) fn path_in(&self, world: &World) -> String {
        self.path_of(&self.id_in(world), &world.slot)
    }

    fn path_of(&self, id: &str, slot: &str) -> String {
        let path = self.path.replace("{id}", id).replace("{slot}", slot);
        assert!(!path.contains('{'), "say here what stands in {}", self.path);
        path
    }

    pub(crate) fn path_with(&self, id: &str) -> String {
        self.path_of(id, "2026-11-29T20:00:00Z")
    }

    fn id_in(&self, world: &World) -> String {
        if self.path.starts_with("/api/v1/servers/actions/") {
            return world.actions.to_string();
        }
        match self.path.trim_start_matches("/api/v1/").split('/').next() {
            Some("servers") => world.server.to_string(),
            Some("schedules") if self.path.contains("{slot}") => world.chain.to_string(),
            Some("schedules") => world.schedule.to_string(),
            Some("operations") => world.operation.clone(),
            Some("auth") => world.key.clone(),
            _ if !self.takes_an_id() => String::new(),
            _ => panic!("say here what the id in {} stands for", self.path),
        }
    }

    /// Texts that a lenient reader takes for the id of the owner's object, each as it stands in a path.
    pub(crate) fn other_ids_in(&self, world: &World) -> Vec<String> {
        let id = self.id_in(world);
        let (first, rest) = id.split_at(1);
        let encoded = format!("%{:02X}{rest}", first.as_bytes()[0]);
        let twice = encoded.replace('%', "%25");
        let mut others = vec![encoded, twice];
        others.extend(
            ["+", "%2B", "-", "%2D", "0", "00", "%30", "%20", "%09", "0x", "%00"].map(|it| format!("{it}{id}")),
        );
        others.extend(
            ["%20", "%0A", "%00", "%0D%0A", ".0", "%2E0", ";", "%3B", ",", "e0", "%2F", "%2F..%2F1"]
                .map(|it| format!("{id}{it}")),
        );
        others.push(format!("{id:0>300}"));
        others.push("9".repeat(300));
        if id.contains('-') {
            others.extend([id.to_uppercase(), id.replace('-', ""), format!("%7B{id}%7D"), format!("urn:uuid:{id}")]);
        } else {
            let number: i64 = id.parse().expect("a number");
            // The same in 32 bits, and in the digits of another script.
            others.push((number + (1 << 32)).to_string());
            others.push(id.bytes().map(|digit| format!("%EF%BC%{:X}", 0x90 + digit - b'0')).collect());
        }
        others
    }

    pub(crate) fn body_in(&self, world: &World) -> Option<Value> {
        let mut body = self.body.clone()?;
        if body["server_id"].is_number() {
            body["server_id"] = json!(world.server);
        }
        if body["game_type"].is_string() {
            body["game_type"] = json!("demo");
        }
        Some(body)
    }
}

//! The routes as a table, and the objects that they are tried on.

use serde_json::{Value, json};

use crate::common::Api;

/// A route under `/api/v1`.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// The scopes of which it needs one; none where any valid key will do.
    scopes: &'static str,
    /// A valid body, in which `SERVER` stands for the owner's server.
    body: &'static str,
}

const fn route(method: &'static str, path: &'static str, scopes: &'static str, body: &'static str) -> Route {
    Route { method, path, scopes, body }
}

pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/auth/keys", "read:keys", ""),
    route("POST", "/auth/keys", "write:keys", r#"{"name":"k","scopes":["read:servers","read:schedules"]}"#),
    route("GET", "/auth/keys/{id}", "read:keys", ""),
    route("PATCH", "/auth/keys/{id}", "write:keys", r#"{"name":"renamed"}"#),
    route("DELETE", "/auth/keys/{id}", "write:keys", ""),
    route("POST", "/auth/keys/{id}/rotate", "write:keys", r#"{"overlap_seconds":60}"#),
    route("GET", "/servers", "read:servers", ""),
    route("POST", "/servers", "write:servers", r#"{"name":"another","game_type":"demo"}"#),
    route("GET", "/servers/{id}", "read:servers", ""),
    route("PATCH", "/servers/{id}", "write:servers", r#"{"name":"renamed"}"#),
    route("DELETE", "/servers/{id}", "write:servers", ""),
    route("POST", "/servers/{id}/start", "write:servers", ""),
    route("POST", "/servers/{id}/stop", "write:servers", ""),
    route("POST", "/servers/{id}/restart", "write:servers", ""),
    route("GET", "/servers/{id}/logs", "read:servers", ""),
    route("POST", "/servers/{id}/command", "write:servers", r#"{"command":"say hi"}"#),
    route("GET", "/servers/{id}/operations", "read:servers", ""),
    route("GET", "/servers/{id}/schedules", "read:servers read:schedules", ""),
    route("GET", "/operations/{id}", "read:servers", ""),
    route("GET", "/schedules", "read:schedules", ""),
    route(
        "POST",
        "/schedules",
        "write:schedules",
        r#"{"server_id":SERVER,"action":"stop","cron_expression":"@daily"}"#,
    ),
    route("POST", "/schedules/preview", "read:schedules", r#"{"cron_expression":"@daily"}"#),
    route("GET", "/schedules/{id}", "read:schedules", ""),
    route("PATCH", "/schedules/{id}", "write:schedules", r#"{"action":"restart"}"#),
    route("DELETE", "/schedules/{id}", "write:schedules", ""),
    route("POST", "/schedules/{id}/run", "write:schedules", ""),
    route("GET", "/schedules/{id}/runs", "read:schedules", ""),
    route("GET", "/users/me", "", ""),
    route("GET", "/users/me/stats", "", ""),
    route("GET", "/games", "", ""),
];

/// What the owner has.
pub(crate) struct World {
    pub(crate) server: i64,
    schedule: i64,
    operation: String,
    key: String,
}

impl World {
    /// A server, a schedule, an operation that has ended, and a key, all of the owner.
    pub(crate) async fn create(api: &Api) -> Self {
        let server = api.server("the owner's", "demo").await;
        let body = json!({ "server_id": server, "action": "stop", "cron_expression": "@yearly" });
        let schedule = api.post("/api/v1/schedules", body).await.expect(201)["id"].as_i64().expect("an id");
        let operation = api.ask(server, "stop").await;
        api.ended(&operation).await;
        let body = json!({ "name": "the owner's", "scopes": ["read:keys"] });
        let key = api.post("/api/v1/auth/keys", body).await.expect(201)["id"].as_str().expect("text").to_owned();
        Self { server, schedule, operation, key }
    }
}

impl Route {
    pub(crate) fn needs_a_scope(&self) -> bool {
        !self.scopes.is_empty()
    }

    /// The scopes of which it needs one.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &'static str> {
        self.scopes.split_whitespace()
    }

    /// Whether a key with this scope may use it. To write includes to read.
    pub(crate) fn is_open_to(&self, scope: &str) -> bool {
        !self.needs_a_scope()
            || self.scopes().any(|needed| needed == scope || needed.replace("read:", "write:") == scope)
    }

    /// Whether it is about something that the owner has.
    pub(crate) fn names_an_object(&self) -> bool {
        self.path.contains("{id}") || self.body.contains("SERVER")
    }

    pub(crate) fn path_in(&self, world: &World) -> String {
        let id = match self.path.split('/').nth(1) {
            Some("servers") => world.server.to_string(),
            Some("schedules") => world.schedule.to_string(),
            Some("operations") => world.operation.clone(),
            _ => world.key.clone(),
        };
        format!("/api/v1{}", self.path.replace("{id}", &id))
    }

    pub(crate) fn body_in(&self, world: &World) -> Option<Value> {
        let body = self.body.replace("SERVER", &world.server.to_string());
        (!body.is_empty()).then(|| serde_json::from_str(&body).expect("JSON"))
    }
}

/// The routes of the server's own table: path and method.
pub(crate) fn served() -> Vec<(String, String)> {
    let source = include_str!("../../../../../crates/http-api/src/server.rs");
    let table = source.split("fn routes()").nth(1).and_then(|rest| rest.split(".default_service(").next());
    let table: String = table.expect("the table").split_whitespace().collect();
    let resources = table.split(".service(resource(\"").skip(1);
    resources
        .flat_map(|resource| {
            let (path, methods) = resource.split_once("\")").expect("a path");
            let methods = methods.split('.').filter_map(|part| part.split_once('(')).map(|(method, _)| method);
            methods.map(|method| (path.to_owned(), method.to_uppercase())).collect::<Vec<_>>()
        })
        .collect()
}

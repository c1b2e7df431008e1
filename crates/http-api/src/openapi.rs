//! Builds the OpenAPI 3.1 document from the code.
//!
//! Each handler describes its operation. This module adds what follows from general rules: scopes, ids in paths,
//! problems, headers.

mod headers;
mod open;
mod operation;
mod problems;

use std::sync::LazyLock;

use actix_web::web::Bytes;
use agis_apikeys::Permission;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use self::operation::Operation;
use crate::{
    resource::{PREFIX, Served},
    routes, words,
};

/// The name of the security scheme.
const SCHEME: &str = "api_key";
const SCHEMAS: &str = "#/components/schemas/";
const LIST: &str = "List_";
const SHARED: [(&str, &str); 8] = [
    ("401", "Unauthorized"),
    ("403", "Forbidden"),
    ("404", "NotFound"),
    ("413", "BodyTooLarge"),
    ("415", "NotJson"),
    ("429", "RateLimited"),
    ("500", "Internal"),
    ("503", "Unavailable"),
];
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[derive(OpenApi)]
#[openapi(
    info(title = "AGIS", description = include_str!("openapi/introduction.md"), license(identifier = "MIT OR Apache-2.0")),
    paths(open::healthz, open::health, open::document, open::docs),
    // utoipa does not find schemas that only parameters use.
    components(schemas(words::KeyState)),
    tags(
        (name = "servers", description = "Game servers: create, read, change, start, stop, restart, delete."),
        (name = "operations", description = "Requests on servers, and their outcomes."),
        (name = "schedules", description = "Actions on servers by cron expressions, in a time zone."),
        (name = "keys", description = "API keys. A key cannot create a key that can do more than itself."),
        (name = "users", description = "The user who owns the key."),
        (name = "games", description = "Games that servers can be created for."),
        (name = "hosts", description = "Places where game servers run. For operators."),
        (name = "service", description = "Health and documentation; no key needed."),
    ),
)]
struct Base;

/// The document as it is served.
pub(crate) static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(text()));

/// Returns the document as text, as the repository keeps it.
pub fn text() -> String {
    let mut text = format!("{:#}", document());
    text.push('\n');
    text
}

/// Builds the document.
pub(crate) fn document() -> Value {
    let table = routes::table();
    let openapi = table.routes().fold(Base::openapi(), |all, route| all.merge_from(route.document.clone()));
    let mut document = serde_json::to_value(openapi).unwrap_or_default();
    for (path, item) in members(&mut document["paths"]) {
        for (method, operation) in members(item) {
            if METHODS.contains(&method.as_str()) {
                let is_it = |route: &&Served| route.path == *path && route.method.as_str().eq_ignore_ascii_case(method);
                complete(path, table.routes().find(is_it), operation);
            }
        }
    }
    let shared = share(&mut document["paths"]);
    name_lists(&mut document);
    let components = &mut document["components"];
    components["responses"] = shared;
    answer_every_field(&mut components["schemas"]);
    write_out(&mut components["schemas"]);
    components["schemas"]["Problem"] = problems::schema();
    components["headers"] = headers::components();
    components["securitySchemes"] = json!({ SCHEME: {
        "type": "http", "scheme": "bearer", "bearerFormat": "agis_…",
        "description": "An API key. Each operation lists its scopes; the key needs one of them.",
    } });
    document["servers"] = json!([{ "url": "/", "description": "The server of this document" }]);
    document
}

/// Returns the members of an object.
fn members(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flat_map(Map::iter_mut)
}

/// Adds the parts of an operation that follow from rules. `route` is `None` where it needs no key.
fn complete(path: &str, route: Option<&Served>, value: &mut Value) {
    if let Some(route) = route {
        value["security"] = security(route.any_of);
    }
    let id = value["operationId"].as_str().unwrap_or_default().to_owned();
    let query: Vec<_> = value["parameters"].as_array().into_iter().flatten().map(|it| it["name"].clone()).collect();
    let operation = Operation {
        id: &id,
        problems: route.map_or(&[], |route| route.problems),
        keyed: route.is_some(),
        scoped: route.is_some_and(|route| !route.any_of.is_empty()),
        names_object: path.contains("{id}"),
        has_body: value["requestBody"].is_object(),
        has_query: !query.is_empty(),
        is_list: query.contains(&json!("cursor")),
        done_once: route.is_some_and(|route| route.done_once),
    };
    let mut parameters = value["parameters"].as_array().cloned().unwrap_or_default();
    if operation.names_object {
        parameters.insert(0, id_parameter(path));
    }
    if operation.done_once {
        parameters.push(headers::idempotency_key());
    }
    // Their handlers take `BodyOrDefault`.
    if ["rotateKey", "holdServer", "stopServer", "restartServer"].contains(&operation.id) {
        value["requestBody"]["required"] = json!(false);
    }
    if !parameters.is_empty() {
        value["parameters"] = Value::Array(parameters);
    }
    problems::add(&operation, &mut value["responses"]);
    for (status, response) in members(&mut value["responses"]) {
        headers::add(&operation, status, response);
    }
}

/// Builds the parameter of the id, which depends on the collection in the path.
fn id_parameter(path: &str) -> Value {
    let (of, schema) = match path.trim_start_matches(PREFIX).split('/').nth(1) {
        Some("operations") => ("operation", json!({ "type": "string", "format": "uuid" })),
        Some("auth") => ("key", json!({ "type": "string", "pattern": "^[1-9][0-9]{0,9}$" })),
        Some("schedules") => ("schedule", json!({ "type": "integer", "format": "int32", "minimum": 1 })),
        _ => ("server", json!({ "type": "integer", "format": "int32", "minimum": 1 })),
    };
    let description = format!("The id of the {of}.");
    json!({ "name": "id", "in": "path", "required": true, "description": description, "schema": schema })
}

/// Returns the security requirements of a route; a caller needs to meet one of them.
fn security(any_of: &[Permission]) -> Value {
    match any_of {
        [] => json!([{ SCHEME: [] }]),
        any_of => any_of.iter().map(|permission| json!({ SCHEME: [permission.as_str()] })).collect(),
    }
}

/// Writes out the fields of a request where an answer has them among others. The schema of a request takes no other fields, so
/// that no answer fits `allOf` it and more.
fn write_out(schemas: &mut Value) {
    let requests: Map<String, Value> = members(schemas)
        .filter(|(_, schema)| schema["additionalProperties"] == json!(false))
        .map(|(name, schema)| (format!("{SCHEMAS}{name}"), schema.clone()))
        .collect();
    for (_, schema) in members(schemas) {
        let parts = schema["allOf"].as_array().cloned().unwrap_or_default();
        let Some(request) = parts.iter().find_map(|part| requests.get(part["$ref"].as_str()?)) else { continue };
        let (mut properties, mut required) = (Map::new(), vec![]);
        for part in parts.iter().chain([request]) {
            properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
            required.extend(part["required"].as_array().cloned().unwrap_or_default());
        }
        let description = schema["description"].clone();
        *schema =
            json!({ "type": "object", "description": description, "properties": properties, "required": required });
    }
}

/// Requires all fields of answers, also those that may be null: utoipa takes them for optional. Requests are recognised
/// by refusing unknown fields, and stay as they are.
fn answer_every_field(schemas: &mut Value) {
    for (_, schema) in members(schemas) {
        if schema["additionalProperties"] == json!(false) || !schema["properties"].is_object() {
            continue;
        }
        let mut required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, property) in members(&mut schema["properties"]) {
            if may_be_null(property) && !required.contains(&json!(name)) {
                required.push(json!(name));
            }
        }
        schema["required"] = Value::Array(required);
    }
}

/// Names lists `ServerList`. utoipa calls them `List_Server` and repeats the item's schema in each.
fn name_lists(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object_mut().map(std::mem::take).unwrap_or_default();
    let named = schemas.into_iter().map(|(name, mut schema)| match name.strip_prefix(LIST) {
        Some(item) => {
            schema["properties"]["items"]["items"] = json!({ "$ref": format!("{SCHEMAS}{item}") });
            (format!("{item}List"), schema)
        }
        None => (name, schema),
    });
    document["components"]["schemas"] = Value::Object(named.collect());
    rename_references(&mut document["paths"]);
}

fn rename_references(value: &mut Value) {
    if let Some(item) = value["$ref"].as_str().and_then(|path| path.strip_prefix(SCHEMAS)?.strip_prefix(LIST)) {
        value["$ref"] = json!(format!("{SCHEMAS}{item}List"));
    }
    match value {
        Value::Object(members) => members.values_mut().for_each(rename_references),
        Value::Array(items) => items.iter_mut().for_each(rename_references),
        _ => {}
    }
}

/// Moves the problems that most operations share to one place each. An operation with other problems keeps its own.
fn share(paths: &mut Value) -> Value {
    let mut shared = json!({});
    for (_, item) in members(paths) {
        for (_, operation) in members(item) {
            for (status, response) in members(&mut operation["responses"]) {
                let Some((_, name)) = SHARED.iter().find(|(shared, _)| shared == status) else { continue };
                if shared[name].is_null() && response["content"]["application/problem+json"].is_object() {
                    shared[name] = response.clone();
                }
                if shared[name] == *response {
                    *response = json!({ "$ref": format!("#/components/responses/{name}") });
                }
            }
        }
    }
    shared
}

fn may_be_null(schema: &Value) -> bool {
    let is_null = |it: &Value| *it == json!("null") || it["type"] == json!("null");
    ["type", "oneOf"].iter().any(|key| schema[key].as_array().is_some_and(|any_of| any_of.iter().any(is_null)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn operations(document: &Value) -> Vec<(String, String, Value)> {
        let mut found = vec![];
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                found.push((path.clone(), method.to_uppercase(), operation.clone()));
            }
        }
        found
    }

    #[test]
    fn repository_document_is_the_codes() {
        let kept = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json"));
        assert!(kept.is_ok_and(|kept| kept == text()), "docs/openapi.json is old: run `cargo xtask openapi`");
    }

    #[test]
    fn document_has_exactly_the_served_routes() {
        let table = routes::table();
        let served: BTreeSet<_> = table.routes().map(|route| (route.path.clone(), route.method.to_string())).collect();
        let documented: BTreeSet<_> = operations(&document())
            .into_iter()
            .map(|(path, method, _)| (path, method))
            .filter(|(path, _)| path.starts_with(PREFIX))
            .collect();
        assert_eq!(documented, served);
    }

    #[test]
    fn every_operation_is_fully_described() {
        let mut names = BTreeSet::new();
        for (path, method, operation) in operations(&document()) {
            let what = format!("{method} {path}: {operation:#}");
            assert!(names.insert(operation["operationId"].as_str().expect(&what).to_owned()), "{what}");
            assert!(operation["summary"].is_string() && operation["tags"][0].is_string(), "{what}");
            let responses = operation["responses"].as_object().expect(&what);
            assert!(responses.keys().any(|status| status.starts_with('2')), "{what}");
            if path.starts_with(PREFIX) {
                for status in ["401", "429", "500", "503"] {
                    assert!(responses.contains_key(status), "{status} of {what}");
                }
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut left = vec![&document];
        while let Some(value) = left.pop() {
            if let Some(reference) = value["$ref"].as_str() {
                let pointer = reference.strip_prefix('#').expect("inside the document");
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            left.extend(value.as_object().into_iter().flat_map(Map::values));
            left.extend(value.as_array().into_iter().flatten());
        }
    }
}

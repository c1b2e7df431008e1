//! docs/openapi.json: what the tests hold the program to. Another test holds it to the code.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use super::Answer;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../../docs/openapi.json")).expect("JSON"));

/// Returns the target of a reference in the document.
pub(crate) fn at(reference: &str) -> &'static Value {
    DOCUMENT.pointer(reference.trim_start_matches('#')).expect("a reference that leads somewhere")
}

/// Every operation: method, path, and what the document says of it.
pub(crate) fn operations() -> Vec<(String, String, Value)> {
    let paths = DOCUMENT["paths"].as_object().expect("paths").iter();
    let of_path = |(path, item): (&String, &'static Value)| {
        let methods = item.as_object().expect("operations").iter();
        let one = |(method, operation): (&String, &Value)| (method.to_uppercase(), path.clone(), operation.clone());
        methods.map(one).collect::<Vec<_>>()
    };
    paths.flat_map(of_path).collect()
}

/// The operation of a request, if the document has it.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let same = |(part, given): (&str, &str)| part == given || (part.starts_with('{') && !given.is_empty());
        template.split('/').count() == path.split('/').count() && template.split('/').zip(path.split('/')).all(same)
    };
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let item = paths.get(path).or_else(|| paths.iter().find(|(template, _)| fits(template)).map(|(_, item)| item))?;
    item.get(method.to_lowercase())
}

/// The validator of a schema, made when it is first needed.
fn validator(schema: &'static Value) -> Arc<Validator> {
    static MADE: Mutex<BTreeMap<String, Arc<Validator>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().expect("no panic");
    let make = || {
        // References lead from the root, so the root has to hold what they lead to.
        let root = json!({ "components": DOCUMENT["components"], "allOf": [schema] });
        Arc::new(jsonschema::options().with_draft(Draft::Draft202012).build(&root).expect("a schema"))
    };
    made.entry(schema.to_string()).or_insert_with(make).clone()
}

/// Fails where an answer is not among those that the document promises: its status, its code, its headers, its body.
pub(crate) fn check(method: &str, path: &str, answer: &Answer) {
    let Some(operation) = operation(method, path) else { return };
    let status = answer.status.as_u16();
    let told = resolved(&operation["responses"][status.to_string()]);
    assert!(told.is_object(), "docs/openapi.json does not tell that {method} {path} is {status}: {}", answer.body);
    if let Some(codes) = told.pointer("/content/application~1problem+json/schema/properties/code/enum") {
        let codes = codes.as_array().expect("codes");
        assert!(codes.contains(&answer.body["code"]), "{method} {path} is {codes:?}, not {}", answer.body);
    }
    if let Some(schema) = told.pointer("/content/application~1json/schema") {
        let wrong: Vec<_> = validator(schema).iter_errors(&answer.body).map(|error| error.to_string()).collect();
        assert!(
            wrong.is_empty(),
            "{method} {path} does not answer as docs/openapi.json tells: {wrong:?}: {}",
            answer.body
        );
    }
    for (name, header) in told["headers"].as_object().into_iter().flatten() {
        let needed = resolved(header)["required"] == true;
        assert!(!needed || answer.headers.contains_key(name), "{method} {path}, {status}, has no {name}");
    }
}

fn resolved(value: &'static Value) -> &'static Value {
    value["$ref"].as_str().map_or(value, at)
}

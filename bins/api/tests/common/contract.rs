//! docs/openapi.json: what the tests hold the program to. Another test holds it to the code.

use std::sync::LazyLock;

use serde_json::Value;

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

/// Fails where an answer is not among those that the document promises: its status, its code, its headers.
pub(crate) fn check(method: &str, path: &str, answer: &Answer) {
    let Some(operation) = operation(method, path) else { return };
    let status = answer.status.as_u16();
    let told = resolved(&operation["responses"][status.to_string()]);
    assert!(told.is_object(), "docs/openapi.json does not tell that {method} {path} is {status}: {}", answer.body);
    if let Some(codes) = told.pointer("/content/application~1problem+json/schema/properties/code/enum") {
        let codes = codes.as_array().expect("codes");
        assert!(codes.contains(&answer.body["code"]), "{method} {path} is {codes:?}, not {}", answer.body);
    }
    for (name, header) in told["headers"].as_object().into_iter().flatten() {
        let needed = resolved(header)["required"] == true;
        assert!(!needed || answer.headers.contains_key(name), "{method} {path}, {status}, has no {name}");
    }
}

fn resolved(value: &'static Value) -> &'static Value {
    value["$ref"].as_str().map_or(value, at)
}

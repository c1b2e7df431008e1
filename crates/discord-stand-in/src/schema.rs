//! Discord's OpenAPI document, and what it says about a request.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::{Value, json};

/// Names the document's file.
const VARIABLE: &str = "DISCORD_OPENAPI";
/// Path of the document in a folder that several checkouts share.
const SHARED: &str = "shared/data/discord/openapi.json";

/// Discord's OpenAPI document.
#[derive(Debug)]
pub struct Schema {
    document: Value,
    /// Made when they are first needed: there are hundreds.
    validators: Mutex<HashMap<String, Option<Arc<Validator>>>>,
}

impl Schema {
    /// The document, where it is there.
    #[must_use]
    pub fn load() -> Option<Self> {
        let text = fs::read_to_string(Self::path()?).ok()?;
        Some(Self { document: serde_json::from_str(&text).ok()?, validators: Mutex::default() })
    }

    fn path() -> Option<PathBuf> {
        let named = env::var_os(VARIABLE).map(PathBuf::from);
        let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        named.or_else(|| folders.map(|folder| folder.join(SHARED)).find(|file| file.is_file()))
    }

    /// Checks a request by the document: returns a line for each fault. `body` is `None` if there is none.
    #[must_use]
    pub fn check(&self, method: &str, path: &str, query: &str, body: Option<&Value>) -> Vec<String> {
        let Some((template, operation)) = self.operation(method, path) else {
            return vec![format!("{method} {path} is no operation of Discord's API")];
        };
        let mut wrong = unknown_parameters(operation, query);
        let needs_body = operation["requestBody"]["required"] == json!(true);
        match body {
            None if needs_body => wrong.push("a body is missing".to_owned()),
            None => {}
            Some(body) => wrong.extend(self.check_body(method, template, operation, body)),
        }
        wrong
    }

    /// The operation for a path, and its template: the one with most parts that are written out.
    fn operation(&self, method: &str, path: &str) -> Option<(&str, &Value)> {
        let paths = self.document["paths"].as_object()?;
        let matching = paths.iter().filter_map(|(template, item)| Some((literals(template, path)?, template, item)));
        let operations =
            matching.filter_map(|(count, template, item)| Some((count, template, item.get(method.to_lowercase())?)));
        operations.max_by_key(|(count, ..)| *count).map(|(_, template, operation)| (template.as_str(), operation))
    }

    fn check_body(&self, method: &str, template: &str, operation: &Value, body: &Value) -> Vec<String> {
        let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") else {
            return vec!["this operation takes no JSON".to_owned()];
        };
        let Some(validator) = self.validator(&format!("{method} {template}"), schema) else {
            return vec![format!("the schema of {method} {template} cannot be used")];
        };
        let body = as_the_document_has_it(body);
        validator.iter_errors(&body).flat_map(|error| explain(&error)).collect()
    }

    fn validator(&self, name: &str, schema: &Value) -> Option<Arc<Validator>> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            // References lead from the root, so the root has to hold what they lead to.
            let root = json!({"components": self.document["components"], "allOf": [schema]});
            jsonschema::options().with_draft(Draft::Draft202012).build(&root).ok().map(Arc::new)
        };
        validators.entry(name.to_owned()).or_insert_with(make).clone()
    }
}

/// How many parts of the template are literally in the path, if it fits at all.
fn literals(template: &str, path: &str) -> Option<usize> {
    let (parts, given) = (template.split('/'), path.split('/'));
    if parts.clone().count() != given.clone().count() {
        return None;
    }
    parts.zip(given).try_fold(0, |count, (part, given)| match part {
        part if part == given => Some(count + 1),
        part if part.starts_with('{') && !given.is_empty() => Some(count),
        _ => None,
    })
}

fn unknown_parameters(operation: &Value, query: &str) -> Vec<String> {
    let known = |name: &str| {
        let parameters = operation["parameters"].as_array();
        parameters.into_iter().flatten().any(|parameter| parameter["in"] == "query" && parameter["name"] == name)
    };
    let names = query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty());
    names.filter(|name| !known(name)).map(|name| format!("there is no parameter `{name}`")).collect()
}

/// Discord takes permissions as the strings that it gives out too; its document knows numbers alone.
fn as_the_document_has_it(body: &Value) -> Value {
    const PERMISSIONS: &str = "default_member_permissions";
    let mut body = body.clone();
    let commands = match &mut body {
        Value::Array(commands) => commands.iter_mut().collect(),
        command => vec![command],
    };
    for command in commands {
        if let Some(number) = command.get(PERMISSIONS).and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok())
        {
            command[PERMISSIONS] = json!(number);
        }
    }
    body
}

/// The errors that a person would name. Where one of several schemas had to fit, those of the one that fits best: the
/// one whose errors lie deepest.
fn explain(error: &ValidationError<'_>) -> Vec<String> {
    let branches = match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => context,
        _ => return vec![format!("{}: {}", error.instance_path(), error.masked())],
    };
    let here = error.instance_path().as_str();
    let is_other = |error: &ValidationError<'_>| match error.kind().keyword() {
        // Nothing is of this type, or it says itself that it is of another.
        "type" => error.instance_path().as_str() == here,
        "enum" | "const" => error.instance_path().as_str().strip_prefix(here) == Some("/type"),
        _ => false,
    };
    let fit = |branch: &&Vec<ValidationError<'_>>| {
        let depth = branch.iter().map(|error| error.instance_path().as_str().matches('/').count()).max();
        (!branch.iter().any(is_other), depth)
    };
    match branches.iter().max_by_key(fit) {
        Some(branch) => branch.iter().flat_map(explain).collect(),
        None => vec![format!("{}: {}", error.instance_path(), error.masked())],
    }
}

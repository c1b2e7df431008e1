//! Agones' CRDs, and what an API server makes of an object by them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::status::Cause;

/// Folder of the CRDs in this checkout.
const IN_CHECKOUT: &str = "../../k8s/schemas/agones";
/// Folder of the CRDs that several checkouts share.
const SHARED: &str = "shared/data/agones";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";

#[derive(Debug)]
pub(crate) struct Schemas(BTreeMap<Kind, Schema>);

/// Schema of one CRD's objects.
#[derive(Debug)]
pub struct Schema {
    structural: Value,
    validator: Validator,
}

impl Schemas {
    /// Both are read once in a process: they are large.
    pub(crate) fn load() -> io::Result<&'static Self> {
        static LOADED: OnceLock<Result<Schemas, String>> = OnceLock::new();
        let loaded = LOADED.get_or_init(|| {
            let schemas =
                [Kind::GameServer, Kind::Fleet].map(|kind| Schema::read(&file(kind)?).map(|schema| (kind, schema)));
            schemas.into_iter().collect::<Result<_, String>>().map(Self)
        });
        loaded.as_ref().map_err(|error| io::Error::other(error.as_str()))
    }

    pub(crate) fn of(&self, kind: Kind) -> Option<&Schema> {
        self.0.get(&kind)
    }
}

impl Schema {
    /// Reads the schema of the first version in a CRD's file.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or holds no CRD.
    pub fn read(file: &Path) -> Result<Self, String> {
        let wrong = |what: &dyn ToString| format!("{}: {}", file.display(), what.to_string());
        let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
        let crd: Value = serde_saphyr::from_str(&text).map_err(|error| wrong(&error))?;
        let structural = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned();
        let structural = structural.ok_or_else(|| wrong(&"this is no CustomResourceDefinition"))?;
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        let validator = options.build(&as_json_schema(&structural)).map_err(|error| wrong(&error))?;
        Ok(Self { structural, validator })
    }

    /// Takes out what the schema does not know, fills in what it does, and names what it took out.
    pub(crate) fn coerce(&self, object: &mut Value) -> Vec<String> {
        let mut unknown = Vec::new();
        let Some(fields) = object.as_object_mut() else { return unknown };
        // These are the same for all objects, and not the schema's.
        let common = ["apiVersion", "kind", "metadata"].map(|key| (key, fields.remove(key)));
        let mut rest = Value::Object(std::mem::take(fields));
        prune(&self.structural, &mut rest, "", &mut unknown);
        fill(&self.structural, &mut rest);
        if let Value::Object(rest) = rest {
            *fields = rest;
        }
        fields.extend(common.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        unknown
    }

    /// Returns what a strict API server refuses in an object: unknown fields, and values of another form.
    #[must_use]
    pub fn faults(&self, object: &Value) -> Vec<String> {
        let mut object = object.clone();
        let unknown = self.coerce(&mut object).into_iter().map(|field| format!("{field}: unknown field"));
        let errors = self.validator.iter_errors(&object);
        unknown.chain(errors.map(|error| format!("{}: {error}", dotted(error.instance_path().as_str())))).collect()
    }

    pub(crate) fn check(&self, object: &Value) -> Vec<Cause> {
        self.validator.iter_errors(object).map(|error| cause(&error)).collect()
    }
}

fn file(kind: Kind) -> Result<PathBuf, String> {
    let name = format!("{}.agones.dev.yaml", kind.plural());
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = here.ancestors().map(|folder| folder.join(SHARED));
    let mut files = std::iter::once(here.join(IN_CHECKOUT)).chain(shared).map(|folder| folder.join(&name));
    files.find(|file| file.is_file()).ok_or_else(|| {
        format!(
            "Agones' CRDs are not there: {name} is neither in k8s/schemas/agones nor in {SHARED} beside this checkout"
        )
    })
}

/// A structural schema in the words of JSON Schema.
fn as_json_schema(schema: &Value) -> Value {
    let Value::Object(fields) = schema else { return schema.clone() };
    let each = |map: &Value| match map {
        Value::Object(map) => map.iter().map(|(name, schema)| (name.clone(), as_json_schema(schema))).collect(),
        other => other.clone(),
    };
    let converted = fields.iter().filter_map(|(key, value)| {
        let value = match key.as_str() {
            "properties" => each(value),
            "items" | "additionalProperties" | "not" => as_json_schema(value),
            "allOf" | "anyOf" | "oneOf" => value.as_array()?.iter().map(as_json_schema).collect(),
            // Here it says of the bound beside it that it is excluded; in JSON Schema it is the bound.
            "exclusiveMinimum" => fields.get("minimum").filter(|_| *value == json!(true))?.clone(),
            "title" | "description" | "default" | "nullable" | "example" => return None,
            extension if extension.starts_with("x-") => return None,
            _ => value.clone(),
        };
        Some((key.clone(), value))
    });
    let mut converted: Map<String, Value> = converted.collect();
    if fields.get(INT_OR_STRING) == Some(&json!(true)) {
        converted.insert("type".to_owned(), json!(["integer", "string"]));
    }
    if fields.get("nullable") == Some(&json!(true)) {
        return json!({"anyOf": [{"type": "null"}, converted]});
    }
    converted.into()
}

/// The schema of a field, where there is one.
fn field<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema["properties"].get(name).or_else(|| schema.get("additionalProperties").filter(|all| **all != json!(false)))
}

fn prune(schema: &Value, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
    if !schema.is_object() {
        return;
    }
    match value {
        Value::Object(fields) => {
            let keeps = schema[PRESERVE] == true;
            fields.retain(|name, value| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let Some(schema) = field(schema, name) else {
                    if !keeps {
                        unknown.push(path);
                    }
                    return keeps;
                };
                prune(schema, value, &path, unknown);
                // A null that may not be one is as good as nothing.
                !value.is_null() || schema["nullable"] == true || !schema.is_object()
            });
        }
        Value::Array(items) => {
            let each = items.iter_mut().enumerate();
            each.for_each(|(index, item)| prune(&schema["items"], item, &format!("{path}[{index}]"), unknown));
        }
        _ => {}
    }
}

fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(default) = schema.get("default").filter(|_| !fields.contains_key(name)) {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in fields {
                if let Some(schema) = field(schema, name) {
                    fill(schema, value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(&schema["items"], item)),
        _ => {}
    }
}

fn cause(error: &ValidationError<'_>) -> Cause {
    // Of "null or this", what is wrong with "this".
    if let ValidationErrorKind::AnyOf { context } = error.kind()
        && let Some(inner) = context.iter().flatten().max_by_key(|inner| inner.instance_path().as_str().len())
    {
        return cause(inner);
    }
    let field = dotted(error.instance_path().as_str());
    let value: &Value = error.instance();
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            Cause::required(if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }, "")
        }
        ValidationErrorKind::Enum { options } => Cause::unsupported(field, value, options),
        ValidationErrorKind::Type { .. } => {
            let why = format!("{field} in body must be of another type: {error}");
            let of_type = json!(type_name(value));
            Cause::wrong_type(field, &of_type, &why)
        }
        _ => Cause::invalid(field, value, &error.to_string()),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// `/spec/ports/0/name` as `spec.ports[0].name`.
fn dotted(pointer: &str) -> String {
    let parts = pointer.split('/').skip(1);
    parts.fold(String::new(), |path, part| match part.parse::<usize>() {
        Ok(index) => format!("{path}[{index}]"),
        Err(_) if path.is_empty() => part.to_owned(),
        Err(_) => format!("{path}.{part}"),
    })
}

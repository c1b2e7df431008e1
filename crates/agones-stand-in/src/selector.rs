//! Selectors of labels and of fields.

use serde_json::Value;

use crate::kind::Kind;
use crate::meta;
use crate::status::{Result, Status};

/// Requirements on an object; every part has to hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(&'static str, bool, String)>,
}

#[derive(Debug, Clone)]
enum Requirement {
    /// The value is one of these, or (with `false`) it is not, or there is none.
    In(String, bool, Vec<String>),
    Exists(String, bool),
}

impl Selector {
    /// From the parameters of a request.
    pub(crate) fn parse(kind: Kind, labels: &str, fields: &str) -> Result<Self> {
        let labels = split(labels).into_iter().map(requirement).collect::<Result<_>>()?;
        let fields = fields.split(',').filter(|part| !part.is_empty());
        Ok(Self { labels, fields: fields.map(|part| field(kind, part)).collect::<Result<_>>()? })
    }

    /// From `matchLabels` and `matchExpressions`.
    pub(crate) fn of_object(selector: &Value) -> Result<Self> {
        let equal = selector["matchLabels"].as_object().into_iter().flatten().map(|(key, value)| {
            checked(Requirement::In(key.clone(), true, vec![value.as_str().unwrap_or_default().to_owned()]))
        });
        let expressions = selector["matchExpressions"].as_array().into_iter().flatten().map(expression);
        Ok(Self { labels: equal.chain(expressions).collect::<Result<_>>()?, fields: Vec::new() })
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|requirement| requirement.matches(labels))
            && self.fields.iter().all(|(pointer, equal, value)| {
                (object.pointer(pointer).and_then(Value::as_str).unwrap_or_default() == value) == *equal
            })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

impl Requirement {
    fn matches(&self, labels: &Value) -> bool {
        match self {
            Self::In(key, is_in, values) => {
                let value = labels[key].as_str();
                value.is_some_and(|value| values.iter().any(|one| one == value)) == *is_in
            }
            Self::Exists(key, exists) => labels[key].is_string() == *exists,
        }
    }
}

/// The parts between commas, but not those within parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = text.split(|letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        letter == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn requirement(part: &str) -> Result<Requirement> {
    let equals = [("!=", false), ("==", true), ("=", true)];
    let one =
        |key: &str, is_in, value: &str| Requirement::In(key.trim().to_owned(), is_in, vec![value.trim().to_owned()]);
    if let Some((key, list)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let values = list.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = key.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => checked(Requirement::In(key.to_owned(), true, values)),
            (Some(key), Some("notin"), None) => checked(Requirement::In(key.to_owned(), false, values)),
            _ => Err(unparsed(part)),
        };
    }
    let split = equals.iter().find_map(|(sign, is_in)| Some((part.split_once(sign)?, *is_in)));
    checked(match (split, part.strip_prefix('!')) {
        (Some(((key, value), is_in)), _) => one(key, is_in, value),
        (None, Some(key)) => Requirement::Exists(key.trim().to_owned(), false),
        (None, None) => Requirement::Exists(part.to_owned(), true),
    })
}

fn expression(expression: &Value) -> Result<Requirement> {
    let key = expression["key"].as_str().unwrap_or_default().to_owned();
    let values = expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let values: Vec<_> = values.map(ToOwned::to_owned).collect();
    checked(match expression["operator"].as_str() {
        Some("In") => Requirement::In(key, true, values),
        Some("NotIn") => Requirement::In(key, false, values),
        Some("Exists") => Requirement::Exists(key, true),
        Some("DoesNotExist") => Requirement::Exists(key, false),
        _ => {
            return Err(Status::bad_request(format!(
                "{} is not a valid label selector operator",
                expression["operator"]
            )));
        }
    })
}

fn checked(requirement: Requirement) -> Result<Requirement> {
    let (key, values) = match &requirement {
        Requirement::In(key, _, values) => (key, &values[..]),
        Requirement::Exists(key, _) => (key, &[][..]),
    };
    if !meta::is_qualified_name(key) {
        return Err(unparsed(key));
    }
    match values.iter().find(|value| !meta::is_label_value(value)) {
        Some(value) => Err(unparsed(value)),
        None => Ok(requirement),
    }
}

fn unparsed(part: &str) -> Status {
    Status::bad_request(format!("unable to parse requirement: {part:?} is no valid part of a label selector"))
}

fn field(kind: Kind, part: &str) -> Result<(&'static str, bool, String)> {
    let signs = [("!=", false), ("==", true), ("=", true)];
    let parts = signs.iter().find_map(|(sign, equal)| Some((part.split_once(sign)?, *equal)));
    let ((label, value), equal) = parts.ok_or_else(|| Status::bad_request(format!("invalid selector: {part:?}")))?;
    let pointer = match label.trim() {
        "metadata.name" => "/metadata/name",
        "metadata.namespace" => "/metadata/namespace",
        "spec.nodeName" if kind == Kind::Pod => "/spec/nodeName",
        "status.phase" if kind == Kind::Pod => "/status/phase",
        other => return Err(Status::bad_request(format!("field label not supported: {other}"))),
    };
    Ok((pointer, equal, value.trim().to_owned()))
}

//! Refusals, as an API server words them.

use serde_json::{Value, json};

use crate::kind::Kind;

/// Why something is refused: a `Status` object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Status {
    pub(crate) code: u16,
    reason: &'static str,
    message: String,
    details: Value,
}

pub(crate) type Result<T> = std::result::Result<T, Status>;

/// Fault of one field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cause {
    field: String,
    reason: &'static str,
    message: String,
}

impl Cause {
    pub(crate) fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        Self { field: field.into(), reason: "FieldValueInvalid", message: format!("Invalid value: {value}: {why}") }
    }

    pub(crate) fn wrong_type(field: impl Into<String>, value: &Value, why: &str) -> Self {
        Self { reason: "FieldValueTypeInvalid", ..Self::invalid(field, value, why) }
    }

    pub(crate) fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        Self { field: field.into(), reason: "FieldValueRequired", message }
    }

    pub(crate) fn unsupported(field: impl Into<String>, value: &Value, supported: &Value) -> Self {
        let supported: Vec<_> = supported.as_array().into_iter().flatten().map(Value::to_string).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self { field: field.into(), reason: "FieldValueNotSupported", message }
    }

    pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self { field: field.into(), reason: "FieldValueForbidden", message: format!("Forbidden: {why}") }
    }

    fn line(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

impl Status {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: json!({}) }
    }

    fn about(self, kind: Kind, name: &str) -> Self {
        let details = json!({"name": name, "group": kind.group(), "kind": kind.plural()});
        Self { details, ..self }
    }

    pub(crate) fn not_found(kind: Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} {name:?} not found", kind.resource())).about(kind, name)
    }

    pub(crate) fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn already_exists(kind: Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} {name:?} already exists", kind.resource())).about(kind, name)
    }

    pub(crate) fn modified(kind: Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    pub(crate) fn conflict(kind: Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.resource());
        Self::new(409, "Conflict", message).about(kind, name)
    }

    pub(crate) fn forbidden(kind: Kind, name: &str, why: &str) -> Self {
        Self::new(403, "Forbidden", format!("{} {name:?} is forbidden: {why}", kind.resource())).about(kind, name)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(crate) fn unsupported_media(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn invalid(kind: Kind, name: &str, causes: &[Cause]) -> Self {
        Self::invalid_as((kind.group(), kind.name()), name, causes)
    }

    pub(crate) fn invalid_as((group, kind): (&str, &str), name: &str, causes: &[Cause]) -> Self {
        let full = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let lines: Vec<_> = causes.iter().map(Cause::line).collect();
        let list = if lines.len() == 1 { lines.concat() } else { format!("[{}]", lines.join(", ")) };
        let causes: Vec<_> = causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        let details = json!({"name": name, "group": group, "kind": kind, "causes": causes});
        Self { details, ..Self::new(422, "Invalid", format!("{full} {name:?} is invalid: {list}")) }
    }

    /// Said by Agones' webhook rather than by the API server itself.
    pub(crate) fn by_webhook(mut self) -> Self {
        const DENIED: &str = "admission webhook \"validations.agones.dev\" denied the request";
        self.message = format!("{DENIED}: {}", self.message);
        self
    }

    pub(crate) fn body(&self) -> Value {
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        })
    }

    /// Returns the status of a server that is as unwell as a test wants it.
    pub(crate) fn unwell(code: u16) -> Self {
        let reason = match code {
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            409 => "Conflict",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "",
        };
        Self::new(code, reason, "as the test wants it")
    }
}

/// Returns the status for an object that is deleted at once.
pub(crate) fn deleted(kind: Kind, name: &str, uid: &Value) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": name, "group": kind.group(), "kind": kind.plural(), "uid": uid},
    })
}

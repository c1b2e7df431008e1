//! Patches, by their media types.

use serde_json::Value;

use crate::status::{Result, Status};

const MERGE: &str = "application/merge-patch+json";
const STEPS: &str = "application/json-patch+json";

/// An object with a patch applied.
pub(crate) fn apply(media_type: &str, stored: &Value, patch: &[u8]) -> Result<Value> {
    let unread = |error: &dyn ToString| Status::bad_request(format!("error decoding patch: {}", error.to_string()));
    let mut object = stored.clone();
    match media_type {
        MERGE => {
            let patch: Value = serde_json::from_slice(patch).map_err(|error| unread(&error))?;
            if !patch.is_object() {
                return Err(unread(&"json: cannot unmarshal into Go value of type map[string]interface {}"));
            }
            json_patch::merge(&mut object, &patch);
        }
        STEPS => {
            let steps: json_patch::Patch = serde_json::from_slice(patch).map_err(|error| unread(&error))?;
            json_patch::patch(&mut object, &steps).map_err(|error| Status::new(422, "Invalid", error.to_string()))?;
        }
        "application/apply-patch+yaml" => {
            return Err(Status::unsupported_media("server-side apply is not in this stand-in: use a merge patch"));
        }
        _ => {
            let words = "the body of the request was in an unknown format - accepted media types include: ";
            return Err(Status::unsupported_media(format!("{words}{STEPS}, {MERGE}")));
        }
    }
    Ok(object)
}

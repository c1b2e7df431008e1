use std::sync::Arc;

use uuid::Uuid;

/// Request that its caller named by an idempotency key: it is done once, however often it is sent.
///
/// A store that creates something for such a request notes that in the same transaction. It creates nothing if the note
/// exists, or if a later attempt has taken the request over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// Stored key: user, purpose, and the caller's own name for the request.
    pub key: Arc<str>,
    /// Number of the attempt. It fences: an earlier attempt that still lives creates nothing.
    pub attempt: Uuid,
}

use std::sync::Arc;

use uuid::Uuid;

/// A request that its caller named by an idempotency key, so that it is done once, however often it is sent.
///
/// A store that makes something for such a request notes what it made in the same transaction, and makes nothing where
/// it is noted already, or where a later attempt has taken the request over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The stored key: whose, for what, and the caller's own name for it.
    pub key: Arc<str>,
    /// Which attempt this is. It fences: an earlier one that still lives makes nothing.
    pub attempt: Uuid,
}

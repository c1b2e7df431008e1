//! An operation as the rules of the document see it.

use crate::problem::Code;

/// The properties of an operation that the rules depend on.
pub(super) struct Operation<'a> {
    pub(super) id: &'a str,
    /// Problems of this operation alone.
    pub(super) problems: &'static [Code],
    /// Whether the operation needs a key.
    pub(super) keyed: bool,
    /// Whether the key needs a scope.
    pub(super) scoped: bool,
    /// Whether the path has an id.
    pub(super) names_object: bool,
    pub(super) has_body: bool,
    pub(super) has_query: bool,
    pub(super) is_list: bool,
    /// Whether a request that is repeated under one `Idempotency-Key` is done once.
    pub(super) done_once: bool,
}

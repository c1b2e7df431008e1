/// Piece of a list: at most `limit` items after the one that `after` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<Id> {
    /// Last item of the previous piece; `None` for the first piece.
    pub after: Option<Id>,
    /// Maximum number of items.
    pub limit: u32,
}

//! Lists: `{items, next_cursor}`. A cursor is to be handed back as it came; what is in it is nobody's business.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::problem::{Code, Problem};

const DEFAULT: u32 = 50;
const MAX: u32 = 100;

/// Which piece of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    cursor: Option<String>,
    // As text: what is wrong with it is then said by its name.
    limit: Option<String>,
}

/// A piece of a list.
#[derive(Serialize)]
pub(crate) struct List<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl PageQuery {
    /// How many items.
    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        let limit = self.limit.as_deref().map_or(Some(DEFAULT), |text| text.parse().ok());
        limit
            .filter(|limit| (1..=MAX).contains(limit))
            .ok_or_else(|| Problem::invalid_query(format!("limit: is 1 to {MAX}")))
    }

    /// What the cursor stands for.
    pub(crate) fn after<Id: FromStr>(&self) -> Result<Option<Id>, Problem> {
        let parsed = self.cursor.as_deref().map(str::parse).transpose();
        parsed.map_err(|_| Self::invalid_cursor())
    }

    /// The cursor is not one of ours.
    pub(crate) fn invalid_cursor() -> Problem {
        let detail = "cursor: is the next_cursor of an earlier answer, unchanged";
        Problem::new(Code::InvalidCursor, detail)
    }
}

impl<T> List<T> {
    /// A full piece may have a successor; `cursor` names its last item.
    pub(crate) fn new(items: Vec<T>, limit: u32, cursor: impl FnOnce(&T) -> String) -> Self {
        let full = items.len() >= limit as usize;
        let next_cursor = items.last().filter(|_| full).map(cursor);
        Self { items, next_cursor }
    }

    /// The whole list.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }
}

//! Lists: `{items, next_cursor}`. Clients send a cursor back unchanged; its content is private.

use std::{fmt::Display, str::FromStr};

use agis_base::ServerId;
use agis_servers::{Label, label::InvalidLabel};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;

const DEFAULT: u32 = 50;
const MAX: u32 = 100;
/// Characters. No name is longer.
const TEXT_MAX: usize = 100;

/// Page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct List<T> {
    items: Vec<T>,
    /// Send this as `cursor` for the next page; null on the last page.
    #[schema(examples("MTI"))]
    next_cursor: Option<String>,
}

/// Declares the query of a list: the page, and its filters. Values are read as text, so that an error names the
/// parameter.
macro_rules! list_query {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(serde::Deserialize, utoipa::IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub(crate) struct $name {
            /// The `next_cursor` of the previous page.
            #[param(max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
            cursor: Option<String>,
            /// The most items to return.
            #[param(value_type = Option<i32>, minimum = 1, maximum = 100, default = 50)]
            limit: Option<String>,
            $($(#[$fdoc])* pub(crate) $field: Option<String>,)*
        }

        impl $name {
            /// Returns the item after which the page begins, and the number of items.
            pub(crate) fn piece<Id: std::str::FromStr + std::fmt::Display>(
                &self,
            ) -> Result<(Option<Id>, u32), $crate::problem::Problem> {
                let after = self.cursor.as_deref().map($crate::page::read_cursor).transpose()?;
                Ok((after, $crate::page::limit(self.limit.as_deref())?))
            }
        }
    };
}
pub(crate) use list_query;

/// Parses the number of items.
pub(crate) fn limit(text: Option<&str>) -> Result<u32, Problem> {
    let limit = text.map_or(Some(DEFAULT), |text| text.parse().ok());
    limit
        .filter(|limit| (1..=MAX).contains(limit))
        .ok_or_else(|| Problem::invalid_query(format!("limit: is 1 to {MAX}")))
}

/// Parses a cursor. Each item has exactly one.
pub(crate) fn read_cursor<Id: FromStr + Display>(cursor: &str) -> Result<Id, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok().filter(|bytes| !bytes.is_empty());
    let id = bytes.and_then(|bytes| std::str::from_utf8(&bytes).ok()?.parse::<Id>().ok());
    id.filter(|id| write_cursor(id) == cursor).ok_or_else(Problem::invalid_cursor)
}

fn write_cursor(id: &impl Display) -> String {
    URL_SAFE_NO_PAD.encode(id.to_string())
}

/// Parses a query parameter that is one of some words.
pub(crate) fn word<T: Copy>(
    name: &str,
    text: Option<&String>,
    all: &[T],
    as_str: impl Fn(T) -> &'static str,
) -> Result<Option<T>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let found = all.iter().copied().find(|value| as_str(*value) == text);
    found.map(Some).ok_or_else(|| {
        let words: Vec<_> = all.iter().map(|value| as_str(*value)).collect();
        Problem::invalid_query(format!("{name}: is one of: {}", words.join(", ")))
    })
}

/// Parses a query parameter that is true or false.
pub(crate) fn yes_or_no(name: &str, text: Option<&String>) -> Result<Option<bool>, Problem> {
    word(name, text, &[true, false], |value| if value { "true" } else { "false" })
}

/// Parses a query parameter that is text to search for.
pub(crate) fn text(name: &str, text: Option<&String>) -> Result<Option<String>, Problem> {
    let fits = |text: &String| (1..=TEXT_MAX).contains(&text.chars().count()) && !text.contains(char::is_control);
    if text.is_some_and(|text| !fits(text)) {
        return Err(Problem::invalid_query(format!("{name}: has 1 to {TEXT_MAX} characters on one line")));
    }
    Ok(text.cloned())
}

/// Parses a query parameter that is a label of servers.
pub(crate) fn label(name: &str, text: Option<&String>) -> Result<Option<Label>, Problem> {
    let label = text.map(|text| text.parse()).transpose();
    label.map_err(|error: InvalidLabel| Problem::invalid_query(format!("{name}: {error}")))
}

/// Parses a query parameter that is the id of a server.
pub(crate) fn server(name: &str, text: Option<&String>) -> Result<Option<ServerId>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let id = text.parse().map(Some);
    id.map_err(|_| Problem::invalid_query(format!("{name}: is the id of a server")))
}

impl<T> List<T> {
    /// Builds a page. A full page may have a successor, which begins after the item that `id` names.
    pub(crate) fn new<Id: Display>(items: Vec<T>, limit: u32, id: impl FnOnce(&T) -> Id) -> Self {
        let full = items.len() >= limit as usize;
        let next_cursor = items.last().filter(|_| full).map(|last| write_cursor(&id(last)));
        Self { items, next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use agis_base::OperationId;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn written_cursor_is_read_back(number in 1..=i32::MAX, bits in any::<u128>()) {
            prop_assert_eq!(read_cursor(&write_cursor(&ServerId(number))), Ok(ServerId(number)));
            let id = OperationId(uuid::Uuid::from_u128(bits));
            prop_assert_eq!(read_cursor(&write_cursor(&id)), Ok(id));
        }

        #[test]
        fn any_text_is_read_without_panic(text in "[A-Za-z0-9_=+/-]{0,12}|.{0,20}") {
            if let Ok(id) = read_cursor::<ServerId>(&text) {
                prop_assert_eq!(write_cursor(&id), text);
            }
        }

        #[test]
        fn a_limit_is_1_to_100(text in "-?[0-9]{1,12}|.{0,6}") {
            if let Ok(limit) = limit(Some(&text)) {
                prop_assert!((1..=100).contains(&limit));
            }
        }
    }

    #[test]
    fn misspelt_number_is_no_cursor() {
        for text in ["+5", "05", " 5", "5 ", "5\0"] {
            assert_eq!(
                read_cursor::<ServerId>(&URL_SAFE_NO_PAD.encode(text)),
                Err(Problem::invalid_cursor()),
                "{text:?}"
            );
        }
    }
}

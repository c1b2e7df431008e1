//! Query as the catalogue writes it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::super::{Query, QueryKind};

/// Query as the catalogue writes it: a word, or a table.
pub(super) struct WrittenQuery {
    kind: QueryKind,
    /// Name of the port; `None` for the first one.
    pub(super) port: Option<String>,
}

/// Table of a query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryTable {
    kind: QueryKind,
    #[serde(default)]
    port: Option<String>,
}

impl WrittenQuery {
    /// Returns the query; `first` is the name of the first port.
    pub(super) fn query(self, first: String) -> Query {
        Query { kind: self.kind, port: self.port.unwrap_or(first) }
    }
}

impl<'de> Deserialize<'de> for WrittenQuery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrTable;

        impl<'de> Visitor<'de> for WordOrTable {
            type Value = WrittenQuery;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a table")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<WrittenQuery, E> {
                Ok(WrittenQuery { kind: QueryKind::deserialize(word.into_deserializer())?, port: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WrittenQuery, A::Error> {
                let QueryTable { kind, port } = QueryTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(WrittenQuery { kind, port })
            }
        }

        deserializer.deserialize_any(WordOrTable)
    }
}

//! Words of the domains in text columns.

use std::io::Write;

use agis_base::Word;
use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    serialize::{self, IsNull, Output, ToSql},
    sql_types::Text,
};

use crate::error::{Fault, unknown};

/// A value of a domain, written as its word. A row of a newer version may hold another word: reading one is no error,
/// since it must not spoil the rows beside it.
#[derive(Debug, Clone, PartialEq, FromSqlRow, AsExpression)]
#[diesel(sql_type = Text)]
pub(crate) enum Stored<T: Word> {
    Known(T),
    Newer(String),
}

/// Returns the form in which a value is bound.
pub(crate) fn stored<T: Word>(value: T) -> Stored<T> {
    Stored::Known(value)
}

/// Returns every value that this version knows: what has another word is left to the version that wrote it.
pub(crate) fn every<T: Word>() -> Vec<Stored<T>> {
    T::VALUES.iter().copied().map(stored).collect()
}

/// Returns the words that this version knows.
pub(crate) fn words<T: Word>() -> Vec<&'static str> {
    T::VALUES.iter().map(|value| value.word()).collect()
}

impl<T: Word> Stored<T> {
    /// Returns the value of this `table.column`; a word that this version does not know is [`Fault::Unknown`].
    pub(crate) fn known<R>(self, column: &str) -> Result<T, Fault<R>> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Newer(word) => Err(unknown(column, &word)),
        }
    }
}

impl<T: Word> FromSql<Text, Pg> for Stored<T> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let word = std::str::from_utf8(value.as_bytes())?;
        Ok(T::of(word).map_or_else(|| Self::Newer(word.to_owned()), Self::Known))
    }
}

impl<T: Word> ToSql<Text, Pg> for Stored<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let word = match self {
            Self::Known(value) => value.word(),
            Self::Newer(word) => word,
        };
        out.write_all(word.as_bytes())?;
        Ok(IsNull::No)
    }
}

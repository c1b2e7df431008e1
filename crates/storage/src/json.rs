//! Values in columns of JSON.

use std::{fmt::Debug, io::Write};

use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    serialize::{self, IsNull, Output, ToSql},
    sql_types::Jsonb,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// Version of PostgreSQL's binary form of `jsonb`, which precedes the text.
const BINARY_FORM: u8 = 1;

/// Value in a column of JSON.
#[derive(Debug, Clone, PartialEq, FromSqlRow, AsExpression)]
#[diesel(sql_type = Jsonb)]
pub(crate) struct Json<T: Debug>(pub(crate) T);

impl<T: Debug + DeserializeOwned> FromSql<Jsonb, Pg> for Json<T> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let text = value.as_bytes().strip_prefix(&[BINARY_FORM]).unwrap_or_default();
        Ok(Self(serde_json::from_slice(text)?))
    }
}

impl<T: Debug + Serialize> ToSql<Jsonb, Pg> for Json<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&[BINARY_FORM])?;
        serde_json::to_writer(out, &self.0)?;
        Ok(IsNull::No)
    }
}

/// Value that a newer version may have written in a form that this one cannot read; then it counts as none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IfReadable<T>(pub(crate) Option<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for IfReadable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(serde_json::from_value(serde_json::Value::deserialize(deserializer)?).ok()))
    }
}

impl<T: Serialize> Serialize for IfReadable<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

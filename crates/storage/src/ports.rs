//! Ports of a server in a column of JSON.

use std::io::Write;

use agis_servers::host::OpenPort;
use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    serialize::{self, IsNull, Output, ToSql},
    sql_types::Jsonb,
};

/// Version of PostgreSQL's binary form of `jsonb`, which precedes the text.
const BINARY_FORM: u8 = 1;

/// Ports of a server. Ports that a newer version wrote, and that this one cannot read, count as none.
#[derive(Debug, Clone, PartialEq, FromSqlRow, AsExpression)]
#[diesel(sql_type = Jsonb)]
pub(crate) struct StoredPorts(pub(crate) Vec<OpenPort>);

impl StoredPorts {
    /// Returns the ports if this is the first of them. An earlier version, which runs beside this one during an update,
    /// publishes the first port only.
    pub(crate) fn led_by(self, port: u16) -> Vec<OpenPort> {
        let Self(ports) = self;
        let is_current = matches!(ports.as_slice(), [first, ..] if first.port == port);
        if is_current { ports } else { vec![] }
    }
}

impl FromSql<Jsonb, Pg> for StoredPorts {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let text = value.as_bytes().strip_prefix(&[BINARY_FORM]).unwrap_or_default();
        Ok(Self(serde_json::from_slice(text).unwrap_or_default()))
    }
}

impl ToSql<Jsonb, Pg> for StoredPorts {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&[BINARY_FORM])?;
        serde_json::to_writer(out, &self.0)?;
        Ok(IsNull::No)
    }
}

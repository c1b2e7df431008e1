//! Labels of servers.

use std::collections::BTreeSet;

use agis_base::ServerId;
use agis_servers::Label;
use diesel::{dsl::exists, prelude::*, sql_types::Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{
    error::Fault,
    json::Json,
    schema::{game_servers, server_labels},
};

diesel::define_sql_function! {
    /// Values of all rows as one; null if there are none.
    #[aggregate]
    fn jsonb_agg(label: Text) -> Nullable<Jsonb>;
}

/// Value of [`labels_of_server`].
pub(crate) type LabelsColumn = Json<BTreeSet<String>>;

pub(crate) fn labels(stored: Option<LabelsColumn>) -> Vec<Label> {
    stored.into_iter().flat_map(|Json(labels)| labels).map(Label::from_stored).collect()
}

/// Labels of the server of a row. A subquery, so that every statement on servers can return them.
#[diesel::dsl::auto_type]
pub(crate) fn labels_of_server() -> _ {
    let of_server = server_labels::table.filter(server_labels::server_id.eq(game_servers::id));
    of_server.select(jsonb_agg(server_labels::label)).single_value()
}

/// Tells whether the server of a row has this label.
#[diesel::dsl::auto_type(no_type_alias)]
pub(crate) fn has_label<'a>(label: &'a str) -> _ {
    let of_server = server_labels::server_id.eq(game_servers::id);
    exists(server_labels::table.filter(of_server.and(server_labels::label.eq(label))))
}

/// Gives a server these labels in place of its own. Its row is locked.
pub(crate) async fn replace<R>(
    conn: &mut AsyncPgConnection,
    server: ServerId,
    labels: &[Label],
) -> Result<(), Fault<R>> {
    diesel::delete(server_labels::table.filter(server_labels::server_id.eq(server.0))).execute(conn).await?;
    let row =
        |label: &Label| (server_labels::server_id.eq(server.0), server_labels::label.eq(label.as_str().to_owned()));
    let rows: Vec<_> = labels.iter().map(row).collect();
    diesel::insert_into(server_labels::table).values(rows).execute(conn).await?;
    Ok(())
}

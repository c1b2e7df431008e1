//! Results of requests that are carried out once, for the transactions that create something.

use agis_base::{Once, StoreError};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{error::Fault, schema::idempotency_keys};

/// Returns the thing that the request has created already, before a process died. A transaction that creates something looks
/// here first.
pub(crate) async fn made<R: From<StoreError>>(
    conn: &mut AsyncPgConnection,
    once: Option<&Once>,
) -> Result<Option<i32>, Fault<R>> {
    let Some(once) = once else { return Ok(None) };
    let row: Option<Option<i32>> = ours(once).select(idempotency_keys::resource).first(conn).await.optional()?;
    row.ok_or_else(overtaken)
}

/// Notes what the request makes, last in the transaction that makes it: an attempt that was taken over meanwhile makes
/// nothing, and one that took over waits here for what the earlier one is about to make.
pub(crate) async fn note<R: From<StoreError>>(
    conn: &mut AsyncPgConnection,
    once: Option<&Once>,
    resource: i32,
) -> Result<(), Fault<R>> {
    let Some(once) = once else { return Ok(()) };
    let noted = diesel::update(ours(once)).set(idempotency_keys::resource.eq(resource)).execute(conn).await?;
    if noted == 1 { Ok(()) } else { Err(overtaken()) }
}

/// The request, if this attempt still has it.
#[diesel::dsl::auto_type(no_type_alias)]
pub(crate) fn ours<'a>(once: &'a Once) -> _ {
    let key: &'a str = &once.key;
    let attempt: Uuid = once.attempt;
    let in_flight = idempotency_keys::attempt.eq(attempt).and(idempotency_keys::status.is_null());
    idempotency_keys::table.filter(idempotency_keys::key.eq(key).and(in_flight))
}

fn overtaken<R: From<StoreError>>() -> Fault<R> {
    Fault::Refused(StoreError::Conflict("another attempt has taken this request over".into()).into())
}

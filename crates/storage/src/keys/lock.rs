//! Keys that a decision is made on, locked.

use agis_apikeys::{ApiKey, store::WriteError};
use agis_base::{KeyId, Timestamp, UserId};
use diesel::{prelude::*, sql_types::Bool};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::row::StoredKey;
use crate::{
    error::Fault,
    schema::{api_keys, now},
};

/// Locked rows for a decision about keys.
pub(super) struct Locked {
    pub(super) at: Timestamp,
    /// The key that asks.
    pub(super) held: Option<ApiKey>,
    /// The key that it asks about, if this user has it.
    pub(super) key: Option<ApiKey>,
    /// The user's other keys, where they were locked.
    pub(super) others: Vec<ApiKey>,
}

/// Whether to lock all keys of the user: some of them may have come of the one that is asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kin {
    Locked,
    Left,
}

/// Locks the key that asks, the one that it asks about, and what either replaced, which a rotation ends: all at once and
/// by id, as the flush of last uses does, so that nobody deadlocks.
pub(super) async fn lock(
    conn: &mut AsyncPgConnection,
    owner: &UserId,
    by: Option<KeyId>,
    about: Option<KeyId>,
    kin: Kin,
) -> Result<Locked, Fault<WriteError>> {
    let ids: Vec<i32> = by.into_iter().chain(about).map(|id| id.0).collect();
    let wanted = api_keys::id.eq_any(&ids).or(api_keys::replaced_by.assume_not_null().eq_any(&ids));
    let rows: Vec<StoredKey> = api_keys::table
        .filter(api_keys::discord_id.eq(owner.as_str()).and(wanted.or((kin == Kin::Locked).into_sql::<Bool>())))
        .order(api_keys::id)
        .select(StoredKey::as_select())
        .for_no_key_update()
        .load(conn)
        .await?;
    let at: Timestamp = diesel::select(now()).get_result(conn).await?;
    let (asked, others): (Vec<StoredKey>, Vec<StoredKey>) = rows.into_iter().partition(|row| ids.contains(&row.id));
    let asked: Vec<ApiKey> = asked.into_iter().map(StoredKey::into_key).collect::<Result<_, Fault<WriteError>>>()?;
    // A key that cannot be read can do nothing either.
    let others = others.into_iter().filter_map(|row| row.into_key::<WriteError>().ok()).collect();
    let find = |id: Option<KeyId>| asked.iter().find(|key| Some(key.id) == id).cloned();
    let held = find(by).filter(|held| held.grant.expires_at.is_none_or(|end| end > at));
    if by.is_some() && held.is_none() {
        return Err(Fault::Refused(WriteError::AskerEnded));
    }
    Ok(Locked { at, held, key: find(about), others })
}

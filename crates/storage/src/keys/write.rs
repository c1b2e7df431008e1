//! Decides on new and changed keys with the rows locked, and writes them.

use agis_apikeys::{
    ApiKey, Beyond, Grant, KeyChange,
    store::{ENDED_MAX, KeyRow, Successor, WriteError},
};
use agis_base::{KeyId, Once, UserId};
use chrono::TimeDelta;
use diesel::{
    prelude::*,
    sql_types::{BigInt, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{
    lock::{Kin, Locked, lock},
    row::{StoredKey, blocks, limit, makers, words},
};
use crate::{
    error::Fault,
    once,
    schema::{api_keys, now},
    users,
};

/// Adds a key.
pub(super) async fn create(
    conn: &mut AsyncPgConnection,
    row: &KeyRow,
    max: u32,
    once: Option<&Once>,
) -> Result<ApiKey, Fault<WriteError>> {
    let owner = row.owner.as_str();
    users::lock(conn, &row.owner, WriteError::NoUser).await?;
    let Locked { at, held, .. } = lock(conn, &row.owner, row.by, None, Kin::Left).await?;
    let grant = row.wanted.granted(worth(held.as_ref()).as_ref(), at).map_err(beyond)?;
    let place = held.as_ref().map(ApiKey::child).unwrap_or_default();
    let (maker_buckets, maker_limits) = makers(&place.makers);
    let alive = api_keys::expires_at.is_null().or(api_keys::expires_at.gt(now().nullable()));
    let keys: i64 = api_keys::table
        .filter(api_keys::discord_id.eq(owner).and(api_keys::replaced_by.is_null()).and(alive))
        .count()
        .get_result(conn)
        .await?;
    if keys >= i64::from(max) {
        return Err(Fault::Refused(WriteError::TooMany));
    }
    let row: StoredKey = diesel::insert_into(api_keys::table)
        .values((
            api_keys::key_hash.eq(row.digest.to_hex()),
            api_keys::discord_id.eq(owner),
            api_keys::name.eq(&row.name),
            api_keys::scopes.eq(words(&grant.scopes)),
            api_keys::rate_limit.eq(limit(grant.rate_limit)),
            api_keys::allowed_ips.eq(blocks(&grant.allowed_ips)),
            api_keys::bucket.eq(place.bucket),
            api_keys::maker_buckets.eq(maker_buckets),
            api_keys::maker_limits.eq(maker_limits),
            api_keys::expires_at.eq(grant.expires_at),
        ))
        .returning(StoredKey::as_returning())
        .get_result(conn)
        .await?;
    once::note(conn, once, row.id).await?;
    forget_beyond(conn, owner).await?;
    row.into_key()
}

/// Changes a key.
pub(super) async fn change(
    conn: &mut AsyncPgConnection,
    owner: &UserId,
    by: Option<KeyId>,
    id: KeyId,
    change: &KeyChange,
) -> Result<ApiKey, Fault<WriteError>> {
    let kin = if change.rate_limit.is_some() { Kin::Locked } else { Kin::Left };
    if kin == Kin::Locked {
        // So that no key is made meanwhile that lists the limit as it was.
        users::lock(conn, owner, WriteError::NotFound).await?;
    }
    let Locked { held, key, others, .. } = lock(conn, owner, by, Some(id), kin).await?;
    let key = key.ok_or(Fault::Refused(WriteError::NotFound))?;
    key.grant.changed(worth(held.as_ref()).as_ref(), change).map_err(beyond)?;
    if let Some(giver) = held.filter(|_| change.rate_limit.is_some_and(|limit| limit > key.grant.rate_limit)) {
        give(conn, &giver, &key, &others).await?;
    }
    let row: StoredKey = diesel::update(api_keys::table.find(id.0))
        .set((
            // A statement must set something; what is not changed may be more than this version can read.
            api_keys::id.eq(id.0),
            change.name.as_ref().map(|name| api_keys::name.eq(name)),
            change.scopes.as_ref().map(|scopes| api_keys::scopes.eq(words(scopes))),
            change.rate_limit.map(|it| api_keys::rate_limit.eq(limit(it))),
            change.allowed_ips.as_ref().map(|allowed| api_keys::allowed_ips.eq(blocks(allowed))),
        ))
        .returning(StoredKey::as_returning())
        .get_result(conn)
        .await?;
    row.into_key()
}

/// Replaces a key by a successor.
pub(super) async fn rotate(
    conn: &mut AsyncPgConnection,
    owner: &UserId,
    by: Option<KeyId>,
    id: KeyId,
    new: &Successor,
    once: Option<&Once>,
) -> Result<ApiKey, Fault<WriteError>> {
    users::lock(conn, owner, WriteError::NoUser).await?;
    let Locked { at, held, key, .. } = lock(conn, owner, by, Some(id), Kin::Left).await?;
    let key = key.ok_or(Fault::Refused(WriteError::NotFound))?;
    if let Some(successor) = key.replaced_by {
        return Err(Fault::Refused(WriteError::Replaced(successor)));
    }
    if key.grant.expires_at.is_some_and(|end| end <= at) {
        return Err(Fault::Refused(WriteError::Ended));
    }
    // No key is beyond itself; of another, what its makers leave of it for a while is not what it has.
    let has = if by == Some(id) { key.worth() } else { key.grant.clone() };
    let grant = has.rotated(worth(held.as_ref()).as_ref()).map_err(beyond)?;
    let (maker_buckets, maker_limits) = makers(&key.makers);
    let successor: StoredKey = diesel::insert_into(api_keys::table)
        .values((
            api_keys::key_hash.eq(new.digest.to_hex()),
            api_keys::discord_id.eq(owner.as_str()),
            api_keys::name.eq(&key.name),
            api_keys::scopes.eq(words(&grant.scopes)),
            api_keys::rate_limit.eq(limit(key.grant.rate_limit)),
            api_keys::allowed_ips.eq(blocks(&grant.allowed_ips)),
            api_keys::bucket.eq(key.bucket),
            api_keys::maker_buckets.eq(maker_buckets),
            api_keys::maker_limits.eq(maker_limits),
            api_keys::expires_at.eq(grant.expires_at),
        ))
        .returning(StoredKey::as_returning())
        .get_result(conn)
        .await?;
    let alive = api_keys::expires_at.is_null().or(api_keys::expires_at.gt(now().nullable()));
    diesel::update(api_keys::table.filter(api_keys::replaced_by.eq(id.0).and(alive)))
        .set(api_keys::expires_at.eq(at))
        .execute(conn)
        .await?;
    let end = TimeDelta::from_std(new.overlap).ok().map(|overlap| at + overlap);
    let end = key.grant.expires_at.into_iter().chain(end).min();
    diesel::update(api_keys::table.find(id.0))
        .set((api_keys::replaced_by.eq(successor.id), api_keys::expires_at.eq(end)))
        .execute(conn)
        .await?;
    once::note(conn, once, successor.id).await?;
    forget_beyond(conn, owner.as_str()).await?;
    successor.into_key()
}

/// The grant that the key which asks can give.
fn worth(held: Option<&ApiKey>) -> Option<Grant> {
    held.map(ApiKey::worth)
}

/// Has a key, and what came of it, draw on the limit of one that raises its limit. All keys of the user are locked.
async fn give(
    conn: &mut AsyncPgConnection,
    giver: &ApiKey,
    key: &ApiKey,
    others: &[ApiKey],
) -> Result<(), Fault<WriteError>> {
    if key.draws_on(giver.bucket) {
        return Ok(());
    }
    for kin in others.iter().filter(|other| other.draws_on(key.bucket)).chain([key]) {
        let (buckets, limits) = makers(&kin.makers_after_gift(giver).map_err(beyond)?);
        diesel::update(api_keys::table.find(kin.id.0))
            .set((api_keys::maker_buckets.eq(buckets), api_keys::maker_limits.eq(limits)))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Forgets the ended keys of a user beyond the last, last in the transaction that makes another. More go than come, and a
/// backlog goes in pieces.
async fn forget_beyond(conn: &mut AsyncPgConnection, owner: &str) -> Result<(), Fault<WriteError>> {
    // diesel deletes from no table by a subquery of the same one.
    diesel::sql_query(
        "delete from api_keys where id in
             (select id from api_keys where discord_id = $1 and expires_at <= now()
              order by expires_at desc, id desc offset $2 limit $2)",
    )
    .bind::<Text, _>(owner)
    .bind::<BigInt, _>(i64::from(ENDED_MAX))
    .execute(conn)
    .await?;
    Ok(())
}

fn beyond(beyond: Beyond) -> Fault<WriteError> {
    Fault::Refused(beyond.into())
}

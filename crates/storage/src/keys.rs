use std::{collections::HashMap, time::Duration};

use agis_apikeys::{
    ApiKey, Beyond, Digest, Grant, KeyChange, KeyState, KeyStore, Maker, Scope, Scopes,
    address::{Block, Blocks},
    store::{ENDED_MAX, KeyRow, Successor, WriteError},
};
use agis_base::{KeyId, Once, StoreError, Timestamp, UserId};
use async_trait::async_trait;
use chrono::TimeDelta;
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Integer, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{
    db::Db,
    error::{Fault, unknown_word},
    once,
    schema::{api_keys, now},
    users,
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_keys)]
struct Row {
    id: i32,
    discord_id: String,
    name: String,
    scopes: Vec<String>,
    rate_limit: i32,
    allowed_ips: Vec<String>,
    bucket: Option<i32>,
    maker_buckets: Vec<i32>,
    maker_limits: Vec<i32>,
    replaced_by: Option<i32>,
    last_used: Option<Timestamp>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl Row {
    fn into_key<R: From<StoreError>>(self) -> Result<ApiKey, Fault<R>> {
        let makers = self.maker_buckets.into_iter().zip(self.maker_limits);
        let blocks: Result<Blocks, _> = self.allowed_ips.iter().map(|text| text.parse::<Block>()).collect();
        Ok(ApiKey {
            id: KeyId(self.id),
            owner: UserId::from_stored(&self.discord_id),
            name: self.name,
            grant: Grant {
                // A scope that this version does not know allows nothing in it.
                scopes: self.scopes.iter().filter_map(|scope| scope.parse::<Scope>().ok()).collect(),
                rate_limit: self.rate_limit.unsigned_abs(),
                // A block that cannot be read must not become a key that is good from anywhere.
                allowed_ips: blocks.map_err(|_| unknown_word("api_keys.allowed_ips", &self.allowed_ips.join(" ")))?,
                expires_at: self.expires_at,
            },
            bucket: self.bucket.unwrap_or(self.id),
            makers: makers.map(|(bucket, limit)| Maker { bucket, limit: limit.unsigned_abs() }).collect(),
            replaced_by: self.replaced_by.map(KeyId),
            last_used: self.last_used,
            created_at: self.created_at,
        })
    }
}

fn words(scopes: &Scopes) -> Vec<String> {
    scopes.iter().map(|scope| scope.to_string()).collect()
}

fn blocks(blocks: &Blocks) -> Vec<String> {
    blocks.iter().map(Block::to_string).collect()
}

/// What a database of 32 bits takes; nobody has more requests than that.
fn limit(limit: u32) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}

/// As the two columns have them.
fn makers(makers: &[Maker]) -> (Vec<i32>, Vec<i32>) {
    makers.iter().map(|maker| (maker.bucket, limit(maker.limit))).unzip()
}

#[async_trait]
impl KeyStore for Db {
    async fn create(&self, row: &KeyRow, limit: u32, once: Option<&Once>) -> Result<ApiKey, WriteError> {
        self.transaction(async |conn| {
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
            if keys >= i64::from(limit) {
                return Err(Fault::Refused(WriteError::TooMany));
            }
            let row: Row = diesel::insert_into(api_keys::table)
                .values((
                    api_keys::key_hash.eq(row.digest.to_hex()),
                    api_keys::discord_id.eq(owner),
                    api_keys::name.eq(&row.name),
                    api_keys::scopes.eq(words(&grant.scopes)),
                    api_keys::rate_limit.eq(self::limit(grant.rate_limit)),
                    api_keys::allowed_ips.eq(blocks(&grant.allowed_ips)),
                    api_keys::bucket.eq(place.bucket),
                    api_keys::maker_buckets.eq(maker_buckets),
                    api_keys::maker_limits.eq(maker_limits),
                    api_keys::expires_at.eq(grant.expires_at),
                ))
                .returning(Row::as_returning())
                .get_result(conn)
                .await?;
            once::note(conn, once, row.id).await?;
            forget_beyond(conn, owner).await?;
            row.into_key()
        })
        .await
    }

    async fn change(
        &self,
        owner: &UserId,
        by: Option<KeyId>,
        id: KeyId,
        change: &KeyChange,
    ) -> Result<ApiKey, WriteError> {
        self.transaction(async |conn| {
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
            let row: Row = diesel::update(api_keys::table.find(id.0))
                .set((
                    // A statement must set something; what is not changed may be more than this version can read.
                    api_keys::id.eq(id.0),
                    change.name.as_ref().map(|name| api_keys::name.eq(name)),
                    change.scopes.as_ref().map(|scopes| api_keys::scopes.eq(words(scopes))),
                    change.rate_limit.map(|it| api_keys::rate_limit.eq(limit(it))),
                    change.allowed_ips.as_ref().map(|allowed| api_keys::allowed_ips.eq(blocks(allowed))),
                ))
                .returning(Row::as_returning())
                .get_result(conn)
                .await?;
            row.into_key()
        })
        .await
    }

    async fn rotate(
        &self,
        owner: &UserId,
        by: Option<KeyId>,
        id: KeyId,
        new: &Successor,
        once: Option<&Once>,
    ) -> Result<ApiKey, WriteError> {
        self.transaction(async |conn| {
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
            let successor: Row = diesel::insert_into(api_keys::table)
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
                .returning(Row::as_returning())
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
        })
        .await
    }

    async fn made(&self, once: &Once) -> Result<Option<KeyId>, StoreError> {
        self.run(async |conn| Ok(once::made(conn, Some(once)).await?.map(KeyId))).await
    }

    async fn find_by_digest(&self, digest: Digest) -> Result<Option<ApiKey>, StoreError> {
        let db = self.clone();
        self.keys.find(digest, move |digests| known(db.clone(), digests)).await?.transpose()
    }

    async fn find(&self, owner: &UserId, id: KeyId) -> Result<Option<ApiKey>, StoreError> {
        self.read(async |mut conn| {
            let row: Option<Row> = api_keys::table
                .filter(api_keys::id.eq(id.0).and(api_keys::discord_id.eq(owner.as_str())))
                .select(Row::as_select())
                .first(&mut conn)
                .await
                .optional()?;
            row.map(Row::into_key).transpose()
        })
        .await
    }

    async fn list(
        &self,
        owner: &UserId,
        state: Option<KeyState>,
        after: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError> {
        self.read(async |mut conn| {
            let mut rows = api_keys::table
                .filter(api_keys::discord_id.eq(owner.as_str()).and(api_keys::id.gt(after.map_or(0, |id| id.0))))
                .order(api_keys::id)
                .limit(limit.into())
                .select(Row::as_select())
                .into_boxed();
            match state {
                Some(KeyState::Active) => {
                    rows = rows.filter(api_keys::expires_at.is_null().or(api_keys::expires_at.gt(now().nullable())));
                }
                Some(KeyState::Expired) => rows = rows.filter(api_keys::expires_at.le(now().nullable())),
                None => {}
            }
            let rows: Vec<Row> = rows.load(&mut conn).await?;
            rows.into_iter().map(Row::into_key).collect()
        })
        .await
    }

    async fn delete(&self, owner: &UserId, id: KeyId) -> Result<bool, StoreError> {
        self.run(async |conn| {
            let key = api_keys::table.filter(api_keys::id.eq(id.0).and(api_keys::discord_id.eq(owner.as_str())));
            Ok(diesel::delete(key).execute(conn).await? > 0)
        })
        .await
    }

    async fn forget_ended(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        self.forget(
            "delete from api_keys where id in
                 (select id from api_keys where expires_at < $1
                  order by expires_at limit $2 for update skip locked)",
            age,
            limit,
        )
        .await
    }

    async fn touch(&self, used: &[(KeyId, Timestamp)]) -> Result<(), StoreError> {
        // In one order in every process, so that two flushes do not deadlock.
        let mut used = used.to_vec();
        used.sort_unstable();
        let (ids, times): (Vec<_>, Vec<_>) = used.into_iter().map(|(id, at)| (id.0, at)).unzip();
        self.run(async |conn| {
            diesel::sql_query(
                "update api_keys k set last_used = greatest(k.last_used, u.at)
                 from unnest($1, $2) as u(id, at) where k.id = u.id",
            )
            .bind::<Array<Integer>, _>(&ids)
            .bind::<Array<Timestamptz>, _>(&times)
            .execute(conn)
            .await?;
            Ok(())
        })
        .await
    }
}

/// Those of these digests that are keys. One that cannot be read is its own trouble, not that of the others.
async fn known(db: Db, digests: Vec<Digest>) -> Result<HashMap<Digest, Result<ApiKey, StoreError>>, StoreError> {
    db.read(async |mut conn| {
        let by_hash: HashMap<String, Digest> = digests.iter().map(|digest| (digest.to_hex(), *digest)).collect();
        let rows: Vec<(String, Row)> = api_keys::table
            .filter(api_keys::key_hash.eq_any(by_hash.keys()))
            .select((api_keys::key_hash, Row::as_select()))
            .load(&mut conn)
            .await?;
        let read = |(hash, row): (String, Row)| Some((*by_hash.get(&hash)?, row.into_key().map_err(Fault::into_error)));
        Ok(rows.into_iter().filter_map(read).collect())
    })
    .await
}

/// What a decision about keys is made on. Nobody changes it until then.
struct Locked {
    at: Timestamp,
    /// The key that asks.
    held: Option<ApiKey>,
    /// The key that it asks about, if this user has it.
    key: Option<ApiKey>,
    /// The user's other keys, where they were locked.
    others: Vec<ApiKey>,
}

/// Whether all keys of the user are locked, since some of them may have come of the one that is asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kin {
    Locked,
    Left,
}

/// Locks the key that asks, the one that it asks about, and what either replaced, which a rotation ends: all at once and
/// by id, as the flush of last uses does, so that nobody deadlocks.
async fn lock(
    conn: &mut AsyncPgConnection,
    owner: &UserId,
    by: Option<KeyId>,
    about: Option<KeyId>,
    kin: Kin,
) -> Result<Locked, Fault<WriteError>> {
    let ids: Vec<i32> = by.into_iter().chain(about).map(|id| id.0).collect();
    let wanted = api_keys::id.eq_any(&ids).or(api_keys::replaced_by.assume_not_null().eq_any(&ids));
    let rows: Vec<Row> = api_keys::table
        .filter(api_keys::discord_id.eq(owner.as_str()).and(wanted.or((kin == Kin::Locked).into_sql::<Bool>())))
        .order(api_keys::id)
        .select(Row::as_select())
        .for_no_key_update()
        .load(conn)
        .await?;
    let at: Timestamp = diesel::select(now()).get_result(conn).await?;
    let (asked, others): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| ids.contains(&row.id));
    let asked: Vec<ApiKey> = asked.into_iter().map(Row::into_key).collect::<Result<_, Fault<WriteError>>>()?;
    // A key that cannot be read can do nothing either.
    let others = others.into_iter().filter_map(|row| row.into_key::<WriteError>().ok()).collect();
    let find = |id: Option<KeyId>| asked.iter().find(|key| Some(key.id) == id).cloned();
    let held = find(by).filter(|held| held.grant.expires_at.is_none_or(|end| end > at));
    if by.is_some() && held.is_none() {
        return Err(Fault::Refused(WriteError::AskerEnded));
    }
    Ok(Locked { at, held, key: find(about), others })
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

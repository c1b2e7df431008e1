use agis_apikeys::{
    ApiKey, Digest, KeyChange, KeyState, KeyStore, Scope, Scopes,
    address::{Block, Blocks},
    store::{KeyRow, Successor, WriteError},
};
use agis_base::{KeyId, Once, StoreError, Timestamp, UserId};
use async_trait::async_trait;
use chrono::TimeDelta;
use diesel::{
    prelude::*,
    sql_types::{Array, Integer, Timestamptz},
};
use diesel_async::RunQueryDsl;

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
    replaced_by: Option<i32>,
    last_used: Option<Timestamp>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl Row {
    fn into_key<R: From<StoreError>>(self) -> Result<ApiKey, Fault<R>> {
        let blocks: Result<Blocks, _> = self.allowed_ips.iter().map(|text| text.parse::<Block>()).collect();
        Ok(ApiKey {
            id: KeyId(self.id),
            owner: UserId::from_stored(&self.discord_id),
            name: self.name,
            // A scope that this version does not know allows nothing in it.
            scopes: self.scopes.iter().filter_map(|scope| scope.parse::<Scope>().ok()).collect(),
            rate_limit: self.rate_limit.unsigned_abs(),
            // A block that cannot be read must not become a key that is good from anywhere.
            allowed_ips: blocks.map_err(|_| unknown_word("api_keys.allowed_ips", &self.allowed_ips.join(" ")))?,
            bucket: self.bucket.unwrap_or(self.id),
            replaced_by: self.replaced_by.map(KeyId),
            last_used: self.last_used,
            created_at: self.created_at,
            expires_at: self.expires_at,
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

#[async_trait]
impl KeyStore for Db {
    async fn create(&self, row: &KeyRow, limit: u32, once: Option<&Once>) -> Result<ApiKey, WriteError> {
        self.transaction(async |conn| {
            let owner = row.owner.as_str();
            users::lock(conn, &row.owner, WriteError::NoUser).await?;
            let alive = api_keys::expires_at.is_null().or(api_keys::expires_at.gt(now().nullable()));
            let keys: i64 = api_keys::table
                .filter(api_keys::discord_id.eq(owner).and(api_keys::replaced_by.is_null()).and(alive))
                .count()
                .get_result(conn)
                .await?;
            if keys >= i64::from(limit) {
                return Err(Fault::Refused(WriteError::TooMany));
            }
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            let wanted = row.ttl_days.map(|days| at + TimeDelta::days(days.into()));
            let row: Row = diesel::insert_into(api_keys::table)
                .values((
                    api_keys::key_hash.eq(row.digest.to_hex()),
                    api_keys::discord_id.eq(owner),
                    api_keys::name.eq(&row.name),
                    api_keys::scopes.eq(words(&row.scopes)),
                    api_keys::rate_limit.eq(self::limit(row.rate_limit)),
                    api_keys::allowed_ips.eq(blocks(&row.allowed_ips)),
                    api_keys::expires_at.eq(earlier(wanted, row.not_after)),
                ))
                .returning(Row::as_returning())
                .get_result(conn)
                .await?;
            once::note(conn, once, row.id).await?;
            row.into_key()
        })
        .await
    }

    async fn change(&self, owner: &UserId, id: KeyId, change: &KeyChange) -> Result<Option<ApiKey>, StoreError> {
        self.run(async |conn| {
            let key = api_keys::table.filter(api_keys::id.eq(id.0).and(api_keys::discord_id.eq(owner.as_str())));
            let row: Option<Row> = diesel::update(key)
                .set((
                    // A statement must set something.
                    api_keys::id.eq(id.0),
                    change.name.as_ref().map(|name| api_keys::name.eq(name)),
                    change.scopes.as_ref().map(|scopes| api_keys::scopes.eq(words(scopes))),
                    change.rate_limit.map(|it| api_keys::rate_limit.eq(limit(it))),
                    change.allowed_ips.as_ref().map(|allowed| api_keys::allowed_ips.eq(blocks(allowed))),
                ))
                .returning(Row::as_returning())
                .get_result(conn)
                .await
                .optional()?;
            row.map(Row::into_key).transpose()
        })
        .await
    }

    async fn rotate(&self, seen: &ApiKey, new: &Successor, once: Option<&Once>) -> Result<ApiKey, WriteError> {
        self.transaction(async |conn| {
            users::lock(conn, &seen.owner, WriteError::NoUser).await?;
            let locked = api_keys::table.find(seen.id.0).select(Row::as_select()).for_no_key_update();
            let row: Option<Row> = locked.first(conn).await.optional()?;
            let found = row.map(Row::into_key::<WriteError>).transpose()?;
            // The last use is no change.
            let found = found.map(|found| ApiKey { last_used: seen.last_used, ..found });
            if found.as_ref() != Some(seen) {
                return Err(Fault::Refused(StoreError::Conflict("the key has changed".to_owned()).into()));
            }
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            let successor: Row = diesel::insert_into(api_keys::table)
                .values((
                    api_keys::key_hash.eq(new.digest.to_hex()),
                    api_keys::discord_id.eq(seen.owner.as_str()),
                    api_keys::name.eq(&seen.name),
                    api_keys::scopes.eq(words(&seen.scopes)),
                    api_keys::rate_limit.eq(limit(seen.rate_limit)),
                    api_keys::allowed_ips.eq(blocks(&seen.allowed_ips)),
                    api_keys::bucket.eq(seen.bucket),
                    api_keys::expires_at.eq(earlier(seen.expires_at, new.not_after)),
                ))
                .returning(Row::as_returning())
                .get_result(conn)
                .await?;
            let predecessors = api_keys::bucket.eq(seen.bucket).or(api_keys::id.eq(seen.bucket));
            let alive = api_keys::expires_at.is_null().or(api_keys::expires_at.gt(now().nullable()));
            diesel::update(api_keys::table.filter(predecessors.and(api_keys::replaced_by.is_not_null()).and(alive)))
                .set(api_keys::expires_at.eq(at))
                .execute(conn)
                .await?;
            let end = TimeDelta::from_std(new.overlap).ok().map(|overlap| at + overlap);
            diesel::update(api_keys::table.find(seen.id.0))
                .set((api_keys::replaced_by.eq(successor.id), api_keys::expires_at.eq(earlier(seen.expires_at, end))))
                .execute(conn)
                .await?;
            once::note(conn, once, successor.id).await?;
            successor.into_key()
        })
        .await
    }

    async fn made(&self, once: &Once) -> Result<Option<KeyId>, StoreError> {
        self.run(async |conn| Ok(once::made(conn, Some(once)).await?.map(KeyId))).await
    }

    async fn find_by_digest(&self, digest: Digest) -> Result<Option<ApiKey>, StoreError> {
        self.read(async |mut conn| {
            let row: Option<Row> = api_keys::table
                .filter(api_keys::key_hash.eq(digest.to_hex()))
                .select(Row::as_select())
                .first(&mut conn)
                .await
                .optional()?;
            row.map(Row::into_key).transpose()
        })
        .await
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

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

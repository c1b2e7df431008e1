//! API keys.

mod lock;
mod row;
mod write;

use std::{collections::HashMap, time::Duration};

use agis_apikeys::{
    ApiKey, Digest, KeyChange, KeyState, KeyStore,
    store::{KeyRow, Successor, WriteError},
};
use agis_base::{KeyId, Once, StoreError, Timestamp, UserId};
use async_trait::async_trait;
use diesel::{
    prelude::*,
    sql_types::{Array, Integer, Timestamptz},
};
use diesel_async::RunQueryDsl;

use self::row::StoredKey;
use crate::{
    db::Db,
    error::Fault,
    once,
    schema::{api_keys, now},
};

#[async_trait]
impl KeyStore for Db {
    async fn create(&self, row: &KeyRow, limit: u32, once: Option<&Once>) -> Result<ApiKey, WriteError> {
        self.transaction(async |conn| write::create(conn, row, limit, once).await).await
    }

    async fn change(
        &self,
        owner: &UserId,
        by: Option<KeyId>,
        id: KeyId,
        change: &KeyChange,
    ) -> Result<ApiKey, WriteError> {
        self.transaction(async |conn| write::change(conn, owner, by, id, change).await).await
    }

    async fn rotate(
        &self,
        owner: &UserId,
        by: Option<KeyId>,
        id: KeyId,
        new: &Successor,
        once: Option<&Once>,
    ) -> Result<ApiKey, WriteError> {
        self.transaction(async |conn| write::rotate(conn, owner, by, id, new, once).await).await
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
            let row: Option<StoredKey> = api_keys::table
                .filter(api_keys::id.eq(id.0).and(api_keys::discord_id.eq(owner.as_str())))
                .select(StoredKey::as_select())
                .first(&mut conn)
                .await
                .optional()?;
            row.map(StoredKey::into_key).transpose()
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
                .select(StoredKey::as_select())
                .into_boxed();
            match state {
                Some(KeyState::Active) => {
                    rows = rows.filter(api_keys::expires_at.is_null().or(api_keys::expires_at.gt(now().nullable())));
                }
                Some(KeyState::Expired) => rows = rows.filter(api_keys::expires_at.le(now().nullable())),
                None => {}
            }
            let rows: Vec<StoredKey> = rows.load(&mut conn).await?;
            rows.into_iter().map(StoredKey::into_key).collect()
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
        self.forget_older(
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
            // diesel joins no `unnest`.
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

/// Returns the keys among these digests. An unreadable key fails alone.
async fn known(db: Db, digests: Vec<Digest>) -> Result<HashMap<Digest, Result<ApiKey, StoreError>>, StoreError> {
    db.read(async |mut conn| {
        let by_hash: HashMap<String, Digest> = digests.iter().map(|digest| (digest.to_hex(), *digest)).collect();
        let rows: Vec<(String, StoredKey)> = api_keys::table
            .filter(api_keys::key_hash.eq_any(by_hash.keys()))
            .select((api_keys::key_hash, StoredKey::as_select()))
            .load(&mut conn)
            .await?;
        let read =
            |(hash, row): (String, StoredKey)| Some((*by_hash.get(&hash)?, row.into_key().map_err(Fault::into_error)));
        Ok(rows.into_iter().filter_map(read).collect())
    })
    .await
}

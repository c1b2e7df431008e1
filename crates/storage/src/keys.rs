use agis_apikeys::{
    ApiKey, Digest, KeyStore, Scope,
    store::{KeyRow, WriteError},
};
use agis_base::{KeyId, StoreError, Timestamp, UserId};
use async_trait::async_trait;
use chrono::TimeDelta;
use diesel::{
    prelude::*,
    sql_types::{Array, Integer, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{
    db::Db,
    error::Fault,
    schema::{api_keys, now, users},
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_keys)]
struct Row {
    id: i32,
    discord_id: String,
    name: String,
    scopes: Vec<String>,
    rate_limit: i32,
    last_used: Option<Timestamp>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl From<Row> for ApiKey {
    fn from(row: Row) -> Self {
        Self {
            id: KeyId(row.id),
            owner: UserId::from_stored(&row.discord_id),
            name: row.name,
            // A scope that this version does not know allows nothing in it.
            scopes: row.scopes.iter().filter_map(|scope| scope.parse::<Scope>().ok()).collect(),
            rate_limit: row.rate_limit.unsigned_abs(),
            last_used: row.last_used,
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }
}

fn expires_at(row: &KeyRow, now: Timestamp) -> Option<Timestamp> {
    let wanted = row.ttl_days.map(|days| now + TimeDelta::days(days.into()));
    wanted.into_iter().chain(row.not_after).min()
}

#[async_trait]
impl KeyStore for Db {
    async fn create(&self, row: &KeyRow, limit: u32) -> Result<ApiKey, WriteError> {
        self.transaction(async |conn| {
            let owner = row.owner.as_str();
            let locked = users::table.find(owner).select(users::discord_id).for_no_key_update();
            if locked.first::<String>(conn).await.optional()?.is_none() {
                return Err(Fault::Refused(WriteError::NoUser));
            }
            let alive = api_keys::expires_at.is_null().or(api_keys::expires_at.gt(now().nullable()));
            let keys: i64 =
                api_keys::table.filter(api_keys::discord_id.eq(owner).and(alive)).count().get_result(conn).await?;
            if keys >= i64::from(limit) {
                return Err(Fault::Refused(WriteError::TooMany));
            }
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            let scopes: Vec<_> = row.scopes.iter().map(|scope| scope.to_string()).collect();
            let row: Row = diesel::insert_into(api_keys::table)
                .values((
                    api_keys::key_hash.eq(row.digest.to_hex()),
                    api_keys::discord_id.eq(owner),
                    api_keys::name.eq(&row.name),
                    api_keys::scopes.eq(scopes),
                    api_keys::rate_limit.eq(i32::try_from(row.rate_limit).unwrap_or(i32::MAX)),
                    api_keys::expires_at.eq(expires_at(row, at)),
                ))
                .returning(Row::as_returning())
                .get_result(conn)
                .await?;
            Ok(row.into())
        })
        .await
    }

    async fn find_by_digest(&self, digest: Digest) -> Result<Option<ApiKey>, StoreError> {
        self.run(async |conn| {
            let row: Option<Row> = api_keys::table
                .filter(api_keys::key_hash.eq(digest.to_hex()))
                .select(Row::as_select())
                .first(conn)
                .await
                .optional()?;
            Ok(row.map(Into::into))
        })
        .await
    }

    async fn find(&self, owner: &UserId, id: KeyId) -> Result<Option<ApiKey>, StoreError> {
        self.run(async |conn| {
            let row: Option<Row> = api_keys::table
                .filter(api_keys::id.eq(id.0).and(api_keys::discord_id.eq(owner.as_str())))
                .select(Row::as_select())
                .first(conn)
                .await
                .optional()?;
            Ok(row.map(Into::into))
        })
        .await
    }

    async fn list(&self, owner: &UserId, after: Option<KeyId>, limit: u32) -> Result<Vec<ApiKey>, StoreError> {
        self.run(async |conn| {
            let rows: Vec<Row> = api_keys::table
                .filter(api_keys::discord_id.eq(owner.as_str()).and(api_keys::id.gt(after.map_or(0, |id| id.0))))
                .order(api_keys::id)
                .limit(limit.into())
                .select(Row::as_select())
                .load(conn)
                .await?;
            Ok(rows.into_iter().map(Into::into).collect())
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

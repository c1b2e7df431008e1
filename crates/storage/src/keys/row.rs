//! A key as a row.

use agis_apikeys::{
    ApiKey, Grant, Maker, Scope, Scopes,
    address::{Block, Blocks},
};
use agis_base::{KeyId, StoreError, Timestamp, UserId};
use diesel::prelude::*;

use crate::{
    error::{Fault, unknown},
    schema::api_keys,
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_keys)]
pub(super) struct StoredKey {
    pub(super) id: i32,
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

impl StoredKey {
    pub(super) fn into_key<R: From<StoreError>>(self) -> Result<ApiKey, Fault<R>> {
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
                allowed_ips: blocks.map_err(|_| unknown("api_keys.allowed_ips", &self.allowed_ips.join(" ")))?,
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

pub(super) fn words(scopes: &Scopes) -> Vec<String> {
    scopes.iter().map(|scope| scope.to_string()).collect()
}

pub(super) fn blocks(blocks: &Blocks) -> Vec<String> {
    blocks.iter().map(Block::to_string).collect()
}

/// Returns a limit as the column takes it; nobody has more requests than that.
pub(super) fn limit(limit: u32) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}

/// As the two columns have them.
pub(super) fn makers(makers: &[Maker]) -> (Vec<i32>, Vec<i32>) {
    makers.iter().map(|maker| (maker.bucket, limit(maker.limit))).unzip()
}

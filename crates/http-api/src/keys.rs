//! `/auth/keys`

use std::time::Duration;

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path, Query},
};
use agis_apikeys::{ApiKey, Block, Blocks, Key, KeyChange, NewKey, Scope, Scopes};
use agis_base::{KeyId, Timestamp};
use chrono::Utc;
use serde::{Deserialize, Serialize};

use crate::{
    auth::{May, ReadKeys, WriteKeys},
    body::{Body, BodyOrDefault},
    idempotency::Asking,
    page::{List, PageQuery},
    problem::Problem,
    server::Services,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    name: String,
    scopes: Vec<String>,
    rate_limit: Option<u32>,
    ttl_days: Option<u32>,
    allowed_ips: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    name: Option<String>,
    scopes: Option<Vec<String>>,
    rate_limit: Option<u32>,
    allowed_ips: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotate {
    /// How long the old key lives on: a day where absent, so that a program can be given the new one in time.
    #[serde(default = "a_day")]
    overlap_seconds: u64,
}

impl Default for Rotate {
    fn default() -> Self {
        Self { overlap_seconds: a_day() }
    }
}

fn a_day() -> u64 {
    24 * 3600
}

#[derive(Serialize)]
pub(crate) struct KeyDto {
    id: String,
    name: String,
    scopes: Vec<String>,
    rate_limit: u32,
    allowed_ips: Vec<String>,
    last_used: Option<Timestamp>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    replaced_by: Option<String>,
}

#[derive(Serialize)]
struct Created<'a> {
    key: &'a str,
    #[serde(flatten)]
    rest: KeyDto,
}

impl From<ApiKey> for KeyDto {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            scopes: key.scopes.iter().map(|scope| scope.to_string()).collect(),
            rate_limit: key.rate_limit,
            allowed_ips: key.allowed_ips.iter().map(ToString::to_string).collect(),
            last_used: key.last_used,
            created_at: key.created_at,
            expires_at: key.expires_at,
            replaced_by: key.replaced_by.map(|id| id.to_string()),
        }
    }
}

pub(crate) async fn create(
    caller: May<WriteKeys>,
    services: Data<Services>,
    asking: Asking,
    body: Body<Create>,
) -> Result<HttpResponse, Problem> {
    let Create { name, scopes, rate_limit, ttl_days, allowed_ips } = body.0;
    let allowed_ips = allowed_ips.as_deref().map(blocks).transpose()?;
    let new = NewKey { name, scopes: read_scopes(&scopes)?, rate_limit, ttl_days, allowed_ips };
    let (key, stored) = services.keys.create(caller.user(), caller.key(), new, asking.once()).await?;
    Ok(shown_once(&key, stored))
}

/// The one answer that holds a key.
fn shown_once(key: &Key, stored: ApiKey) -> HttpResponse {
    HttpResponse::Created()
        .insert_header(("Location", format!("/api/v1/auth/keys/{}", stored.id)))
        .insert_header(("Cache-Control", "no-store"))
        .json(Created { key: key.reveal(), rest: stored.into() })
}

fn read_scopes(words: &[String]) -> Result<Scopes, Problem> {
    let scopes: Result<Scopes, _> = words.iter().map(|word| word.parse::<Scope>()).collect();
    scopes.map_err(|error| Problem::invalid_value("scopes", error))
}

fn blocks(texts: &[String]) -> Result<Blocks, Problem> {
    let blocks: Result<Blocks, _> = texts.iter().map(|text| text.parse::<Block>()).collect();
    blocks.map_err(|error| Problem::invalid_value("allowed_ips", error))
}

pub(crate) async fn list(
    caller: May<ReadKeys>,
    services: Data<Services>,
    page: Query<PageQuery>,
) -> Result<Json<List<KeyDto>>, Problem> {
    let limit = page.limit()?;
    let keys = services.keys.list(caller.user(), page.after()?, limit).await?;
    Ok(Json(List::new(keys.into_iter().map(KeyDto::from).collect(), limit, |key| key.id.clone())))
}

pub(crate) async fn get(
    caller: May<ReadKeys>,
    services: Data<Services>,
    id: Path<KeyId>,
) -> Result<Json<KeyDto>, Problem> {
    Ok(Json(services.keys.get(caller.user(), *id).await?.into()))
}

pub(crate) async fn change(
    caller: May<WriteKeys>,
    services: Data<Services>,
    id: Path<KeyId>,
    body: Body<Change>,
) -> Result<Json<KeyDto>, Problem> {
    let Change { name, scopes, rate_limit, allowed_ips } = body.0;
    let change = KeyChange {
        name,
        scopes: scopes.as_deref().map(read_scopes).transpose()?,
        rate_limit,
        allowed_ips: allowed_ips.as_deref().map(blocks).transpose()?,
    };
    Ok(Json(services.keys.change(caller.user(), caller.key(), *id, change).await?.into()))
}

pub(crate) async fn rotate(
    caller: May<WriteKeys>,
    services: Data<Services>,
    id: Path<KeyId>,
    asking: Asking,
    body: BodyOrDefault<Rotate>,
) -> Result<HttpResponse, Problem> {
    let overlap = Duration::from_secs(body.0.overlap_seconds);
    let (key, stored) =
        services.keys.rotate(caller.user(), caller.key(), *id, overlap, Utc::now(), asking.once()).await?;
    Ok(shown_once(&key, stored))
}

pub(crate) async fn revoke(
    caller: May<WriteKeys>,
    services: Data<Services>,
    id: Path<KeyId>,
) -> Result<HttpResponse, Problem> {
    services.keys.revoke(caller.user(), *id).await?;
    Ok(HttpResponse::NoContent().finish())
}

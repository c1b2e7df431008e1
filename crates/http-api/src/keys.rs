//! `/auth/keys`

use std::time::Duration;

use actix_web::{
    HttpResponse,
    web::{Data, Json, Query},
};
use agis_apikeys::{ApiKey, Block, Blocks, Key, KeyChange, KeyState, NewKey, Scope, Scopes};
use agis_base::{KeyId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::{May, ReadKeys, WriteKeys},
    body::{Body, BodyOrDefault, Number},
    idempotency::Asking,
    page::{List, list_query, word},
    path::Id,
    problem::Problem,
    services::Services,
    words,
};

/// A key to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey, examples(json!({
    "name": "nightly restart", "scopes": ["write:servers:7", "read:schedules"], "rate_limit": 500, "ttl_days": 90,
    "allowed_ips": ["203.0.113.0/24"]
})))]
pub(crate) struct Create {
    /// One line with something to see on it, and no character that cannot be seen; space around it is left out.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: String,
    #[schema(value_type = Vec<words::Scope>, min_items = 1, max_items = 100)]
    scopes: Vec<String>,
    /// Requests per hour, no more than the key has that asks; a default of this installation where absent. Each of them is
    /// one of the key that asks, too.
    #[schema(value_type = Option<i32>, minimum = 1)]
    rate_limit: Option<Number<u32>>,
    /// Days until it ends. It ends with the key that asks at the latest.
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 3650)]
    ttl_days: Option<Number<u32>>,
    /// The addresses, or blocks of them, from which it may be used; from anywhere where there is none.
    #[schema(max_items = 50)]
    allowed_ips: Option<Vec<String>>,
}

/// What may change; what is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyChange, examples(json!({ "name": "nightly restart of 7", "allowed_ips": [] })))]
pub(crate) struct Change {
    /// One line with something to see on it, and no character that cannot be seen; space around it is left out.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: Option<String>,
    #[schema(value_type = Option<Vec<words::Scope>>, min_items = 1, max_items = 100)]
    scopes: Option<Vec<String>>,
    /// Requests per hour, no more than the key has that asks, whose requests they are too from then on, if this is more than
    /// before.
    #[schema(value_type = Option<i32>, minimum = 1)]
    rate_limit: Option<Number<u32>>,
    /// The addresses, or blocks of them, from which it may be used; from anywhere where the list is empty.
    #[schema(max_items = 50)]
    allowed_ips: Option<Vec<String>>,
}

/// How a key is replaced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rotation, examples(json!({ "overlap_seconds": 3600 })))]
pub(crate) struct Rotate {
    /// How long the old key lives on: a day where absent, so that a program can be given the new one in time.
    #[serde(default = "a_day")]
    #[schema(value_type = i32, minimum = 0, maximum = 2_592_000, default = 86_400)]
    overlap_seconds: Number<u32>,
}

impl Default for Rotate {
    fn default() -> Self {
        Self { overlap_seconds: a_day() }
    }
}

fn a_day() -> Number<u32> {
    Number(24 * 3600)
}

/// An API key, without the key itself.
#[derive(Serialize, ToSchema)]
#[schema(as = Key, examples(json!({
    "id": "12", "name": "nightly restart", "scopes": ["write:servers:7", "read:schedules"], "rate_limit": 500,
    "allowed_ips": ["203.0.113.0/24"], "last_used": null, "created_at": "2026-11-22T19:00:00Z",
    "expires_at": "2027-02-20T19:00:00Z", "replaced_by": null
})))]
pub(crate) struct KeyDto {
    #[schema(pattern = "^[1-9][0-9]{0,9}$")]
    id: String,
    name: String,
    #[schema(value_type = Vec<words::Scope>)]
    scopes: Vec<String>,
    /// Requests per hour, if the keys that it came of leave as many.
    #[schema(value_type = i32, minimum = 1)]
    rate_limit: u32,
    /// From where it may be used; from anywhere where this is empty.
    allowed_ips: Vec<String>,
    /// To within some seconds.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Null where it does not end.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The id of the key that took its place; null as well where that one ended so long ago that it is forgotten.
    replaced_by: Option<String>,
}

/// A new API key, with the key itself, which is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(as = NewlyMadeKey)]
pub(crate) struct Created<'a> {
    /// Keep it; it cannot be had again.
    #[schema(value_type = String, format = Password, pattern = "^agis_[A-Za-z0-9_-]{43}=$")]
    key: &'a str,
    #[serde(flatten)]
    rest: KeyDto,
}

impl From<ApiKey> for KeyDto {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            scopes: key.grant.scopes.iter().map(|scope| scope.to_string()).collect(),
            rate_limit: key.grant.rate_limit,
            allowed_ips: key.grant.allowed_ips.iter().map(ToString::to_string).collect(),
            last_used: key.last_used,
            created_at: key.created_at,
            expires_at: key.grant.expires_at,
            replaced_by: key.replaced_by.map(|id| id.to_string()),
        }
    }
}

list_query! {
    ListQuery {
        /// Keys that can be used, or those that have ended.
        #[param(value_type = Option<words::KeyState>)]
        state,
    }
}

/// Create a key
///
/// The new key can do no more than the key that asks, and draws on both limits.
#[utoipa::path(
    post, path = "/api/v1/auth/keys", operation_id = "createKey", tag = "keys", request_body = Create,
    responses((status = 201, description = "The key, shown this once.", body = Created)),
)]
pub(crate) async fn create(
    caller: May<WriteKeys>,
    services: Data<Services>,
    asking: Asking,
    body: Body<Create>,
) -> Result<HttpResponse, Problem> {
    let Create { name, scopes, rate_limit, ttl_days, allowed_ips } = body.0;
    let allowed_ips = allowed_ips.as_deref().map(blocks).transpose()?;
    let (rate_limit, ttl_days) = (rate_limit.map(|it| it.0), ttl_days.map(|it| it.0));
    let new = NewKey { name, scopes: read_scopes(&scopes)?, rate_limit, ttl_days, allowed_ips };
    let (key, stored) = services.keys.create(caller.user(), caller.key_id(), new, asking.once()).await?;
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

/// List your keys
///
/// By id. Those that have ended are listed for 30 days, and no more than about the last hundred of them.
#[utoipa::path(
    get, path = "/api/v1/auth/keys", operation_id = "listKeys", tag = "keys", params(ListQuery),
    responses((status = 200, description = "A piece of the list.", body = List<KeyDto>)),
)]
pub(crate) async fn list(
    caller: May<ReadKeys>,
    services: Data<Services>,
    query: Query<ListQuery>,
) -> Result<Json<List<KeyDto>>, Problem> {
    let (after, limit) = query.piece()?;
    let state = word("state", query.state.as_ref(), &KeyState::ALL, KeyState::as_str)?;
    let keys = services.keys.list(caller.user(), state, after, limit).await?;
    Ok(Json(List::new(keys.into_iter().map(KeyDto::from).collect(), limit, |key| key.id.clone())))
}

/// Look at a key
#[utoipa::path(
    get, path = "/api/v1/auth/keys/{id}", operation_id = "getKey", tag = "keys",
    responses((status = 200, description = "The key.", body = KeyDto)),
)]
pub(crate) async fn get(
    caller: May<ReadKeys>,
    services: Data<Services>,
    Id(id): Id<KeyId>,
) -> Result<Json<KeyDto>, Problem> {
    Ok(Json(services.keys.get(caller.user(), id).await?.into()))
}

/// Change a key
///
/// It takes effect within a second, everywhere. To narrow is always allowed; after a change that widens anything, the key
/// can do no more than the one that asks, in every respect.
#[utoipa::path(
    patch, path = "/api/v1/auth/keys/{id}", operation_id = "changeKey", tag = "keys", request_body = Change,
    responses((status = 200, description = "The key as it is now.", body = KeyDto)),
)]
pub(crate) async fn change(
    caller: May<WriteKeys>,
    services: Data<Services>,
    Id(id): Id<KeyId>,
    body: Body<Change>,
) -> Result<Json<KeyDto>, Problem> {
    let Change { name, scopes, rate_limit, allowed_ips } = body.0;
    let change = KeyChange {
        name,
        scopes: scopes.as_deref().map(read_scopes).transpose()?,
        rate_limit: rate_limit.map(|it| it.0),
        allowed_ips: allowed_ips.as_deref().map(blocks).transpose()?,
    };
    Ok(Json(services.keys.change(caller.user(), caller.key_id(), id, change).await?.into()))
}

/// Replace a key
///
/// By one that may do the same. The old one lives on for an overlap, a day where nothing is said.
#[utoipa::path(
    post, path = "/api/v1/auth/keys/{id}/rotate", operation_id = "rotateKey", tag = "keys", request_body = Rotate,
    responses((status = 201, description = "The new key, shown this once.", body = Created)),
)]
pub(crate) async fn rotate(
    caller: May<WriteKeys>,
    services: Data<Services>,
    Id(id): Id<KeyId>,
    asking: Asking,
    body: BodyOrDefault<Rotate>,
) -> Result<HttpResponse, Problem> {
    let overlap = Duration::from_secs(body.0.overlap_seconds.0.into());
    let (key, stored) = services.keys.rotate(caller.user(), caller.key_id(), id, overlap, asking.once()).await?;
    Ok(shown_once(&key, stored))
}

/// Revoke a key
///
/// The next request with it is refused.
#[utoipa::path(
    delete, path = "/api/v1/auth/keys/{id}", operation_id = "revokeKey", tag = "keys",
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn revoke(
    caller: May<WriteKeys>,
    services: Data<Services>,
    Id(id): Id<KeyId>,
) -> Result<HttpResponse, Problem> {
    services.keys.revoke(caller.user(), id).await?;
    Ok(HttpResponse::NoContent().finish())
}

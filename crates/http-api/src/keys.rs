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

/// Time for which a replaced key stays valid.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// A key to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey, examples(json!({
    "name": "nightly restart", "scopes": ["write:servers:7", "read:schedules"], "rate_limit": 500, "ttl_days": 90,
    "allowed_ips": ["203.0.113.0/24"]
})))]
pub(crate) struct CreateKey {
    /// Text on a single line, with at least one visible character and no invisible ones. Space at both ends is removed.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: String,
    #[schema(value_type = Vec<words::Scope>, min_items = 1, max_items = 100)]
    scopes: Vec<String>,
    /// Requests per hour, at most those of the key that asks; absent: the default of this installation. Each request
    /// counts for the key that asks, too.
    #[schema(value_type = Option<i32>, minimum = 1)]
    rate_limit: Option<Number<u32>>,
    /// Days until the key expires. It expires with the key that asks at the latest.
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 3650)]
    ttl_days: Option<Number<u32>>,
    /// Addresses or blocks (CIDR) from which the key may be used. Absent or empty: from anywhere.
    #[schema(max_items = 50)]
    allowed_ips: Option<Vec<String>>,
}

/// The fields to change; absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyChange, examples(json!({ "name": "nightly restart of 7", "allowed_ips": [] })))]
pub(crate) struct ChangeKey {
    /// Text on a single line, with at least one visible character and no invisible ones. Space at both ends is removed.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: Option<String>,
    #[schema(value_type = Option<Vec<words::Scope>>, min_items = 1, max_items = 100)]
    scopes: Option<Vec<String>>,
    /// Requests per hour, at most those of the key that asks. After an increase each request counts for the key that
    /// asks, too.
    #[schema(value_type = Option<i32>, minimum = 1)]
    rate_limit: Option<Number<u32>>,
    /// Addresses or blocks (CIDR) from which the key may be used. Empty: from anywhere.
    #[schema(max_items = 50)]
    allowed_ips: Option<Vec<String>>,
}

/// How to replace a key.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rotation, examples(json!({ "overlap_seconds": 3600 })))]
pub(crate) struct RotateKey {
    /// Seconds for which the old key stays valid. The default of a day leaves time to give a program the new key.
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 2_592_000, default = 86_400)]
    overlap_seconds: Option<Number<u32>>,
}

/// An API key, without its secret.
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
    /// Requests per hour, if the keys that it was made from leave as many.
    #[schema(value_type = i32, minimum = 1)]
    rate_limit: u32,
    /// Addresses or blocks (CIDR) from which the key may be used. Empty: from anywhere.
    allowed_ips: Vec<String>,
    /// The last use, to within some seconds. Null before the first.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Null where the key does not expire.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The id of the key that replaced it. Null also where that key expired so long ago that it was deleted.
    replaced_by: Option<String>,
}

/// A new API key with its secret, which is shown only this once.
#[derive(Serialize, ToSchema)]
#[schema(as = NewlyMadeKey)]
pub(crate) struct NewlyMadeKey<'a> {
    /// The secret. Store it; it cannot be shown again.
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
    KeysQuery {
        /// Keys that are valid, or keys that have expired.
        #[param(value_type = Option<words::KeyState>)]
        state,
    }
}

/// Create a key
///
/// The new key cannot do more than the key that asks, and draws on both limits.
#[utoipa::path(
    post, path = "/api/v1/auth/keys", operation_id = "createKey", tag = "keys", request_body = CreateKey,
    responses((status = 201, description = "The key, shown this once.", body = NewlyMadeKey)),
)]
pub(crate) async fn create(
    caller: May<WriteKeys>,
    services: Data<Services>,
    asking: Asking,
    body: Body<CreateKey>,
) -> Result<HttpResponse, Problem> {
    let CreateKey { name, scopes, rate_limit, ttl_days, allowed_ips } = body.0;
    let allowed_ips = allowed_ips.as_deref().map(blocks).transpose()?;
    let (rate_limit, ttl_days) = (rate_limit.map(|it| it.0), ttl_days.map(|it| it.0));
    let new = NewKey { name, scopes: read_scopes(&scopes)?, rate_limit, ttl_days, allowed_ips };
    let (key, stored) = services.keys.create(caller.user(), caller.key_id(), new, asking.once()).await?;
    Ok(shown_once(&key, stored))
}

/// Builds the only answer that contains a key.
fn shown_once(key: &Key, stored: ApiKey) -> HttpResponse {
    HttpResponse::Created()
        .insert_header(("Location", format!("/api/v1/auth/keys/{}", stored.id)))
        .insert_header(("Cache-Control", "no-store"))
        .json(NewlyMadeKey { key: key.reveal(), rest: stored.into() })
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
/// Sorted by id. Expired keys are listed for 30 days, and at most about the last hundred of them.
#[utoipa::path(
    get, path = "/api/v1/auth/keys", operation_id = "listKeys", tag = "keys", params(KeysQuery),
    responses((status = 200, description = "One page of the list.", body = List<KeyDto>)),
)]
pub(crate) async fn list(
    caller: May<ReadKeys>,
    services: Data<Services>,
    query: Query<KeysQuery>,
) -> Result<Json<List<KeyDto>>, Problem> {
    let (after, limit) = query.piece()?;
    let state = word("state", query.state.as_ref(), &KeyState::ALL, KeyState::as_str)?;
    let keys = services.keys.list(caller.user(), state, after, limit).await?;
    Ok(Json(List::new(keys.into_iter().map(KeyDto::from).collect(), limit, |key| key.id.clone())))
}

/// Get a key
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
/// The change takes effect within a second, on every process. A key may always be narrowed. After a change that widens
/// anything, it cannot do more than the key that asks, in any respect.
#[utoipa::path(
    patch, path = "/api/v1/auth/keys/{id}", operation_id = "changeKey", tag = "keys", request_body = ChangeKey,
    responses((status = 200, description = "The key as it is now.", body = KeyDto)),
)]
pub(crate) async fn change(
    caller: May<WriteKeys>,
    services: Data<Services>,
    Id(id): Id<KeyId>,
    body: Body<ChangeKey>,
) -> Result<Json<KeyDto>, Problem> {
    let ChangeKey { name, scopes, rate_limit, allowed_ips } = body.0;
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
/// Makes a new key with the same scopes and limits. The old key stays valid for an overlap, by default a day.
#[utoipa::path(
    post, path = "/api/v1/auth/keys/{id}/rotate", operation_id = "rotateKey", tag = "keys", request_body = RotateKey,
    responses((status = 201, description = "The new key, shown this once.", body = NewlyMadeKey)),
)]
pub(crate) async fn rotate(
    caller: May<WriteKeys>,
    services: Data<Services>,
    Id(id): Id<KeyId>,
    asking: Asking,
    body: BodyOrDefault<RotateKey>,
) -> Result<HttpResponse, Problem> {
    let overlap = body.0.overlap_seconds.map_or(OVERLAP, |Number(seconds)| Duration::from_secs(seconds.into()));
    let (key, stored) = services.keys.rotate(caller.user(), caller.key_id(), id, overlap, asking.once()).await?;
    Ok(shown_once(&key, stored))
}

/// Revoke a key
///
/// The next request with it is refused.
#[utoipa::path(
    delete, path = "/api/v1/auth/keys/{id}", operation_id = "revokeKey", tag = "keys",
    responses((status = 204, description = "Deleted.")),
)]
pub(crate) async fn revoke(
    caller: May<WriteKeys>,
    services: Data<Services>,
    Id(id): Id<KeyId>,
) -> Result<HttpResponse, Problem> {
    services.keys.revoke(caller.user(), id).await?;
    Ok(HttpResponse::NoContent().finish())
}

//! `/auth/keys`

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path, Query},
};
use agis_apikeys::{ApiKey, NewKey, Scope, Scopes};
use agis_base::{KeyId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    auth::{May, ReadKeys, WriteKeys},
    body::Body,
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
}

#[derive(Serialize)]
pub(crate) struct KeyDto {
    id: String,
    name: String,
    scopes: Vec<String>,
    rate_limit: u32,
    last_used: Option<Timestamp>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
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
            last_used: key.last_used,
            created_at: key.created_at,
            expires_at: key.expires_at,
        }
    }
}

pub(crate) async fn create(
    caller: May<WriteKeys>,
    services: Data<Services>,
    body: Body<Create>,
) -> Result<HttpResponse, Problem> {
    let Create { name, scopes, rate_limit, ttl_days } = body.0;
    let scopes: Result<Scopes, _> = scopes.iter().map(|scope| scope.parse::<Scope>()).collect();
    let scopes = scopes.map_err(|error| Problem::invalid_value("scopes", error))?;
    let new = NewKey { name, scopes, rate_limit, ttl_days };
    let (key, stored) = services.keys.create(caller.user(), Some(caller.key()), new).await?;
    Ok(HttpResponse::Created()
        .insert_header(("Location", format!("/api/v1/auth/keys/{}", stored.id)))
        .insert_header(("Cache-Control", "no-store"))
        .json(Created { key: key.reveal(), rest: stored.into() }))
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

pub(crate) async fn revoke(
    caller: May<WriteKeys>,
    services: Data<Services>,
    id: Path<KeyId>,
) -> Result<HttpResponse, Problem> {
    services.keys.revoke(caller.user(), *id).await?;
    Ok(HttpResponse::NoContent().finish())
}

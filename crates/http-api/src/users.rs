//! `/users`

use actix_web::web::{Data, Json};
use agis_base::{Timestamp, UserId};
use serde::Serialize;

use crate::{auth::Caller, problem::Problem, server::Services};

#[derive(Serialize)]
pub(crate) struct UserDto {
    discord_id: UserId,
    credits: i32,
    tier: String,
    servers: i64,
    joined_at: Timestamp,
}

pub(crate) async fn me(caller: Caller, services: Data<Services>) -> Result<Json<UserDto>, Problem> {
    let user = services.accounts.get(caller.user()).await?;
    // A key has an owner by a foreign key.
    let user = user.ok_or_else(|| Problem::not_found("there is no such user"))?;
    Ok(Json(UserDto {
        discord_id: user.id,
        credits: user.credits,
        tier: user.tier,
        servers: user.servers,
        joined_at: user.joined_at,
    }))
}

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

#[derive(Serialize)]
pub(crate) struct StatsDto {
    servers_created: i32,
    commands_used: i32,
    credits_earned: i32,
    credits_spent: i32,
    last_command_at: Option<Timestamp>,
    servers: i64,
    servers_running: i64,
    schedules: i64,
    keys: i64,
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

pub(crate) async fn stats(caller: Caller, services: Data<Services>) -> Result<Json<StatsDto>, Problem> {
    let stats = services.accounts.stats(caller.user()).await?;
    let stats = stats.ok_or_else(|| Problem::not_found("there is no such user"))?;
    Ok(Json(StatsDto {
        servers_created: stats.servers_created,
        commands_used: stats.commands_used,
        credits_earned: stats.credits_earned,
        credits_spent: stats.credits_spent,
        last_command_at: stats.last_command_at,
        servers: stats.servers,
        servers_running: stats.servers_running,
        schedules: stats.schedules,
        keys: stats.keys,
    }))
}

//! `/users`

use actix_web::web::{Data, Json};
use agis_base::{Timestamp, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{auth::Caller, problem::Problem, services::Services};

/// The user who owns the key.
#[derive(Serialize, ToSchema)]
#[schema(as = User, examples(json!({
    "discord_id": "123456789012345678", "credits": 100, "tier": "free", "servers": 2,
    "joined_at": "2026-01-02T03:04:05Z"
})))]
pub(crate) struct UserDto {
    /// The Discord id. It exceeds the integers of some languages.
    #[schema(value_type = String)]
    discord_id: UserId,
    #[schema(minimum = 0)]
    credits: i32,
    tier: String,
    /// The number of servers that exist.
    #[schema(minimum = 0)]
    servers: i64,
    #[schema(value_type = String, format = DateTime)]
    joined_at: Timestamp,
}

/// Numbers about the user.
#[derive(Serialize, ToSchema)]
#[schema(as = Stats, examples(json!({
    "servers_created": 5, "commands_used": 120, "credits_earned": 0, "credits_spent": 0,
    "last_command_at": "2026-11-22T19:00:00Z", "servers": 2, "servers_running": 1, "schedules": 3, "keys": 2
})))]
pub(crate) struct StatsDto {
    /// Includes deleted servers.
    #[schema(minimum = 0)]
    servers_created: i32,
    /// Operations that the user asked for; those of schedules do not count.
    #[schema(minimum = 0)]
    commands_used: i32,
    #[schema(minimum = 0)]
    credits_earned: i32,
    #[schema(minimum = 0)]
    credits_spent: i32,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_command_at: Option<Timestamp>,
    #[schema(minimum = 0)]
    servers: i64,
    #[schema(minimum = 0)]
    servers_running: i64,
    #[schema(minimum = 0)]
    schedules: i64,
    /// Keys that are valid.
    #[schema(minimum = 0)]
    keys: i64,
}

/// Get your user
#[utoipa::path(
    get, path = "/api/v1/users/me", operation_id = "getMe", tag = "users",
    responses((status = 200, description = "The user.", body = UserDto)),
)]
pub(crate) async fn me(caller: Caller, services: Data<Services>) -> Result<Json<UserDto>, Problem> {
    let user = services.accounts.get(caller.user()).await?;
    // A foreign key guarantees the owner of a key.
    let user = user.ok_or_else(|| Problem::not_found("there is no such user"))?;
    Ok(Json(UserDto {
        discord_id: user.id,
        credits: user.credits,
        tier: user.tier,
        servers: user.servers,
        joined_at: user.joined_at,
    }))
}

/// Get your statistics
#[utoipa::path(
    get, path = "/api/v1/users/me/stats", operation_id = "getMyStats", tag = "users",
    responses((status = 200, description = "The numbers, as they are now.", body = StatsDto)),
)]
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

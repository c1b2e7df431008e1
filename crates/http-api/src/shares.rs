//! `/servers/{id}/shares`

use actix_web::{
    HttpResponse,
    web::{Data, Json, Query},
};
use agis_base::{GuildId, RoleId, Timestamp};
use agis_servers::{
    Grantee, Permission, Share,
    access::{CommandList, Granted, GranteeKind},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::{Here, May, ReadServers, WriteServers},
    body::Body,
    problem::Problem,
    services::Services,
    words,
};

/// Permissions of a member or a role on a server.
#[derive(Serialize, ToSchema)]
#[schema(as = Share, examples(json!({
    "kind": "member", "grantee": "123456789012345679", "guild_id": null, "permissions": ["read", "console"],
    "commands": ["say", "whitelist add"], "created_at": "2026-11-22T19:00:00Z"
})))]
pub(crate) struct ShareDto {
    #[schema(value_type = words::GranteeKind)]
    kind: &'static str,
    /// The Discord id of the member or the role.
    grantee: String,
    /// The Discord id of the role's community. Null for a member.
    guild_id: Option<String>,
    #[schema(value_type = Vec<words::Permission>)]
    permissions: Vec<&'static str>,
    /// The first words of the commands that `console` is limited to. Null for every command.
    commands: Option<Vec<String>>,
    /// The time of the first share with them.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// The members and roles that a server is shared with, oldest first. There are at most 50.
#[derive(Serialize, ToSchema)]
#[schema(as = Shares, examples(json!({ "items": [] })))]
pub(crate) struct SharesDto {
    items: Vec<ShareDto>,
}

/// Permissions for a member or a role, in place of earlier ones.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewShare, examples(json!({
    "kind": "member", "grantee": "123456789012345679", "permissions": ["console"], "commands": ["say", "whitelist add"]
})))]
pub(crate) struct PutShare {
    #[schema(value_type = words::GranteeKind)]
    kind: String,
    /// The Discord id of the member or the role.
    #[schema(pattern = "^[0-9]{1,20}$")]
    grantee: String,
    /// The Discord id of the role's community; absent for a member.
    #[schema(pattern = "^[0-9]{1,20}$")]
    guild_id: Option<String>,
    /// Each includes `read`.
    #[schema(value_type = Vec<words::Permission>, min_items = 1)]
    permissions: Vec<String>,
    /// Limits `console` to commands that begin with one of these, word by word, letter by letter. Lines with `;`, `|` or `$`
    /// are refused then. Absent or null for every command.
    #[schema(min_items = 1, max_items = 50)]
    commands: Option<Vec<String>>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ShareQuery {
    #[param(value_type = words::GranteeKind)]
    kind: String,
    /// The Discord id of the member or the role.
    #[param(pattern = "^[0-9]{1,20}$")]
    grantee: String,
    /// The Discord id of the role's community; absent for a member.
    #[param(pattern = "^[0-9]{1,20}$")]
    guild_id: Option<String>,
}

impl From<Share> for ShareDto {
    fn from(Share { grantee, permissions, commands, created_at, .. }: Share) -> Self {
        let kind = grantee.kind().as_str();
        let (grantee, guild_id) = match grantee {
            Grantee::Member(user) => (user.to_string(), None),
            Grantee::Role { guild, role } => (role.to_string(), Some(guild.to_string())),
        };
        let permissions = permissions.iter().map(Permission::as_str).collect();
        let commands = commands.map(|commands| commands.as_slice().to_vec());
        Self { kind, grantee, guild_id, permissions, commands, created_at }
    }
}

impl ShareQuery {
    /// Returns the member or role that is named.
    fn grantee(self) -> Result<Grantee, Problem> {
        let Self { kind, grantee, guild_id } = self;
        let invalid = |field| move |error| Problem::invalid_value(field, error);
        match (GranteeKind::from_word(&kind), guild_id) {
            (Some(GranteeKind::Member), None) => Ok(Grantee::Member(grantee.parse().map_err(invalid("grantee"))?)),
            (Some(GranteeKind::Role), Some(guild)) => {
                let role: RoleId = grantee.parse().map_err(invalid("grantee"))?;
                let guild: GuildId = guild.parse().map_err(invalid("guild_id"))?;
                Ok(Grantee::Role { guild, role })
            }
            (Some(_), _) => Err(Problem::invalid_value("guild_id", "is there for a role, and for a role alone")),
            (None, _) => Err(Problem::invalid_value("kind", "is 'member' or 'role'")),
        }
    }
}

impl PutShare {
    fn read(self) -> Result<(Grantee, Granted), Problem> {
        let Self { kind, grantee, guild_id, permissions, commands } = self;
        let grantee = ShareQuery { kind, grantee, guild_id }.grantee()?;
        let known = |word: &String| {
            let words: Vec<_> = Permission::ALL.iter().map(|it| it.as_str()).collect();
            let rule = || Problem::invalid_value("permissions", format!("are among {}", words.join(", ")));
            Permission::from_word(word).ok_or_else(rule)
        };
        let permissions = permissions.iter().map(known).collect::<Result<_, _>>()?;
        let commands = commands.map(|commands| CommandList::new(&commands)).transpose();
        let commands = commands.map_err(|rule| Problem::invalid_value("commands", rule))?;
        Ok((grantee, Granted { permissions, commands }))
    }
}

/// List the shares of a server
///
/// Only the owner of the server may read them.
#[utoipa::path(
    get, path = "/api/v1/servers/{id}/shares", operation_id = "listShares", tag = "servers",
    responses((status = 200, description = "All members and roles.", body = SharesDto)),
)]
pub(crate) async fn list(caller: May<ReadServers, Here>, services: Data<Services>) -> Result<Json<SharesDto>, Problem> {
    let shares = services.servers.shares(caller.user(), caller.server()).await?;
    Ok(Json(SharesDto { items: shares.into_iter().map(ShareDto::from).collect() }))
}

/// Share a server
///
/// Gives a member or a role permissions, in place of earlier ones. Only the owner of the server may. A role counts for a day
/// after the bot last saw it on its member.
#[utoipa::path(
    put, path = "/api/v1/servers/{id}/shares", operation_id = "shareServer", tag = "servers",
    request_body = PutShare,
    responses((status = 200, description = "The share as it is now.", body = ShareDto)),
)]
pub(crate) async fn put(
    caller: May<WriteServers, Here>,
    services: Data<Services>,
    body: Body<PutShare>,
) -> Result<Json<ShareDto>, Problem> {
    let (grantee, granted) = body.0.read()?;
    Ok(Json(services.servers.share(caller.user(), caller.server(), &grantee, granted).await?.into()))
}

/// Take a share back
///
/// Schedules of the member stay, and are skipped when they fire. Only the owner of the server may.
#[utoipa::path(
    delete, path = "/api/v1/servers/{id}/shares", operation_id = "unshareServer", tag = "servers",
    params(ShareQuery),
    responses((status = 204, description = "The server is not shared with them any more.")),
)]
pub(crate) async fn delete(
    caller: May<WriteServers, Here>,
    services: Data<Services>,
    query: Query<ShareQuery>,
) -> Result<HttpResponse, Problem> {
    let grantee = query.into_inner().grantee()?;
    match services.servers.unshare(caller.user(), caller.server(), &grantee).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Problem::not_found("the server is not shared with them")),
    }
}

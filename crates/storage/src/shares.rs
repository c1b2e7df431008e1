//! Shares and the roles that they depend on, and what they come to for somebody.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use agis_base::{GuildId, RoleId, ServerId, StoreError, Timestamp, UserId};
use agis_servers::{
    Grantee, Permission, Permissions, Share,
    access::{AllowedCommands, CommandList, Granted as Given, ROLE_COUNTS_FOR},
    server::Desired,
    store::{ShareError, ShareLimits, ShareStore},
};
use async_trait::async_trait;
use chrono::TimeDelta;
use diesel::{
    dsl::exists,
    pg::{Pg, data_types::PgInterval},
    prelude::*,
    sql_types::Text,
};
use diesel_async::{AsyncConnectionCore, AsyncPgConnection, RunQueryDsl};

use crate::{
    db::{Db, column},
    error::{Fault, understood, unknown},
    schema::{
        game_servers, interval, member_roles, now, server_grants, server_leavers, server_shares,
        timestamptz_pl_interval,
    },
    word::{Stored, stored},
};

const MEMBER: &str = "member";
const ROLE: &str = "role";

#[derive(Queryable, Selectable)]
#[diesel(table_name = server_shares)]
struct ShareRow {
    server_id: i32,
    kind: String,
    grantee_id: String,
    guild_id: Option<String>,
    permissions: Vec<Stored<Permission>>,
    commands: Option<Vec<String>>,
    granted_by: String,
    created_at: Timestamp,
}

impl ShareRow {
    fn into_share<R: From<StoreError>>(self) -> Result<Share, Fault<R>> {
        let grantee = match (self.kind.as_str(), &self.guild_id) {
            (MEMBER, _) => Grantee::Member(UserId::from_stored(&self.grantee_id)),
            (ROLE, Some(guild)) => {
                Grantee::Role { guild: GuildId::from_stored(guild), role: RoleId::from_stored(&self.grantee_id) }
            }
            (kind, _) => return Err(unknown("server_shares.kind", kind)),
        };
        Ok(Share {
            server: ServerId(self.server_id),
            grantee,
            permissions: permissions(self.permissions)?,
            commands: self.commands.map(CommandList::from_stored),
            granted_by: UserId::from_stored(&self.granted_by),
            created_at: self.created_at,
        })
    }
}

#[async_trait]
impl ShareStore for Db {
    async fn share(
        &self,
        owner: &UserId,
        server: ServerId,
        grantee: &Grantee,
        granted: &Given,
        limits: ShareLimits,
    ) -> Result<Share, ShareError> {
        let (kind, id, guild) = columns(grantee);
        let permissions: Vec<_> = granted.permissions.iter().map(stored).collect();
        let commands = granted.commands.as_ref().map(CommandList::as_slice);
        self.transaction(async |conn| {
            let own = game_servers::table
                .filter(game_servers::id.eq(server.0).and(game_servers::discord_id.eq(owner.as_str())))
                .filter(game_servers::desired.ne(stored(Desired::Deleted)))
                .select(game_servers::id)
                .for_no_key_update();
            if own.first::<i32>(conn).await.optional()?.is_none() {
                return Err(Fault::Refused(ShareError::NoServer));
            }
            let others = server_shares::table
                .filter(server_shares::server_id.eq(server.0))
                .filter(server_shares::kind.ne(kind).or(server_shares::grantee_id.ne(id)));
            let others: i64 = others.count().get_result(conn).await?;
            if others >= i64::from(limits.of_server) {
                return Err(Fault::Refused(ShareError::TooMany));
            }
            check_grantee(conn, owner, server, grantee, limits.with_grantee).await?;
            let allowed = (
                server_shares::guild_id.eq(guild),
                server_shares::permissions.eq(&permissions),
                server_shares::commands.eq(commands),
                server_shares::granted_by.eq(owner.as_str()),
            );
            let row: ShareRow = diesel::insert_into(server_shares::table)
                .values((
                    server_shares::server_id.eq(server.0),
                    server_shares::kind.eq(kind),
                    server_shares::grantee_id.eq(id),
                    allowed,
                ))
                .on_conflict((server_shares::server_id, server_shares::kind, server_shares::grantee_id))
                .do_update()
                .set(allowed)
                .returning(ShareRow::as_returning())
                .get_result(conn)
                .await?;
            row.into_share()
        })
        .await
    }

    async fn unshare(&self, owner: &UserId, server: ServerId, grantee: &Grantee) -> Result<bool, StoreError> {
        let (kind, id, _) = columns(grantee);
        self.run(async |conn| {
            let own = game_servers::id.eq(server.0).and(game_servers::discord_id.eq(owner.as_str()));
            let share = server_shares::table.find((server.0, kind, id)).filter(exists(game_servers::table.filter(own)));
            Ok(diesel::delete(share).execute(conn).await? > 0)
        })
        .await
    }

    async fn leave(&self, user: &UserId, server: ServerId) -> Result<(), StoreError> {
        self.transaction(async |conn| {
            let locked = game_servers::table.find(server.0).select(game_servers::id).for_no_key_update();
            if locked.first::<i32>(conn).await.optional()?.is_none() {
                return Ok(());
            }
            diesel::delete(server_shares::table.find((server.0, MEMBER, user.as_str()))).execute(conn).await?;
            let grants = server_grants::table
                .filter(server_grants::server_id.eq(server.0).and(server_grants::discord_id.eq(user.as_str())))
                .select((server_grants::server_id, server_grants::discord_id))
                .distinct();
            diesel::insert_into(server_leavers::table)
                .values(grants)
                .into_columns((server_leavers::server_id, server_leavers::discord_id))
                .on_conflict_do_nothing()
                .execute(conn)
                .await?;
            Ok(())
        })
        .await
    }

    async fn shares(&self, server: ServerId) -> Result<Vec<Share>, StoreError> {
        self.read(async |mut conn| {
            let rows: Vec<ShareRow> = server_shares::table
                .filter(server_shares::server_id.eq(server.0))
                .order((server_shares::created_at, server_shares::grantee_id))
                .select(ShareRow::as_select())
                .load(&mut conn)
                .await?;
            understood(rows.into_iter().map(ShareRow::into_share))
        })
        .await
    }

    async fn allowed_commands(&self, user: &UserId, server: ServerId) -> Result<Option<AllowedCommands>, StoreError> {
        self.read(async |mut conn| {
            let rows: Vec<(Vec<Stored<Permission>>, Option<Vec<String>>)> = server_grants::table
                .filter(server_grants::server_id.eq(server.0).and(server_grants::discord_id.eq(user.as_str())))
                .filter(counts())
                .select((server_grants::permissions, server_grants::commands))
                .load(&mut conn)
                .await?;
            let mut allowed: Option<AllowedCommands> = None;
            for (words, commands) in rows {
                if permissions(words)?.contains(Permission::Console) {
                    let listed = |commands| AllowedCommands::Listed(CommandList::from_stored(commands));
                    let of_grant = commands.map_or(AllowedCommands::Every, listed);
                    allowed = Some(match allowed {
                        Some(others) => others.or(of_grant),
                        None => of_grant,
                    });
                }
            }
            Ok(allowed)
        })
        .await
    }

    async fn note_roles(&self, user: &UserId, guild: &GuildId, roles: &[RoleId]) -> Result<(), StoreError> {
        let roles: Vec<_> = roles.iter().map(RoleId::as_str).collect();
        self.run(async |conn| {
            if roles.is_empty() {
                diesel::delete(member_roles::table.find((user.as_str(), guild.as_str()))).execute(conn).await?;
                return Ok(());
            }
            let seen = (member_roles::roles.eq(&roles), member_roles::seen_at.eq(now()));
            diesel::insert_into(member_roles::table)
                .values((member_roles::discord_id.eq(user.as_str()), member_roles::guild_id.eq(guild.as_str()), seen))
                .on_conflict((member_roles::discord_id, member_roles::guild_id))
                .do_update()
                .set(seen)
                .execute(conn)
                .await?;
            Ok(())
        })
        .await
    }

    async fn stale_members(&self, age: Duration, limit: u32) -> Result<Vec<(UserId, GuildId)>, StoreError> {
        let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        self.run(async |conn| {
            let at: Timestamp = diesel::select(now()).get_result(conn).await?;
            let depends = server_shares::table.filter(server_shares::guild_id.eq(member_roles::guild_id.nullable()));
            let rows: Vec<(String, String)> = member_roles::table
                .filter(member_roles::seen_at.lt(at - age).and(exists(depends)))
                .order(member_roles::seen_at)
                .limit(limit.into())
                .select((member_roles::discord_id, member_roles::guild_id))
                .load(conn)
                .await?;
            let member = |(user, guild): &(String, String)| (UserId::from_stored(user), GuildId::from_stored(guild));
            Ok(rows.iter().map(member).collect())
        })
        .await
    }

    async fn forget_roles(&self, age: Duration, limit: u32) -> Result<(), StoreError> {
        self.forget_older(
            "delete from member_roles where (discord_id, guild_id) in
                 (select discord_id, guild_id from member_roles where seen_at < $1
                  order by seen_at limit $2 for update skip locked)",
            age,
            limit,
        )
        .await
    }
}

/// Refuses one server too many for this grantee. The advisory lock lets the shares be counted: the servers have other
/// owners, and a role has no row. A member can leave what others share with them. A role cannot, so only
/// what this owner shares with it counts: else strangers could close a role to everybody.
async fn check_grantee(
    conn: &mut AsyncPgConnection,
    owner: &UserId,
    server: ServerId,
    grantee: &Grantee,
    limit: u32,
) -> Result<(), Fault<ShareError>> {
    let (kind, id, _) = columns(grantee);
    // diesel has no type for `void`.
    diesel::sql_query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind::<Text, _>(format!("shared with {kind} {id}"))
        .execute(conn)
        .await?;
    let mut elsewhere = server_shares::table
        .inner_join(game_servers::table.on(game_servers::id.eq(server_shares::server_id)))
        .filter(server_shares::kind.eq(kind).and(server_shares::grantee_id.eq(id)))
        .filter(server_shares::server_id.ne(server.0).and(game_servers::deleted_at.is_null()))
        .into_boxed();
    if kind == ROLE {
        elsewhere = elsewhere.filter(game_servers::discord_id.eq(owner.as_str()));
    }
    let elsewhere: i64 = elsewhere.count().get_result(conn).await?;
    if elsewhere >= i64::from(limit) { Err(Fault::Refused(ShareError::GranteeHasTooMany)) } else { Ok(()) }
}

fn columns(grantee: &Grantee) -> (&'static str, &str, Option<&str>) {
    match grantee {
        Grantee::Member(user) => (MEMBER, user.as_str(), None),
        Grantee::Role { guild, role } => (ROLE, role.as_str(), Some(guild.as_str())),
    }
}

/// Of all grants those that count now: a role does for a while after it was seen.
#[diesel::dsl::auto_type(no_type_alias)]
pub(crate) fn counts() -> _ {
    let time: PgInterval = interval(ROLE_COUNTS_FOR);
    let until = timestamptz_pl_interval(server_grants::seen_at, time);
    server_grants::seen_at.is_null().or(until.gt(now().nullable()))
}

/// A permission that this version does not know allows nothing in it.
pub(crate) fn permissions<R>(words: Vec<Stored<Permission>>) -> Result<Permissions, Fault<R>> {
    Ok(understood(words.into_iter().map(|word| word.known("server_shares.permissions")))?.into_iter().collect())
}

/// Returns those of these people with whom anything is shared, whether it counts now or not.
pub(crate) async fn grantees(db: Db, people: Vec<UserId>) -> Result<HashMap<UserId, ()>, StoreError> {
    db.read(async |mut conn| {
        let rows: Vec<String> = server_grants::table
            .filter(server_grants::discord_id.eq_any(column(&people, UserId::as_str)))
            .select(server_grants::discord_id)
            .distinct()
            .load(&mut conn)
            .await?;
        Ok(rows.iter().map(|id| (UserId::from_stored(id), ())).collect())
    })
    .await
}

/// Permissions of people on servers of others.
pub(crate) type Granted = BTreeMap<(ServerId, UserId), Permissions>;

/// Returns the permissions of these people on these servers that count now. Without servers nothing is asked.
pub(crate) async fn granted<R: From<StoreError>>(
    conn: &mut impl AsyncConnectionCore<Backend = Pg>,
    servers: BTreeSet<i32>,
    people: BTreeSet<&str>,
) -> Result<Granted, Fault<R>> {
    if servers.is_empty() {
        return Ok(Granted::new());
    }
    let rows: Vec<(i32, String, Vec<Stored<Permission>>)> = server_grants::table
        .filter(server_grants::server_id.eq_any(servers).and(server_grants::discord_id.eq_any(people)))
        .filter(counts())
        .select((server_grants::server_id, server_grants::discord_id, server_grants::permissions))
        .load(conn)
        .await?;
    let mut granted = Granted::new();
    for (server, user, words) in rows {
        let all = granted.entry((ServerId(server), UserId::from_stored(&user))).or_default();
        *all = all.or(permissions(words)?);
    }
    Ok(granted)
}

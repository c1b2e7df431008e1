//! The totals of users. Whoever changes what they count calls this in the same transaction, as the last thing: a user's
//! row here is the last that is locked. What counts stands in `agis_accounts::stats`. A row of the Go version may hold
//! nulls, which are zero: the statements are raw, since diesel adds to columns only.

use std::collections::BTreeMap;

use agis_accounts::Stats;
use agis_base::{StoreError, Timestamp, UserId};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::error::Fault;

#[derive(QueryableByName)]
struct StatsRow {
    #[diesel(sql_type = Integer)]
    servers_created: i32,
    #[diesel(sql_type = Integer)]
    commands_used: i32,
    #[diesel(sql_type = Integer)]
    credits_earned: i32,
    #[diesel(sql_type = Integer)]
    credits_spent: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_command_at: Option<Timestamp>,
    #[diesel(sql_type = BigInt)]
    servers: i64,
    #[diesel(sql_type = BigInt)]
    servers_running: i64,
    #[diesel(sql_type = BigInt)]
    schedules: i64,
    #[diesel(sql_type = BigInt)]
    keys: i64,
}

impl From<StatsRow> for Stats {
    fn from(row: StatsRow) -> Self {
        Self {
            servers_created: row.servers_created,
            commands_used: row.commands_used,
            credits_earned: row.credits_earned,
            credits_spent: row.credits_spent,
            last_command_at: row.last_command_at,
            servers: row.servers,
            servers_running: row.servers_running,
            schedules: row.schedules,
            keys: row.keys,
        }
    }
}

/// The totals and the live counts of a user, of one moment.
pub(crate) async fn read<R>(conn: &mut AsyncPgConnection, user: &UserId) -> Result<Option<Stats>, Fault<R>> {
    // diesel has no `filter` of counts, and no lateral joins.
    let row: Option<StatsRow> = diesel::sql_query(
        "select coalesce(t.total_servers_created, 0) as servers_created,
                coalesce(t.total_commands_used, 0) as commands_used,
                coalesce(t.total_credits_earned, 0) as credits_earned,
                coalesce(t.total_credits_spent, 0) as credits_spent, t.last_command_at,
                s.servers, s.servers_running,
                (select count(*) from server_schedules c where c.discord_id = u.discord_id) as schedules,
                (select count(*) from api_keys k where k.discord_id = u.discord_id
                    and (k.expires_at is null or k.expires_at > now())) as keys
         from users u left join user_stats t on t.discord_id = u.discord_id
         cross join lateral (select count(*) as servers, count(*) filter (where status = 'running') as servers_running
                             from game_servers where discord_id = u.discord_id and deleted_at is null) s
         where u.discord_id = $1",
    )
    .bind::<Text, _>(user.as_str())
    .get_result(conn)
    .await
    .optional()?;
    Ok(row.map(Stats::from))
}

/// Counts a server that was created.
pub(crate) async fn add_server_created<R>(conn: &mut AsyncPgConnection, owner: &UserId) -> Result<(), Fault<R>> {
    diesel::sql_query(
        "insert into user_stats as s (discord_id, total_servers_created) values ($1, 1)
         on conflict (discord_id) do update set total_servers_created = coalesce(s.total_servers_created, 0) + 1",
    )
    .bind::<Text, _>(owner.as_str())
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts credits that were given.
pub(crate) async fn add_credits_earned<R>(
    conn: &mut AsyncPgConnection,
    user: &UserId,
    credits: i32,
) -> Result<(), Fault<R>> {
    diesel::sql_query(
        "insert into user_stats as s (discord_id, total_credits_earned) values ($1, greatest($2, 0))
         on conflict (discord_id) do update set total_credits_earned =
             least(greatest(coalesce(s.total_credits_earned, 0)::bigint + $2, 0), 2147483647)",
    )
    .bind::<Text, _>(user.as_str())
    .bind::<Integer, _>(credits)
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts credits that were paid.
pub(crate) async fn add_credits_spent<R>(
    conn: &mut AsyncPgConnection,
    user: &UserId,
    credits: i32,
) -> Result<(), Fault<R>> {
    diesel::sql_query(
        "insert into user_stats as s (discord_id, total_credits_spent) values ($1, greatest($2, 0))
         on conflict (discord_id) do update set total_credits_spent =
             least(greatest(coalesce(s.total_credits_spent, 0)::bigint + $2, 0), 2147483647)",
    )
    .bind::<Text, _>(user.as_str())
    .bind::<Integer, _>(credits)
    .execute(conn)
    .await?;
    Ok(())
}

/// Counts commands that were accepted; in the order of the users, so that two batches do not deadlock.
pub(crate) async fn add_commands(
    conn: &mut AsyncPgConnection,
    commands: &BTreeMap<&str, i32>,
) -> Result<(), Fault<StoreError>> {
    if commands.is_empty() {
        return Ok(());
    }
    let (users, counts): (Vec<&str>, Vec<i32>) = commands.iter().map(|(user, count)| (*user, *count)).unzip();
    diesel::sql_query(
        "insert into user_stats as s (discord_id, total_commands_used, last_command_at)
         select u.id, u.commands, now() from unnest($1, $2) as u(id, commands) order by u.id
         on conflict (discord_id) do update set
             total_commands_used = coalesce(s.total_commands_used, 0) + excluded.total_commands_used,
             last_command_at = greatest(s.last_command_at, excluded.last_command_at)",
    )
    .bind::<Array<Text>, _>(users)
    .bind::<Array<Integer>, _>(counts)
    .execute(conn)
    .await?;
    Ok(())
}

//! Credits that owners can spend on servers that are to run. A start reserves the first hour by its own row alone, so the
//! reserved credits are free again when the start has ended, however it ended.

use std::collections::{BTreeSet, HashMap};

use agis_base::{ServerId, StoreError, UserId};
use agis_servers::{Action, Request, Server, server::Desired};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Integer, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{
    error::Fault,
    schema::{game_servers, users},
};

/// Servers that cost their owners something. Raw statements share these conditions: one with a CTE, one with an aggregate of
/// a condition, and one that locks.
pub(crate) const PRICED: &str = "s.cost_per_hour > 0 and s.host is not null and s.deleted_at is null";

/// Of those, the ones whose first hour is reserved: a start waits or runs, or has succeeded and is not charged yet.
const RESERVES: &str = "s.desired = 'running' and (s.paid_until is null or s.paid_until <= clock_timestamp())
    and (s.status = 'running' and s.paid_until is null and s.confirmed_until >= (select free_until from billing)
         or exists (select from operations o where o.server_id = s.id and o.state in ('queued', 'running')
                        and o.action in ('start', 'restart')))";

/// Credits of the owners of some servers, with the owners' rows locked, and the reserved part of them.
#[derive(Default)]
pub(crate) struct Purses {
    credits: HashMap<UserId, i32>,
    servers: HashMap<ServerId, Hour>,
}

/// The hour with which a run of a server would begin.
struct Hour {
    owner: UserId,
    price: i32,
    is_paid: bool,
    is_reserved: bool,
}

#[derive(QueryableByName)]
struct PurseRow {
    #[diesel(sql_type = Integer)]
    id: i32,
    #[diesel(sql_type = Text)]
    discord_id: String,
    #[diesel(sql_type = Integer)]
    cost_per_hour: i32,
    #[diesel(sql_type = Bool)]
    is_paid: bool,
    #[diesel(sql_type = Bool)]
    is_reserved: bool,
}

impl Purses {
    /// Locks the owners whose servers are asked to run; users are locked before servers. Servers that cost nothing have no
    /// purse.
    pub(crate) async fn lock(conn: &mut AsyncPgConnection, requests: &[Request]) -> Result<Self, Fault<StoreError>> {
        let runs = |request: &&Request| matches!(request.action, Action::Start | Action::Restart);
        let ids: BTreeSet<_> = requests.iter().filter(runs).map(|request| request.server.0).collect();
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let owners: Vec<String> = game_servers::table
            .filter(game_servers::id.eq_any(ids).and(game_servers::deleted_at.is_null()))
            .filter(game_servers::cost_per_hour.gt(0).and(game_servers::host.is_not_null()))
            .select(game_servers::discord_id)
            .distinct()
            .load(conn)
            .await?;
        if owners.is_empty() {
            return Ok(Self::default());
        }
        let credits: Vec<(String, i32)> = users::table
            .filter(users::discord_id.eq_any(&owners))
            .order(users::discord_id)
            .select((users::discord_id, users::credits))
            .for_no_key_update()
            .load(conn)
            .await?;
        let servers: Vec<PurseRow> = diesel::sql_query(format!(
            "select s.id, s.discord_id, s.cost_per_hour, coalesce(s.paid_until > clock_timestamp(), false) as is_paid,
                    coalesce({RESERVES}, false) as is_reserved
             from game_servers s where s.discord_id = any($1) and {PRICED}"
        ))
        .bind::<Array<Text>, _>(&owners)
        .get_results(conn)
        .await?;
        let hour = |row: PurseRow| {
            let PurseRow { cost_per_hour: price, is_paid, is_reserved, .. } = row;
            (ServerId(row.id), Hour { owner: UserId::from_stored(&row.discord_id), price, is_paid, is_reserved })
        };
        Ok(Self {
            credits: credits.into_iter().map(|(id, credits)| (UserId::from_stored(&id), credits)).collect(),
            servers: servers.into_iter().map(hour).collect(),
        })
    }

    /// Returns the credits that its owner can spend on the first hour of this server; `None` if nothing has to be paid.
    pub(crate) fn left_for(&self, server: ServerId) -> Option<i32> {
        let hour = self.servers.get(&server).filter(|hour| !hour.is_paid)?;
        let others = self.servers.iter().filter(|(id, other)| **id != server && other.owner == hour.owner);
        let reserved = others.filter(|(_, other)| other.is_reserved).map(|(_, other)| other.price);
        let credits = self.credits.get(&hour.owner).copied().unwrap_or_default();
        Some(reserved.fold(credits, i32::saturating_sub))
    }

    /// Notes what was decided on a server: a start reserves its hour, and a stop gives it back.
    pub(crate) fn follow(&mut self, server: &Server) {
        if let Some(hour) = self.servers.get_mut(&server.id) {
            hour.is_reserved = server.desired == Desired::Running && !hour.is_paid;
        }
    }
}

/// Returns the credits that an owner, whose row is locked, has reserved for other servers than these.
pub(crate) async fn reserved_beside(
    conn: &mut AsyncPgConnection,
    owner: &UserId,
    servers: &[i32],
) -> Result<i64, Fault<StoreError>> {
    #[derive(QueryableByName)]
    struct Sum {
        #[diesel(sql_type = BigInt)]
        reserved: i64,
    }
    let sum: Sum = diesel::sql_query(format!(
        "select coalesce(sum(s.cost_per_hour), 0) as reserved from game_servers s
         where s.discord_id = $1 and s.id <> all($2) and {PRICED} and {RESERVES}"
    ))
    .bind::<Text, _>(owner.as_str())
    .bind::<Array<Integer>, _>(servers)
    .get_result(conn)
    .await?;
    Ok(sum.reserved)
}

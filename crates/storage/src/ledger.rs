//! The ledger of credits. A balance moves in the transaction that writes its line, with the user's row locked.

mod charge;
pub(crate) mod confirm;

use agis_accounts::ledger::{Charged, Entered, Entry, Kind, LedgerStore, Totals};
use agis_base::{StoreError, UserId};
use async_trait::async_trait;
use diesel::{
    dsl::{sql, sum},
    prelude::*,
    sql_types::{BigInt, Bool, Nullable, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{
    db::Db,
    error::{Fault, understood},
    purses::PRICED,
    schema::{billing, clock_timestamp, credit_ledger, game_servers, users},
    stats,
    word::{Stored, stored},
};

/// Condition of a priced server with an hour to pay whose beginning its host has confirmed. A server that was asked to stop
/// is not charged any more, and not asked again.
const DUE: &str = "s.status = 'running' and s.desired = 'running' and (s.paid_until is null or s.paid_until <= now())
    and s.confirmed_until >= greatest(s.paid_until, (select free_until from billing))";

/// Whether to wait for a locked row.
#[derive(Clone, Copy)]
enum Wait {
    ForLock,
    Never,
}

#[derive(QueryableByName)]
struct Owner {
    #[diesel(sql_type = Text)]
    discord_id: String,
}

#[async_trait]
impl LedgerStore for Db {
    async fn enter(&self, entry: &Entry) -> Result<Entered, StoreError> {
        let user = &entry.user;
        let kind = if entry.corrects { Kind::Correction } else { Kind::Grant };
        self.transaction(async |conn| {
            let Some(had) = balance(conn, user.as_str(), Wait::ForLock).await? else { return Ok(Entered::NoUser) };
            let written: Option<(String, Stored<Kind>, i32)> = credit_ledger::table
                .filter(credit_ledger::command_id.eq(&entry.id))
                .select((credit_ledger::discord_id, credit_ledger::kind, credit_ledger::amount))
                .first(conn)
                .await
                .optional()?;
            if let Some((owner, written, amount)) = written {
                let same = owner == user.as_str() && written == stored(kind) && amount == entry.credits;
                return Ok(if same { Entered::Before(had) } else { Entered::OtherId });
            }
            let Some(has) = had.checked_add(entry.credits).filter(|has| *has >= 0) else {
                return Ok(Entered::OutOfRange(had));
            };
            set_balance(conn, user.as_str(), has).await?;
            write(conn, user, entry.credits, has, kind, Some((&entry.reason, &entry.id))).await?;
            stats::add_credits_earned(conn, user, entry.credits).await?;
            Ok(Entered::Written(has))
        })
        .await
    }

    async fn pause(&self) -> Result<(), StoreError> {
        self.run(async |conn| {
            diesel::update(billing::table).set(billing::free_until.eq(clock_timestamp())).execute(conn).await?;
            Ok(())
        })
        .await
    }

    async fn owing(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<UserId>, StoreError> {
        self.run(async |conn| {
            // The conditions are shared with raw statements.
            let due = format!(
                "select distinct s.discord_id from game_servers s
                 where {PRICED} and {DUE} and ($1 is null or s.discord_id > $1) order by s.discord_id limit $2"
            );
            let owners: Vec<Owner> = diesel::sql_query(due)
                .bind::<Nullable<Text>, _>(after.map(UserId::as_str))
                .bind::<BigInt, _>(i64::from(limit))
                .get_results(conn)
                .await?;
            Ok(owners.iter().map(|owner| UserId::from_stored(&owner.discord_id)).collect())
        })
        .await
    }

    async fn charge(&self, owner: &UserId) -> Result<Charged, StoreError> {
        self.transaction(async |conn| charge::charge(conn, owner).await).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.run(async |conn| {
            // Literals, so that prepared plans can use the partial indexes.
            let given: Vec<(Stored<Kind>, Option<i64>)> = credit_ledger::table
                .filter(sql::<Bool>("kind <> 'charge'"))
                .group_by(credit_ledger::kind)
                .select((credit_ledger::kind, sum(credit_ledger::amount)))
                .load(conn)
                .await?;
            let hourly: Vec<(Option<String>, Option<i64>)> = credit_ledger::table
                .filter(sql::<Bool>("kind = 'charge' and created_at > now() - interval '1 hour'"))
                .group_by(credit_ledger::game_type)
                .select((credit_ledger::game_type, sum(credit_ledger::amount)))
                .load(conn)
                .await?;
            let held: Option<i64> = users::table.select(sum(users::credits)).first(conn).await?;
            let priced = "status = 'running' and cost_per_hour > 0 and host is not null and deleted_at is null";
            let short: i64 = game_servers::table
                .filter(sql::<Bool>(priced).and(game_servers::warned_at.is_not_null()))
                .count()
                .get_result(conn)
                .await?;
            let given = given.into_iter().map(|(kind, sum)| Ok((kind.known("credit_ledger.kind")?, sum.unwrap_or(0))));
            let hourly = hourly.into_iter().filter_map(|(game, sum)| Some((game?, -sum?)));
            Ok(Totals { given: understood(given)?, hourly: hourly.collect(), held: held.unwrap_or(0), short })
        })
        .await
    }
}

/// The balance of a user, whose row is locked then; none where there is no such user, or where somebody else holds the row
/// and it is not waited for.
async fn balance<R>(conn: &mut AsyncPgConnection, user: &str, wait: Wait) -> Result<Option<i32>, Fault<R>> {
    let row = users::table.find(user).select(users::credits).for_no_key_update();
    let found = match wait {
        Wait::ForLock => row.first(conn).await,
        Wait::Never => row.skip_locked().first(conn).await,
    };
    Ok(found.optional()?)
}

async fn set_balance<R>(conn: &mut AsyncPgConnection, user: &str, credits: i32) -> Result<(), Fault<R>> {
    diesel::update(users::table.find(user)).set(users::credits.eq(credits)).execute(conn).await?;
    Ok(())
}

/// Writes a line that is no charge; an operator's gives a reason and an id.
pub(crate) async fn write<R>(
    conn: &mut AsyncPgConnection,
    user: &UserId,
    amount: i32,
    balance: i32,
    kind: Kind,
    command: Option<(&str, &str)>,
) -> Result<(), Fault<R>> {
    diesel::insert_into(credit_ledger::table)
        .values((
            credit_ledger::discord_id.eq(user.as_str()),
            credit_ledger::amount.eq(amount),
            credit_ledger::balance.eq(balance),
            credit_ledger::kind.eq(stored(kind)),
            credit_ledger::reason.eq(command.map(|(reason, _)| reason)),
            credit_ledger::command_id.eq(command.map(|(_, id)| id)),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

//! The ledger of credits. A balance moves in the transaction that writes its line, with the user's row locked.

use std::time::Duration;

use agis_accounts::ledger::{
    Charge, Charged, Decision, Due, Entered, Entry, HOUR, LedgerStore, Totals, Unpaid, decide,
};
use agis_base::{ServerId, StoreError, Timestamp, UserId};
use agis_servers::store::Published;
use async_trait::async_trait;
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{
    db::{Db, column},
    error::Fault,
    notices,
    purses::{self, PRICED},
    schema::users,
    stats,
};

/// Those of the priced servers that have an hour to pay, whose beginning their hosts have confirmed. What was asked to stop
/// is not charged any more, and not asked again.
const DUE: &str = "s.status = 'running' and s.desired = 'running' and (s.paid_until is null or s.paid_until <= now())
    and s.confirmed_until >= greatest(s.paid_until, (select free_until from billing))";

/// A confirmation that makes no hour due is written no more often than this.
const CONFIRMED: Duration = Duration::from_secs(30);

/// A server whose paid time is over, with its row locked.
#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    id: i32,
    #[diesel(sql_type = BigInt)]
    generation: i64,
    #[diesel(sql_type = Text)]
    game_type: String,
    #[diesel(sql_type = Integer)]
    cost_per_hour: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    paid_until: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    warned_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    confirmed_from: Option<Timestamp>,
    #[diesel(sql_type = Timestamptz)]
    confirmed_until: Timestamp,
}

impl Row {
    fn due(&self, free_until: Timestamp) -> Due {
        Due {
            price: self.cost_per_hour,
            paid_until: self.paid_until,
            warned_at: self.warned_at,
            confirmed_from: self.confirmed_from,
            confirmed_until: self.confirmed_until,
            free_until,
        }
    }
}

/// A row, and what becomes of it.
struct Line {
    row: Row,
    decision: Decision,
    /// What the owner has after it.
    balance: i32,
}

#[derive(QueryableByName)]
struct Owner {
    #[diesel(sql_type = Text)]
    discord_id: String,
}

#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = Text)]
    discord_id: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Integer)]
    amount: i32,
}

#[derive(QueryableByName)]
struct Clock {
    #[diesel(sql_type = Timestamptz)]
    now: Timestamp,
    #[diesel(sql_type = Timestamptz)]
    free_until: Timestamp,
}

#[derive(QueryableByName)]
struct Sum {
    #[diesel(sql_type = Text)]
    of: String,
    #[diesel(sql_type = BigInt)]
    sum: i64,
}

#[async_trait]
impl LedgerStore for Db {
    async fn enter(&self, entry: &Entry) -> Result<Entered, StoreError> {
        let user = &entry.user;
        let kind = if entry.corrects { "correction" } else { "grant" };
        self.transaction(async |conn| {
            let Some(had) = balance(conn, user.as_str(), false).await? else { return Ok(Entered::NoUser) };
            let written: Option<Written> =
                diesel::sql_query("select discord_id, kind, amount from credit_ledger where command_id = $1")
                    .bind::<Text, _>(&entry.id)
                    .get_result(conn)
                    .await
                    .optional()?;
            if let Some(it) = written {
                let same = it.discord_id == user.as_str() && it.kind == kind && it.amount == entry.credits;
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
            diesel::sql_query("update billing set free_until = clock_timestamp()").execute(conn).await?;
            Ok(())
        })
        .await
    }

    async fn owing(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<UserId>, StoreError> {
        self.run(async |conn| {
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
        self.transaction(async |conn| charge_owner(conn, owner).await).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.run(async |conn| {
            let mut sums = async |query: &str| -> Result<Vec<(String, i64)>, Fault<StoreError>> {
                let sums: Vec<Sum> = diesel::sql_query(query).get_results(conn).await?;
                Ok(sums.into_iter().map(|it| (it.of, it.sum)).collect())
            };
            let given =
                sums("select kind as of, sum(amount) as sum from credit_ledger where kind <> 'charge' group by 1");
            let given = given.await?;
            let hourly = "select game_type as of, -sum(amount) as sum from credit_ledger
                          where kind = 'charge' and created_at > now() - interval '1 hour' group by 1";
            let hourly = sums(hourly).await?;
            let rest = "select 'held' as of, coalesce(sum(credits), 0)::bigint as sum from users
                        union all
                        select 'short', count(*) from game_servers
                        where status = 'running' and cost_per_hour > 0 and host is not null and deleted_at is null
                          and warned_at is not null";
            let rest = sums(rest).await?;
            let of = |what: &str| rest.iter().find(|(of, _)| of == what).map_or(0, |(_, sum)| *sum);
            Ok(Totals { given, hourly, held: of("held"), short: of("short") })
        })
        .await
    }
}

/// The balance of a user, whose row is locked then; none where there is no such user, or where somebody else holds the row
/// and it is not waited for.
async fn balance<R>(conn: &mut AsyncPgConnection, user: &str, skips: bool) -> Result<Option<i32>, Fault<R>> {
    let row = users::table.find(user).select(users::credits).for_no_key_update();
    let found = if skips { row.skip_locked().first(conn).await } else { row.first(conn).await };
    Ok(found.optional()?)
}

async fn set_balance<R>(conn: &mut AsyncPgConnection, user: &str, credits: i32) -> Result<(), Fault<R>> {
    diesel::update(users::table.find(user)).set(users::credits.eq(credits)).execute(conn).await?;
    Ok(())
}

/// Writes a line that is no charge; one of an operator's says why, and has an id.
pub(crate) async fn write<R>(
    conn: &mut AsyncPgConnection,
    user: &UserId,
    amount: i32,
    balance: i32,
    kind: &str,
    command: Option<(&str, &str)>,
) -> Result<(), Fault<R>> {
    diesel::sql_query(
        "insert into credit_ledger (discord_id, amount, balance, kind, reason, command_id)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind::<Text, _>(user.as_str())
    .bind::<Integer, _>(amount)
    .bind::<Integer, _>(balance)
    .bind::<Text, _>(kind)
    .bind::<Nullable<Text>, _>(command.map(|(reason, _)| reason))
    .bind::<Nullable<Text>, _>(command.map(|(_, id)| id))
    .execute(conn)
    .await?;
    Ok(())
}

/// A server's host says that it runs. Where it did not run before, what it ran then is no part of an hour that begins now.
/// That its owner was told stays, or restarts would be a way not to pay.
pub(crate) async fn begin(
    conn: &mut AsyncPgConnection,
    server: ServerId,
    billing: bool,
) -> Result<(), Fault<StoreError>> {
    diesel::sql_query(
        "update game_servers set
             paid_until = case when status = 'running' or paid_until > now() then paid_until end,
             confirmed_from = case when status = 'running' then confirmed_from when $2 then now() end,
             confirmed_until = case when $2 then now() when status = 'running' then confirmed_until end
         where id = $1",
    )
    .bind::<Integer, _>(server.0)
    .bind::<Bool, _>(billing)
    .execute(conn)
    .await?;
    Ok(())
}

/// Servers were found running. A row that is locked, or is confirmed already, is left for the next time.
pub(crate) async fn confirm(conn: &mut AsyncPgConnection, running: &[Published]) -> Result<(), Fault<StoreError>> {
    diesel::sql_query(format!(
        "with running as (
             select s.id, u.at from unnest($1, $2, $3) as u(id, generation, at)
             join game_servers s on s.id = u.id and s.status_generation = u.generation
             where s.status = 'running' and {PRICED}
               and (s.confirmed_until is null or s.confirmed_until < u.at - make_interval(secs => $4)
                    or s.confirmed_until < (select free_until from billing)
                    or s.confirmed_until < s.paid_until and s.paid_until <= u.at)
             for no key update of s skip locked)
         update game_servers s set confirmed_until = r.at from running r where s.id = r.id"
    ))
    .bind::<Array<Integer>, _>(column(running, |it| it.server.0))
    .bind::<Array<BigInt>, _>(column(running, |it| it.generation))
    .bind::<Array<Timestamptz>, _>(column(running, |it| it.at))
    .bind::<Double, _>(CONFIRMED.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything that is due of one owner. Whoever is busy with the same owner, or the same server, does it then.
async fn charge_owner(conn: &mut AsyncPgConnection, owner: &UserId) -> Result<Charged, Fault<StoreError>> {
    let Some(had) = balance(conn, owner.as_str(), true).await? else { return Ok(Charged::default()) };
    let mut rows: Vec<Row> = diesel::sql_query(format!(
        "select id, generation, game_type, cost_per_hour, paid_until, warned_at, confirmed_from, confirmed_until
         from game_servers s where discord_id = $1 and {PRICED} and {DUE}
         order by id for no key update skip locked"
    ))
    .bind::<Text, _>(owner.as_str())
    .get_results(conn)
    .await?;
    if rows.is_empty() {
        return Ok(Charged::default());
    }
    // First hours were reserved. What other starts have reserved is left alone by the others.
    rows.sort_by_key(|row| row.paid_until.is_some());
    let reserved = purses::reserved_beside(conn, owner, &column(&rows, |row| row.id)).await?;
    let reserved = i32::try_from(reserved).unwrap_or(i32::MAX);
    let Clock { now, free_until } =
        diesel::sql_query("select clock_timestamp() as now, free_until from billing").get_result(conn).await?;
    let mut has = had;
    let lines: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let spendable = if row.paid_until.is_some() { has.saturating_sub(reserved) } else { has };
            let decision = decide(row.due(free_until), spendable, now);
            if let Decision::Pay { .. } = decision {
                has -= row.cost_per_hour;
            }
            Line { row, decision, balance: has }
        })
        .collect();
    update_servers(conn, &lines, now).await?;
    let charges = write_charges(conn, owner, &lines).await?;
    if has != had {
        set_balance(conn, owner.as_str(), has).await?;
        stats::add_credits_spent(conn, owner, had - has).await?;
    }
    tell(conn, &lines).await?;
    let stopped = lines.iter().filter(|line| line.decision == Decision::Stop);
    let unpaid = stopped.map(|line| Unpaid { server: ServerId(line.row.id), owner: owner.clone() }).collect();
    Ok(Charged { charges, unpaid })
}

impl Line {
    fn hour(&self) -> Option<Timestamp> {
        match self.decision {
            Decision::Pay { hour, .. } => Some(hour),
            Decision::Warn(_) | Decision::Stop => None,
        }
    }

    /// When its next hour is due, and since when its owner knows. One that is stopped stays due until the stop is accepted.
    fn next(&self, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
        let known = self.row.warned_at.unwrap_or(now);
        match self.decision {
            Decision::Pay { hour, warn } => (Some(hour + HOUR), warn.then_some(now)),
            Decision::Warn(until) => (Some(until), Some(now)),
            Decision::Stop => (self.row.paid_until, Some(known)),
        }
    }
}

async fn update_servers(conn: &mut AsyncPgConnection, lines: &[Line], now: Timestamp) -> Result<(), Fault<StoreError>> {
    let (paid_until, warned_at): (Vec<_>, Vec<_>) = lines.iter().map(|line| line.next(now)).unzip();
    diesel::sql_query(
        "update game_servers s set paid_until = u.paid_until, warned_at = u.warned_at
         from unnest($1, $2, $3) as u(id, paid_until, warned_at) where s.id = u.id",
    )
    .bind::<Array<Integer>, _>(column(lines, |line| line.row.id))
    .bind::<Array<Nullable<Timestamptz>>, _>(paid_until)
    .bind::<Array<Nullable<Timestamptz>>, _>(warned_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// The unique index refuses an hour that was paid before, and with it the whole transaction: that would be a bug here.
async fn write_charges(
    conn: &mut AsyncPgConnection,
    owner: &UserId,
    lines: &[Line],
) -> Result<Vec<Charge>, Fault<StoreError>> {
    let paid: Vec<_> = lines.iter().filter_map(|line| Some((line, line.hour()?))).collect();
    diesel::sql_query(
        "insert into credit_ledger (discord_id, amount, balance, kind, server_id, game_type, hour)
         select $1, -u.price, u.balance, 'charge', u.server, u.game, u.hour
         from unnest($2, $3, $4, $5, $6) with ordinality as u(server, game, price, balance, hour, place) order by place",
    )
    .bind::<Text, _>(owner.as_str())
    .bind::<Array<Integer>, _>(column(&paid, |(line, _)| line.row.id))
    .bind::<Array<Text>, _>(column(&paid, |(line, _)| line.row.game_type.as_str()))
    .bind::<Array<Integer>, _>(column(&paid, |(line, _)| line.row.cost_per_hour))
    .bind::<Array<Integer>, _>(column(&paid, |(line, _)| line.balance))
    .bind::<Array<Timestamptz>, _>(column(&paid, |(_, hour)| *hour))
    .execute(conn)
    .await?;
    let charge = |(line, _): &(&Line, _)| Charge {
        server: ServerId(line.row.id),
        game_type: line.row.game_type.clone(),
        credits: line.row.cost_per_hour,
    };
    Ok(paid.iter().map(charge).collect())
}

async fn tell(conn: &mut AsyncPgConnection, lines: &[Line]) -> Result<(), Fault<StoreError>> {
    for line in lines {
        let server = ServerId(line.row.id);
        let price = line.row.cost_per_hour;
        match line.decision {
            Decision::Pay { hour, warn: true } => {
                let until = (hour + HOUR).format("%Y-%m-%d %H:%M UTC");
                let why = format!(
                    "it is paid until {until}, and the hour after that costs {price} credits; {} are left",
                    line.balance
                );
                notices::tell_of_credits(conn, server, "credits_low", None, &why).await?;
            }
            Decision::Warn(until) => {
                let until = until.format("%Y-%m-%d %H:%M UTC");
                let why =
                    format!("an hour costs {price} credits, and {} are left; it is stopped at {until}", line.balance);
                notices::tell_of_credits(conn, server, "credits_low", None, &why).await?;
            }
            // Told once, however often the stop is asked for.
            Decision::Stop => {
                let why = format!("an hour costs {price} credits, and {} are left", line.balance);
                notices::tell_of_credits(conn, server, "credits_out", Some(line.row.generation), &why).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

//! Charges the hours of one owner.

use agis_accounts::ledger::{Charge, Charged, Decision, Due, HOUR, Unpaid, decide};
use agis_base::{ServerId, StoreError, Timestamp, UserId};
use agis_notices::Kind;
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{DUE, Wait, balance, set_balance};
use crate::{
    db::column,
    error::Fault,
    notices,
    purses::{self, PRICED},
    schema::{billing, clock_timestamp},
    stats,
};

/// A server whose paid time is over, with its row locked.
#[derive(QueryableByName)]
struct ChargeRow {
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

impl ChargeRow {
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
    row: ChargeRow,
    decision: Decision,
    /// Balance of the owner after it.
    balance: i32,
}

/// Everything that is due of one owner. Whoever is busy with the same owner, or the same server, does it then.
pub(super) async fn charge(conn: &mut AsyncPgConnection, owner: &UserId) -> Result<Charged, Fault<StoreError>> {
    let Some(had) = balance(conn, owner.as_str(), Wait::Never).await? else { return Ok(Charged::default()) };
    // The conditions are shared with other raw statements.
    let mut rows: Vec<ChargeRow> = diesel::sql_query(format!(
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
    let (now, free_until): (Timestamp, Timestamp) =
        billing::table.select((clock_timestamp(), billing::free_until)).first(conn).await?;
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
    // diesel joins no `unnest`.
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
    // diesel has no `unnest` in the order of its items.
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
                notices::tell(conn, server, Kind::CreditsLow, None, &why).await?;
            }
            Decision::Warn(until) => {
                let until = until.format("%Y-%m-%d %H:%M UTC");
                let why =
                    format!("an hour costs {price} credits, and {} are left; it is stopped at {until}", line.balance);
                notices::tell(conn, server, Kind::CreditsLow, None, &why).await?;
            }
            // Told once, however often the stop is asked for.
            Decision::Stop => {
                let why = format!("an hour costs {price} credits, and {} are left", line.balance);
                notices::tell(conn, server, Kind::CreditsOut, Some(line.row.generation), &why).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

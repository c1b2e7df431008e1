//! Confirmations by hosts that a server ran: only such hours are charged.

use std::time::Duration;

use agis_base::{ServerId, StoreError};
use agis_servers::store::{Billing, Published};
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{db::column, error::Fault, purses::PRICED};

/// A confirmation that makes no hour due is written no more often than this.
const CONFIRMED: Duration = Duration::from_secs(30);

/// Notes that a host says that a server runs. If it did not run before, an earlier run is no part of an hour that begins now.
/// The owner's warning stays: otherwise restarts would be a way not to pay.
pub(crate) async fn begin(
    conn: &mut AsyncPgConnection,
    server: ServerId,
    billing: Billing,
) -> Result<(), Fault<StoreError>> {
    // One `case` for each column; diesel's would take a page.
    diesel::sql_query(
        "update game_servers set
             paid_until = case when status = 'running' or paid_until > now() then paid_until end,
             confirmed_from = case when status = 'running' then confirmed_from when $2 then now() end,
             confirmed_until = case when $2 then now() when status = 'running' then confirmed_until end
         where id = $1",
    )
    .bind::<Integer, _>(server.0)
    .bind::<Bool, _>(billing == Billing::On)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that servers were found running. A row that is locked, or confirmed already, is left for the next time.
pub(crate) async fn confirm(conn: &mut AsyncPgConnection, running: &[Published]) -> Result<(), Fault<StoreError>> {
    // diesel has no CTEs.
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

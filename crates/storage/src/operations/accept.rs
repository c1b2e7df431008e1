//! Accepts requests: locks, decides, writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use agis_base::{PowerAction, ServerId, StoreError, Timestamp};
use agis_scheduler::chain::EndedBy;
use agis_servers::{
    Action, Origin, Request, Server, State,
    batch::Untouched,
    game::{Catalogue, SettingValues},
    operation::{Identity, SUPERSEDED},
    store::{Accepted, Billing},
};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{
    OperationRow,
    draft::{Answer, Draft, Standing},
    write::{insert, update_servers},
};
use crate::{
    batches, chains,
    error::{Fault, understood},
    idle,
    json::Json,
    notify::{OPERATIONS, ring},
    purses::Purses,
    schema::{clock_timestamp, game_servers, now, operations},
    servers,
    shares::{self, Granted},
    stats,
    word::{Stored, stored},
};

/// Decides on requests, and writes the decisions. Only a restart needs the catalogue.
pub(crate) async fn accept(
    conn: &mut AsyncPgConnection,
    requests: &[Request],
    billing: Billing,
    catalogue: Option<&Catalogue>,
) -> Result<Accepted, Fault<StoreError>> {
    let at: Timestamp = diesel::select(now()).get_result(conn).await?;
    let purses = match billing {
        Billing::On => Purses::lock(conn, requests).await?,
        Billing::Off => Purses::default(),
    };
    let (servers, slots) = lock_servers(conn, requests).await?;
    let saved = idle::saved(&servers, at);
    let granted = granted(conn, requests, &servers).await?;
    let unfit = unfit(conn, requests, &servers, catalogue).await?;
    let known = known(conn, requests).await?;
    let steps = requests.iter().filter_map(|request| match request.identity {
        Identity::Step { operation, .. } => Some(operation),
        _ => None,
    });
    let overtaken = chains::overtaken(conn, steps.collect()).await?;
    let draft = Draft::new(requests, servers, slots, Standing { granted, purses, unfit, overtaken }, known, at);
    let superseded = supersede(conn, &draft).await?;
    insert(conn, &draft.new).await?;
    update_servers(conn, &draft).await?;
    idle::wake(conn, saved.into_iter().filter(|(id, _)| draft.changed.contains_key(id))).await?;
    stats::add_commands(conn, &draft.commands()).await?;
    for (by, servers) in &draft.ended_chains {
        match by {
            EndedBy::Restart => chains::forestall(conn, servers).await?,
            by => chains::interrupt_all(conn, servers, *by).await?,
        }
    }
    batches::overtake(conn, &draft.started, &[PowerAction::Stop], Untouched::Overtaken).await?;
    if !draft.new.is_empty() {
        ring(conn, OPERATIONS).await?;
    }
    Ok(draft.answers(superseded))
}

async fn lock_servers(
    conn: &mut AsyncPgConnection,
    requests: &[Request],
) -> Result<(BTreeMap<ServerId, Server>, BTreeMap<ServerId, Timestamp>), Fault<StoreError>> {
    let ids: BTreeSet<_> = requests.iter().map(|request| request.server.0).collect();
    let rows: Vec<(servers::ServerRow, Option<Timestamp>)> = game_servers::table
        .filter(game_servers::id.eq_any(ids).and(game_servers::deleted_at.is_null()))
        .order(game_servers::id)
        .select((servers::ServerRow::as_select(), game_servers::latest_slot))
        .for_no_key_update()
        .load(conn)
        .await?;
    let (mut servers, mut slots) = (BTreeMap::new(), BTreeMap::new());
    let rows = rows.into_iter().map(|(row, slot)| Ok((row.into_server()?, slot)));
    for (server, slot) in understood(rows)? {
        slots.extend(slot.map(|slot| (server.id, slot)));
        servers.insert(server.id, server);
    }
    Ok((servers, slots))
}

/// Returns the servers that are to be restarted, and cannot start with their settings, with the reason. Settings are read, as
/// they are changed, with the servers' rows locked.
async fn unfit(
    conn: &mut AsyncPgConnection,
    requests: &[Request],
    servers: &BTreeMap<ServerId, Server>,
    catalogue: Option<&Catalogue>,
) -> Result<BTreeMap<ServerId, String>, Fault<StoreError>> {
    let restarts = requests.iter().filter(|request| request.action == Action::Restart);
    let restarts: BTreeSet<_> = restarts.map(|request| request.server.0).collect();
    let Some(catalogue) = catalogue.filter(|_| !restarts.is_empty()) else { return Ok(BTreeMap::new()) };
    let rows: Vec<(i32, Json<SettingValues>)> = game_servers::table
        .filter(game_servers::id.eq_any(restarts))
        .select((game_servers::id, game_servers::settings))
        .load(conn)
        .await?;
    let why = |(id, Json(chosen)): (i32, Json<SettingValues>)| {
        let server = servers.get(&ServerId(id))?;
        // A process may not know the games of other hosts.
        Some((server.id, catalogue.get(&server.game_type)?.why_unfit(&server.name, &chosen)?))
    };
    Ok(rows.into_iter().filter_map(why).collect())
}

/// Returns the grants of the actors that own none of these servers. Grants are read, as they are changed, with the servers'
/// rows locked.
async fn granted(
    conn: &mut AsyncPgConnection,
    requests: &[Request],
    servers: &BTreeMap<ServerId, Server>,
) -> Result<Granted, Fault<StoreError>> {
    let is_anothers = |request: &&Request| {
        let server = servers.get(&request.server);
        request.origin != Origin::Operator && server.is_some_and(|server| server.owner != request.actor)
    };
    let (servers, actors): (BTreeSet<_>, BTreeSet<_>) =
        requests.iter().filter(is_anothers).map(|request| (request.server.0, request.actor.as_str())).unzip();
    shares::granted(conn, servers, actors).await
}

/// Returns the operations that these requests have become already.
async fn known(
    conn: &mut AsyncPgConnection,
    requests: &[Request],
) -> Result<HashMap<Identity, Answer>, Fault<StoreError>> {
    let (mut keys, mut firings) = (vec![], HashMap::new());
    for request in requests {
        match &request.identity {
            Identity::None | Identity::Batch | Identity::Restart { .. } => {}
            Identity::Key(key) => keys.push(key),
            Identity::Firing { operation, .. } | Identity::Step { operation, .. } => {
                firings.insert(*operation, &request.identity);
            }
        }
    }
    let mut known = HashMap::new();
    if !keys.is_empty() {
        let with_keys = operations::table.filter(operations::idempotency_key.eq_any(keys));
        let rows: Vec<(Option<String>, OperationRow)> =
            with_keys.select((operations::idempotency_key, OperationRow::as_select())).load(conn).await?;
        for (key, row) in rows {
            if let Some(key) = key {
                known.insert(Identity::Key(key), row.into_operation()?);
            }
        }
    }
    if !firings.is_empty() {
        let ids = firings.keys().map(|operation| operation.0);
        let rows: Vec<OperationRow> =
            operations::table.filter(operations::id.eq_any(ids)).select(OperationRow::as_select()).load(conn).await?;
        for row in rows {
            let operation = row.into_operation()?;
            if let Some(identity) = firings.get(&operation.id) {
                known.insert((*identity).clone(), operation);
            }
        }
    }
    Ok(known.into_iter().map(|(identity, operation)| (identity, Answer::Known(Box::new(operation)))).collect())
}

async fn supersede(conn: &mut AsyncPgConnection, draft: &Draft) -> Result<Vec<Action>, Fault<StoreError>> {
    let servers: Vec<_> = draft.changed.keys().map(|id| id.0).collect();
    let interrupted: Vec<_> = draft.interrupted.iter().map(|id| id.0).collect();
    let waits = operations::state.eq(stored(State::Queued)).and(operations::server_id.eq_any(servers));
    let starts = operations::state
        .eq(stored(State::Running))
        .and(operations::server_id.eq_any(interrupted))
        .and(operations::action.eq_any([stored(Action::Start), stored(Action::Restart)]));
    let actions: Vec<Stored<Action>> = diesel::update(operations::table.filter(waits.or(starts)))
        .set((
            operations::state.eq(stored(State::Superseded)),
            operations::error.eq(SUPERSEDED),
            operations::lease_until.eq(None::<Timestamp>),
            // Not this transaction's beginning: it may have waited while what it supersedes was accepted.
            operations::finished_at.eq(clock_timestamp().nullable()),
        ))
        .returning(operations::action)
        .get_results(conn)
        .await?;
    understood(actions.into_iter().map(|action| action.known("operations.action")))
}

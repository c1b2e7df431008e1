//! Ends of attempts: published, or queued again.

use agis_base::{StoreError, Timestamp};
use agis_servers::{
    Action, Operation, State,
    host::Generation,
    operation::SUPERSEDED,
    restart::{EndedBy, Plan},
    store::{Billing, Claim, Facts, Finished, Held, Outcome},
};
use chrono::TimeDelta;
use diesel::{dsl::exists, prelude::*};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    desired,
    error::Fault,
    json::Json,
    ledger::confirm,
    notices,
    notify::{OPERATIONS, ring},
    restarts,
    schema::{game_servers, now, operations as ops},
    word::{Stored, stored},
};

const BEHIND_ITS_HOST: &str =
    "the server's host has seen newer operations than this database, which may have been restored; try again";
const GOES_ABOVE_ITS_HOST: &str =
    "the server's host is ahead of this database, which may have been restored; the stop goes on above it";

/// Ends an operation and publishes what it led to.
pub(super) async fn finish(
    conn: &mut AsyncPgConnection,
    claim: &Claim,
    outcome: &Outcome,
    facts: &Facts,
    billing: Billing,
) -> Result<Option<Finished>, Fault<StoreError>> {
    let generation = desired::lock(conn, claim.server.id).await?;
    if let (Outcome::Stale(seen), Action::Stop) = (outcome, claim.operation.action)
        && generation == claim.operation.generation
    {
        let state = go_above(conn, claim, *seen).await?;
        return Ok(state.map(|state| Finished { state, plan: Plan::Leave }));
    }
    let (state, error) = match outcome {
        Outcome::Stale(_) if generation > claim.operation.generation => (State::Superseded, Some(SUPERSEDED)),
        Outcome::Stale(_) => (State::Failed, Some(BEHIND_ITS_HOST)),
        Outcome::Failed(why) | Outcome::Refused(why) | Outcome::Crashed(why) => (State::Failed, Some(&**why)),
        _ => (outcome.state(), None),
    };
    if !end(conn, claim, state, error, facts).await? {
        return Ok(None);
    }
    if state != State::Superseded {
        publish(conn, &claim.operation, outcome, billing).await?;
    }
    // The next operation on the server can begin.
    ring(conn, OPERATIONS).await?;
    let by = match outcome {
        Outcome::Failed(_) => Some(EndedBy::FailedStart),
        Outcome::Crashed(_) => Some(EndedBy::Crash),
        _ => None,
    };
    let plan = match by.filter(|_| claim.operation.action.begins()) {
        Some(by) => restarts::plan(conn, claim.server.id, claim.operation.generation, by, &facts.restart).await?,
        None => Plan::Leave,
    };
    if state == State::Failed {
        let id = claim.operation.id.0;
        match plan {
            Plan::Restart { .. } => {}
            Plan::GiveUp => {
                let why = restarts::given_up(error.unwrap_or_default(), &facts.restart);
                notices::tell_of_operations(conn, &[id], Some(&why)).await?;
            }
            Plan::Leave => notices::tell_of_operations(conn, &[id], None).await?,
        }
    }
    Ok(Some(Finished { state, plan }))
}

/// Queues an operation again, or ends it where a newer one waits: one waits per server.
pub(super) async fn requeue(
    conn: &mut AsyncPgConnection,
    claim: &Claim,
    generation: Generation,
    delay: TimeDelta,
    why: &str,
) -> Result<Option<State>, Fault<StoreError>> {
    let newer = ops::table.filter(ops::server_id.eq(claim.server.id.0).and(ops::state.eq(stored(State::Queued))));
    if diesel::select(exists(newer)).get_result(conn).await? {
        let ended = end(conn, claim, State::Superseded, Some(SUPERSEDED), &Facts::default()).await?;
        return Ok(ended.then_some(State::Superseded));
    }
    let at: Timestamp = diesel::select(now()).get_result(conn).await?;
    let updated = diesel::update(ours(claim.held()))
        .set((
            ops::state.eq(stored(State::Queued)),
            ops::lease_until.eq(None::<Timestamp>),
            ops::generation.eq(generation),
            ops::available_at.eq(at + delay),
            ops::error.eq(why),
        ))
        .execute(conn)
        .await?;
    if updated == 1 && delay.is_zero() {
        // Another worker can have it at once.
        ring(conn, OPERATIONS).await?;
    }
    Ok((updated == 1).then_some(State::Queued))
}

/// Queues a stop again above what its host has seen: whoever wants a server stopped wants it whatever has become of it.
async fn go_above(
    conn: &mut AsyncPgConnection,
    claim: &Claim,
    seen: Generation,
) -> Result<Option<State>, Fault<StoreError>> {
    let next = seen.saturating_add(1);
    let queued = requeue(conn, claim, next, TimeDelta::zero(), GOES_ABOVE_ITS_HOST).await?;
    // If a newer one waits, it finds the same and does this.
    if queued == Some(State::Queued) {
        diesel::update(game_servers::table.find(claim.server.id.0))
            .set((game_servers::generation.eq(next), game_servers::updated_at.eq(now())))
            .execute(conn)
            .await?;
    }
    Ok(queued)
}

/// The operation, if this attempt still has it.
#[diesel::dsl::auto_type(no_type_alias)]
pub(super) fn ours(held: Held) -> _ {
    let id: Uuid = held.operation.0;
    let attempt: i32 = held.attempt;
    let running: Stored<State> = stored(State::Running);
    ops::table.filter(ops::id.eq(id).and(ops::attempt.eq(attempt)).and(ops::state.eq(running)))
}

async fn end(
    conn: &mut AsyncPgConnection,
    claim: &Claim,
    state: State,
    error: Option<&str>,
    facts: &Facts,
) -> Result<bool, Fault<StoreError>> {
    let ended = diesel::update(ours(claim.held()))
        .set((
            ops::state.eq(stored(state)),
            ops::lease_until.eq(None::<Timestamp>),
            ops::error.eq(error),
            ops::progress.eq(None::<&str>),
            facts.image.as_deref().map(|image| ops::image.eq(image)),
            ops::killed_after_grace.eq(facts.killed),
            ops::finished_at.eq(now().nullable()),
        ))
        .execute(conn)
        .await?;
    Ok(ended == 1)
}

async fn publish(
    conn: &mut AsyncPgConnection,
    operation: &Operation,
    outcome: &Outcome,
    billing: Billing,
) -> Result<(), Fault<StoreError>> {
    let server = game_servers::table.find(operation.server.0);
    let common = (
        game_servers::status.eq(stored(outcome.status())),
        game_servers::status_generation.eq(operation.generation),
        game_servers::updated_at.eq(now()),
    );
    match outcome {
        Outcome::Running(endpoint) => {
            confirm::begin(conn, operation.server, billing).await?;
            let address = (
                game_servers::address.eq(&endpoint.address),
                game_servers::port.eq(i32::from(endpoint.port)),
                game_servers::ports.eq(Json(&endpoint.ports)),
                game_servers::error_message.eq(None::<String>),
            );
            diesel::update(server).set((common, address)).execute(conn).await?;
        }
        Outcome::Ended(_) => {
            let stopped =
                (game_servers::stopped_at.eq(now().nullable()), game_servers::error_message.eq(None::<String>));
            diesel::update(server).set((common, stopped)).execute(conn).await?;
            desired::leave_stopped(conn, operation.server, operation.generation).await?;
        }
        Outcome::Stopped => {
            let stopped =
                (game_servers::stopped_at.eq(now().nullable()), game_servers::error_message.eq(None::<String>));
            diesel::update(server).set((common, stopped)).execute(conn).await?;
        }
        Outcome::Deleted => {
            let deleted =
                (game_servers::stopped_at.eq(now().nullable()), game_servers::deleted_at.eq(now().nullable()));
            diesel::update(server).set((common, deleted)).execute(conn).await?;
        }
        Outcome::Refused(_) => {
            let as_before = (game_servers::status.eq(stored(outcome.status())), game_servers::updated_at.eq(now()));
            diesel::update(server).set(as_before).execute(conn).await?;
            desired::revert(conn, &[operation.server.0]).await?;
        }
        Outcome::Failed(why) | Outcome::Crashed(why) => {
            let failed = (game_servers::stopped_at.eq(now().nullable()), game_servers::error_message.eq(&**why));
            diesel::update(server).set((common, failed)).execute(conn).await?;
        }
        Outcome::Stale(seen) => {
            let behind = (game_servers::generation.eq(seen), game_servers::error_message.eq(BEHIND_ITS_HOST));
            diesel::update(server).set((common, behind)).execute(conn).await?;
        }
    }
    Ok(())
}

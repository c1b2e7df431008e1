//! Restarts of servers that ended by themselves: planned with the end, and ordered when their time has come.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use agis_base::{ServerId, StoreError, Timestamp, UserId};
use agis_notices::Kind;
use agis_servers::{
    Action, Origin, Request, State, Status,
    host::Generation,
    operation::{Identity, Refusal},
    restart::{EndedBy, Plan, RestartPolicy, Streak, WAIT_MAX},
    server::Desired,
    store::{Billing, RestartStore, Restarted},
};
use async_trait::async_trait;
use chrono::TimeDelta;
use diesel::{
    dsl::{max, min},
    prelude::*,
    sql_types::{Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{
    db::Db,
    error::Fault,
    notices,
    notify::{OPERATIONS, ring},
    operations::accept,
    schema::{clock_timestamp, game_servers, operations as ops, server_holds},
    word::{Stored, stored},
};

/// Plans what follows the end of a server at this generation. Its row is locked, and its status tells of the end.
pub(crate) async fn plan(
    conn: &mut AsyncPgConnection,
    server: ServerId,
    ended: Generation,
    by: EndedBy,
    policy: &RestartPolicy,
) -> Result<Plan, Fault<StoreError>> {
    let row = game_servers::table.find(server.0).select((
        game_servers::restarts,
        game_servers::restart_generation,
        game_servers::generation,
        game_servers::desired.eq(stored(Desired::Running)),
        clock_timestamp(),
    ));
    let (restarts, of, generation, is_wanted, at): (Vec<Timestamp>, Option<i64>, i64, bool, Timestamp) =
        row.first(conn).await?;
    if generation != ended || !is_wanted {
        return Ok(Plan::Leave);
    }
    // A run that somebody asked for begins a new streak.
    let mut streak = Streak { restarts: if of == Some(ended) { restarts } else { vec![] } };
    let since = since(conn, server, ended).await?;
    let plan = streak.plan(policy, by, since, at, random());
    let next = match plan {
        Plan::Restart { at } => Some(at),
        Plan::GiveUp | Plan::Leave => None,
    };
    diesel::update(game_servers::table.find(server.0))
        .set((
            game_servers::restarts.eq(streak.restarts),
            game_servers::restart_max.eq(i32::try_from(policy.max).unwrap_or(i32::MAX)),
            game_servers::restart_generation.eq((plan != Plan::Leave).then_some(ended)),
            game_servers::restart_at.eq(next),
        ))
        .execute(conn)
        .await?;
    if next.is_some() {
        ring(conn, OPERATIONS).await?;
    }
    Ok(plan)
}

/// Returns when the run of this generation became ready; `None` if it never did.
async fn since(
    conn: &mut AsyncPgConnection,
    server: ServerId,
    generation: Generation,
) -> Result<Option<Timestamp>, Fault<StoreError>> {
    let began = ops::table
        .filter(ops::server_id.eq(server.0).and(ops::generation.eq(generation)))
        .filter(ops::state.eq(stored(State::Succeeded)))
        .filter(ops::action.eq_any([Action::Start, Action::Restart].map(stored)));
    // The first of them: a start of a server that runs changes nothing.
    Ok(began.select(min(ops::finished_at)).first(conn).await?)
}

/// Returns a random number from 0 to 1.
fn random() -> f64 {
    f64::from((RandomState::new().hash_one(()) >> 32) as u32) / f64::from(u32::MAX)
}

/// Adds to the reason of an end that the supervisor gave up.
pub(crate) fn given_up(how: &str, policy: &RestartPolicy) -> String {
    let RestartPolicy { max, within, .. } = policy;
    let times = if *max == 1 { "once".to_owned() } else { format!("{max} times") };
    format!("{how}; it was started again {times} within {within}, so it stays down until somebody starts it")
}

#[async_trait]
impl RestartStore for Db {
    async fn restart(&self, host: &str, at_once: u32, billing: Billing) -> Result<Restarted, StoreError> {
        // Most rounds find nothing to do.
        if let Some(until_next) = self.run(async |conn| idle(conn, host).await).await? {
            return Ok(Restarted { until_next, ..Restarted::default() });
        }
        self.transaction(async |conn| {
            // Two processes of a host count one after the other, so that together they order no more.
            diesel::sql_query("select pg_advisory_xact_lock(hashtextextended('supervisor ' || $1, 0))")
                .bind::<Text, _>(host)
                .execute(conn)
                .await?;
            let now: Timestamp = diesel::select(clock_timestamp()).get_result(conn).await?;
            // A restart that its host put off may wait for ever, and keeps nobody busy meanwhile.
            let is_queued = ops::state.eq(stored(State::Queued)).and(ops::available_at.le(now));
            let open: i64 = ops::table
                .inner_join(game_servers::table)
                .filter(ops::state.eq(stored(State::Running)).or(is_queued))
                .filter(ops::origin.eq(stored(Origin::Supervisor)).and(game_servers::host.eq(host)))
                .count()
                .get_result(conn)
                .await?;
            let room = (i64::from(at_once) - open).max(0);
            let due: Vec<(i32, String, i64)> = waiting(host)
                .filter(game_servers::restart_at.le(now).or(game_servers::restart_at.gt(now + wait_max())))
                .filter(server_holds::until.nullable().is_null().or(server_holds::until.nullable().le(now)))
                .order(due_at())
                .select((game_servers::id, game_servers::discord_id, game_servers::generation))
                .limit(room)
                .load(conn)
                .await?;
            let requests: Vec<_> = due.iter().map(|(id, owner, ended)| request(*id, owner, *ended)).collect();
            let accepted = accept::accept(conn, &requests, billing, None).await?;
            for ((id, _, ended), answer) in due.into_iter().zip(&accepted.answers) {
                match answer {
                    Ok(operation) => note_order(conn, id, operation.generation, now).await?,
                    // Somebody has held the server at this moment: its restart waits on.
                    Err(Refusal::Held) => {}
                    Err(refusal) => note_refusal(conn, id, ended, refusal).await?,
                }
            }
            let next: Option<Timestamp> =
                waiting(host).filter(due_at().gt(now)).select(min(due_at())).first(conn).await?;
            let until_next = next.map(|next| (next - now).to_std().unwrap_or_default());
            Ok(Restarted { accepted, until_next })
        })
        .await
    }
}

/// Returns the time until the next restart of a host, which is `None` if none waits; nothing if one is due.
async fn idle(conn: &mut AsyncPgConnection, host: &str) -> Result<Option<Option<Duration>>, Fault<StoreError>> {
    let times = waiting(host).select((min(due_at()), max(game_servers::restart_at), clock_timestamp()));
    let (first, last, now): (Option<Timestamp>, Option<Timestamp>, Timestamp) = times.first(conn).await?;
    Ok(match first.zip(last) {
        None => Some(None),
        Some((_, last)) if last > now + wait_max() => None,
        Some((first, _)) => (first - now).to_std().ok().map(Some),
    })
}

/// Returns the longest wait. A restart that is further away was planned before the clock was set back, and is due.
fn wait_max() -> TimeDelta {
    TimeDelta::from_std(WAIT_MAX).unwrap_or_default()
}

fn request(server: i32, owner: &str, ended: Generation) -> Request {
    Request {
        server: ServerId(server),
        action: Action::Start,
        origin: Origin::Supervisor,
        actor: UserId::from_stored(owner),
        channel: None,
        identity: Identity::Restart { ended },
        trace: None,
    }
}

diesel::define_sql_function! {
    /// The later of two moments; of one that is null, the other.
    fn greatest(one: Nullable<Timestamptz>, other: Nullable<Timestamptz>) -> Nullable<Timestamptz>;
}

/// The moment from which a restart is ordered: a hold postpones it.
#[diesel::dsl::auto_type(no_type_alias)]
fn due_at() -> _ {
    greatest(game_servers::restart_at, server_holds::until.nullable())
}

/// Servers of a host that wait for a restart, and of which nothing was asked since. Without an end of its hold, a server
/// waits for the release.
#[diesel::dsl::auto_type(no_type_alias)]
fn waiting<'a>(host: &'a str) -> _ {
    let ended: [Stored<Status>; 2] = [stored(Status::Crashed), stored(Status::Failed)];
    let running: Stored<Desired> = stored(Desired::Running);
    let is_same = game_servers::restart_generation.eq(game_servers::generation.nullable());
    game_servers::table
        .left_join(server_holds::table)
        .filter(game_servers::host.eq(host).and(game_servers::restart_at.is_not_null()))
        .filter(server_holds::server_id.nullable().is_null().or(server_holds::until.nullable().is_not_null()))
        .filter(game_servers::status.eq_any(ended).and(is_same))
        .filter(game_servers::desired.eq(running).and(game_servers::deleted_at.is_null()))
}

async fn note_order(
    conn: &mut AsyncPgConnection,
    server: i32,
    generation: Generation,
    at: Timestamp,
) -> Result<(), Fault<StoreError>> {
    let restarts: Vec<Timestamp> = game_servers::table.find(server).select(game_servers::restarts).first(conn).await?;
    let restarts: Vec<_> = restarts.into_iter().chain([at]).collect();
    diesel::update(game_servers::table.find(server))
        .set((game_servers::restarts.eq(restarts), game_servers::restart_generation.eq(generation)))
        .execute(conn)
        .await?;
    Ok(())
}

async fn note_refusal(
    conn: &mut AsyncPgConnection,
    server: i32,
    ended: Generation,
    refusal: &Refusal,
) -> Result<(), Fault<StoreError>> {
    let as_planned = game_servers::table.find(server).filter(game_servers::restart_generation.eq(ended));
    let how: Option<Option<String>> = diesel::update(as_planned)
        .set((game_servers::restart_at.eq(None::<Timestamp>), game_servers::restart_generation.eq(None::<i64>)))
        .returning(game_servers::error_message)
        .get_result(conn)
        .await
        .optional()?;
    if let (Refusal::CannotPay { price }, Some(how)) = (refusal, how) {
        let how = how.unwrap_or_else(|| "it ended".to_owned());
        let why = format!("{how}; it was not started again, since its owner cannot pay the {price} credits of an hour");
        notices::tell(conn, ServerId(server), Kind::ServerCrashed, Some(ended), &why).await?;
    }
    Ok(())
}

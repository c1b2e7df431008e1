use std::collections::{BTreeMap, BTreeSet, HashMap};

use agis_base::{ChannelId, OperationId, ServerId, StoreError, Timestamp, Trace, TraceId, UserId};
use agis_servers::{
    Action, Operation, Origin, Request, Server, State,
    operation::{Identity, Refusal},
    power,
    server::Desired,
    store::{Accepted, OperationFilter, OperationStore, Page},
};
use async_trait::async_trait;
use diesel::{
    pg::Pg,
    prelude::*,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    db::{Db, column},
    error::{Fault, understood, unknown_word},
    notify::OPERATIONS,
    purses::Purses,
    schema::{clock_timestamp, game_servers, now, operations, server_schedules},
    servers,
    shares::{self, Granted},
    stats,
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = operations)]
pub(crate) struct Row {
    id: Uuid,
    server_id: i32,
    action: String,
    state: String,
    origin: String,
    actor: String,
    generation: i64,
    error: Option<String>,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    request_id: Option<String>,
    trace_id: Option<String>,
    killed_after_grace: Option<bool>,
}

impl Row {
    pub(crate) fn into_operation<R>(self) -> Result<Operation, Fault<R>> {
        Ok(Operation {
            id: OperationId(self.id),
            server: ServerId(self.server_id),
            action: Action::from_word(&self.action).ok_or_else(|| unknown_word("operations.action", &self.action))?,
            state: State::from_word(&self.state).ok_or_else(|| unknown_word("operations.state", &self.state))?,
            origin: Origin::from_word(&self.origin).ok_or_else(|| unknown_word("operations.origin", &self.origin))?,
            actor: UserId::from_stored(&self.actor),
            generation: self.generation,
            error: self.error,
            killed_after_grace: self.killed_after_grace,
            trace: Trace {
                request_id: self.request_id.unwrap_or_else(|| self.id.to_string()),
                trace_id: self.trace_id.as_deref().and_then(TraceId::of_hex),
            },
            created_at: self.created_at,
            finished_at: self.finished_at,
        })
    }
}

/// The operations whose words this program knows; see [`understood`].
fn of_known_words() -> Box<dyn BoxableExpression<operations::table, Pg, SqlType = Bool>> {
    let actions: Vec<&'static str> = column(Action::ALL, |it| it.as_str());
    let states: Vec<&'static str> = column(State::ALL, |it| it.as_str());
    let origins: Vec<&'static str> = column(Origin::ALL, |it| it.as_str());
    Box::new(
        operations::action
            .eq_any(actions)
            .and(operations::state.eq_any(states))
            .and(operations::origin.eq_any(origins)),
    )
}

/// An operation that is to be written.
struct New {
    operation: Operation,
    key: Option<String>,
    channel: Option<ChannelId>,
}

#[async_trait]
impl OperationStore for Db {
    async fn accept(&self, requests: &[Request]) -> Result<Accepted, StoreError> {
        self.transaction(async |conn| accept(conn, requests, self.billing).await).await
    }

    async fn operation(&self, id: OperationId) -> Result<Option<(Operation, UserId)>, StoreError> {
        self.read(async |mut conn| {
            let row: Option<(Row, String)> = operations::table
                .inner_join(game_servers::table)
                .filter(operations::id.eq(id.0))
                .select((Row::as_select(), game_servers::discord_id))
                .first(&mut conn)
                .await
                .optional()?;
            row.map(|(row, owner)| Ok((row.into_operation()?, UserId::from_stored(&owner)))).transpose()
        })
        .await
    }

    async fn operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError> {
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        self.run(async |conn| {
            let rows: Vec<Row> =
                operations::table.filter(operations::id.eq_any(ids)).select(Row::as_select()).load(conn).await?;
            understood(rows.into_iter().map(Row::into_operation))
        })
        .await
    }

    async fn history(
        &self,
        server: ServerId,
        filter: OperationFilter,
        page: Page<OperationId>,
    ) -> Result<Vec<Operation>, StoreError> {
        self.read(async |mut conn| {
            let mut rows = operations::table
                .filter(operations::server_id.eq(server.0))
                .filter(operations::id.lt(page.after.map_or(Uuid::max(), |id| id.0)))
                .order(operations::id.desc())
                .limit(page.limit.into())
                .select(Row::as_select())
                .into_boxed()
                .filter(of_known_words());
            if let Some(state) = filter.state {
                rows = rows.filter(operations::state.eq(state.as_str()));
            }
            if let Some(action) = filter.action {
                rows = rows.filter(operations::action.eq(action.as_str()));
            }
            let rows: Vec<Row> = rows.load(&mut conn).await?;
            rows.into_iter().map(Row::into_operation).collect()
        })
        .await
    }
}

/// Decides on these, and writes what comes of it.
pub(crate) async fn accept(
    conn: &mut AsyncPgConnection,
    requests: &[Request],
    billing: bool,
) -> Result<Accepted, Fault<StoreError>> {
    let at: Timestamp = diesel::select(now()).get_result(conn).await?;
    let purses = if billing { Purses::lock(conn, requests).await? } else { Purses::default() };
    let (servers, slots) = lock_servers(conn, requests).await?;
    let granted = granted(conn, requests, &servers).await?;
    let known = known(conn, requests).await?;
    let draft = Draft::new(requests, servers, slots, Standing { granted, purses }, known, at);
    let superseded = supersede(conn, &draft).await?;
    insert(conn, &draft.new).await?;
    update_servers(conn, &draft).await?;
    stats::add_commands(conn, &draft.commands()).await?;
    if !draft.new.is_empty() {
        diesel::sql_query(format!("notify {OPERATIONS}")).execute(conn).await?;
    }
    Ok(draft.answers(superseded))
}

/// What decides besides the servers themselves.
struct Standing {
    granted: Granted,
    /// What the owners can spend, where servers have to be paid for.
    purses: Purses,
}

/// What the requests of one transaction come to, before it is written.
struct Draft {
    answers: Vec<Answer>,
    new: Vec<New>,
    /// The servers that change, as they will be.
    changed: BTreeMap<ServerId, Server>,
    /// Those whose running start is given up.
    interrupted: BTreeSet<ServerId>,
    /// Those that are gone with this transaction: no host has to do anything about them.
    gone: BTreeSet<ServerId>,
    /// The latest slot of a schedule that was accepted for each server.
    slots: BTreeMap<ServerId, Timestamp>,
}

enum Answer {
    /// The one at this place among the new ones.
    New(usize),
    Known(Box<Operation>),
    Refused(Refusal),
}

impl Draft {
    fn new(
        requests: &[Request],
        mut servers: BTreeMap<ServerId, Server>,
        slots: BTreeMap<ServerId, Timestamp>,
        mut standing: Standing,
        mut known: HashMap<Identity, Answer>,
        at: Timestamp,
    ) -> Self {
        let mut draft = Self {
            answers: vec![],
            new: vec![],
            changed: BTreeMap::new(),
            interrupted: BTreeSet::new(),
            gone: BTreeSet::new(),
            slots,
        };
        for request in requests {
            let answer = match known.remove(&request.identity) {
                Some(answer) => answer,
                None => match servers.get_mut(&request.server) {
                    Some(server) => draft.decide(request, server, &mut standing, at),
                    None => Answer::Refused(Refusal::NotFound),
                },
            };
            if let (Identity::Key(_) | Identity::Firing { .. }, Answer::New(place)) = (&request.identity, &answer) {
                known.insert(request.identity.clone(), Answer::New(*place));
            }
            draft.answers.push(answer);
        }
        draft
    }

    fn decide(&mut self, request: &Request, server: &mut Server, standing: &mut Standing, at: Timestamp) -> Answer {
        if self.gone.contains(&server.id) {
            return Answer::Refused(Refusal::NotFound);
        }
        let access = servers::access(server, &request.actor, &standing.granted);
        let decision = match power::accept(server, access, request, standing.purses.left_for(server.id)) {
            Ok(decision) => decision,
            Err(refusal) => return Answer::Refused(refusal),
        };
        if let Identity::Firing { operation, slot } = request.identity {
            if power::is_overtaken(slot, self.slots.get(&server.id).copied()) {
                return self.overtaken(operation, request, server, at);
            }
            self.slots.insert(server.id, slot);
        }
        server.desired = decision.desired;
        server.generation = decision.generation;
        standing.purses.follow(server);
        if decision.interrupts {
            self.interrupted.insert(server.id);
        }
        self.changed.insert(server.id, server.clone());
        for earlier in self
            .new
            .iter_mut()
            .map(|new| &mut new.operation)
            .filter(|it| it.server == server.id && !it.state.is_final())
        {
            earlier.state = State::Superseded;
            earlier.error = Some(SUPERSEDED.to_owned());
            earlier.finished_at = Some(at);
        }
        let state = if decision.at_once { State::Succeeded } else { State::Queued };
        if decision.at_once {
            self.gone.insert(server.id);
        }
        let (id, key) = match &request.identity {
            Identity::None => (OperationId::new(), None),
            Identity::Key(key) => (OperationId::new(), Some(key.clone())),
            Identity::Firing { operation, .. } => (*operation, None),
        };
        let operation = Operation {
            id,
            server: server.id,
            action: request.action,
            state,
            origin: request.origin,
            actor: request.actor.clone(),
            generation: decision.generation,
            error: None,
            killed_after_grace: None,
            trace: request.trace.clone().unwrap_or_else(|| Trace::ours(id)),
            created_at: at,
            finished_at: state.is_final().then_some(at),
        };
        self.new.push(New { operation, key, channel: request.channel.clone() });
        Answer::New(self.new.len() - 1)
    }

    /// Notes the operation of a firing that comes too late: it ends with being accepted, and changes nothing.
    fn overtaken(&mut self, id: OperationId, request: &Request, server: &Server, at: Timestamp) -> Answer {
        let operation = Operation {
            id,
            server: server.id,
            action: request.action,
            state: State::Superseded,
            origin: request.origin,
            actor: request.actor.clone(),
            generation: server.generation,
            error: Some(OVERTAKEN.to_owned()),
            killed_after_grace: None,
            trace: request.trace.clone().unwrap_or_else(|| Trace::ours(id)),
            created_at: at,
            finished_at: Some(at),
        };
        self.new.push(New { operation, key: None, channel: None });
        Answer::New(self.new.len() - 1)
    }

    /// How many of the new operations a person asked for, by person.
    fn commands(&self) -> BTreeMap<&str, i32> {
        let mut commands = BTreeMap::new();
        for New { operation, .. } in &self.new {
            if matches!(operation.origin, Origin::Rest | Origin::Discord) {
                *commands.entry(operation.actor.as_str()).or_default() += 1;
            }
        }
        commands
    }

    fn answers(self, superseded: Vec<Action>) -> Accepted {
        let new = self.new.iter().map(|new| &new.operation);
        let at_once = new.filter(|operation| operation.state.is_final()).map(|it| (it.action, it.state));
        let ended = superseded.into_iter().map(|action| (action, State::Superseded)).chain(at_once).collect();
        let answers = self.answers.into_iter().map(|answer| match answer {
            Answer::New(place) => Ok(self.new[place].operation.clone()),
            Answer::Known(operation) => Ok(*operation),
            Answer::Refused(refusal) => Err(refusal),
        });
        Accepted { answers: answers.collect(), ended }
    }
}

const SUPERSEDED: &str = "a newer operation took its place";
const OVERTAKEN: &str = "a schedule's run that was due later had been accepted before";

async fn lock_servers(
    conn: &mut AsyncPgConnection,
    requests: &[Request],
) -> Result<(BTreeMap<ServerId, Server>, BTreeMap<ServerId, Timestamp>), Fault<StoreError>> {
    let ids: BTreeSet<_> = requests.iter().map(|request| request.server.0).collect();
    let rows: Vec<(servers::Row, Option<Timestamp>)> = game_servers::table
        .filter(game_servers::id.eq_any(ids).and(game_servers::deleted_at.is_null()))
        .order(game_servers::id)
        .select((servers::Row::as_select(), game_servers::latest_slot))
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

/// What was shared with the actors that own none of these servers. It is read with the servers' rows locked, as it is
/// changed.
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

/// The operations that these requests have become already.
async fn known(
    conn: &mut AsyncPgConnection,
    requests: &[Request],
) -> Result<HashMap<Identity, Answer>, Fault<StoreError>> {
    let (mut keys, mut firings) = (vec![], HashMap::new());
    for request in requests {
        match &request.identity {
            Identity::None => {}
            Identity::Key(key) => keys.push(key),
            Identity::Firing { operation, .. } => drop(firings.insert(*operation, &request.identity)),
        }
    }
    let mut known = HashMap::new();
    if !keys.is_empty() {
        let with_keys = operations::table.filter(operations::idempotency_key.eq_any(keys));
        let rows: Vec<(Option<String>, Row)> =
            with_keys.select((operations::idempotency_key, Row::as_select())).load(conn).await?;
        for (key, row) in rows {
            if let Some(key) = key {
                known.insert(Identity::Key(key), row.into_operation()?);
            }
        }
    }
    if !firings.is_empty() {
        let ids = firings.keys().map(|operation| operation.0);
        let rows: Vec<Row> =
            operations::table.filter(operations::id.eq_any(ids)).select(Row::as_select()).load(conn).await?;
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
    let waits = operations::state.eq(State::Queued.as_str()).and(operations::server_id.eq_any(servers));
    let starts = operations::state
        .eq(State::Running.as_str())
        .and(operations::server_id.eq_any(interrupted))
        .and(operations::action.eq_any([Action::Start.as_str(), Action::Restart.as_str()]));
    let actions: Vec<String> = diesel::update(operations::table.filter(waits.or(starts)))
        .set((
            operations::state.eq(State::Superseded.as_str()),
            operations::error.eq(SUPERSEDED),
            operations::lease_until.eq(None::<Timestamp>),
            // Not this transaction's beginning: it may have waited while what it supersedes was accepted.
            operations::finished_at.eq(clock_timestamp().nullable()),
        ))
        .returning(operations::action)
        .get_results(conn)
        .await?;
    understood(
        actions.iter().map(|word| Action::from_word(word).ok_or_else(|| unknown_word("operations.action", word))),
    )
}

async fn insert(conn: &mut AsyncPgConnection, new: &[New]) -> Result<(), Fault<StoreError>> {
    if new.is_empty() {
        return Ok(());
    }
    // Column by column, so that it is one prepared statement however many there are.
    diesel::sql_query(
        "insert into operations
             (id, server_id, action, state, origin, actor, idempotency_key, channel_id, generation, error,
              finished_at, request_id, trace_id)
         select * from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind::<Array<SqlUuid>, _>(column(new, |new| new.operation.id.0))
    .bind::<Array<Integer>, _>(column(new, |new| new.operation.server.0))
    .bind::<Array<Text>, _>(column(new, |new| new.operation.action.as_str()))
    .bind::<Array<Text>, _>(column(new, |new| new.operation.state.as_str()))
    .bind::<Array<Text>, _>(column(new, |new| new.operation.origin.as_str()))
    .bind::<Array<Text>, _>(column(new, |new| new.operation.actor.as_str().to_owned()))
    .bind::<Array<Nullable<Text>>, _>(column(new, |new| new.key.clone()))
    .bind::<Array<Nullable<Text>>, _>(column(new, |new| new.channel.as_ref().map(ChannelId::as_str)))
    .bind::<Array<BigInt>, _>(column(new, |new| new.operation.generation))
    .bind::<Array<Nullable<Text>>, _>(column(new, |new| new.operation.error.clone()))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(new, |new| new.operation.finished_at))
    .bind::<Array<Text>, _>(column(new, |new| new.operation.trace.request_id.as_str()))
    .bind::<Array<Nullable<Text>>, _>(column(new, |new| new.operation.trace.trace_id.map(|id| id.to_string())))
    .execute(conn)
    .await?;
    Ok(())
}

async fn update_servers(conn: &mut AsyncPgConnection, draft: &Draft) -> Result<(), Fault<StoreError>> {
    let servers: Vec<_> = draft.changed.values().collect();
    if servers.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = servers.iter().map(|server| server.id.0).collect();
    let desired: Vec<_> = servers.iter().map(|server| server.desired.as_str()).collect();
    let generations: Vec<_> = servers.iter().map(|server| server.generation).collect();
    let slots: Vec<_> = servers.iter().map(|server| draft.slots.get(&server.id).copied()).collect();
    diesel::sql_query(
        "update game_servers s set desired = u.desired, generation = u.generation, latest_slot = u.slot,
                updated_at = now()
         from unnest($1, $2, $3, $4) as u(id, desired, generation, slot) where s.id = u.id",
    )
    .bind::<Array<Integer>, _>(ids)
    .bind::<Array<Text>, _>(desired)
    .bind::<Array<BigInt>, _>(generations)
    .bind::<Array<Nullable<Timestamptz>>, _>(slots)
    .execute(conn)
    .await?;

    if !draft.gone.is_empty() {
        let gone = game_servers::id.eq_any(draft.gone.iter().map(|id| id.0));
        let hidden = game_servers::deleted_at.eq(now().nullable());
        diesel::update(game_servers::table.filter(gone)).set(hidden).execute(conn).await?;
    }
    let deleted: Vec<_> =
        servers.iter().filter(|server| server.desired == Desired::Deleted).map(|server| server.id.0).collect();
    if !deleted.is_empty() {
        diesel::update(server_schedules::table.filter(server_schedules::server_id.eq_any(deleted)))
            .set((
                server_schedules::enabled.eq(false),
                server_schedules::next_run.eq(None::<Timestamp>),
                server_schedules::disabled_reason.eq("the server was deleted"),
            ))
            .execute(conn)
            .await?;
    }
    Ok(())
}

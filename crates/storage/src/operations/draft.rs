//! Decides on requests before anything is written. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use agis_base::{ChannelId, OperationId, ServerId, Timestamp, Trace};
use agis_scheduler::chain::EndedBy;
use agis_servers::{
    Action, Operation, Origin, Request, Server, State,
    operation::{Identity, Refusal, SUPERSEDED},
    power::{self, Prospects},
    store::Accepted,
};

use crate::{purses::Purses, servers, shares::Granted};

const OVERTAKEN: &str = "a schedule's run that was due later had been accepted before";

/// An operation that is to be written.
pub(super) struct New {
    pub(super) operation: Operation,
    pub(super) key: Option<String>,
    pub(super) channel: Option<ChannelId>,
}

/// Facts that decide beside the servers themselves.
pub(super) struct Standing {
    pub(super) granted: Granted,
    /// Credits of the owners; empty if nobody pays.
    pub(super) purses: Purses,
    /// Servers that cannot start with their settings, with the reason.
    pub(super) unfit: BTreeMap<ServerId, String>,
    /// Operations of steps whose run has ended.
    pub(super) overtaken: Vec<OperationId>,
}

/// Decisions on the requests of one transaction, before they are written.
pub(super) struct Draft {
    answers: Vec<Answer>,
    pub(super) new: Vec<New>,
    /// The servers that change, as they will be.
    pub(super) changed: BTreeMap<ServerId, Server>,
    /// Servers whose running start is given up.
    pub(super) interrupted: BTreeSet<ServerId>,
    /// Servers that are gone with this transaction: no host has to do anything about them.
    pub(super) gone: BTreeSet<ServerId>,
    /// Servers whose runs with steps end, by the cause.
    pub(super) ended_chains: BTreeMap<EndedBy, Vec<ServerId>>,
    /// Servers that a person starts.
    pub(super) started: Vec<i32>,
    /// The latest slot of a schedule that was accepted for each server.
    pub(super) slots: BTreeMap<ServerId, Timestamp>,
}

pub(super) enum Answer {
    /// The one at this place among the new ones.
    New(usize),
    Known(Box<Operation>),
    Refused(Refusal),
}

impl Draft {
    pub(super) fn new(
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
            ended_chains: BTreeMap::new(),
            started: vec![],
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
            if let (Identity::Key(_) | Identity::Firing { .. } | Identity::Step { .. }, Answer::New(place)) =
                (&request.identity, &answer)
            {
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
        let prospects = Prospects {
            credits: standing.purses.left_for(server.id),
            unfit: standing.unfit.get(&server.id).map(String::as_str),
        };
        let decision = match power::accept(server, access, request, &prospects, at) {
            Ok(decision) => decision,
            Err(refusal) => return Answer::Refused(refusal),
        };
        if let Identity::Step { operation, .. } = request.identity
            && standing.overtaken.contains(&operation)
        {
            return Answer::Refused(Refusal::Overtaken);
        }
        let latest = self.slots.get(&server.id).copied();
        match request.identity {
            Identity::Firing { operation, slot } => {
                if power::is_overtaken(slot, latest) {
                    return self.overtaken(operation, request, server, at);
                }
                self.slots.insert(server.id, slot);
            }
            // A step is due when the step before it ends, and undoes nothing that was due later.
            Identity::Step { at: slot, .. } => {
                self.slots.insert(server.id, latest.map_or(slot, |latest| latest.max(slot)));
            }
            Identity::None | Identity::Batch | Identity::Key(_) | Identity::Restart { .. } => {}
        }
        let is_news = server.generation != decision.generation;
        server.desired = decision.desired;
        server.generation = decision.generation;
        standing.purses.follow(server);
        if decision.interrupts {
            self.interrupted.insert(server.id);
        }
        if request.is_by_person() {
            match request.action {
                Action::Stop => self.ended_chains.entry(EndedBy::Stop).or_default().push(server.id),
                Action::Delete => self.ended_chains.entry(EndedBy::Delete).or_default().push(server.id),
                Action::Restart => self.ended_chains.entry(EndedBy::Restart).or_default().push(server.id),
                // A start of a server that runs asks for nothing new.
                Action::Start if is_news => self.started.push(server.id.0),
                Action::Start => {}
            }
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
            Identity::None | Identity::Batch | Identity::Restart { .. } => (OperationId::new(), None),
            Identity::Key(key) => (OperationId::new(), Some(key.clone())),
            Identity::Firing { operation, .. } | Identity::Step { operation, .. } => (*operation, None),
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
            progress: None,
            image: None,
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
            progress: None,
            image: None,
            killed_after_grace: None,
            trace: request.trace.clone().unwrap_or_else(|| Trace::ours(id)),
            created_at: at,
            finished_at: Some(at),
        };
        self.new.push(New { operation, key: None, channel: None });
        Answer::New(self.new.len() - 1)
    }

    /// Returns how many of the new operations a person asked for, by person.
    pub(super) fn commands(&self) -> BTreeMap<&str, i32> {
        let mut commands = BTreeMap::new();
        for New { operation, .. } in &self.new {
            if matches!(operation.origin, Origin::Rest | Origin::Discord) {
                *commands.entry(operation.actor.as_str()).or_default() += 1;
            }
        }
        commands
    }

    pub(super) fn answers(self, superseded: Vec<Action>) -> Accepted {
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

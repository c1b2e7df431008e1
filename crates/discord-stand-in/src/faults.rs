//! Faults on demand.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::gateway::connections::{Close, Order};
use crate::{Discord, Person};

#[derive(Debug, Default)]
pub(crate) struct Faults {
    limits: Vec<Limit>,
    pub(crate) revoked: bool,
    /// Users who accept no direct messages.
    pub(crate) closed_dms: HashSet<u64>,
    /// Channels in which the bot may not write.
    pub(crate) forbidden: HashSet<u64>,
    /// Errors to answer with, by route: how often, and what.
    errors: HashMap<String, (u32, u16)>,
}

#[derive(Debug)]
struct Limit {
    /// `None`: all of them.
    route: Option<String>,
    after: Duration,
    /// Since the first request that met it.
    until: Option<Instant>,
}

/// A request that comes too early.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limited {
    pub(crate) left: Duration,
    pub(crate) global: bool,
}

impl Faults {
    pub(crate) fn limit(&mut self, request: &str) -> Option<Limited> {
        let now = Instant::now();
        self.limits.retain(|limit| limit.until.is_none_or(|until| now < until));
        let meets = |limit: &&mut Limit| limit.route.as_ref().is_none_or(|route| request.contains(route));
        let limit = self.limits.iter_mut().find(meets)?;
        let until = *limit.until.get_or_insert(now + limit.after);
        Some(Limited { left: until - now, global: limit.route.is_none() })
    }

    pub(crate) fn error(&mut self, request: &str) -> Option<u16> {
        let (_, (left, status)) =
            self.errors.iter_mut().find(|(route, (left, _))| *left > 0 && request.contains(*route))?;
        *left -= 1;
        Some(*status)
    }
}

impl Discord {
    /// The next request whose method and path contain `route` (such as `POST /channels/`) is answered 429, and so is
    /// each that follows it before `retry_after` is over.
    pub fn limit_next(&self, route: &str, retry_after: Duration) {
        self.limit(Some(route.to_owned()), retry_after);
    }

    /// The same for requests of any route: the global limit.
    pub fn limit_all(&self, retry_after: Duration) {
        self.limit(None, retry_after);
    }

    fn limit(&self, route: Option<String>, after: Duration) {
        self.hub.change(|state| state.faults.limits.push(Limit { route, after, until: None }));
    }

    /// The next `times` requests whose method and path contain `route` are answered with `status`.
    pub fn fail_next(&self, route: &str, times: u32, status: u16) {
        self.hub.change(|state| state.faults.errors.insert(route.to_owned(), (times, status)));
    }

    /// The bot's token is worth nothing from now on: what needs it is answered 401, and the gateway closes with 4004.
    /// As at Discord, answers to interactions go by the interaction's own token, which is still good.
    pub fn revoke_token(&self) {
        self.hub.change(|state| {
            state.faults.revoked = true;
            state.gateway.order_all(&Order::Close(Close::AuthenticationFailed));
            state.gateway.sessions.clear();
        });
    }

    /// Tokens of all interactions so far are good no more, as after their 15 minutes.
    pub fn expire_interactions(&self) {
        self.hub.change(|state| state.interactions.values_mut().for_each(|interaction| interaction.expired = true));
    }

    /// Somebody takes direct messages from the bot no more (code 50007), or again.
    pub fn set_dms_closed(&self, person: &Person, closed: bool) {
        self.hub.change(|state| set(&mut state.faults.closed_dms, person.id, closed));
    }

    /// The bot may write in a channel no more (code 50013), or again.
    pub fn set_forbidden(&self, channel: u64, forbidden: bool) {
        self.hub.change(|state| set(&mut state.faults.forbidden, channel, forbidden));
    }

    /// All connections to the gateway end abruptly; sessions can be resumed.
    pub fn drop_connections(&self) {
        self.hub.change(|state| state.gateway.order_all(&Order::Drop));
    }

    /// Connections drop, and new ones are not taken until [`accept_connections`](Self::accept_connections).
    pub fn refuse_connections(&self) {
        self.hub.change(|state| {
            state.gateway.refuses = true;
            state.gateway.order_all(&Order::Drop);
        });
    }

    /// New connections are taken again.
    pub fn accept_connections(&self) {
        self.hub.change(|state| state.gateway.refuses = false);
    }

    /// The gateway asks all connections to come again and resume (opcode 7).
    pub fn reconnect(&self) {
        self.hub.change(|state| state.gateway.order_all(&Order::send(7, &serde_json::Value::Null)));
    }

    /// The gateway declares all sessions invalid (opcode 9); whether they can be resumed all the same is said with it.
    pub fn invalid_session(&self, resumable: bool) {
        self.hub.change(|state| {
            state.gateway.order_all(&Order::send(9, &resumable.into()));
            if !resumable {
                state.gateway.sessions.clear();
            }
        });
    }

    /// Heartbeats are acknowledged no more, on any connection.
    pub fn stop_heartbeat_acks(&self) {
        self.hub.change(|state| state.gateway.mute = true);
    }

    /// Heartbeats are acknowledged again.
    pub fn resume_heartbeat_acks(&self) {
        self.hub.change(|state| state.gateway.mute = false);
    }

    /// How often connections from now on have to send a heartbeat.
    pub fn heartbeat_every(&self, interval: Duration) {
        self.hub.change(|state| state.gateway.heartbeat = interval);
    }

    /// How many sessions may still be begun, as `GET /gateway/bot` tells it. Beginning one more is a complaint, and is
    /// refused.
    pub fn limit_identifies(&self, remaining: u32) {
        self.hub.change(|state| state.gateway.starts_left = remaining);
    }

    /// How many shards `GET /gateway/bot` recommends.
    pub fn recommend_shards(&self, shards: u32) {
        self.hub.change(|state| state.gateway.shards = shards);
    }
}

fn set(members: &mut HashSet<u64>, member: u64, is_in: bool) {
    if is_in {
        members.insert(member);
    } else {
        members.remove(&member);
    }
}

//! A connection of the bot: its messages, and their answers.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::connections::{Close, Gateway, Order};
use super::session::Session;
use crate::hub::{Hub, TOKEN};
use crate::state::{State, keep};
use crate::{APPLICATION, Entry, world};

/// Intents that Discord gives on application only: members, presences, the content of messages.
const PRIVILEGED: u64 = 1 << 1 | 1 << 8 | 1 << 15;
/// How many sessions there may be before those that nobody came back to are forgotten.
const SESSIONS: usize = 100;

pub(super) struct Peer {
    hub: Arc<Hub>,
    connection: u64,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.hub.change(|state| state.gateway.close(self.connection));
    }
}

impl Peer {
    /// Takes part from now on, and says hello.
    pub(super) fn greet(hub: Arc<Hub>, sender: mpsc::Sender<Order>) -> Self {
        let connection = hub.change(|state| {
            let connection = state.gateway.open(sender);
            let interval = u64::try_from(state.gateway.heartbeat.as_millis()).unwrap_or(u64::MAX);
            state.gateway.order(connection, Order::send(10, &json!({"heartbeat_interval": interval})));
            connection
        });
        Self { hub, connection }
    }

    /// The bot closes. With these two codes it says that it will not come back.
    pub(super) fn closes(&mut self, code: Option<u16>) {
        if matches!(code, Some(1000 | 1001)) {
            let connection = self.connection;
            self.hub.change(|state| state.gateway.sessions.retain(|_, session| session.connection != Some(connection)));
        }
    }

    /// The bot says something; `None` is what is no text.
    pub(super) fn says(&mut self, text: Option<&str>) {
        let message: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
        let connection = self.connection;
        let outcome = self.hub.change(|state| {
            let Some(message) = message else { return Err(Close::DecodeError) };
            hear(state, &self.hub, connection, &message)
        });
        if let Err(reason) = outcome {
            self.hub.change(|state| {
                if !(state.faults.revoked && reason == Close::AuthenticationFailed) {
                    state.complain(format!("gateway: closed with {} ({reason:?})", reason as u16));
                }
                state.gateway.order(connection, Order::Close(reason));
            });
        }
    }
}

fn hear(state: &mut State, hub: &Hub, connection: u64, message: &Value) -> Result<(), Close> {
    let is_in = state.gateway.sessions.values().any(|session| session.connection == Some(connection));
    match message["op"].as_u64() {
        Some(1) => {
            if !state.gateway.mute {
                state.gateway.order(connection, Order::send(11, &Value::Null));
            }
            Ok(())
        }
        Some(2 | 6) if is_in => Err(Close::AlreadyAuthenticated),
        Some(2) => identify(state, hub, connection, &message["d"]),
        Some(6) => resume(state, connection, &message["d"]),
        Some(3 | 4 | 8 | 31) if is_in => Ok(()),
        Some(3 | 4 | 8 | 31) => Err(Close::NotAuthenticated),
        _ => Err(Close::UnknownOpcode),
    }
}

fn identify(state: &mut State, hub: &Hub, connection: u64, data: &Value) -> Result<(), Close> {
    authenticate(state, data)?;
    let shard = data.get("shard").map_or(Some((0, 1)), shard).ok_or(Close::InvalidShard)?;
    let intents = data["intents"].as_u64().ok_or(Close::DecodeError)?;
    if intents & PRIVILEGED != 0 {
        return Err(Close::DisallowedIntents);
    }
    if state.gateway.starts_left == 0 {
        state.complain("gateway: began a session when none was left".to_owned());
        return Err(Close::AuthenticationFailed);
    }
    state.gateway.starts_left -= 1;
    if state.gateway.sessions.len() >= SESSIONS {
        state.gateway.sessions.retain(|_, session| session.connection.is_some());
    }
    let id = Uuid::new_v4().simple().to_string();
    let mut session = Session::new(connection, shard, intents);
    let event = session.record("READY", &ready(state, hub, &id, &session));
    state.gateway.sessions.insert(id.clone(), session);
    keep(&mut state.gateway.entries, Entry { session: id, resumed: false, shard, intents });
    deliver(&mut state.gateway, event);
    Ok(())
}

fn ready(state: &State, hub: &Hub, id: &str, session: &Session) -> Value {
    let guilds = state.world.guilds.keys().filter(|guild| session.serves(Some(**guild)));
    json!({
        "v": 10,
        "user": world::bot(),
        "guilds": guilds.map(|guild| json!({"id": guild.to_string(), "unavailable": true})).collect::<Vec<_>>(),
        "session_id": id,
        "session_type": "normal",
        "resume_gateway_url": hub.facts.gateway_url,
        "shard": [session.shard.0, session.shard.1],
        "application": {"id": APPLICATION.to_string(), "flags": 0},
    })
}

fn resume(state: &mut State, connection: u64, data: &Value) -> Result<(), Close> {
    authenticate(state, data)?;
    let id = data["session_id"].as_str().unwrap_or_default();
    let seen = data["seq"].as_u64().unwrap_or(u64::MAX);
    let session = state.gateway.sessions.get_mut(id);
    let Some((session, missed)) = session.and_then(|session| session.missed(seen).map(|missed| (session, missed)))
    else {
        state.gateway.order(connection, Order::send(9, &json!(false)));
        return Ok(());
    };
    session.connection = Some(connection);
    let entry = Entry { session: id.to_owned(), resumed: true, shard: session.shard, intents: session.intents };
    let resumed = session.record("RESUMED", &json!({}));
    keep(&mut state.gateway.entries, entry);
    missed.into_iter().for_each(|text| state.gateway.order(connection, Order::Send(text)));
    deliver(&mut state.gateway, resumed);
    Ok(())
}

fn deliver(gateway: &mut Gateway, event: Option<(u64, String)>) {
    if let Some((connection, text)) = event {
        gateway.order(connection, Order::Send(text));
    }
}

fn authenticate(state: &State, data: &Value) -> Result<(), Close> {
    let token = data["token"].as_str().unwrap_or_default();
    let is_ours = token.strip_prefix("Bot ").unwrap_or(token) == TOKEN;
    if is_ours && !state.faults.revoked { Ok(()) } else { Err(Close::AuthenticationFailed) }
}

fn shard(pair: &Value) -> Option<(u64, u64)> {
    let (number, count) = (pair[0].as_u64()?, pair[1].as_u64()?);
    (number < count).then_some((number, count))
}

//! Open connections and sessions of bots.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::session::Session;
use crate::record::Entry;

#[derive(Debug)]
pub(crate) struct Gateway {
    connections: HashMap<u64, mpsc::Sender<Order>>,
    next_connection: u64,
    pub(crate) sessions: HashMap<String, Session>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) heartbeat: Duration,
    /// Heartbeats are not acknowledged.
    pub(crate) mute: bool,
    pub(crate) refuses: bool,
    pub(crate) starts_left: u32,
    pub(crate) shards: u32,
}

/// Order to a connection.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    Send(String),
    Close(Close),
    Drop,
}

/// Why the gateway closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    UnknownOpcode = 4001,
    DecodeError = 4002,
    NotAuthenticated = 4003,
    AuthenticationFailed = 4004,
    AlreadyAuthenticated = 4005,
    InvalidShard = 4010,
    DisallowedIntents = 4014,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            connections: HashMap::new(),
            next_connection: 0,
            sessions: HashMap::new(),
            entries: Vec::new(),
            heartbeat: Duration::from_millis(41_250),
            mute: false,
            refuses: false,
            starts_left: 1000,
            shards: 1,
        }
    }
}

impl Order {
    pub(crate) fn send(opcode: u8, data: &Value) -> Self {
        Self::Send(json!({"op": opcode, "d": data}).to_string())
    }
}

impl Gateway {
    pub(crate) fn open(&mut self, sender: mpsc::Sender<Order>) -> u64 {
        self.next_connection += 1;
        self.connections.insert(self.next_connection, sender);
        self.next_connection
    }

    pub(crate) fn close(&mut self, connection: u64) {
        self.connections.remove(&connection);
        self.sessions.values_mut().filter(|session| session.connection == Some(connection)).for_each(Session::leave);
    }

    pub(crate) fn order(&mut self, connection: u64, order: Order) {
        let sender = self.connections.get(&connection);
        if sender.is_some_and(|sender| sender.try_send(order).is_err()) {
            self.close(connection);
        }
    }

    pub(crate) fn order_all(&mut self, order: &Order) {
        for connection in self.connections.keys().copied().collect::<Vec<_>>() {
            self.order(connection, order.clone());
        }
    }

    /// Whether a session is there to be spoken to.
    pub(crate) fn is_connected(&self) -> bool {
        self.sessions.values().any(|session| session.connection.is_some())
    }

    /// Sends an event to every session that is responsible for a guild, or for direct messages. Those without a
    /// connection get it when they resume. The answer is how many had one.
    pub(crate) fn dispatch(&mut self, guild: Option<u64>, event: &str, data: &Value) -> usize {
        let responsible = self.sessions.values_mut().filter(|session| session.serves(guild));
        let sent: Vec<_> = responsible.filter_map(|session| session.record(event, data)).collect();
        let count = sent.len();
        sent.into_iter().for_each(|(connection, text)| self.order(connection, Order::Send(text)));
        count
    }
}

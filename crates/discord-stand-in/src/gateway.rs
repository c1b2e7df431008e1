//! The gateway: a WebSocket per shard of the bot, JSON, no compression.

mod peer;
mod session;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_websockets::{CloseCode, Message, ServerBuilder};

use self::peer::Peer;
pub(crate) use self::session::Session;
use crate::Entry;
use crate::hub::Hub;

/// How many events may wait for a connection that takes none; it is dropped then.
const OUTBOX: usize = 2048;
const HANDSHAKE: Duration = Duration::from_secs(10);

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

/// What a connection is told to do.
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
    fn open(&mut self, sender: mpsc::Sender<Order>) -> u64 {
        self.next_connection += 1;
        self.connections.insert(self.next_connection, sender);
        self.next_connection
    }

    fn close(&mut self, connection: u64) {
        self.connections.remove(&connection);
        self.sessions.values_mut().filter(|session| session.connection == Some(connection)).for_each(Session::leave);
    }

    fn order(&mut self, connection: u64, order: Order) {
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

/// Takes connections until it is aborted, and ends them with it.
pub(crate) async fn serve(listener: TcpListener, hub: Arc<Hub>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, Arc::clone(&hub)));
            }
            // Out of files, most likely: it passes.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, hub: Arc<Hub>) {
    if hub.look(|state| state.gateway.refuses) {
        return;
    }
    let Ok(Ok((request, mut socket))) = timeout(HANDSHAKE, ServerBuilder::new().accept(stream)).await else {
        return;
    };
    for complaint in wrong_query(request.uri().query().unwrap_or_default()) {
        hub.change(|state| state.complain(format!("gateway: {complaint}")));
    }
    let (sender, mut orders) = mpsc::channel(OUTBOX);
    let mut peer = Peer::greet(hub, sender);
    loop {
        tokio::select! {
            order = orders.recv() => {
                let message = match order {
                    Some(Order::Send(text)) => Message::text(text),
                    Some(Order::Close(reason)) => Message::close(CloseCode::try_from(reason as u16).ok(), ""),
                    Some(Order::Drop) | None => return,
                };
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            message = socket.next() => match message {
                Some(Ok(message)) if message.is_close() => peer.closes(message.as_close().map(|(code, _)| code.into())),
                Some(Ok(message)) if message.is_text() || message.is_binary() => peer.says(message.as_text()),
                // Pings are answered by the socket itself.
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}

fn wrong_query(query: &str) -> Vec<String> {
    let has = |pair: &str| query.split('&').any(|other| other == pair);
    let mut wrong: Vec<_> = ["v=10", "encoding=json"].into_iter().filter(|pair| !has(pair)).map(missing).collect();
    if query.contains("compress=") {
        wrong.push(format!("`{query}` asks for compression, which this stand-in has not"));
    }
    wrong
}

fn missing(pair: &str) -> String {
    format!("connected without `{pair}`")
}

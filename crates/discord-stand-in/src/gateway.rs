//! The gateway: a WebSocket per shard of the bot, JSON, no compression.

pub(crate) mod connections;
mod peer;
mod session;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_websockets::{CloseCode, Message, ServerBuilder};

use self::connections::Order;
use self::peer::Peer;
use crate::hub::Hub;

/// How many events may wait for a connection that takes none; it is dropped then.
const OUTBOX: usize = 2048;
const HANDSHAKE: Duration = Duration::from_secs(10);

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

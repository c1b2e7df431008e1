//! Closes slow connections. actix-web limits the time for the first request's head, and the silence between two
//! requests. This module limits a later head or an unread body that arrives byte by byte, and an answer that the client
//! does not read.

use std::{
    any::Any,
    cell::{Cell, OnceCell},
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    dev::{Extensions, ServiceRequest, ServiceResponse},
    rt::{net::TcpStream, spawn, task::JoinHandle, time::sleep},
    web::Bytes,
};
use rustix::net::{Shutdown, shutdown, sockopt::set_tcp_user_timeout};

/// A connection; its requests share it as connection data.
pub(crate) struct Connection {
    socket: OwnedFd,
    requests: Cell<u32>,
    quiet_since: Cell<Instant>,
    watch: OnceCell<JoinHandle<()>>,
}

/// Watches new connections. The system closes one whose client reads nothing for `unread`; AGIS closes one that handles
/// no request for `patience`.
pub(crate) fn watch(unread: Duration, patience: Duration) -> impl Fn(&dyn Any, &mut Extensions) {
    move |stream, data| {
        let Some(stream) = stream.downcast_ref::<TcpStream>() else { return };
        let limited = set_tcp_user_timeout(stream, u32::try_from(unread.as_millis()).unwrap_or(u32::MAX));
        let Ok(socket) = stream.as_fd().try_clone_to_owned() else { return };
        if let Err(error) = limited {
            tracing::debug!(%error, "connection has no limit for unread responses");
        }
        let connection = Rc::new(Connection {
            socket,
            requests: Cell::new(0),
            quiet_since: Cell::new(Instant::now()),
            watch: OnceCell::new(),
        });
        let _ = connection.watch.set(spawn(end_when_quiet(Rc::downgrade(&connection), patience)));
        data.insert(connection);
    }
}

async fn end_when_quiet(connection: Weak<Connection>, patience: Duration) {
    while let Some(open) = connection.upgrade() {
        let left = match open.requests.get() {
            0 => patience.saturating_sub(open.quiet_since.get().elapsed()),
            _ => patience,
        };
        if left.is_zero() {
            // The server then finds it closed and drops it.
            let _ = shutdown(&open.socket, Shutdown::Both);
            return;
        }
        drop(open);
        sleep(left).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.get() {
            watch.abort();
        }
    }
}

/// A request that is being handled.
pub(crate) struct Busy(Rc<Connection>);

impl Busy {
    fn new(connection: Rc<Connection>) -> Self {
        connection.requests.set(connection.requests.get() + 1);
        Self(connection)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get() - 1);
        self.0.quiet_since.set(Instant::now());
    }
}

/// Notes that a request is being handled.
pub(crate) fn busy(request: &ServiceRequest) -> Option<Busy> {
    request.conn_data::<Rc<Connection>>().cloned().map(Busy::new)
}

/// Keeps a request busy until its answer is sent, if the answer is a stream. Others end here.
pub(crate) fn until_sent(response: ServiceResponse<impl MessageBody + 'static>, busy: Option<Busy>) -> ServiceResponse {
    match response.response().body().size() {
        BodySize::Stream => response.map_body(|_, body| BoxBody::new(Streaming { body: body.boxed(), _busy: busy })),
        _ => response.map_into_boxed_body(),
    }
}

struct Streaming {
    body: BoxBody,
    _busy: Option<Busy>,
}

impl MessageBody for Streaming {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

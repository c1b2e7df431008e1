//! Connection to Redis, present or absent.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agis_ratelimit::{Draw, Verdict};
use redis::{RedisError, aio::MultiplexedConnection};
use thiserror::Error;
use tokio::time::timeout;

use crate::{
    script::{Ask, ask},
    url::RedisUrl,
};

/// Deadline of a connection attempt; no request waits for it.
const CONNECT: Duration = Duration::from_secs(1);

/// Reason why Redis did not decide.
#[derive(Debug, Error)]
pub enum Error {
    /// Redis, or the way to it, failed.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// TLS to Redis failed.
    #[error("{0}")]
    Tls(String),
    /// Redis took too long.
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
}

/// Connection that all requests share. Its number tells it from the one before.
#[derive(Clone)]
pub(crate) struct Link {
    number: u64,
    connection: MultiplexedConnection,
}

impl Link {
    pub(crate) async fn ask(&mut self, what: Ask, draws: &[Draw], deadline: Duration) -> Result<Verdict, Error> {
        match timeout(deadline, ask(&mut self.connection, what, draws)).await {
            Ok(verdict) => Ok(verdict?),
            Err(_) => Err(Error::Late(deadline)),
        }
    }
}

/// Current connection. `None` is the open circuit: only a probe looks for Redis, no request does.
#[derive(Default)]
pub(crate) struct Slot(Mutex<State>);

#[derive(Default)]
struct State {
    link: Option<Link>,
    /// Number of the last connection.
    number: u64,
}

impl Slot {
    pub(crate) fn get(&self) -> Option<Link> {
        self.lock().link.clone()
    }

    /// Opens a new connection, which requests do not use yet.
    pub(crate) async fn connect(&self, url: &RedisUrl) -> Result<Link, Error> {
        let connection = timeout(CONNECT, url.connect()).await.map_err(|_| Error::Late(CONNECT))??;
        let mut state = self.lock();
        state.number += 1;
        Ok(Link { number: state.number, connection })
    }

    /// Makes requests use this connection. Returns whether there was none before.
    pub(crate) fn keep(&self, link: Link) -> bool {
        self.lock().link.replace(link).is_none()
    }

    /// Stops the use of this connection. Returns whether it was in use: of many calls that fail together, one reports
    /// it.
    pub(crate) fn lose(&self, link: &Link) -> bool {
        let mut state = self.lock();
        state.link.take_if(|current| current.number == link.number).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

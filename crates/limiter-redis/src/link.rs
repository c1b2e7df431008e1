//! The connection, there or not.

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

/// Nobody's request waits for this.
const CONNECT: Duration = Duration::from_secs(1);

/// Why Redis did not decide.
#[derive(Debug, Error)]
pub enum Error {
    /// It, or the way to it, failed.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// TLS on the way to it did.
    #[error("{0}")]
    Tls(String),
    /// It took too long.
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
}

/// A connection that all requests share; its number tells it from the one before.
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

/// The connection while there is one. None is the open circuit: requests do not look for Redis, a probe does.
#[derive(Default)]
pub(crate) struct Slot(Mutex<State>);

#[derive(Default)]
struct State {
    link: Option<Link>,
    /// Of the last one.
    number: u64,
}

impl Slot {
    pub(crate) fn get(&self) -> Option<Link> {
        self.lock().link.clone()
    }

    /// A new connection, in place of none.
    pub(crate) async fn connect(&self, url: &RedisUrl) -> Result<Link, Error> {
        let connection = timeout(CONNECT, url.connect()).await.map_err(|_| Error::Late(CONNECT))??;
        let mut state = self.lock();
        state.number += 1;
        Ok(Link { number: state.number, connection })
    }

    /// From now on requests use it. Whether there was none before.
    pub(crate) fn keep(&self, link: Link) -> bool {
        self.lock().link.replace(link).is_none()
    }

    /// From now on requests do without. Whether it was in use: of many that fail together, one tells.
    pub(crate) fn lose(&self, link: &Link) -> bool {
        let mut state = self.lock();
        state.link.take_if(|current| current.number == link.number).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

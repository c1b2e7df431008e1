use std::{sync::Arc, time::Duration};

use agis_accounts::User;
use agis_apikeys::{ApiKey, Digest};
use agis_base::{StoreError, UserId};
use diesel_async::{
    AsyncConnection, AsyncPgConnection, SimpleAsyncConnection,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Object, Pool, PoolError},
    },
};
use futures_util::FutureExt;
use thiserror::Error;

use crate::{
    connect::{DatabaseUrl, Transport},
    error::Fault,
    gather::Gather,
    readers::{self, Readers},
};

/// How long a call may wait for a connection of the pool.
const CHECKOUT: Duration = Duration::from_secs(3);
/// How long a call may take on its connection.
const CALL: Duration = Duration::from_secs(10);

/// How to reach the database.
#[derive(Clone)]
pub struct DbConfig {
    /// The way to the database.
    pub url: DatabaseUrl,
    /// How many connections there may be, at least two; a fifth of them, at least one, is for reads.
    pub connections: usize,
}

/// Postgres: a pool of connections, some that reads share, and a deadline for whatever is done on one.
#[derive(Clone)]
pub struct Db {
    url: DatabaseUrl,
    pool: Pool<AsyncPgConnection>,
    readers: Arc<Readers>,
    pub(crate) users: Arc<Gather<UserId, User>>,
    pub(crate) keys: Arc<Gather<Digest, Result<ApiKey, StoreError>>>,
    pub(crate) grantees: Arc<Gather<UserId, ()>>,
}

/// The database cannot be used as configured.
#[derive(Debug, Error)]
pub enum DbError {
    /// The pool cannot be built.
    #[error("the connection pool cannot be built: {0}")]
    Pool(String),
}

/// How full the pool is.
#[derive(Debug, Clone, Copy)]
pub struct PoolState {
    /// The most connections it may have.
    pub max: usize,
    /// Connections that exist.
    pub size: usize,
    /// Connections that wait for work.
    pub idle: usize,
    /// Calls that wait for a connection.
    pub waiting: usize,
}

impl Db {
    /// A pool that connects when it is first used.
    ///
    /// # Errors
    /// Fails if the configuration cannot be used.
    pub fn new(config: &DbConfig) -> Result<Self, DbError> {
        // A counter that begins with its first event hides that event from rates and alerts.
        metrics::counter!("agis_bot_db_writes_refused_total").increment(0);
        let mut manager = ManagerConfig::default();
        let url = config.url.clone();
        manager.custom_setup = Box::new(move |_| {
            let url = url.clone();
            async move { url.connect().await }.boxed()
        });
        // The pool drops a connection that is closed or in a transaction; asking the server each time halves the rate.
        manager.recycling_method = RecyclingMethod::Fast;
        let readers = readers::share(config.connections);
        let manager = AsyncDieselConnectionManager::new_with_config(String::new(), manager);
        let pool = Pool::builder(manager)
            .max_size(config.connections.saturating_sub(readers).max(1))
            .build()
            .map_err(|error| DbError::Pool(error.to_string()))?;
        let readers = Arc::new(Readers::new(config.url.clone(), readers));
        let url = config.url.clone();
        Ok(Self { url, pool, readers, users: Arc::default(), keys: Arc::default(), grantees: Arc::default() })
    }

    /// Asks the database for an answer.
    ///
    /// # Errors
    /// Fails if there is none.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.run(async |conn| Ok(conn.batch_execute("select 1").await?)).await
    }

    /// How the latest connection goes to the server; none before the first.
    pub fn transport(&self) -> Option<Transport> {
        self.url.transport()
    }

    /// How full the pool is.
    pub fn pool(&self) -> PoolState {
        let status = self.pool.status();
        PoolState { max: status.max_size, size: status.size, idle: status.available, waiting: status.waiting }
    }

    /// Does a piece of work on a connection. One on which a call was given up, because it took too long or because
    /// nobody waits for it any more, is thrown away: it may be in the middle of a transaction, and hold its locks.
    pub(crate) async fn run<T, R, F>(&self, work: F) -> Result<T, R>
    where
        R: From<StoreError>,
        for<'c> F: AsyncFnOnce(&'c mut AsyncPgConnection) -> Result<T, Fault<R>>
            + Work<&'c mut AsyncPgConnection, Result<T, Fault<R>>, Future: Send>,
    {
        let mut lent = LentConnection(Some(self.checkout().await?));
        let Some(conn) = &mut lent.0 else { return Err(StoreError::Internal("no connection".into()).into()) };
        match tokio::time::timeout(CALL, work(conn)).await {
            Ok(result) => {
                // A session that began while the server took no writes takes none for as long as it lives.
                if !result.as_ref().is_err_and(Fault::is_read_only) {
                    lent.give_back();
                }
                result.map_err(Fault::into_error)
            }
            Err(_) => Err(StoreError::Unavailable(format!("no answer within {} s", CALL.as_secs())).into()),
        }
    }

    /// Reads, by single statements, on a connection that others read on at the same time: each sends its question without
    /// waiting for the answers to theirs. Where there is none to be had at once, on one of the pool.
    pub(crate) async fn read<T, R, F>(&self, work: F) -> Result<T, R>
    where
        T: Send,
        R: From<StoreError> + Send,
        for<'c> F: AsyncFnOnce(&'c AsyncPgConnection) -> Result<T, Fault<R>>
            + Work<&'c AsyncPgConnection, Result<T, Fault<R>>, Future: Send>
            + Send,
    {
        let Some(reader) = self.readers.lend() else {
            return self.run(async |conn| work(conn).await).await;
        };
        match tokio::time::timeout(CALL, work(reader.conn())).await {
            Ok(result) => {
                reader.answered();
                result.map_err(Fault::into_error)
            }
            Err(_) => {
                reader.give_up();
                Err(StoreError::Unavailable(format!("no answer within {} s", CALL.as_secs())).into())
            }
        }
    }

    /// Does a piece of work in a transaction: all of it, or nothing.
    pub(crate) async fn transaction<T, R, F>(&self, work: F) -> Result<T, R>
    where
        T: Send,
        R: From<StoreError> + Send,
        for<'c> F: AsyncFnOnce(&'c mut AsyncPgConnection) -> Result<T, Fault<R>>
            + Work<&'c mut AsyncPgConnection, Result<T, Fault<R>>, Future: Send>
            + Send,
    {
        self.run(async |conn| conn.transaction(work).await).await
    }

    async fn checkout(&self) -> Result<Object<AsyncPgConnection>, StoreError> {
        let conn = tokio::time::timeout(CHECKOUT, self.pool.get()).await;
        let conn = conn.map_err(|_| StoreError::Unavailable("no connection became free".into()))?;
        conn.map_err(|error| match error {
            PoolError::Backend(error) => StoreError::Unavailable(error.to_string()),
            other => StoreError::Unavailable(other.to_string()),
        })
    }
}

/// A connection of the pool, closed unless it is given back.
struct LentConnection(Option<Object<AsyncPgConnection>>);

impl LentConnection {
    fn give_back(&mut self) {
        self.0 = None;
    }
}

impl Drop for LentConnection {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            drop(Object::take(conn));
        }
    }
}

/// An async closure whose future can be named, and so be asked to be `Send`; `AsyncFnOnce` alone cannot say that yet.
pub(crate) trait Work<T, R>: FnOnce(T) -> <Self as Work<T, R>>::Future {
    type Future: Future<Output = R>;
}

impl<F, T, R, Fut> Work<T, R> for F
where
    F: FnOnce(T) -> Fut,
    Fut: Future<Output = R>,
{
    type Future = Fut;
}

/// One column of many rows, to be bound as an array.
pub(crate) fn column<'a, R, T>(rows: &'a [R], of: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

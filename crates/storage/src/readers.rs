//! Connections that reads share.
//!
//! A question is sent without waiting for the answers to those before it (pipelining), which more than doubles what a
//! connection carries. The price is that one slow answer holds up all behind it, so only single, quick statements are
//! asked here, and nobody begins on a connection that has gone quiet: they use the pool, which nobody shares.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use diesel_async::AsyncPgConnection;

use crate::connect::DatabaseUrl;

/// Without any answer for so long a connection is left alone until there is one.
const QUIET: Duration = Duration::from_secs(1);
/// How many questions may be open on a connection.
const DEPTH: usize = 256;
/// After a connection could not be made.
const RETRY: Duration = Duration::from_secs(1);

/// How many of so many connections are for reads: a fifth, one to eight.
pub(crate) fn share(connections: usize) -> usize {
    (connections / 5).clamp(1, 8)
}

/// Places for connections. A thread keeps to its own, so that mostly one thread speaks on a connection; they are made
/// in the background, when somebody looks for one in vain.
pub(crate) struct Readers {
    url: DatabaseUrl,
    places: Vec<Arc<ReaderPlace>>,
}

#[derive(Default)]
struct ReaderPlace {
    current: Mutex<Option<Arc<Reader>>>,
    is_connecting: AtomicBool,
}

/// A connection, and how it does.
struct Reader {
    conn: AsyncPgConnection,
    is_open: Arc<AtomicBool>,
    open_questions: AtomicUsize,
    /// When somebody was answered last, or began to ask on an idle connection: milliseconds after `since`.
    moved: AtomicU64,
    since: Instant,
}

/// A reader lent out: one question.
pub(crate) struct LentReader {
    reader: Arc<Reader>,
    place: Arc<ReaderPlace>,
}

impl Readers {
    pub(crate) fn new(url: DatabaseUrl, places: usize) -> Self {
        Self { url, places: (0..places).map(|_| Arc::default()).collect() }
    }

    /// A connection that is there and answers. Waits for nothing.
    pub(crate) fn lend(&self) -> Option<LentReader> {
        let place = self.places.get(thread_number() % self.places.len())?;
        let current = place.lock().clone();
        match current.filter(|reader| reader.is_open.load(Relaxed)) {
            Some(reader) => reader.is_prompt().then(|| LentReader::new(reader, place.clone())),
            None => {
                self.connect(place);
                None
            }
        }
    }

    fn connect(&self, place: &Arc<ReaderPlace>) {
        if place.is_connecting.swap(true, Relaxed) {
            return;
        }
        let (url, connecting) = (self.url.clone(), Connecting(place.clone()));
        tokio::spawn(async move {
            match Reader::connect(&url).await {
                Ok(reader) => *connecting.0.lock() = Some(Arc::new(reader)),
                Err(error) => {
                    tracing::debug!(%error, "no connection for reads");
                    tokio::time::sleep(RETRY).await;
                }
            }
        });
    }
}

/// Ends with the task, however that ends.
struct Connecting(Arc<ReaderPlace>);

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.is_connecting.store(false, Relaxed);
    }
}

impl ReaderPlace {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Reader>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    async fn connect(url: &DatabaseUrl) -> diesel::ConnectionResult<Self> {
        let (client, connection) = url.open().await?;
        let is_open = Arc::new(AtomicBool::new(true));
        let closes = Closes(is_open.clone());
        tokio::spawn(async move {
            let _closes = closes;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection for reads was lost");
            }
        });
        let conn = AsyncPgConnection::try_from(client).await?;
        Ok(Self { conn, is_open, open_questions: AtomicUsize::new(0), moved: AtomicU64::new(0), since: Instant::now() })
    }

    /// Returns whether a question that is asked now will probably be answered soon.
    fn is_prompt(&self) -> bool {
        match self.open_questions.load(Relaxed) {
            0 => true,
            open => open < DEPTH && self.now().saturating_sub(self.moved.load(Relaxed)) < QUIET.as_millis() as u64,
        }
    }

    fn now(&self) -> u64 {
        self.since.elapsed().as_millis() as u64
    }
}

/// Says that a connection is closed when nothing drives it any more: also where its thread has ended.
struct Closes(Arc<AtomicBool>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

impl LentReader {
    fn new(reader: Arc<Reader>, place: Arc<ReaderPlace>) -> Self {
        if reader.open_questions.fetch_add(1, Relaxed) == 0 {
            reader.moved.store(reader.now(), Relaxed);
        }
        Self { reader, place }
    }

    pub(crate) fn conn(&self) -> &AsyncPgConnection {
        &self.reader.conn
    }

    pub(crate) fn answered(&self) {
        self.reader.moved.store(self.reader.now(), Relaxed);
    }

    /// No answer came: nobody else is to be lent this connection, and it closes when the last one has given it back.
    pub(crate) fn give_up(&self) {
        let mut current = self.place.lock();
        if current.as_ref().is_some_and(|reader| Arc::ptr_eq(reader, &self.reader)) {
            *current = None;
        }
    }
}

impl Drop for LentReader {
    fn drop(&mut self) {
        self.reader.open_questions.fetch_sub(1, Relaxed);
    }
}

/// Threads counted in the order in which they first read.
pub(crate) fn thread_number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = THREADS.fetch_add(1, Relaxed);
    }
    NUMBER.with(|number| *number)
}

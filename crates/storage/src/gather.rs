//! Collects lookups: one statement answers all that arrive while the statement before it is under way. Under load a lookup
//! costs a fraction of a statement; without load no lookup waits for another.
//!
//! The reason is measured (docs/BENCHMARKS.md): with it `GET /users/me` reaches 2.44 of one query per request on a pool.
//! One query per request on shared, pipelined connections reaches 1.2.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use agis_base::StoreError;
use tokio::sync::oneshot;

use crate::readers::thread_number;

/// Threads with a number of their own up to here do not meet.
const PLACES: usize = 16;
/// How many are asked at once.
const TOGETHER: usize = 64;
/// Maximum age of a question whose answer a newcomer waits for.
const QUIET: Duration = Duration::from_secs(1);

/// Looks things up by their key, together. Those who ask from one thread are asked for there.
pub(crate) struct Gather<K, V>([Mutex<AskingPlace<K, V>>; PLACES]);

struct AskingPlace<K, V> {
    waiting: Vec<Asked<K, V>>,
    asked_at: Option<Instant>,
}

struct Asked<K, V> {
    key: K,
    tell: oneshot::Sender<Result<Option<V>, StoreError>>,
}

impl<K, V> Default for Gather<K, V> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(AskingPlace { waiting: vec![], asked_at: None })))
    }
}

impl<K, V> Gather<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Looks up a key. `ask` looks up many keys, also those of other callers.
    ///
    /// # Errors
    /// Fails with the error of `ask`.
    pub(crate) async fn find<Fut>(
        self: &Arc<Self>,
        key: K,
        ask: impl Fn(Vec<K>) -> Fut + Send + 'static,
    ) -> Result<Option<V>, StoreError>
    where
        Fut: Future<Output = Result<HashMap<K, V>, StoreError>> + Send + 'static,
    {
        let number = thread_number() % PLACES;
        let (tell, told) = oneshot::channel();
        let nobody_asks = {
            let mut place = self.place(number);
            place.waiting.push(Asked { key, tell });
            let quiet = place.asked_at.is_none_or(|at| at.elapsed() > QUIET);
            if quiet {
                place.asked_at = Some(Instant::now());
            }
            quiet
        };
        if nobody_asks {
            // Not by the one who came first: they may leave before the others have their answer.
            tokio::spawn(self.clone().ask_for_all(number, ask));
        }
        told.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the question was given up".into())))
    }

    async fn ask_for_all<Fut>(self: Arc<Self>, number: usize, ask: impl Fn(Vec<K>) -> Fut)
    where
        Fut: Future<Output = Result<HashMap<K, V>, StoreError>>,
    {
        while let Some(asked) = self.next(number) {
            let found = ask(asked.iter().map(|it| it.key.clone()).collect()).await;
            for Asked { key, tell } in asked {
                // A caller that has left needs no answer.
                let _ = tell.send(found.as_ref().map(|found| found.get(&key).cloned()).map_err(Clone::clone));
            }
        }
    }

    /// Returns the next callers; `None` if nobody waits, and then the next caller has to ask.
    fn next(&self, number: usize) -> Option<Vec<Asked<K, V>>> {
        let mut place = self.place(number);
        let first = place.waiting.len().min(TOGETHER);
        let asked: Vec<_> = place.waiting.drain(..first).collect();
        place.asked_at = (!asked.is_empty()).then(Instant::now);
        (!asked.is_empty()).then_some(asked)
    }

    fn place(&self, number: usize) -> MutexGuard<'_, AskingPlace<K, V>> {
        self.0[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    /// Answers with the square of every key but 13; each call needs a permit.
    #[derive(Clone)]
    struct Squares {
        permits: Arc<Semaphore>,
        calls: Arc<AtomicUsize>,
    }

    impl Squares {
        fn new() -> Self {
            Self { permits: Arc::new(Semaphore::new(0)), calls: Arc::default() }
        }

        async fn ask(self, keys: Vec<u64>) -> Result<HashMap<u64, u64>, StoreError> {
            self.calls.fetch_add(1, SeqCst);
            self.permits.acquire().await.expect("open").forget();
            if keys.contains(&666) {
                return Err(StoreError::Unavailable("gone".into()));
            }
            Ok(keys.into_iter().filter(|key| *key != 13).map(|key| (key, key * key)).collect())
        }

        async fn find(&self, gather: &Arc<Gather<u64, u64>>, key: u64) -> Result<Option<u64>, StoreError> {
            let squares = self.clone();
            gather.find(key, move |keys| squares.clone().ask(keys)).await
        }
    }

    #[tokio::test]
    async fn latecomers_are_asked_together() {
        let (gather, squares) = (Arc::default(), Squares::new());
        squares.permits.add_permits(100);
        let all = join_all((0..200).map(|key| squares.find(&gather, key))).await;
        for (key, found) in (0..200).zip(all) {
            assert_eq!(found.expect("an answer"), (key != 13).then_some(key * key), "{key}");
        }
        assert_eq!(squares.calls.load(SeqCst), 200_usize.div_ceil(TOGETHER), "each with as many as there may be");
    }

    #[tokio::test]
    async fn leaver_takes_no_answer_from_others() {
        let (gather, squares) = (Arc::default(), Squares::new());
        let mut first = Box::pin(squares.find(&gather, 1));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut second = Box::pin(squares.find(&gather, 2));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        squares.permits.add_permits(2);
        assert_eq!(second.await.expect("an answer"), Some(4));
        let both = join_all([squares.find(&gather, 3), squares.find(&gather, 666)]).await;
        assert!(both.iter().all(|found| matches!(found, Err(StoreError::Unavailable(_)))), "{both:?}");
    }

    #[tokio::test]
    async fn nobody_waits_behind_an_unanswered_question() {
        let (gather, squares) = (Arc::default(), Squares::new());
        let mut stuck = Box::pin(squares.find(&gather, 1));
        assert!(futures_util::poll!(&mut stuck).is_pending());
        tokio::task::yield_now().await;
        gather.place(thread_number() % PLACES).asked_at = Instant::now().checked_sub(QUIET * 2);
        squares.permits.add_permits(2);
        assert_eq!(squares.find(&gather, 5).await.expect("an answer"), Some(25));
    }
}

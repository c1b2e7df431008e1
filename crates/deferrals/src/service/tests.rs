//! Tests on a store in memory whose leases end when a test says so.

use std::sync::atomic::{AtomicBool, Ordering};

use agis_base::{BatchId, OperationId};
use async_trait::async_trait;

use super::*;
use crate::store::Claimed;

#[derive(Default)]
struct Memory {
    rows: Mutex<HashMap<Arc<str>, Row>>,
    away: AtomicBool,
}

struct Row {
    deferral: Deferral,
    holder: Holder,
    over: bool,
}

impl Memory {
    fn rows(&self) -> Result<MutexGuard<'_, HashMap<Arc<str>, Row>>, StoreError> {
        match self.away.load(Ordering::Relaxed) {
            true => Err(StoreError::Unavailable("away".to_owned())),
            false => Ok(self.rows.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Ends all leases.
    fn run_out(&self) {
        self.rows().expect("the store").values_mut().for_each(|row| row.over = true);
    }

    /// Returns the noted keys, with the work that they follow.
    fn noted(&self) -> Vec<(String, Option<Followed>)> {
        let rows = self.rows().expect("the store");
        let mut noted: Vec<_> = rows.values().map(|row| (row.deferral.key.to_string(), row.deferral.follows)).collect();
        noted.sort_by(|one, other| one.0.cmp(&other.0));
        noted
    }
}

#[async_trait]
impl DeferralStore for Memory {
    async fn keep(&self, holder: &Holder, _: Duration, deferrals: &[Deferral]) -> Result<(), StoreError> {
        let mut rows = self.rows()?;
        for deferral in deferrals {
            if rows.get(&deferral.key).is_none_or(|row| row.holder == *holder) {
                let row = Row { deferral: deferral.clone(), holder: holder.clone(), over: false };
                rows.insert(deferral.key.clone(), row);
            }
        }
        Ok(())
    }

    async fn forget(&self, holder: &Holder, keys: &[Arc<str>]) -> Result<(), StoreError> {
        self.rows()?.retain(|key, row| row.holder != *holder || !keys.contains(key));
        Ok(())
    }

    async fn claim(&self, holder: &Holder, _: Duration, _: Duration, _: u32) -> Result<Vec<Claimed>, StoreError> {
        let mut rows = self.rows()?;
        let over = rows.values_mut().filter(|row| row.over && row.holder.seal == holder.seal);
        let claimed = over.map(|row| {
            (row.holder, row.over) = (holder.clone(), false);
            Claimed { deferral: row.deferral.clone(), age: Duration::from_secs(11) }
        });
        Ok(claimed.collect())
    }
}

fn process(store: &Arc<Memory>, secret: &str) -> Deferrals {
    let deferrals = Deferrals::new(store.clone(), secret).expect("a seal");
    let writer = deferrals.clone();
    tokio::spawn(async move {
        loop {
            let pause = writer.round().await.ok().flatten();
            let _ = timeout(pause.unwrap_or(BEAT), writer.changed()).await;
        }
    });
    deferrals
}

async fn promise(deferrals: &Deferrals, key: &str) -> Held {
    let (user, token) = (UserId::from_stored("1"), Token::new("token".to_owned()));
    let held = deferrals.hold(key.to_owned(), user, token, Place::Message, None);
    held.noted().await;
    held
}

/// Waits until the store holds this.
async fn until(store: &Memory, expected: &[(&str, Option<Followed>)]) {
    let expected: Vec<_> = expected.iter().map(|(key, work)| ((*key).to_owned(), *work)).collect();
    let there = async {
        while store.noted() != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), there).await.unwrap_or_else(|_| panic!("{:?}", store.noted()));
}

#[tokio::test]
async fn promise_is_noted_until_it_is_kept() {
    let store = Arc::<Memory>::default();
    let deferrals = process(&store, "secret");
    let mut held = promise(&deferrals, "a").await;
    until(&store, &[("a", None)]).await;
    for work in [Followed::Operation(OperationId::new()), Followed::Batch(BatchId(7))] {
        held.follow(work);
        until(&store, &[("a", Some(work))]).await;
    }
    held.end();
    until(&store, &[]).await;
}

#[tokio::test]
async fn dead_process_is_followed_by_its_own_secret() {
    let store = Arc::<Memory>::default();
    let dead = promise(&process(&store, "secret"), "a").await;
    until(&store, &[("a", None)]).await;
    let (other, same) = (process(&store, "another"), process(&store, "secret"));
    assert!(same.claim(10).await.expect("a claim").is_empty(), "it lives");
    store.run_out();
    assert!(other.claim(10).await.expect("a claim").is_empty());
    let orphan = same.claim(10).await.expect("a claim").pop().expect("the promise");
    assert_eq!((orphan.held.key(), orphan.held.token().reveal(), orphan.age.as_secs()), ("a", "token", 11));

    // The first process has lost the promise, and the second has it.
    dead.end();
    until(&store, &[("a", None)]).await;
    orphan.held.end();
    until(&store, &[]).await;
}

#[tokio::test]
async fn dropped_promise_is_left_to_be_found() {
    let store = Arc::<Memory>::default();
    let deferrals = process(&store, "secret");
    drop(promise(&deferrals, "a").await);
    store.run_out();
    assert_eq!(deferrals.claim(10).await.expect("a claim").len(), 1);
}

#[tokio::test]
async fn absent_store_delays_an_answer_a_moment() {
    let store = Arc::<Memory>::default();
    let (deferrals, other) = (process(&store, "secret"), process(&store, "secret"));
    let _alive = promise(&other, "b").await;
    store.set_away(true);
    let began = Instant::now();
    let held = promise(&deferrals, "a").await;
    assert!(began.elapsed() >= NOTING, "{:?}", began.elapsed());
    assert!(deferrals.claim(10).await.is_err());
    store.set_away(false);
    until(&store, &[("a", None), ("b", None)]).await;

    store.run_out();
    assert!(deferrals.claim(10).await.expect("a claim").is_empty(), "others renew theirs first");
    held.end();
    until(&store, &[("b", None)]).await;
}

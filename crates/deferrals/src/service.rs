//! Answers that this process owes, and the takeover of answers that a dead process owed.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agis_base::{StoreError, UserId};
use tokio::{
    sync::{Mutex as Turns, Notify, watch},
    time::{Instant, timeout},
};
use uuid::Uuid;

use crate::{
    deferral::{Deferral, Followed, Place},
    seal::{Seal, Token},
    store::{DeferralStore, Holder},
};

/// Length of a lease.
pub const LEASE: Duration = Duration::from_secs(10);
/// Time between renewals of leases, and maximum time of one renewal.
pub const BEAT: Duration = Duration::from_secs(3);
/// Maximum time that an answer waits for its promise to be written: Discord waits three seconds for a deferral in all.
pub const NOTING: Duration = Duration::from_millis(200);
/// Maximum age of a promise: the token of an interaction lives for 15 minutes.
/// <https://docs.discord.com/developers/interactions/receiving-and-responding#followup-messages>
pub const LIFE: Duration = Duration::from_secs(15 * 60);
/// Maximum number of written promises of one process. Further promises are kept in memory and lost if the process dies.
const HELD_MAX: usize = 1_000;

/// Answers that this process owes. Cheap to clone.
#[derive(Clone)]
pub struct Deferrals(Arc<Inner>);

struct Inner {
    store: Arc<dyn DeferralStore>,
    seal: Seal,
    holder: Holder,
    owed: Mutex<Owed>,
    /// Rings when there is something to write.
    bell: Notify,
    /// Number of the last change that is written.
    written: watch::Sender<u64>,
    /// Serialises writes, so that no earlier one overtakes a later one.
    turn: Turns<Turn>,
}

#[derive(Default)]
struct Turn {
    /// Time of the last failure.
    failed: Option<Instant>,
    /// Time of the last attempt to renew every lease.
    renewed: Option<Instant>,
}

#[derive(Default)]
struct Owed {
    /// Number of changes so far.
    changes: u64,
    held: HashMap<Arc<str>, Noted>,
    /// Promises that are answered and not forgotten yet.
    ended: Vec<Arc<str>>,
}

struct Noted {
    deferral: Deferral,
    /// Number of its last change.
    change: u64,
}

/// Answer that this process owes. If dropped without [`Held::end`], another process finds it when its lease ends.
pub struct Held {
    deferrals: Deferrals,
    key: Arc<str>,
    user: UserId,
    token: Token,
    place: Place,
    follows: Option<Followed>,
    ended: bool,
}

/// Answer that another process owed, and this one owes now.
pub struct Orphan {
    /// The answer.
    pub held: Held,
    /// Time since the promise.
    pub age: Duration,
}

impl Deferrals {
    /// Creates the service over this store. The secret seals tokens and is the same in every process; `None` if the
    /// cryptography refuses it. Nothing is written unless [`Self::round`] is called again and again.
    pub fn new(store: Arc<dyn DeferralStore>, secret: &str) -> Option<Self> {
        let seal = Seal::of(secret)?;
        let holder = Holder { process: Uuid::now_v7(), seal: seal.id().to_vec() };
        let (written, _) = watch::channel(0);
        let (owed, bell, turn) = (Mutex::default(), Notify::new(), Turns::default());
        Some(Self(Arc::new(Inner { store, seal, holder, owed, bell, written, turn })))
    }

    /// Promises an answer: it is written soon, and kept until it is given or the process dies.
    pub fn hold(&self, key: String, user: UserId, token: Token, place: Place, follows: Option<Followed>) -> Held {
        let key: Arc<str> = key.into();
        match self.0.seal.seal(&token, &key) {
            Some(sealed) => {
                self.note(Deferral { key: key.clone(), user: user.clone(), token: sealed, place, follows });
                self.0.bell.notify_one();
            }
            None => tracing::warn!("answer token could not be sealed"),
        }
        self.held(key, user, token, place, follows)
    }

    /// Writes changes, and renews leases whenever [`BEAT`] has passed. Returns the pause until the next renewal.
    ///
    /// # Errors
    /// Fails if the store does; the next round writes the same.
    pub async fn round(&self) -> Result<Option<Duration>, StoreError> {
        let mut turn = self.0.turn.lock().await;
        let all = turn.renewed.is_none_or(|at| at.elapsed() >= BEAT);
        self.write(&mut turn, all).await?;
        Ok(turn.renewed.map(|at| BEAT.saturating_sub(at.elapsed())))
    }

    /// Resolves when there is something to write.
    pub async fn changed(&self) {
        self.0.bell.notified().await;
    }

    /// Takes over up to `limit` answers whose holder could not renew its lease. Takes none for a while after an outage
    /// of the database, so that living holders renew their leases first.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn claim(&self, limit: u32) -> Result<Vec<Orphan>, StoreError> {
        let mut turn = self.0.turn.lock().await;
        // Renews the leases of this process first, so that it never claims its own promises.
        self.write(&mut turn, true).await?;
        if turn.failed.is_some_and(|at| at.elapsed() < LEASE) {
            return Ok(vec![]);
        }
        let claimed = in_time(self.0.store.claim(&self.0.holder, LEASE, LIFE, limit)).await;
        let claimed = claimed.inspect_err(|_| turn.failed = Some(Instant::now()))?;
        Ok(claimed.into_iter().filter_map(|claimed| self.orphan(claimed.deferral, claimed.age)).collect())
    }

    fn orphan(&self, deferral: Deferral, age: Duration) -> Option<Orphan> {
        let Some(token) = self.0.seal.open(&deferral.token, &deferral.key) else {
            tracing::warn!(request_id = &*deferral.key, "answer token could not be opened");
            self.lock().ended.push(deferral.key);
            return None;
        };
        let Deferral { key, user, place, follows, .. } = deferral.clone();
        self.note(deferral);
        Some(Orphan { held: self.held(key, user, token, place, follows), age })
    }

    fn held(&self, key: Arc<str>, user: UserId, token: Token, place: Place, follows: Option<Followed>) -> Held {
        Held { deferrals: self.clone(), key, user, token, place, follows, ended: false }
    }

    fn note(&self, deferral: Deferral) {
        let mut owed = self.lock();
        if owed.held.len() < HELD_MAX {
            owed.changes += 1;
            let change = owed.changes;
            owed.held.insert(deferral.key.clone(), Noted { deferral, change });
        }
    }

    /// Writes the changes since the last time, or everything, which renews every lease.
    async fn write(&self, turn: &mut Turn, all: bool) -> Result<(), StoreError> {
        if all {
            turn.renewed = Some(Instant::now());
        }
        let (change, keep, forget) = self.unwritten(all);
        let (store, holder) = (&self.0.store, &self.0.holder);
        let written = in_time(async {
            if !keep.is_empty() {
                store.keep(holder, LEASE, &keep).await?;
            }
            if !forget.is_empty() {
                store.forget(holder, &forget).await?;
            }
            Ok(())
        });
        if let Err(error) = written.await {
            turn.failed = Some(Instant::now());
            return Err(error);
        }
        self.lock().ended.retain(|key| !forget.contains(key));
        self.0.written.send_replace(change);
        Ok(())
    }

    /// Returns the number of the last change, the promises to keep, and the promises to forget.
    fn unwritten(&self, all: bool) -> (u64, Vec<Deferral>, Vec<Arc<str>>) {
        let written = *self.0.written.borrow();
        let owed = self.lock();
        let keep = owed.held.values().filter(|noted| all || noted.change > written);
        (owed.changes, keep.map(|noted| noted.deferral.clone()).collect(), owed.ended.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Owed> {
        self.0.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Returns the idempotency key of the request.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the user who asked.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// Returns the token to answer with.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Returns the place of the answer.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Returns the work whose end the answer reports.
    pub fn follows(&self) -> Option<Followed> {
        self.follows
    }

    /// Makes the answer report the end of this work.
    pub fn follow(&mut self, work: Followed) {
        self.follows = Some(work);
        let mut owed = self.deferrals.lock();
        owed.changes += 1;
        let last = owed.changes;
        if let Some(Noted { deferral, change }) = owed.held.get_mut(&self.key) {
            (deferral.follows, *change) = (self.follows, last);
        }
        drop(owed);
        self.deferrals.0.bell.notify_one();
    }

    /// Waits until the promise is written, at most [`NOTING`]: if the database is away, it is written later.
    pub async fn noted(&self) {
        let change = self.deferrals.lock().held.get(&self.key).map(|noted| noted.change);
        let Some(change) = change else { return };
        let mut written = self.deferrals.0.written.subscribe();
        let _ = timeout(NOTING, written.wait_for(|written| *written >= change)).await;
    }

    /// Ends the promise: the answer was given, or cannot be given any more.
    pub fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut owed = self.deferrals.lock();
        owed.held.remove(&self.key);
        // Keys beyond this bound are forgotten by age.
        if self.ended && owed.ended.len() < HELD_MAX {
            owed.ended.push(self.key.clone());
        }
        drop(owed);
        self.deferrals.0.bell.notify_one();
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = || StoreError::Unavailable(format!("no answer within {} s", BEAT.as_secs()));
    timeout(BEAT, call).await.unwrap_or_else(|_| Err(late()))
}

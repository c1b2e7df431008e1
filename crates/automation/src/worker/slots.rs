//! Places among the orders that keep a host busy at once.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agis_base::UserId;
use tokio::sync::{Notify, oneshot};

/// The part of the places that one owner may take.
const SHARE: usize = 4;

/// The places of one lane.
pub(super) struct Slots {
    all: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Default)]
struct Taken {
    held: HashMap<UserId, usize>,
    /// The orders that gave their place up and want one again. They have one before any that has not begun.
    returning: VecDeque<(UserId, oneshot::Sender<Permit>)>,
}

impl Slots {
    pub(super) fn new(all: usize) -> Arc<Self> {
        Arc::new(Self { all, taken: Mutex::default(), freed: Notify::new() })
    }

    pub(super) fn free(&self) -> usize {
        self.all.saturating_sub(self.taken().held.values().sum())
    }

    /// A place for an order of this owner; none where all are taken, or this owner has as many as one may.
    pub(super) fn take(self: &Arc<Self>, owner: &UserId) -> Option<Permit> {
        self.take_of(&mut self.taken(), owner)
    }

    fn take_of(self: &Arc<Self>, taken: &mut Taken, owner: &UserId) -> Option<Permit> {
        let held = &mut taken.held;
        let has = held.get(owner).copied().unwrap_or_default();
        let is_free = held.values().sum::<usize>() < self.all && has < (self.all / SHARE).max(1);
        is_free.then(|| {
            held.insert(owner.clone(), has + 1);
            Permit { slots: self.clone(), owner: owner.clone() }
        })
    }

    /// Waits for a place for an order of this owner that had one before.
    pub(super) async fn take_again(self: Arc<Self>, owner: UserId) -> Permit {
        loop {
            let given = {
                let mut taken = self.taken();
                if let Some(permit) = self.take_of(&mut taken, &owner) {
                    return permit;
                }
                let (giver, given) = oneshot::channel();
                taken.returning.push_back((owner.clone(), giver));
                given
            };
            if let Ok(permit) = given.await {
                return permit;
            }
        }
    }

    /// Gives what has become free to the first that returns and may have it.
    fn hand_on(self: &Arc<Self>) {
        let mut taken = self.taken();
        taken.returning.retain(|(_, giver)| !giver.is_closed());
        let handed = (0..taken.returning.len()).find_map(|at| {
            let owner = taken.returning[at].0.clone();
            Some((at, self.take_of(&mut taken, &owner)?))
        });
        let handed = handed.and_then(|(at, permit)| Some((taken.returning.remove(at)?.1, permit)));
        drop(taken);
        match handed {
            // A permit for which nobody waits any more is dropped, which hands it on.
            Some((giver, permit)) => drop(giver.send(permit)),
            None => self.freed.notify_one(),
        }
    }

    /// Resolves when a place has become free since it last did.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place, until dropped.
pub(super) struct Permit {
    slots: Arc<Slots>,
    owner: UserId,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        if let Some(has) = taken.held.get_mut(&self.owner) {
            *has -= 1;
            if *has == 0 {
                taken.held.remove(&self.owner);
            }
        }
        drop(taken);
        self.slots.hand_on();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: usize) -> UserId {
        UserId::from_stored(&id.to_string())
    }

    #[test]
    fn one_owner_takes_a_quarter_at_most() {
        let slots = Slots::new(8);
        let mut permits: Vec<_> = std::iter::from_fn(|| slots.take(&user(1))).collect();
        assert_eq!((permits.len(), slots.free()), (2, 6));
        for other in 2..=4 {
            permits.extend(std::iter::from_fn(|| slots.take(&user(other))));
        }
        assert_eq!(slots.free(), 0);
        assert!(slots.take(&user(5)).is_none());
        permits.remove(0);
        assert!(slots.take(&user(5)).is_some());
        drop(permits);
        assert_eq!((slots.free(), slots.taken().held.len()), (8, 0));
    }

    #[test]
    fn the_only_place_is_anybodys() {
        let slots = Slots::new(1);
        let permit = slots.take(&user(1)).expect("a place");
        assert!(slots.take(&user(2)).is_none());
        drop(permit);
        assert!(slots.take(&user(2)).is_some());
    }

    #[tokio::test]
    async fn returning_order_goes_before_a_new_one() {
        let slots = Slots::new(1);
        let first = slots.take(&user(1)).expect("a place");
        let gone = tokio::spawn(slots.clone().take_again(user(1)));
        tokio::task::yield_now().await;
        let returning = tokio::spawn(slots.clone().take_again(user(2)));
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.is_err(), "nobody waits in its place any more");
        drop(first);
        assert!(slots.take(&user(3)).is_none());
        let permit = returning.await.expect("a place");
        assert!(slots.take(&user(3)).is_none());
        drop(permit);
        assert_eq!((slots.free(), slots.taken().held.len()), (1, 0));
    }

    #[tokio::test]
    async fn returning_order_keeps_to_its_owners_share() {
        let slots = Slots::new(4);
        let first = slots.take(&user(1)).expect("a place");
        let returning = tokio::spawn(slots.clone().take_again(user(1)));
        tokio::task::yield_now().await;
        drop(slots.take(&user(2)).expect("a place"));
        tokio::task::yield_now().await;
        assert!(!returning.is_finished());
        drop(first);
        assert!(returning.await.is_ok());
    }
}

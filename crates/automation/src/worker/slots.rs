//! Places among the orders that keep a host busy at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agis_base::UserId;
use tokio::sync::Notify;

/// The part of the places that one owner may take.
const SHARE: usize = 4;

/// The places of one lane.
pub(super) struct Slots {
    all: usize,
    held: Mutex<HashMap<UserId, usize>>,
    freed: Notify,
}

impl Slots {
    pub(super) fn new(all: usize) -> Arc<Self> {
        Arc::new(Self { all, held: Mutex::default(), freed: Notify::new() })
    }

    pub(super) fn free(&self) -> usize {
        self.all.saturating_sub(self.held().values().sum())
    }

    /// A place for an order of this owner; none where all are taken, or this owner has as many as one may.
    pub(super) fn take(self: &Arc<Self>, owner: &UserId) -> Option<Permit> {
        let mut held = self.held();
        let has = held.get(owner).copied().unwrap_or_default();
        let is_free = held.values().sum::<usize>() < self.all && has < (self.all / SHARE).max(1);
        is_free.then(|| {
            held.insert(owner.clone(), has + 1);
            Permit { slots: self.clone(), owner: owner.clone() }
        })
    }

    /// Resolves when a place has become free since it last did.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    fn held(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place, until dropped.
pub(super) struct Permit {
    slots: Arc<Slots>,
    owner: UserId,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self.slots.held();
        if let Some(has) = held.get_mut(&self.owner) {
            *has -= 1;
            if *has == 0 {
                held.remove(&self.owner);
            }
        }
        drop(held);
        self.slots.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: usize) -> UserId {
        UserId::from_stored(&id.to_string())
    }

    #[test]
    fn one_owner_takes_a_quarter_of_the_places_and_gives_them_back() {
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
        assert_eq!((slots.free(), slots.held().len()), (8, 0));
    }

    #[test]
    fn the_only_place_is_anybodys() {
        let slots = Slots::new(1);
        let permit = slots.take(&user(1)).expect("a place");
        assert!(slots.take(&user(2)).is_none());
        drop(permit);
        assert!(slots.take(&user(2)).is_some());
    }
}

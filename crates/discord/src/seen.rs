//! Remembers things that this process has seen of late.

use std::{
    collections::{HashSet, VecDeque},
    hash::Hash,
    sync::{Mutex, PoisonError},
};

/// Set that forgets its oldest members.
pub(crate) struct Seen<T> {
    held: Mutex<(HashSet<T>, VecDeque<T>)>,
    max: usize,
}

impl<T: Eq + Hash + Clone> Seen<T> {
    pub(crate) fn new(max: usize) -> Self {
        Self { held: Mutex::default(), max }
    }

    /// Adds an item; returns whether it is new.
    pub(crate) fn is_new(&self, item: T) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (set, order) = &mut *held;
        if !set.insert(item.clone()) {
            return false;
        }
        order.push_back(item);
        if order.len() > self.max
            && let Some(oldest) = order.pop_front()
        {
            set.remove(&oldest);
        }
        true
    }

    pub(crate) fn contains(&self, item: &T) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).0.contains(item)
    }

    /// Forgets an item.
    pub(crate) fn forget(&self, item: &T) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0.remove(item) {
            held.1.retain(|other| other != item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thing_is_new_once_until_forgotten() {
        let seen = Seen::new(2);
        assert!(seen.is_new(1) && !seen.is_new(1) && seen.is_new(2) && seen.contains(&1));
        seen.forget(&1);
        assert!(seen.is_new(1));
        assert!(seen.is_new(3), "2 makes way");
        assert!(seen.contains(&1) && !seen.contains(&2));
    }
}

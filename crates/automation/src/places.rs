//! Bounds on the work for one owner, or for one server, so that one that hangs leaves room to others.

use std::{collections::HashMap, hash::Hash, sync::Arc};

/// Counts the places that each key holds.
pub(crate) struct Places<K> {
    most: usize,
    held: HashMap<K, Arc<()>>,
}

/// Place that is held until this is dropped.
pub(crate) struct Place {
    _held: Arc<()>,
}

impl<K: Hash + Eq + Clone> Places<K> {
    /// Creates a count that gives each key this many places.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, held: HashMap::new() }
    }

    /// Takes a place; `None` if the key holds as many as allowed.
    pub(crate) fn take(&mut self, key: &K) -> Option<Place> {
        self.held.retain(|_, places| Arc::strong_count(places) > 1);
        let places = self.held.entry(key.clone()).or_default();
        (Arc::strong_count(places) <= self.most).then(|| Place { _held: places.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_so_many_places() {
        let mut places = Places::new(2);
        let held = [places.take(&1), places.take(&1)];
        assert!(held.iter().all(Option::is_some));
        assert!(places.take(&1).is_none(), "as many as allowed");
        assert!(places.take(&2).is_some(), "others have their own");
        drop(held);
        assert!(places.take(&1).is_some(), "a place is given back");
        assert_eq!(places.held.len(), 1, "keys without places are forgotten");
    }
}

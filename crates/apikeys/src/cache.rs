//! Cache of the keys that this process looked up lately.
//!
//! The process trusts a cached key only while it would have heard of a change of that key. The listener on the
//! database's notices sends itself a notice every second. When that notice comes back, the listener vouches that it has
//! heard of everything that was committed before. Without this the cache stays silent, and every key is looked up.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};

use agis_base::KeyId;

use crate::{api_key::ApiKey, key::Digest};

/// Time for which one vouching is good, from the moment at which the listener sent the notice.
const TRUST: Duration = Duration::from_secs(5);
/// Maximum number of keys. A key with its entry takes about 500 bytes.
const CAPACITY: usize = 20_000;

/// Cache of the keys that this process looked up lately. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct KeyCache(Arc<RwLock<CacheState>>);

#[derive(Debug, Default)]
struct CacheState {
    keys: HashMap<Digest, Arc<ApiKey>>,
    /// Number of changes that were heard.
    heard: u64,
    trusted_until: Option<Instant>,
}

/// Permission to remember the result of a look-up if nothing changes meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Ticket {
    heard: u64,
}

impl KeyCache {
    /// Returns the key of that digest, or a ticket for the look-up.
    pub(crate) fn get(&self, digest: Digest, now: Instant) -> Result<Arc<ApiKey>, Ticket> {
        let state = self.read();
        let trusted = state.trusted_until.is_some_and(|until| now < until);
        let found = if trusted { state.keys.get(&digest).cloned() } else { None };
        found.ok_or(Ticket { heard: state.heard })
    }

    /// Remembers the result of a look-up, unless a change was heard since the ticket was given. That change may have
    /// been of this key, and the row may have been read before it.
    pub(crate) fn put(&self, ticket: Ticket, digest: Digest, key: Arc<ApiKey>) {
        let mut state = self.write();
        if state.heard != ticket.heard {
            return;
        }
        if state.keys.len() >= CAPACITY && !state.keys.contains_key(&digest) {
            let any = state.keys.keys().next().copied();
            any.map(|any| state.keys.remove(&any));
        }
        state.keys.insert(digest, key);
    }

    /// Forgets a key that has changed or is gone.
    pub fn forget(&self, id: KeyId) {
        let mut state = self.write();
        state.heard += 1;
        state.keys.retain(|_, key| key.id != id);
    }

    /// Forgets all keys, since changes may have gone unheard.
    pub fn forget_all(&self) {
        let mut state = self.write();
        state.heard += 1;
        state.keys.clear();
        state.trusted_until = None;
    }

    /// Trusts the cache for a while, since everything that was committed before `since` has been heard.
    pub fn vouch(&self, since: Instant) {
        let mut state = self.write();
        state.trusted_until = state.trusted_until.max(Some(since + TRUST));
    }

    fn read(&self) -> RwLockReadGuard<'_, CacheState> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, CacheState> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use agis_base::Timestamp;

    use super::*;
    use crate::{Grant, Key, Scopes, address::Blocks};

    fn key(id: i32) -> (Digest, Arc<ApiKey>) {
        let key = ApiKey {
            id: KeyId(id),
            owner: agis_base::UserId::from_stored("1"),
            name: "k".to_owned(),
            grant: Grant { scopes: Scopes::default(), rate_limit: 1, allowed_ips: Blocks::default(), expires_at: None },
            bucket: id,
            makers: vec![],
            replaced_by: None,
            last_used: None,
            created_at: Timestamp::UNIX_EPOCH,
        };
        (Key::generate().expect("randomness").digest(), Arc::new(key))
    }

    fn ticket(cache: &KeyCache, digest: Digest, now: Instant) -> Ticket {
        cache.get(digest, now).expect_err("a ticket")
    }

    #[test]
    fn key_is_cached_while_vouched_for() {
        let (cache, now) = (KeyCache::default(), Instant::now());
        let (digest, found) = key(1);
        cache.put(ticket(&cache, digest, now), digest, found);
        assert!(cache.get(digest, now).is_err(), "nobody has vouched yet");
        cache.vouch(now);
        assert!(cache.get(digest, now + Duration::from_millis(4_999)).is_ok());
        assert!(cache.get(digest, now + TRUST).is_err());
        cache.vouch(now + Duration::from_secs(3));
        assert!(cache.get(digest, now + TRUST).is_ok());
    }

    #[test]
    fn stale_reads_are_never_cached() {
        let (cache, now) = (KeyCache::default(), Instant::now());
        let ((one, found_one), (two, found_two)) = (key(1), key(2));
        cache.vouch(now);
        cache.put(ticket(&cache, one, now), one, found_one.clone());
        cache.put(ticket(&cache, two, now), two, found_two);
        let before = ticket(&cache, key(3).0, now);
        cache.forget(KeyId(1));
        assert!(cache.get(one, now).is_err());
        assert!(cache.get(two, now).is_ok(), "another key stays");
        cache.put(before, one, found_one);
        assert!(cache.get(one, now).is_err(), "it was read before the change");
        cache.forget_all();
        cache.vouch(now);
        assert!(cache.get(two, now).is_err());
    }

    #[test]
    fn its_size_is_bounded() {
        let (cache, now) = (KeyCache::default(), Instant::now());
        let (_, found) = key(1);
        for _ in 0..CAPACITY + 10 {
            let digest = Key::generate().expect("randomness").digest();
            cache.put(ticket(&cache, digest, now), digest, found.clone());
        }
        assert_eq!(cache.read().keys.len(), CAPACITY);
    }
}

//! Rules about keys that both transports share.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use agis_base::{KeyId, Once, StoreError, Timestamp, UserId, name};
use metrics::Counter;
use thiserror::Error;

use crate::{
    address::Blocks,
    api_key::{ApiKey, KeyState},
    cache::{KeyCache, Ticket},
    grant::{Beyond, KeyChange, Wanted},
    key::{Digest, Key, Malformed, NoRandomness},
    scope::{Scope, Scopes},
    store::{KeyRow, KeyStore, Successor, WriteError},
};

const TTL_DAYS_MAX: u32 = 3650;
const SCOPES_MAX: usize = 100;
const BLOCKS_MAX: usize = 50;
/// Maximum time for which a replaced key stays valid: 30 days.
const OVERLAP_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Time for which an ended key is kept: 30 days.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// Maximum number of ended keys that one round deletes.
const FORGOTTEN_AT_ONCE: u32 = 100;
/// Maximum number of keys whose last use is kept between two flushes. Beyond it, a use goes unrecorded.
const TOUCHED_MAX: usize = 100_000;

// Counters, looked up once: finding one by its name costs as much as finding a key.
static FROM_CACHE: LazyLock<Counter> =
    LazyLock::new(|| metrics::counter!("agis_bot_key_lookups_total", "source" => "cache"));
static FROM_DATABASE: LazyLock<Counter> =
    LazyLock::new(|| metrics::counter!("agis_bot_key_lookups_total", "source" => "database"));

/// Operator's policy about keys.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Maximum number of keys of a user.
    pub keys_per_user: u32,
    /// Default limit of a key, in requests per hour.
    pub default_rate_limit: u32,
    /// Maximum limit of a key, in requests per hour.
    pub max_rate_limit: u32,
}

/// Key to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Name that the owner gives it, by the rule of [`agis_base::name`].
    pub name: String,
    /// Scopes of the key; at least one.
    pub scopes: Scopes,
    /// Limit in requests per hour; `None` for the policy's default.
    pub rate_limit: Option<u32>,
    /// Days until the key ends, 1 to 3650; `None` for no end.
    pub ttl_days: Option<u32>,
    /// Addresses from which the key can be used; `None` for those of the key that asks.
    pub allowed_ips: Option<Blocks>,
}

/// Rules about keys for every transport.
#[derive(Clone)]
pub struct ApiKeys {
    store: Arc<dyn KeyStore>,
    cache: KeyCache,
    policy: Policy,
    touched: Arc<Mutex<HashMap<KeyId, Timestamp>>>,
}

/// Reason why a request about keys was refused.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The caller has no such key.
    #[error("there is no such key, or it is not yours")]
    NotFound,
    /// There is no such user.
    #[error("there is no such user")]
    NoUser,
    /// A value is invalid.
    #[error("{field}: {rule}")]
    Invalid {
        /// Name of the value.
        field: &'static str,
        /// Rule for the value.
        rule: String,
    },
    /// The key that asks has fewer rights than it would give.
    #[error(transparent)]
    Beyond(#[from] Beyond),
    /// The key that asks was revoked or has ended meanwhile.
    #[error("this API key is not valid any more; it may have been revoked")]
    AskerEnded,
    /// This key has already replaced the key.
    #[error("this key was replaced by key {0}; rotate that one")]
    Replaced(KeyId),
    /// The key has ended.
    #[error("this key has expired; create a new one")]
    Ended,
    /// The owner has the maximum number of keys.
    #[error("you have {0} keys, as many as allowed here; revoke one first")]
    TooMany(u32),
    /// The request has already made this key, and keys are not stored.
    #[error(
        "this request has made the key {0} already; it was shown then and is stored nowhere: rotate it, or revoke it and \
         make another with a new Idempotency-Key"
    )]
    AlreadyShown(KeyId),
    /// The system's random source failed.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reason why a caller is not known.
#[derive(Debug, Error)]
pub enum AuthError {
    /// The text does not have the form of a key.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// There is no such key; it may have been revoked.
    #[error("this API key is not valid; it may have been revoked")]
    Unknown,
    /// The key ended at this time.
    #[error("this API key expired at {}", .0.format("%Y-%m-%dT%H:%M:%SZ"))]
    Expired(Timestamp),
    /// The key cannot be used from this address; `None` if the caller's address is not known.
    #[error("this API key may not be used from {}", .0.map_or("an unknown address".to_owned(), |from| from.to_string()))]
    Address(Option<IpAddr>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiKeys {
    /// Creates the service over this store. Tell the cache of changes of keys.
    pub fn new(store: Arc<dyn KeyStore>, cache: KeyCache, policy: Policy) -> Self {
        Self { store, cache, policy, touched: Arc::default() }
    }

    /// Returns the key of that digest from the cache, or a ticket for [`Self::look_up`].
    ///
    /// # Errors
    /// Returns the ticket if the cache does not have the key or cannot be trusted.
    pub fn cached(&self, digest: Digest) -> Result<Arc<ApiKey>, Ticket> {
        let found = self.cache.get(digest, Instant::now());
        if found.is_ok() {
            FROM_CACHE.increment(1);
        }
        found
    }

    /// Returns the key of that digest from the store.
    ///
    /// # Errors
    /// Fails if there is no such key.
    pub async fn look_up(&self, ticket: Ticket, digest: Digest) -> Result<Arc<ApiKey>, AuthError> {
        let key = Arc::new(self.store.find_by_digest(digest).await?.ok_or(AuthError::Unknown)?);
        self.cache.put(ticket, digest, key.clone());
        FROM_DATABASE.increment(1);
        Ok(key)
    }

    /// Checks whether the key can be used now and from this address, and records the use.
    ///
    /// # Errors
    /// Fails if the key has ended, or cannot be used from this address.
    pub fn admit(&self, key: &ApiKey, from: Option<IpAddr>, now: Timestamp) -> Result<(), AuthError> {
        if let Some(end) = key.grant.expires_at.filter(|end| *end <= now) {
            return Err(AuthError::Expired(end));
        }
        if !key.grant.allowed_ips.allow(from) {
            return Err(AuthError::Address(from));
        }
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        if touched.len() < TOUCHED_MAX || touched.contains_key(&key.id) {
            touched.insert(key.id, now);
        }
        Ok(())
    }

    /// Creates a key. `by` is the key that asks; `None` if a person or an operator asks. A key never makes one with
    /// more rights than its own. The new key has no further scope, no more requests, and ends with its maker at the
    /// latest.
    ///
    /// # Errors
    /// Fails if a value is invalid, or the new key would have more rights than the key that asks.
    pub async fn create(
        &self,
        owner: &UserId,
        by: Option<KeyId>,
        new: NewKey,
        once: Option<&Once>,
    ) -> Result<(Key, ApiKey), KeysError> {
        self.not_yet_shown(once).await?;
        let NewKey { name, scopes, rate_limit, ttl_days, allowed_ips } = new;
        let key = Key::generate()?;
        let row = KeyRow {
            owner: owner.clone(),
            by,
            name: checked_name(&name)?,
            digest: key.digest(),
            wanted: Wanted {
                scopes: checked_scopes(scopes)?,
                rate_limit: rate_limit.map(|limit| self.checked_limit(limit)).transpose()?,
                default_rate_limit: self.policy.default_rate_limit,
                allowed_ips: allowed_ips.map(checked_blocks).transpose()?,
                ttl_days: ttl_days.map(checked_ttl).transpose()?,
            },
        };
        let stored = self.store.create(&row, self.policy.keys_per_user, once).await;
        let stored = stored.map_err(|error| self.refused(error))?;
        Ok((key, stored))
    }

    /// Changes a key for the key `by`. Narrowing is always allowed. If a change widens anything, the result may have no
    /// more rights than the key that asks.
    ///
    /// # Errors
    /// Fails with [`KeysError::NotFound`] if there is no such key, otherwise if a value is invalid or cannot be given.
    pub async fn change(
        &self,
        owner: &UserId,
        by: Option<KeyId>,
        id: KeyId,
        change: KeyChange,
    ) -> Result<ApiKey, KeysError> {
        let KeyChange { name, scopes, rate_limit, allowed_ips } = change;
        let change = KeyChange {
            name: name.as_deref().map(checked_name).transpose()?,
            scopes: scopes.map(checked_scopes).transpose()?,
            rate_limit: rate_limit.map(|limit| self.checked_limit(limit)).transpose()?,
            allowed_ips: allowed_ips.map(checked_blocks).transpose()?,
        };
        let changed = self.store.change(owner, by, id, &change).await.map_err(|error| self.refused(error))?;
        // This process forgets the key at once. Others do when the notice comes.
        self.cache.forget(id);
        Ok(changed)
    }

    /// Replaces a key by a new one. The replaced key stays valid for `overlap`. The new key has the same rights, ends
    /// when the replaced one would have, and shares its bucket. Whoever rotates a key can use the new one, so the key
    /// that asks needs the same rights.
    ///
    /// # Errors
    /// Fails with [`KeysError::NotFound`] if there is no such key, otherwise if the key has ended, was replaced before,
    /// or has more rights than the key that asks.
    pub async fn rotate(
        &self,
        owner: &UserId,
        by: Option<KeyId>,
        id: KeyId,
        overlap: Duration,
        once: Option<&Once>,
    ) -> Result<(Key, ApiKey), KeysError> {
        self.not_yet_shown(once).await?;
        if overlap > OVERLAP_MAX {
            return Err(invalid("overlap_seconds", format!("is 0 to {}", OVERLAP_MAX.as_secs())));
        }
        let key = Key::generate()?;
        let new = Successor { digest: key.digest(), overlap };
        let stored = self.store.rotate(owner, by, id, &new, once).await.map_err(|error| self.refused(error))?;
        self.cache.forget(id);
        Ok((key, stored))
    }

    /// Refuses a request that has already made its key. AGIS cannot show that key again, so the caller learns its id.
    async fn not_yet_shown(&self, once: Option<&Once>) -> Result<(), KeysError> {
        let Some(once) = once else { return Ok(()) };
        self.store.made(once).await?.map_or(Ok(()), |id| Err(KeysError::AlreadyShown(id)))
    }

    /// Returns a key of the caller.
    ///
    /// # Errors
    /// Fails with [`KeysError::NotFound`] if there is no such key.
    pub async fn get(&self, caller: &UserId, id: KeyId) -> Result<ApiKey, KeysError> {
        self.store.find(caller, id).await?.ok_or(KeysError::NotFound)
    }

    /// Returns the caller's keys.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn list(
        &self,
        caller: &UserId,
        state: Option<KeyState>,
        after: Option<KeyId>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, KeysError> {
        Ok(self.store.list(caller, state, after, limit).await?)
    }

    /// Revokes a key. The next request with it is refused.
    ///
    /// # Errors
    /// Fails with [`KeysError::NotFound`] if there is no such key.
    pub async fn revoke(&self, caller: &UserId, id: KeyId) -> Result<(), KeysError> {
        let revoked = self.store.delete(caller, id).await?;
        self.cache.forget(id);
        revoked.then_some(()).ok_or(KeysError::NotFound)
    }

    /// Deletes keys that ended 30 days ago, the oldest first. Each round has a maximum, since every process hears of
    /// each deletion and searches its cache.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn forget_ended(&self) -> Result<(), StoreError> {
        self.store.forget_ended(KEPT_FOR, FORGOTTEN_AT_ONCE).await
    }

    /// Writes the last uses since the previous flush. Uses that cannot be written stay for the next flush.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let used: Vec<_> = self.touched.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        if used.is_empty() {
            return Ok(());
        }
        let written = self.store.touch(&used).await;
        if written.is_err() {
            let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, at) in used {
                touched.entry(key).or_insert(at);
            }
        }
        written
    }

    fn checked_limit(&self, limit: u32) -> Result<u32, KeysError> {
        let max = self.policy.max_rate_limit;
        if (1..=max).contains(&limit) {
            Ok(limit)
        } else {
            Err(invalid("rate_limit", format!("is 1 to {max} per hour")))
        }
    }

    fn refused(&self, error: WriteError) -> KeysError {
        match error {
            WriteError::NotFound => KeysError::NotFound,
            WriteError::AskerEnded => KeysError::AskerEnded,
            WriteError::Beyond(beyond) => KeysError::Beyond(beyond),
            WriteError::Replaced(successor) => KeysError::Replaced(successor),
            WriteError::Ended => KeysError::Ended,
            WriteError::TooMany => KeysError::TooMany(self.policy.keys_per_user),
            WriteError::NoUser => KeysError::NoUser,
            WriteError::Store(error) => KeysError::Store(error),
        }
    }
}

fn invalid(field: &'static str, rule: String) -> KeysError {
    KeysError::Invalid { field, rule }
}

fn checked_name(text: &str) -> Result<String, KeysError> {
    name::checked(text).map_err(|bad| invalid("name", bad.to_string()))
}

fn checked_ttl(days: u32) -> Result<u32, KeysError> {
    let in_range = (1..=TTL_DAYS_MAX).contains(&days);
    in_range.then_some(days).ok_or_else(|| invalid("ttl_days", format!("is 1 to {TTL_DAYS_MAX}")))
}

fn checked_scopes(scopes: Scopes) -> Result<Scopes, KeysError> {
    if scopes.is_empty() {
        return Err(invalid("scopes", format!("names at least one of: {}", Scope::WORDS.join(", "))));
    }
    if scopes.len() > SCOPES_MAX {
        return Err(invalid("scopes", format!("has at most {SCOPES_MAX}")));
    }
    Ok(scopes)
}

fn checked_blocks(blocks: Blocks) -> Result<Blocks, KeysError> {
    let few = blocks.len() <= BLOCKS_MAX;
    few.then_some(blocks).ok_or_else(|| invalid("allowed_ips", format!("has at most {BLOCKS_MAX}")))
}

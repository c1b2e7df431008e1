//! The rules about keys that both transports share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use agis_base::{KeyId, StoreError, Timestamp, UserId};
use thiserror::Error;

use crate::{
    key::{Key, Malformed, NoRandomness},
    scope::{Scope, Scopes},
    store::{ApiKey, KeyRow, KeyStore, WriteError},
};

const NAME_MAX: usize = 100;
const TTL_DAYS_MAX: u32 = 3650;
const SCOPES_MAX: usize = 100;
/// How many keys' last use is remembered between two flushes; beyond, a use goes unrecorded.
const TOUCHED_MAX: usize = 100_000;

/// What an operator decides about keys.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How many keys a user may have.
    pub keys_per_user: u32,
    /// The limit of a key that asks for none, in requests per hour.
    pub default_rate_limit: u32,
    /// The highest limit that a key may have, in requests per hour.
    pub max_rate_limit: u32,
}

/// A key that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// What its owner calls it: 1 to 100 characters on one line.
    pub name: String,
    /// What it may do; not empty.
    pub scopes: Scopes,
    /// Requests per hour; the policy's default where absent.
    pub rate_limit: Option<u32>,
    /// Days until it ends, 1 to 3650; it does not end where absent.
    pub ttl_days: Option<u32>,
}

/// The rules about keys, for every transport.
#[derive(Clone)]
pub struct ApiKeys {
    store: Arc<dyn KeyStore>,
    policy: Policy,
    touched: Arc<Mutex<HashMap<KeyId, Timestamp>>>,
}

/// Why a request about keys was refused.
#[derive(Debug, Error)]
pub enum KeysError {
    /// There is no such key, or it is another's.
    #[error("there is no such key, or it is not yours")]
    NotFound,
    /// There is no such user.
    #[error("there is no such user")]
    NoUser,
    /// A value cannot be taken.
    #[error("{field}: {rule}")]
    Invalid {
        /// Which value.
        field: &'static str,
        /// What it must be.
        rule: String,
    },
    /// The key that asks may not give this scope.
    #[error("your key has not the scope '{0}' and cannot give it to another")]
    Beyond(Scope),
    /// The key that asks has a lower limit.
    #[error("your key has {0} requests per hour and cannot give more to another")]
    LimitBeyond(u32),
    /// The owner has as many keys as allowed.
    #[error("you have {0} keys, as many as allowed here; revoke one first")]
    TooMany(u32),
    /// The system gave no randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a caller is not known.
#[derive(Debug, Error)]
pub enum AuthError {
    /// What was presented has not the form of a key.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// There is no such key; it may have been revoked.
    #[error("this API key is not valid; it may have been revoked")]
    Unknown,
    /// It has ended.
    #[error("this API key expired at {}", .0.format("%Y-%m-%dT%H:%M:%SZ"))]
    Expired(Timestamp),
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiKeys {
    /// The rules over this store.
    pub fn new(store: Arc<dyn KeyStore>, policy: Policy) -> Self {
        Self { store, policy, touched: Arc::default() }
    }

    /// Who presents this text?
    ///
    /// # Errors
    /// Where it is no key, no known key, or one that has ended.
    pub async fn authenticate(&self, presented: &str, now: Timestamp) -> Result<ApiKey, AuthError> {
        let digest = Key::parse(presented)?.digest();
        let key = self.store.find_by_digest(digest).await?.ok_or(AuthError::Unknown)?;
        if let Some(end) = key.expires_at.filter(|end| *end <= now) {
            return Err(AuthError::Expired(end));
        }
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        if touched.len() < TOUCHED_MAX || touched.contains_key(&key.id) {
            touched.insert(key.id, now);
        }
        Ok(key)
    }

    /// Makes a key. `held` is the key that asks; none where a person or an operator asks. A key never makes one that
    /// can do more than itself: not in scopes, not in requests, and not for longer, so the new one ends with it at the
    /// latest.
    ///
    /// # Errors
    /// Where a value cannot be taken, or the new key could do more than the one that asks.
    pub async fn create(&self, owner: &UserId, held: Option<&ApiKey>, new: NewKey) -> Result<(Key, ApiKey), KeysError> {
        if let Some(scope) = held.and_then(|held| held.scopes.first_beyond(&new.scopes)) {
            return Err(KeysError::Beyond(scope));
        }
        let rate_limit = match (new.rate_limit, held) {
            (Some(limit), Some(held)) if limit > held.rate_limit => {
                return Err(KeysError::LimitBeyond(held.rate_limit));
            }
            (None, Some(held)) => self.policy.default_rate_limit.min(held.rate_limit),
            (limit, _) => limit.unwrap_or(self.policy.default_rate_limit),
        };
        let key = Key::generate()?;
        let row = KeyRow {
            owner: owner.clone(),
            name: checked_name(&new.name)?,
            digest: key.digest(),
            rate_limit: self.checked_limit(rate_limit)?,
            ttl_days: new.ttl_days.map(checked_ttl).transpose()?,
            not_after: held.and_then(|held| held.expires_at),
            scopes: checked_scopes(new.scopes)?,
        };
        let stored = self.store.create(&row, self.policy.keys_per_user).await.map_err(|error| match error {
            WriteError::TooMany => KeysError::TooMany(self.policy.keys_per_user),
            WriteError::NoUser => KeysError::NoUser,
            WriteError::Store(error) => KeysError::Store(error),
        })?;
        Ok((key, stored))
    }

    /// A key of the caller.
    ///
    /// # Errors
    /// [`KeysError::NotFound`] where there is none.
    pub async fn get(&self, caller: &UserId, id: KeyId) -> Result<ApiKey, KeysError> {
        self.store.find(caller, id).await?.ok_or(KeysError::NotFound)
    }

    /// The caller's keys.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, caller: &UserId, after: Option<KeyId>, limit: u32) -> Result<Vec<ApiKey>, KeysError> {
        Ok(self.store.list(caller, after, limit).await?)
    }

    /// Revokes a key; the next request with it is refused.
    ///
    /// # Errors
    /// [`KeysError::NotFound`] where there is none.
    pub async fn revoke(&self, caller: &UserId, id: KeyId) -> Result<(), KeysError> {
        self.store.delete(caller, id).await?.then_some(()).ok_or(KeysError::NotFound)
    }

    /// Writes the last uses since the flush before; what cannot be written is kept for the next.
    ///
    /// # Errors
    /// The store's.
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
}

fn invalid(field: &'static str, rule: String) -> KeysError {
    KeysError::Invalid { field, rule }
}

fn checked_name(name: &str) -> Result<String, KeysError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(invalid("name", format!("has 1 to {NAME_MAX} characters on one line")));
    }
    Ok(name.to_owned())
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

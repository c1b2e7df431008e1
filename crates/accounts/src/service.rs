//! Rules about users, for both transports.

use std::sync::Arc;

use agis_base::{StoreError, UserId};

use crate::{
    stats::Stats,
    store::UserStore,
    user::{User, WELCOME_CREDITS},
};

/// Applies the rules about users, for every transport.
#[derive(Clone)]
pub struct Accounts {
    store: Arc<dyn UserStore>,
}

impl Accounts {
    /// Creates the service over this store.
    pub fn new(store: Arc<dyn UserStore>) -> Self {
        Self { store }
    }

    /// Returns a user.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn get(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.store.find(id).await
    }

    /// Returns a user's totals; `None` if there is no such user.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn stats(&self, id: &UserId) -> Result<Option<Stats>, StoreError> {
        self.store.stats(id).await
    }

    /// Makes sure that a user exists; a new one gets the welcome credits. Discord commands and an operator's `keys
    /// create` call this; REST never does.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn welcome(&self, id: &UserId) -> Result<(), StoreError> {
        self.store.ensure(id, WELCOME_CREDITS).await
    }
}

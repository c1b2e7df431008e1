//! The rules about users that both transports share.

use std::sync::Arc;

use agis_base::{StoreError, UserId};

use crate::{
    stats::Stats,
    store::UserStore,
    user::{User, WELCOME_CREDITS},
};

/// The rules about users, for every transport.
#[derive(Clone)]
pub struct Accounts {
    store: Arc<dyn UserStore>,
}

impl Accounts {
    /// The rules over this store.
    pub fn new(store: Arc<dyn UserStore>) -> Self {
        Self { store }
    }

    /// A user.
    ///
    /// # Errors
    /// The store's.
    pub async fn get(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.store.find(id).await
    }

    /// What a user has done here; `None` where there is no such user.
    ///
    /// # Errors
    /// The store's.
    pub async fn stats(&self, id: &UserId) -> Result<Option<Stats>, StoreError> {
        self.store.stats(id).await
    }

    /// Makes sure that a user exists; a new one gets the welcome credits. Discord commands and an operator's
    /// `keys create` call this; REST never does.
    ///
    /// # Errors
    /// The store's.
    pub async fn welcome(&self, id: &UserId) -> Result<(), StoreError> {
        self.store.ensure(id, WELCOME_CREDITS).await
    }
}

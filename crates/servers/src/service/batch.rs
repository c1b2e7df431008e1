//! Rules about batches.

use agis_base::{BatchId, MANY_MAX, Once, Reach, StoreError, UserId};

use super::{Servers, ServersError, invalid};
use crate::{
    batch::{Batch, NewBatch, OPEN_MAX},
    operation,
    store::{BatchError, Page, ServerFilter},
};

impl Servers {
    /// Begins a batch over the caller's own servers and those that are shared with the caller, within reach.
    ///
    /// # Errors
    /// Fails if a value is invalid, or the caller has too many open batches.
    pub async fn begin_batch(&self, reach: &Reach, new: NewBatch, once: Option<&Once>) -> Result<Batch, ServersError> {
        new.pace.check().map_err(|(field, rule)| invalid(field, rule))?;
        let filter = ServerFilter { label: Some(new.label.clone()), ..ServerFilter::default() };
        let page = Page { after: None, limit: MANY_MAX + 1 };
        let found = self.servers.list(&new.actor, reach, &filter, page).await?;
        if found.is_empty() {
            return Err(ServersError::NotFound("server with this label"));
        }
        if found.len() > MANY_MAX as usize {
            return Err(invalid("label", format!("is on more than {MANY_MAX} servers; divide them by other labels")));
        }
        let servers: Vec<_> = found.into_iter().map(|(server, _)| (server.id, server.name)).collect();
        let begun = self.batches.begin_batch(&new, &servers, (self.policy.billing, &self.catalogue), once).await;
        let (batch, ended) = begun.map_err(|error| match error {
            BatchError::TooMany => ServersError::TooManyBatches(OPEN_MAX),
            BatchError::Store(error) => error.into(),
        })?;
        ended.into_iter().for_each(|(action, state)| operation::count(action, state));
        Ok(batch)
    }

    /// Returns a batch that the caller has begun, with those of its servers that are within reach.
    ///
    /// # Errors
    /// Fails with [`ServersError::NotFound`] if there is none.
    pub async fn batch(&self, caller: &UserId, reach: &Reach, id: BatchId) -> Result<Batch, ServersError> {
        let found = self.batches.batch(id).await?.filter(|batch| batch.actor == *caller);
        let mut batch = found.ok_or(ServersError::NotFound(BATCH))?;
        batch.items.retain(|item| reach.covers(item.server));
        if batch.items.is_empty() { Err(ServersError::NotFound(BATCH)) } else { Ok(batch) }
    }

    /// Leaves the servers of a batch alone that still wait, and returns the batch. All of them must be within reach.
    ///
    /// # Errors
    /// Fails as [`Self::batch`] does, and with [`ServersError::NotAllowed`] if some servers are beyond reach.
    pub async fn cancel_batch(&self, caller: &UserId, reach: &Reach, id: BatchId) -> Result<Batch, ServersError> {
        let seen = self.batch(caller, reach, id).await?;
        let whole = self.batch(caller, &Reach::Every, id).await?;
        if seen.items.len() < whole.items.len() {
            return Err(ServersError::NotAllowed);
        }
        self.batches.cancel_batch(id).await?;
        self.batch(caller, reach, id).await
    }

    /// Asks for the operations of batches whose time has come.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn advance_batch(&self, id: BatchId) -> Result<(), StoreError> {
        let ended = self.batches.advance_batch(id, (self.policy.billing, &self.catalogue)).await?;
        ended.into_iter().for_each(|(action, state)| operation::count(action, state));
        Ok(())
    }
}

/// Name of a batch in an error.
const BATCH: &str = "action on many servers";

//! Rules about batches.

use agis_base::{BatchId, MANY_MAX, Once, Reach, ServerId, Span, StoreError, UserId};

use super::{Servers, ServersError, invalid};
use crate::{
    batch::{AGE_MAX, Batch, BatchSummary, NewBatch, OPEN_MAX},
    operation,
    store::{BatchError, BatchesQuery, Page, ServerFilter},
};

/// Batch that can begin, with its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedBatch {
    new: NewBatch,
    servers: Vec<(ServerId, String)>,
}

impl PlannedBatch {
    /// Returns the number of its servers.
    pub fn servers(&self) -> u32 {
        u32::try_from(self.servers.len()).unwrap_or(u32::MAX)
    }
}

impl Servers {
    /// Returns the batch that the request has begun already: its servers may carry the label no more.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn begun_batch(&self, once: Option<&Once>) -> Result<Option<Batch>, ServersError> {
        match once {
            Some(once) => Ok(self.batches.begun_batch(once).await?),
            None => Ok(None),
        }
    }

    /// Plans a batch over the caller's own servers and those that are shared with the caller, within reach.
    ///
    /// # Errors
    /// Fails if a value is invalid, if no server carries the label, or if the pace takes longer than [`AGE_MAX`].
    pub async fn plan_batch(&self, reach: &Reach, new: NewBatch) -> Result<PlannedBatch, ServersError> {
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
        let planned = PlannedBatch { new, servers };
        check_age(&planned)?;
        Ok(planned)
    }

    /// Begins a batch.
    ///
    /// # Errors
    /// Fails if the caller has too many open batches.
    pub async fn begin_batch(&self, planned: PlannedBatch, once: Option<&Once>) -> Result<Batch, ServersError> {
        let PlannedBatch { new, servers } = planned;
        let begun = self.batches.begin_batch(&new, &servers, (self.policy.billing, &self.catalogue), once).await;
        let (batch, ended) = begun.map_err(|error| match error {
            BatchError::TooMany => ServersError::TooManyBatches(OPEN_MAX),
            BatchError::Store(error) => error.into(),
        })?;
        ended.into_iter().for_each(|(action, state)| operation::count(action, state));
        Ok(batch)
    }

    /// Returns the batches that the caller has begun, newest first.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn batches(&self, query: &BatchesQuery) -> Result<Vec<BatchSummary>, ServersError> {
        Ok(self.batches.batches(query).await?)
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

/// Refuses a pace by which the last server would have its turn too late.
fn check_age(planned: &PlannedBatch) -> Result<(), ServersError> {
    let (pace, servers) = (planned.new.pace, planned.servers());
    let whole = pace.whole(servers);
    let (Some(stagger), true) = (pace.stagger, whole > AGE_MAX) else { return Ok(()) };
    let longest = AGE_MAX.as_secs() / u64::from(servers.saturating_sub(1).max(1));
    let span = |seconds: u64| Span::of_seconds(u32::try_from(seconds).unwrap_or(u32::MAX));
    Err(invalid(
        "stagger",
        format!(
            "of {stagger} between {servers} servers takes {} in all, and the last has to have its turn within {}; choose {} \
             or less, or divide them by other labels",
            span(whole.as_secs()),
            span(AGE_MAX.as_secs()),
            span(longest)
        ),
    ))
}

/// Name of a batch in an error.
const BATCH: &str = "action on many servers";

#[cfg(test)]
mod tests {
    use agis_base::{Pace, PowerAction};

    use super::*;
    use crate::operation::Origin;

    #[test]
    fn last_turn_comes_within_a_day() {
        let checked = |stagger: u32, servers: i32| {
            let pace = Pace { at_most: None, stagger: Some(Span::of_seconds(stagger)) };
            let (label, actor) = ("friday".parse().expect("a label"), UserId::from_stored("1"));
            let (action, origin) = (PowerAction::Stop, Origin::Rest);
            let new = NewBatch { label, action, pace, origin, actor, channel: None, trace: None };
            let servers = (1..=servers).map(|id| (ServerId(id), String::new())).collect();
            check_age(&PlannedBatch { new, servers }).map_err(|error| error.to_string())
        };
        assert_eq!(checked(3600, 25), Ok(()));
        assert_eq!(checked(600, 100), Ok(()));
        let why = checked(3600, 100).expect_err("four days");
        assert!(
            why.contains("of 1h between 100 servers takes 99h in all") && why.contains("choose 14m 32s or less"),
            "{why}"
        );
    }
}

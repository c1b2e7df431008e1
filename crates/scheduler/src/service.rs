//! The rules about schedules that both transports share.

use std::sync::Arc;

use agis_base::{Once, Reach, ScheduleId, StoreError, Timestamp, UserId};
use thiserror::Error;

use crate::{
    firing::Run,
    schedule::{NewSchedule, Schedule, ScheduleChange, Timing, TimingError},
    store::{Limits, Query, RunsQuery, ScheduleStore, WriteError},
};

/// The rules about schedules, for every transport. Whether a user may act on a server is not known here: transports ask
/// that first, and it is asked again at every firing.
#[derive(Clone)]
pub struct Schedules {
    store: Arc<dyn ScheduleStore>,
    limits: Limits,
}

/// Why a request about schedules was refused.
#[derive(Debug, Error)]
pub enum SchedulesError {
    /// There is no such schedule, or it is another's.
    #[error("there is no such schedule, or it is not yours")]
    NotFound,
    /// It is another's, on a server of the caller's.
    #[error("this schedule is another's: on your server you may delete or disable it, not change it")]
    NotAllowed,
    /// The server is gone.
    #[error("there is no such server, or it is not yours")]
    NoServer,
    /// The timing cannot be used.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// The server has as many schedules as allowed.
    #[error("this server has {0} schedules, as many as allowed here; delete one first")]
    TooMany(u32),
    /// The user has made as many schedules as allowed.
    #[error("you have made {0} schedules, as many as allowed here; delete one first")]
    TooManyOfUser(u32),
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Schedules {
    /// The rules over this store; there may be so many schedules.
    pub fn new(store: Arc<dyn ScheduleStore>, limits: Limits) -> Self {
        Self { store, limits }
    }

    /// Adds a schedule. A request that has added its schedule already is answered with it.
    ///
    /// # Errors
    /// Where its timing never fires, or its server or its maker has too many.
    pub async fn create(&self, new: NewSchedule, once: Option<&Once>) -> Result<Schedule, SchedulesError> {
        self.store.create(&new, self.limits, once).await.map_err(|error| self.refused(error))
    }

    /// A schedule that the caller made, or anybody for a server of theirs, of a server within reach.
    ///
    /// # Errors
    /// [`SchedulesError::NotFound`] where there is none.
    pub async fn get(&self, caller: &UserId, reach: &Reach, id: ScheduleId) -> Result<Schedule, SchedulesError> {
        let found = self.store.find(caller, id).await?.filter(|schedule| reach.covers(schedule.server));
        found.ok_or(SchedulesError::NotFound)
    }

    /// The caller's schedules, and those of others for the caller's servers.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self, query: &Query) -> Result<Vec<Schedule>, SchedulesError> {
        Ok(self.store.list(query).await?)
    }

    /// Changes a schedule. It acts in the name of who made it, so nobody else gives it something to do: the server's
    /// owner may only disable it.
    ///
    /// # Errors
    /// Where there is none, it is another's, or the new timing cannot be used.
    pub async fn change(
        &self,
        caller: &UserId,
        reach: &Reach,
        id: ScheduleId,
        change: &ScheduleChange,
    ) -> Result<Schedule, SchedulesError> {
        // A schedule never moves to another server, so what was within reach stays so.
        let schedule = self.get(caller, reach, id).await?;
        let disables = ScheduleChange { enabled: Some(false), ..ScheduleChange::default() };
        if schedule.owner != *caller && *change != disables {
            return Err(SchedulesError::NotAllowed);
        }
        let changed = self.store.change(caller, id, change).await.map_err(|error| self.refused(error))?;
        changed.ok_or(SchedulesError::NotFound)
    }

    /// Removes a schedule and its history.
    ///
    /// # Errors
    /// [`SchedulesError::NotFound`] where there is none.
    pub async fn delete(&self, caller: &UserId, reach: &Reach, id: ScheduleId) -> Result<(), SchedulesError> {
        self.get(caller, reach, id).await?;
        self.store.delete(caller, id).await?.then_some(()).ok_or(SchedulesError::NotFound)
    }

    /// A schedule's history, the newest first.
    ///
    /// # Errors
    /// [`SchedulesError::NotFound`] where there is no such schedule.
    pub async fn runs(
        &self,
        caller: &UserId,
        reach: &Reach,
        id: ScheduleId,
        query: RunsQuery,
    ) -> Result<Vec<Run>, SchedulesError> {
        self.get(caller, reach, id).await?;
        Ok(self.store.runs(id, query).await?)
    }

    /// The next runs of a timing that is not stored, after a moment.
    ///
    /// # Errors
    /// Where it never fires.
    pub fn preview(&self, timing: &Timing, from: Timestamp, count: usize) -> Result<Vec<Timestamp>, SchedulesError> {
        timing.next_run(from)?;
        Ok(timing.next_runs(from, count))
    }

    fn refused(&self, error: WriteError) -> SchedulesError {
        match error {
            WriteError::Timing(error) => SchedulesError::Timing(error),
            WriteError::TooMany => SchedulesError::TooMany(self.limits.per_server),
            WriteError::TooManyOfUser => SchedulesError::TooManyOfUser(self.limits.per_user),
            WriteError::NoServer => SchedulesError::NoServer,
            WriteError::Gone => SchedulesError::NotFound,
            WriteError::Store(error) => SchedulesError::Store(error),
        }
    }
}

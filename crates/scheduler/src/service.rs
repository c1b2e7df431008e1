//! Rules about schedules, for every transport.

use std::sync::Arc;

use agis_base::{Once, Reach, ScheduleId, ServerId, StoreError, Timestamp, UserId};
use thiserror::Error;

mod on_servers;

pub use self::on_servers::PutOff;
use crate::{
    chain::{self, Gate},
    firing::{FiringId, Run, RunWithSteps, SCHEDULE_CHANGED, SCHEDULER_UNAVAILABLE},
    many,
    schedule::{Action, NewSchedule, Schedule, ScheduleChange, Timing, TimingError},
    store::{Deleted, Limits, Query, RunsQuery, ScheduleStore, ServerRunStore, WriteError},
    work::{InvalidWork, Kind, Overlap, called_off},
};

/// Applies the rules about schedules. Transports check first whether the user may act on the server; every firing
/// checks again.
#[derive(Clone)]
pub struct Schedules {
    store: Arc<dyn ScheduleStore>,
    on_servers: Arc<dyn ServerRunStore>,
    limits: Limits,
}

/// Reason why a request about schedules was refused.
#[derive(Debug, Error)]
pub enum SchedulesError {
    /// The caller has no such schedule.
    #[error("there is no such schedule, or it is not yours")]
    NotFound,
    /// Somebody else made the schedule, on a server of the caller's.
    #[error("this schedule is another's: on your server you may delete or disable it, not change it")]
    NotAllowed,
    /// The server does not exist any more.
    #[error("there is no such server, or it is not yours")]
    NoServer,
    /// The timing cannot be used.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// The work breaks a rule.
    #[error(transparent)]
    Work(#[from] InvalidWork),
    /// The condition of its runs is not met.
    #[error("the schedule does not run now: {}", why(.0))]
    Gate(&'static str),
    /// The run has ended, or is one operation, which is followed and stopped as such.
    #[error("this run has ended or is skipped already, or it is a single operation: to end that, stop its server")]
    NotCancellable,
    /// A run of the schedule has stopped its server, and starts it again.
    #[error(
        "a run of this schedule has stopped its server, and starts it again: delete the schedule when the run has ended, or \
         cancel the run first"
    )]
    Acting,
    /// The run has no wait ahead of a stop or a restart.
    #[error("this run has no stop or restart ahead that could be put off: none follows behind a wait")]
    NotPostponable,
    /// The wait would be too long.
    #[error("all in all, a stop or a restart is put off until it is a day away at most; cancel the run instead")]
    TooLong,
    /// Somebody has put it off since the caller saw when it is due.
    #[error("it was put off already")]
    PutOffAlready,
    /// The schedule has no run with this slot.
    #[error("this schedule has no run of this time; its list of runs says which there are")]
    NoRun,
    /// The server has the maximum number of schedules.
    #[error("this server has {0} schedules, as many as allowed here; delete one first")]
    TooMany(u32),
    /// The user has made the maximum number of schedules.
    #[error("you have made {0} schedules, as many as allowed here; delete one first")]
    TooManyOfUser(u32),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Consequence of running a schedule now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunNow {
    /// The caller asks for this action on this server, in the caller's own name.
    Action(ServerId, Action),
    /// This run has begun to look at its condition.
    Run(FiringId),
}

/// Reason of a run that did not begin: somebody holds its server.
pub const HELD: &str = "held";

/// Describes the reason of a run that was turned away, for people.
pub fn why(reason: &str) -> &str {
    match reason {
        chain::SERVER_STOPPED => "its server was stopped, and it acts only on one that should run",
        "server_running" => "its server should run, and it acts only on one that is stopped",
        "players_online" => "people play",
        "players_unknown" => "nobody knows whether people play",
        chain::OVERLAP => "an earlier run has not ended",
        many::NO_SERVERS => "no server of yours carries its label",
        many::TOO_MANY_SERVERS => "more servers carry its label than it acts on at a time; divide them by other labels",
        HELD => "somebody holds its server",
        "cancelled" => "somebody cancelled it",
        "ended_by_stop" => "somebody stopped the server",
        "ended_by_delete" => "somebody deleted the server",
        "ended_by_restart" => "somebody restarted the server already",
        "ended_by_hold" => "somebody holds the server",
        SCHEDULER_UNAVAILABLE => "nobody was there to carry it out in time",
        "replaced" => "a later run takes its place",
        SCHEDULE_CHANGED => "its schedule was changed",
        other => other,
    }
}

impl Schedules {
    /// Creates the service over this store, with these maximum numbers of schedules.
    pub fn new<S: ScheduleStore + ServerRunStore + 'static>(store: Arc<S>, limits: Limits) -> Self {
        Self { store: store.clone(), on_servers: store, limits }
    }

    /// Adds a schedule. Returns the existing one if the request has added it already.
    ///
    /// # Errors
    /// Fails if its work breaks a rule, if it never fires, or if its server or its maker has too many schedules.
    pub async fn create(&self, new: NewSchedule, once: Option<&Once>) -> Result<Schedule, SchedulesError> {
        new.work.check()?;
        self.store.create(&new, self.limits, once).await.map_err(|error| self.refused(error))
    }

    /// Returns the present time by the clock that decides what is due.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn now(&self) -> Result<Timestamp, SchedulesError> {
        Ok(self.store.now().await?)
    }

    /// Returns warnings about meanings that the author of a schedule may not intend: also about a label that no server carries.
    pub async fn warnings(&self, schedule: &Schedule) -> Vec<String> {
        // The schedule is there, whatever else is known of it.
        let breadth = self.store.breadth(schedule.id).await.ok().flatten();
        let unfit = breadth
            .and_then(|breadth| many::why_unfit(breadth.servers))
            .map(|reason| format!("As things are, its runs do nothing: {}.", why(reason)));
        unfit.into_iter().chain(schedule.warnings()).collect()
    }

    /// Returns a schedule that the caller made, or anybody for a server of the caller's, on a server within reach.
    ///
    /// # Errors
    /// Fails with [`SchedulesError::NotFound`] if there is none.
    pub async fn get(&self, caller: &UserId, reach: &Reach, id: ScheduleId) -> Result<Schedule, SchedulesError> {
        let found = self.store.find(caller, id).await?.filter(|schedule| schedule.target.is_within(reach));
        found.ok_or(SchedulesError::NotFound)
    }

    /// Returns the caller's schedules, and those of others for the caller's servers.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn list(&self, query: &Query) -> Result<Vec<Schedule>, SchedulesError> {
        Ok(self.store.list(query).await?)
    }

    /// Changes a schedule. A schedule acts in the name of its maker, so nobody else gives it something to do: the
    /// server's owner may only disable it.
    ///
    /// # Errors
    /// Fails if there is none, if somebody else made it, or if the new work or timing cannot be used.
    pub async fn change(
        &self,
        caller: &UserId,
        reach: &Reach,
        id: ScheduleId,
        change: &ScheduleChange,
    ) -> Result<Schedule, SchedulesError> {
        // A schedule never moves to another server, so it stays within reach.
        let schedule = self.get(caller, reach, id).await?;
        if schedule.owner != *caller && !change.only_disables() {
            return Err(SchedulesError::NotAllowed);
        }
        let changed = self.store.change(caller, id, change, self.limits).await.map_err(|error| self.refused(error))?;
        changed.ok_or(SchedulesError::NotFound)
    }

    /// Removes a schedule and its history. Returns the announced actions that do not follow, with words for the players.
    ///
    /// # Errors
    /// Fails with [`SchedulesError::NotFound`] if there is none, and if a run of it is about to start its server again.
    pub async fn delete(
        &self,
        caller: &UserId,
        reach: &Reach,
        id: ScheduleId,
    ) -> Result<Vec<(ServerId, String)>, SchedulesError> {
        self.get(caller, reach, id).await?;
        match self.store.delete(caller, id).await? {
            Deleted::Gone(off) => Ok(off.into_iter().map(|(server, action)| (server, called_off(action))).collect()),
            Deleted::Unknown => Err(SchedulesError::NotFound),
            Deleted::Acting => Err(SchedulesError::Acting),
        }
    }

    /// Returns a schedule's history, newest first.
    ///
    /// # Errors
    /// Fails with [`SchedulesError::NotFound`] if there is no such schedule.
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

    /// Runs a schedule now, beside its plan, if the condition of its runs is met. Steps act in the name of the schedule's
    /// maker, so nobody else runs those.
    ///
    /// # Errors
    /// Fails if there is no such schedule, or if its condition is not met.
    pub async fn run_now(&self, caller: &UserId, reach: &Reach, id: ScheduleId) -> Result<RunNow, SchedulesError> {
        let schedule = self.get(caller, reach, id).await?;
        if schedule.kind().action().is_none() && schedule.owner != *caller {
            return Err(SchedulesError::NotAllowed);
        }
        if schedule.kind() == Kind::Servers {
            let breadth = self.store.breadth(id).await?.ok_or(SchedulesError::NotFound)?;
            if let Some(reason) = many::why_unfit(breadth.servers) {
                return Err(SchedulesError::Gate(reason));
            }
            if breadth.is_busy && schedule.work.overlap == Overlap::Skip {
                return Err(SchedulesError::Gate(chain::OVERLAP));
            }
            // Each of its servers has a condition of its own.
            return self.store.fire(id).await?.map(RunNow::Run).ok_or(SchedulesError::NotFound);
        }
        let outlook = self.store.outlook(id).await?.ok_or(SchedulesError::NotFound)?;
        match chain::gate(schedule.work.when(), outlook.facts, outlook.now, outlook.now) {
            Gate::Shut(reason) => return Err(SchedulesError::Gate(reason)),
            Gate::Open | Gate::Later => {}
        }
        match (schedule.kind().action(), schedule.target.server()) {
            (Some(action), Some(server)) => Ok(RunNow::Action(server, action)),
            _ if outlook.is_held => Err(SchedulesError::Gate(HELD)),
            _ if outlook.is_busy && schedule.work.overlap == Overlap::Skip => Err(SchedulesError::Gate(chain::OVERLAP)),
            _ => self.store.fire(id).await?.map(RunNow::Run).ok_or(SchedulesError::NotFound),
        }
    }

    /// Returns a run with its steps. A run of one action has one step.
    ///
    /// # Errors
    /// Fails if there is no such schedule or run, or if it is not the caller's to see: see [`Self::of_run`].
    pub async fn run(&self, caller: &UserId, reach: &Reach, id: FiringId) -> Result<RunWithSteps, SchedulesError> {
        self.of_run(caller, reach, id).await?;
        let mut run = self.store.run(id).await?.ok_or(SchedulesError::NoRun)?;
        if let (Some(action), true) = (run.run.kind.action(), run.steps.is_empty()) {
            run.steps.push(run.run.step(action));
        }
        Ok(run)
    }

    /// Returns the next runs after a moment, for a timing that is not stored.
    ///
    /// # Errors
    /// Fails if it never fires.
    pub fn preview(&self, timing: &Timing, from: Timestamp, count: usize) -> Result<Vec<Timestamp>, SchedulesError> {
        timing.next_run(from)?;
        Ok(timing.next_runs(from, count))
    }

    fn refused(&self, error: WriteError) -> SchedulesError {
        match error {
            WriteError::Timing(error) => SchedulesError::Timing(error),
            WriteError::Work(error) => SchedulesError::Work(error),
            WriteError::TooMany => SchedulesError::TooMany(self.limits.per_server),
            WriteError::TooManyOfUser => SchedulesError::TooManyOfUser(self.limits.per_user),
            WriteError::NoServer => SchedulesError::NoServer,
            WriteError::Gone => SchedulesError::NotFound,
            WriteError::Store(error) => SchedulesError::Store(error),
        }
    }
}

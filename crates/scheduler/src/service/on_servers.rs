//! Rules about runs, which are for whoever may make schedules for their servers.

use agis_base::{Reach, ScheduleId, ServerId, Span, UserId};

use super::{Schedules, SchedulesError};
use crate::{
    chain::{Ahead, Postponement},
    firing::{FiringId, RunState, RunWithSteps},
    schedule::Schedule,
    store::{PostponeError, ServerAhead, ServerRun, ServerRunsQuery},
    work::{InvalidWork, Kind, WAIT_MAX, WAIT_RULE},
};

/// Actions of a run that were put off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOff {
    /// Servers whose action was put off, with its new time.
    pub servers: Vec<(ServerId, Ahead)>,
    /// Number of the other servers of the run.
    pub others: usize,
}

impl Schedules {
    /// Returns the next stop or restart of each of these servers, where a run has begun its countdown. The caller may see the
    /// servers: a check that is the transport's.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn ahead(&self, servers: &[ServerId]) -> Result<Vec<ServerAhead>, SchedulesError> {
        if servers.is_empty() {
            return Ok(vec![]);
        }
        Ok(self.on_servers.ahead(servers).await?)
    }

    /// Returns the runs on a server, newest first, whoever made their schedules: also the parts of runs on many servers. The
    /// caller may make schedules for the server: a check that is the transport's.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn runs_on(&self, query: ServerRunsQuery) -> Result<Vec<ServerRun>, SchedulesError> {
        Ok(self.on_servers.runs_on(query).await?)
    }

    /// Returns the runs of these schedules that go on, the oldest of each. The caller may see the schedules: a check that is the
    /// transport's.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn open_runs(&self, schedules: &[ScheduleId]) -> Result<Vec<FiringId>, SchedulesError> {
        Ok(self.on_servers.open_runs(schedules).await?)
    }

    /// Returns the schedule of a run, whoever made it, and the server of the run, for a caller who may act on that: a check
    /// that is the transport's.
    ///
    /// # Errors
    /// Fails if there is none, or if it acts on many servers.
    pub async fn announced(&self, id: FiringId) -> Result<(Schedule, ServerId), SchedulesError> {
        let schedule = self.store.any(id.schedule).await?.ok_or(SchedulesError::NotFound)?;
        let run = self.store.run(id).await?.ok_or(SchedulesError::NoRun)?;
        let server = run.run.server.or(schedule.target.server()).ok_or(SchedulesError::NotPostponable)?;
        Ok((schedule, server))
    }

    /// Returns the schedule of a run that the caller may see and end: a run of a schedule of the caller's, or one on a server for
    /// which the caller may make schedules.
    ///
    /// # Errors
    /// Fails with [`SchedulesError::NotFound`] if it is not the caller's.
    pub async fn of_run(&self, caller: &UserId, reach: &Reach, id: FiringId) -> Result<Schedule, SchedulesError> {
        match self.get(caller, reach, id.schedule).await {
            Err(SchedulesError::NotFound) => {}
            found => return found,
        }
        let schedule = self.store.any(id.schedule).await?.ok_or(SchedulesError::NotFound)?;
        let server = match schedule.target.server() {
            Some(server) => Some(server),
            None => self.store.run(id).await?.and_then(|run| run.run.server),
        };
        let server = server.filter(|server| reach.covers(*server)).ok_or(SchedulesError::NotFound)?;
        let may = !self.on_servers.schedulable(caller, &[server]).await?.is_empty();
        may.then_some(schedule).ok_or(SchedulesError::NotFound)
    }

    /// Ends a run with steps. The step that it is at goes on where it cannot be undone: an operation that has begun. The next
    /// run of a schedule is skipped, and the one behind it becomes the next.
    ///
    /// # Errors
    /// Fails as [`Self::of_run`] does, and if there is no such run that has not ended.
    pub async fn cancel(&self, caller: &UserId, reach: &Reach, id: FiringId) -> Result<RunWithSteps, SchedulesError> {
        let schedule = self.of_run(caller, reach, id).await?;
        if schedule.next_run == Some(id.slot) && self.store.skip(id).await? {
            return self.run(caller, reach, id).await;
        }
        self.run(caller, reach, id).await?;
        if !self.store.cancel(id).await? {
            return Err(SchedulesError::NotCancellable);
        }
        self.run(caller, reach, id).await
    }

    /// Puts off the action that a run has ahead: the wait before it takes this much longer. Of a run on many servers, those
    /// are put off that have one ahead.
    ///
    /// # Errors
    /// Fails as [`Self::of_run`] does, if the caller may not make schedules for the server any more, if nothing is ahead, or if
    /// it would be put off by more than a day.
    pub async fn postpone(
        &self,
        caller: &UserId,
        reach: &Reach,
        id: FiringId,
        wish: &Postponement,
    ) -> Result<PutOff, SchedulesError> {
        let schedule = self.of_run(caller, reach, id).await?;
        let run = self.store.run(id).await?.ok_or(SchedulesError::NoRun)?;
        if wish.by == Span::ZERO || wish.by.duration() > WAIT_MAX {
            return Err(InvalidWork { field: "by".to_owned(), rule: WAIT_RULE.to_owned() }.into());
        }
        let runs: Vec<(FiringId, ServerId)> = if run.run.kind == Kind::Servers {
            let open = run.parts.iter().filter(|part| part.state == RunState::Pending);
            open.map(|part| (FiringId { slot: part.slot, ..id }, part.server)).collect()
        } else {
            let server = run.run.server.or(schedule.target.server()).ok_or(SchedulesError::NotPostponable)?;
            vec![(id, server)]
        };
        let servers: Vec<_> = runs.iter().map(|(_, server)| *server).collect();
        let may = self.on_servers.schedulable(caller, &servers).await?;
        if may.is_empty() && run.run.kind != Kind::Servers {
            return Err(SchedulesError::NoServer);
        }
        let mine: Vec<_> = runs.iter().filter(|(_, server)| may.contains(server)).map(|(run, _)| *run).collect();
        let put_off = self.store.postpone(&mine, wish).await.map_err(|error| match error {
            PostponeError::NothingAhead => SchedulesError::NotPostponable,
            PostponeError::TooLong => SchedulesError::TooLong,
            PostponeError::Already => SchedulesError::PutOffAlready,
            PostponeError::Store(error) => error.into(),
        })?;
        let server = |id: FiringId| runs.iter().find(|(run, _)| *run == id).map(|(_, server)| *server);
        let servers: Vec<_> = put_off.into_iter().filter_map(|(id, ahead)| Some((server(id)?, ahead))).collect();
        let all = if run.run.kind == Kind::Servers { run.parts.len() } else { 1 };
        Ok(PutOff { others: all.saturating_sub(servers.len()), servers })
    }
}
